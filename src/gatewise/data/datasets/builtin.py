"""Text that every machine has."""

from __future__ import annotations

import ast
import datetime
import inspect
import random
import re
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

from ...errors import DataError
from ..paired.pairs import Pairs

_READ = 400  # characters of a docstring's body that are kept, up to the end of a word
_TENS = ("", "", "twenty", "thirty")
_FIRST = (
    *("", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh"),
    *("twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth"),
)
_DATES = (  # as str.format reads them, beside what strftime has: {d} 5, {th} 5th, {word} fifth, {m} 4
    *("{d} %B %Y", "{d} %b %Y", "%B {d}, %Y", "%b {d}, %Y", "%b. {d}, %Y", "{th} %B %Y", "%B {th}, %Y"),
    *("the {th} of %B, %Y", "the {word} of %B %Y", "%B the {word}, %Y", "%A, {d} %B %Y", "%a, %d %b %Y"),
    *("%A, %B {th}, %Y", "{d}.{m}.%Y", "%d.%m.%Y", "%Y/%m/%d", "%Y%m%d", "%d-%b-%Y", "%d%b%y", "{d}-%b-%y"),
    *("%Y, %B {d}", "{d} %B, in the year %Y", "%a %b %d 12:00:00 %Y"),
)


def python_documentation() -> str:
    """Python's own language reference, as `help()` shows it: about half a megabyte of technical English.

    Many topics quote each other. Each paragraph is kept once only, where it first stands, so that text held out for
    testing was not also learned by heart.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise DataError(
            "this Python carries no documentation (pydoc_data). Use any text: gatewise fit generate FILE"
        ) from error
    seen: set[str] = set()
    paragraphs = []
    for name in sorted(topics):
        for paragraph in topics[name].split("\n\n"):
            if len(paragraph) > 60:  # shorter ones are headings and the like, which a text may repeat
                words = " ".join(paragraph.split())  # topics quote with another indent, and lines broken elsewhere
                if words in seen:
                    continue
                seen.add(words)
            paragraphs.append(paragraph)
    return "\n\n".join(paragraphs)


def docstring_summaries(least: int = 10) -> Pairs:
    """Long text to short: what the docstrings of Python's standard library say after their first paragraph, after the
    words of the name of what they describe and its plain arguments (those that a call gives by place or by name), and
    that paragraph. A few thousand pairs; no text occurs twice on either side.

    The files are parsed, never imported.

    Args:
        least: Words that must follow the first paragraph; with 0 the name alone is enough.
    """
    library = Path(sysconfig.get_path("stdlib"))
    pairs: dict[str, str] = {}
    summaries: set[str] = set()
    for path in sorted(library.rglob("*.py")):
        parts = path.relative_to(library).parts
        if {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3"} & set(parts):
            continue
        for name, docstring in _docstrings(path):
            summary, _, body = docstring.partition("\n\n")
            source = f"{name}: {_shortened(' '.join(body.split()))}".strip()
            summary = " ".join(summary.split())
            known = source in pairs or summary in summaries
            if len(body.split()) >= least and 3 <= len(summary.split()) <= 25 and not known:
                pairs[source] = summary
                summaries.add(summary)
    if not pairs:
        raise DataError("this Python carries no docstrings in its standard library")
    return Pairs(list(pairs), list(pairs.values()), "docstrings of Python's standard library")


def written_dates(count: int, seed: int = 0) -> Pairs:
    """Dates from 1900 to 2099 as people and machines write them, and as ISO 8601 does.

    Years of two digits are those from 1969 to 2068, as POSIX reads them; 5.4.2020 is in April.
    """
    draw = random.Random(seed)
    first = datetime.date(1900, 1, 1)
    days = (datetime.date(2100, 1, 1) - first).days
    sources: list[str] = []
    targets: list[str] = []
    while len(sources) < count:
        day = first + datetime.timedelta(draw.randrange(days))
        form = draw.choice(_DATES)
        if "%y" in form and not 1969 <= day.year <= 2068:
            continue
        text = day.strftime(form).format(d=day.day, m=day.month, th=_th(day.day), word=_word(day.day))
        sources.append(draw.choice((text, text, text, text.lower(), text.upper())))
        targets.append(day.isoformat())
    return Pairs(sources, targets, "written dates")


def _docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """Name and docstring of a file and of all that it defines: "read line(size)" of def read_line(self, size)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a library's escapes, which are not ours to mend
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found = ast.get_docstring(node)
            if found:
                yield _worded(getattr(node, "name", path.stem)) + _arguments(node), inspect.cleandoc(found)


def _worded(name: str) -> str:
    """ "walk packages" of walk_packages, "Thread Pool Executor" of ThreadPoolExecutor."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name.replace("_", " ")).strip()


def _arguments(node: ast.AST) -> str:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return ""
    names = ", ".join(argument.arg for argument in node.args.args if argument.arg != "self")
    return names and f"({names})"


def _shortened(text: str) -> str:
    return text if len(text) <= _READ else text[:_READ].rpartition(" ")[0]


def _th(day: int) -> str:
    return f"{day}{'th' if 10 < day < 14 else {1: 'st', 2: 'nd', 3: 'rd'}.get(day % 10, 'th')}"


def _word(day: int) -> str:
    if day < 20:
        return _FIRST[day]
    tens, ones = divmod(day, 10)
    return f"{_TENS[tens]}-{_FIRST[ones]}" if ones else f"{_TENS[tens][:-1]}ieth"
