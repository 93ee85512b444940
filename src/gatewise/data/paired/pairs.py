"""Pairs of texts: two aligned files, a file of lines with a tab between, two columns of a table, or lists."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import DataError, OptionError
from ..readers.columns import listed
from ..readers.files import read_lines
from ..readers.table_files import PARQUET, is_several, table_files
from ..sources import is_table, kind_of
from ..tables.schema import ANY_CSV, CSVFormat
from ..tables.session import RELATION, identifier
from ..tables.table import Table, open_table

# A number, or where a sentence comes from, as Tatoeba and those who pass its sentences on write it.
_NO_TEXT = re.compile("^[0-9]*$|CC[ -]?(?:BY|0)|tatoeba", re.IGNORECASE)


@dataclass(frozen=True)
class Pairs:
    """N source texts, each with its target.

    Attributes:
        sources: N texts; "" where there is nothing to translate, and no target was read.
        targets: As many; None where only sources were read.
        name: Where they came from, for people.
        groups: What each pair belongs to; None where nobody asked.
    """

    sources: list[str]
    targets: list[str] | None
    name: str = "data"
    groups: list[str] | None = None

    def __len__(self) -> int:
        return len(self.sources)

    def take(self, which: Sequence[int] | np.ndarray) -> Pairs:
        """These pairs, in this order."""
        parts = (some and [some[i] for i in which] for some in (self.sources, self.targets, self.groups))
        sources, targets, groups = parts
        return Pairs(sources or [], targets, self.name, groups)

    def fingerprint(self) -> str:
        """sha256 of all texts."""
        text = "\0".join([*self.sources, "\0", *(self.targets or ())])
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def read_pairs(
    data: Any,
    y: Any = None,
    *,
    source: str | None = None,
    target: str | None = None,
    query: str | None = None,
    encoding: str = "utf-8",
    csv: CSVFormat = ANY_CSV,
    with_targets: bool = True,
    group: str | None = None,
) -> Pairs:
    """Pairs from whatever a user names.

    Args:
        data: A tuple of two files whose lines belong together, or both names in one with a comma between; one file of
            lines `source<tab>target`; a table, as `data.sources.read` takes them; a list of texts; or a tuple of two
            lists. Files of lines may be gzip files. Lines are taken as they are, but for white space at their ends.
        y: Texts beside a list of them.
        source, target: Columns of a table; the first two, or the first other one, if omitted. A .tsv or .txt file is
            lines unless they are named; of lines with more than two columns they are numbers, from 1, and may be
            omitted where but two columns hold texts.
        query: SQL whose result is the table.
        encoding: Of text files.
        csv: How a CSV file is written.
        with_targets: Otherwise sources are enough: one file of lines is sources alone if its lines have no tab, or not
            alike many, of a table the target is not read, and a file that could be lines is so unless its head names a
            column. A blank source is then "", and a tab in a line of sources white space.
        group: Column of what pairs belong to, named as source and target are.

    Raises:
        DataError: It cannot be read, the files differ in lines, or a text is missing or blank; says where.
        OptionError: An option does not go with this data.
    """
    if isinstance(data, Pairs):
        if with_targets and data.targets is None:
            raise DataError(f"{data.name} has texts, but no targets")
        return data
    if source and source == target:
        raise OptionError(f"source and target are both '{source}'. Name two columns")
    if y is not None:
        _no_columns(None, None, None, "lists", group)
        return _lists(data, y)
    if isinstance(data, str) and "," in data and not os.path.exists(data):
        data = tuple(path.strip() for path in data.split(","))
    if isinstance(data, tuple) and not _is_parquet(data):
        if len(data) == 2 and not all(isinstance(one, str | os.PathLike) for one in data):
            _no_columns(None, None, None, "lists", group)
            return _lists(*data)
        _no_columns(source, target, query, "two files", group)
        return _aligned(data, encoding)
    is_path = isinstance(data, str | os.PathLike)
    if is_path and not query and _is_lines(os.fspath(data)):
        named = [name for name in (source, target) if name]
        if all(name.isdecimal() for name in named):
            return _tabbed(data, encoding, with_targets, source, target, group)
        if not (with_targets or _heads(data, encoding, named)):
            return _tabbed(data, encoding, with_targets, None, None)
    if is_path or is_table(data) or is_several(data):
        return _columns(data, source, target, query, encoding, csv, with_targets, group)
    if with_targets:
        raise OptionError(f"a {type(data).__name__} of texts needs as many targets beside it: fit(texts, targets)")
    return Pairs(_texts(data, "texts", blank_too=True), None, "texts")


def _lists(data: Any, y: Any) -> Pairs:
    sources, targets = _texts(data, "texts"), _texts(y, "targets")
    if len(sources) != len(targets):
        raise DataError(f"there are {len(sources):,} texts, but {len(targets):,} targets. Give one for each")
    return Pairs(sources, targets, "texts")


def _texts(given: Any, what: str, blank_too: bool = False) -> list[str]:
    """A list of texts, checked."""
    if isinstance(given, str | bytes) or not hasattr(given, "__iter__"):
        raise DataError(f"{what} are a list of str, not {given!r:.60}")
    found = []
    for place, text in enumerate(listed(given)):
        if not isinstance(text, str) or not (blank_too or text.strip()):
            raise DataError(f"{what}[{place}] is {text!r:.60}, which is not text. Leave it out, and what belongs to it")
        found.append(text.strip())
    return found


def _aligned(paths: tuple[Any, ...], encoding: str) -> Pairs:
    """Two files, line by line."""
    if len(paths) != 2:
        raise OptionError(
            f"pairs are read from one file or from two, not from {len(paths)}: {', '.join(map(str, paths))}"
        )
    (one, sources), (other, targets) = (_lines(path, encoding) for path in paths)
    if len(sources) != len(targets):
        raise DataError(
            f"{one} has {len(sources):,} lines, but {other} has {len(targets):,}. Line n of one must be what line n of "
            "the other becomes"
        )
    sources, targets = ([line.strip() for line in lines] for lines in (sources, targets))
    for number, (left, right) in enumerate(zip(sources, targets, strict=True), 1):
        if not left or not right:
            name, rest = (other, one) if left else (one, other)
            shown = f", where {rest} has '{(left or right)[:40]}'" if left or right else f", and so is {rest}"
            raise DataError(f"{name}, line {number}: empty{shown}. Take the line out of both files")
    return Pairs(sources, targets, f"{one}, {other}")


def _tabbed(
    path: Any, encoding: str, with_targets: bool, source: str | None, target: str | None, group: str | None = None
) -> Pairs:
    """One file of `source<tab>target`, perhaps with further columns, or of sources alone."""
    name, lines = _lines(path, encoding)
    rows = [line.split("\t") for line in lines]
    widths = {len(row) for row in rows if any(cell.strip() for cell in row)}
    if not with_targets and (len(widths) > 1 or widths == {1}):  # a tab here and there is white space
        return Pairs([" ".join(row).strip() for row in rows], None, name)
    width = len(next(row for row in rows if any(cell.strip() for cell in row)))
    if not with_targets and group and group.isdecimal() and int(group) > width:
        group = None  # which is read to split the data alone
    grouping = _number(name, group, width)
    first, second = _text_columns(name, rows, width, source, target, grouping)
    sources, targets, groups = [], [], []
    for number, row in enumerate(rows, 1):
        row = [cell.strip() for cell in row]
        if not with_targets and not any(row):
            row = [""] * width
        elif 1 in (width, len(row)) or (with_targets and len(row) == width and not (row[first] and row[second])):
            raise DataError(f"{name}, line {number}: '{lines[number - 1][:60]}' is not text, a tab and a text")
        if len(row) != width:
            raise DataError(f"{name}, line {number}: {len(row) - 1} tabs, where {width - 1} was expected")
        sources.append(row[first])
        targets.append(row[second])
        groups += [] if grouping is None else [row[grouping]]
    return Pairs(sources, targets if with_targets else None, name, None if grouping is None else groups)


def _number(name: str, named: str | None, width: int) -> int | None:
    """The place of a column that is named by its number, from 0; None if none is named."""
    if named is None:
        return None
    if not (named.isdecimal() and 1 <= int(named) <= width):
        raise OptionError(f"{name} has {width} columns between tabs, so there is no column {named}")
    return int(named) - 1


def _text_columns(
    name: str,
    rows: Sequence[Sequence[str]],
    width: int,
    source: str | None,
    target: str | None,
    grouping: int | None,
) -> tuple[int, int]:
    """Where in a line the source and the target are: as named by number, or the two columns that hold texts."""
    texts = list(range(width))
    if width > 2:
        texts = [at for at in texts if not all(_NO_TEXT.search(row[at].strip()) for row in rows if len(row) == width)]
    named = [_number(name, pick, width) for pick in (source, target)]
    others = [at for at in texts if at not in (*named, grouping)]
    if len(others) > named.count(None) > 0 and width > 2:
        raise DataError(f"{name} has {width} columns between tabs. Name the two that are texts: --source 1 --target 2")
    first, second = (others.pop(0) if at is None and others else at for at in named)
    return first or 0, min(1, width - 1) if second is None else second


def _lines(path: Any, encoding: str) -> tuple[str, list[str]]:
    """Name and stripped lines, without blank ones at the end. At least one."""
    name, lines = read_lines(path, encoding)
    lines = [line.strip(" \r\n") for line in lines]
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise DataError(f"{name} has only blank lines. Write one text per line")
    return name, lines


def _columns(
    data: Any,
    source: str | None,
    target: str | None,
    query: str | None,
    encoding: str,
    csv: CSVFormat,
    with_targets: bool,
    group: str | None,
) -> Pairs:
    """Two columns of a table, as text whatever they hold."""
    with open_table(data, query, csv=csv, encoding=encoding, as_written=True) as table:
        names = list(table.columns)
        grouping = table.check(group) if group and (with_targets or group in names) else None
        free = (name for name in names if name not in (target, grouping))
        first = table.check(source) if source else next(free, names[0])
        if not with_targets:
            return Pairs(_column(table, first, blank_too=True), None, table.name)
        others = [name for name in names if name not in (first, grouping)]
        if not others:
            raise DataError(f"{table.name} has one column, '{first}', but pairs are in two")
        second = table.check(target) if target else others[0]
        groups = None if grouping is None else _column(table, grouping)
        return Pairs(_column(table, first), _column(table, second), table.name, groups)


def _column(table: Table, name: str, blank_too: bool = False) -> list[str]:
    found, column = [], identifier(name)
    if table.columns[name].startswith("TIMESTAMP"):  # as which plain dates come from Python
        [days] = table.session.row(f"SELECT bool_and({column} = date_trunc('day', {column})) FROM {RELATION}")
        column = f"{column}::DATE" if days else column
    for piece in table.session.stream(f"SELECT {column}::VARCHAR AS text FROM {RELATION}"):
        found += list(piece["text"])
    for row, text in enumerate(found, 1):
        if not blank_too and (text is None or not str(text).strip()):
            raise DataError(f"{table.name}, row {row}: column '{name}' has no text. Leave such rows out with a query")
    return ["" if text is None else str(text).strip() for text in found]


def _heads(path: Any, encoding: str, names: Sequence[str]) -> bool:
    """Whether the first line of a file names one of these columns."""
    cells = {cell.strip(' "') for cell in re.split("[,;|\t]", _lines(path, encoding)[1][0])}
    return not cells.isdisjoint(names)


def _is_parquet(paths: Any) -> bool:
    """Whether these are Parquet files, which have no lines that could belong together."""
    return is_several(paths) and table_files(paths)[0].lower().endswith(PARQUET)


def _is_lines(path: str) -> bool:
    """Whether a file of this name holds texts, a line each, rather than a table."""
    return path.lower().removesuffix(".gz").endswith(".tsv") or kind_of(path) == "text"


def _no_columns(source: str | None, target: str | None, query: str | None, what: str, group: str | None = None) -> None:
    for name, value in (("source", source), ("target", target), ("query", query), ("group", group)):
        if value is not None:
            raise OptionError(f"{name}='{value}' is for tables, not for {what}. Leave it out")
