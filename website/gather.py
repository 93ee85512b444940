"""Puts together what the site is built from: the pages of docs/, the READMEs as first pages, and what they link to
elsewhere in the repository, so that every link leads somewhere and a build finds one that does not. Reports, the
record of a training and a study, which docs/pages/ has as data, become the pages that this version of Gatewise draws of
them.

    python website/gather.py build/site/pages
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from posixpath import dirname, join, normpath, relpath

from gatewise.cells import find
from gatewise.explanation.page import page as page_of_report
from gatewise.explanation.report import Report
from gatewise.tuning.page import page_of as page_of_study
from gatewise.walk.examples import hello, three_numbers
from gatewise.walk.page import page as page_of_walk
from gatewise.watch.page import page_of, record_of

ROOT = Path(__file__).parents[1]
HOME = {"README.md": "index.md", "README.zh.md": "index.zh.md"}
LINK = re.compile(r"(?<=\]\()(?!https?:|#|mailto:)([^)#\s]*)(#[^)\s]*)?(?=\))")
OTHER_LANGUAGE = re.compile(r"^\[[^]]*\]\(README[.\w]*\)\n\n", re.MULTILINE)  # the site has a switch for it
LANGUAGES = {".py": "python", ".toml": "toml", ".json": "json"}
SHOWN = 400  # lines of a source or a result
DRAWN = "docs/pages/"


def gather(folder: Path) -> None:
    """Write all pages into a folder, which is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    inside = [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*") if path.is_file()]
    names = [*sorted(inside), *HOME]
    for name in names:  # which grows by what is linked to
        target, path = folder / _page(name), ROOT / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            text = path.read_text(encoding="utf-8")
            if name in HOME:
                text = OTHER_LANGUAGE.sub("", text)
            places = {_place(name, link) for link, _ in LINK.findall(text) if link}
            names += sorted(place for place in places.difference(names) if _exists(place))
            target.write_text(LINK.sub(lambda match, name=name: _moved(name, match), text), encoding="utf-8")
        elif name.startswith(DRAWN):
            target.write_text(drawn(path), encoding="utf-8")
        elif name in inside:
            shutil.copyfile(path, target)
        else:
            target.write_text(_shown(path), encoding="utf-8")

    lstm = find("lstm")
    (folder / "pages" / "hello.html").write_text(page_of_walk([hello(lstm), three_numbers(lstm)]), encoding="utf-8")


def drawn(path: Path) -> str:
    """The page of a report, of the record of a training, or of a study."""
    if path.suffix == ".jsonl":
        return page_of(record_of(path), path.stem)
    document = json.loads(path.read_text(encoding="utf-8"))
    return page_of_study(document) if "knobs" in document else page_of_report(Report.from_json(document))


def _place(name: str, link: str) -> str:
    """Where in the repository a link of a page leads."""
    return normpath(join(dirname(name), link))


def _exists(name: str) -> bool:
    return not name.startswith("..") and (ROOT / name).exists()


def _moved(name: str, match: re.Match[str]) -> str:
    place = _place(name, match[1])
    if not match[1] or not _exists(place):
        return match[0]  # the build will refuse it
    return relpath(_page(place), dirname(_page(name)) or ".") + (match[2] or "")


def _page(name: str) -> str:
    """Where a file of the repository is on the site."""
    if name in HOME:
        return HOME[name]
    if name.startswith(DRAWN):
        return f"pages/{Path(name).stem}.html"
    if name.startswith("docs/"):
        return name.removeprefix("docs/")
    # A point in a name would begin a language.
    return f"source/{name}" if name.endswith(".md") else f"source/{name.replace('.', '-')}.md"


def _shown(path: Path) -> str:
    """A file, or a folder's list of files, as a page."""
    name = path.relative_to(ROOT).as_posix()
    head = f"---\nsearch:\n  exclude: true\n---\n# {name}\n\n"
    if path.is_dir():
        return head + "\n".join(f"- `{inner.name}`" for inner in sorted(path.iterdir()))
    lines = path.read_text(encoding="utf-8").splitlines()
    more = f"\n{len(lines) - SHOWN:,} more lines are in the repository.\n" if len(lines) > SHOWN else ""
    return f"{head}```{LANGUAGES.get(path.suffix, '')}\n" + "\n".join(lines[:SHOWN]) + f"\n```\n{more}"


if __name__ == "__main__":
    gather(Path(sys.argv[1]))
