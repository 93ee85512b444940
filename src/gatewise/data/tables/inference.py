"""Inference of what the columns of a table are for, before anything is learned from it.

What is guessed, and how:

- time: the first column of kind "time" that is never missing; else columns named year, month and so on; else a column
  whose name says that it is a time, and that can be read as one;
- key: where a time stands in several rows, the first category, or else whole number of which most stand at most times,
  or else pair of them, with which it does not;
- target: the column with a name in `TARGETS`; else the last one that is number or category.
"""

from __future__ import annotations

import itertools
import textwrap
import unicodedata
import warnings
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...errors import DataError, Notice
from ..groups import names_a_group
from ._timestamps import NUMBERS, PARTS, read_time
from .regular import frequency_of, regular
from .schema import ANY_CSV, CSVFormat
from .sequences import sequences
from .session import RELATION, identifier
from .table import Table, open_table

TIMES = {"time", "timestamp", "date", "datetime", "ds", "epoch", "unix", "unixtime", "ts", "year", "month", "day"}
TARGETS = {"target", "label", "class", "y", "output", "category", "is_anomaly"}
_LEAST_YEAR = 1600  # smaller numbers are no times by themselves
LOOKED_AT = 5_000_000  # rows; in a larger table looking for gaps would take too long
WIDTH = 80


@dataclass(frozen=True)
class ColumnSummary:
    """One column: `least` and `most` of numbers and times, `examples` of the rest, `problem` if it cannot be used."""

    name: str
    kind: str
    type: str
    missing: int
    distinct: int
    least: str | float | None = None
    most: str | float | None = None
    examples: tuple[str, ...] = ()
    problem: str | None = None


@dataclass(frozen=True)
class TableSummary:
    """What `gatewise info DATA` shows.

    Attributes:
        name: Of the source.
        rows: How many.
        columns: In order.
        time: Column or columns that look like the time; empty if none does.
        key: Columns that seem to tell series apart.
        target: Column that may be what is to be learned.
        series: How many there are with this time and key.
        shortest, longest: Steps of a series.
        frequency: In words; None without time, and if there is not one.
        gaps: Steps that are missing between others.
        duplicates: Rows that repeat the key and time of an earlier row.
        note: Why there is no frequency.
    """

    name: str
    rows: int
    columns: tuple[ColumnSummary, ...]
    time: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    target: str | None = None
    series: int = 1
    shortest: int = 0
    longest: int = 0
    frequency: str | None = None
    gaps: int | None = None
    duplicates: int | None = None
    note: str | None = None

    @property
    def group(self) -> str | None:
        """Column that looks as if it said whose the rows are: a speaker's or a machine's."""
        used = {*self.time, *self.key, self.target}
        free = (c for c in self.columns if c.name not in used and c.kind in ("category", "number"))
        return next((c.name for c in free if names_a_group(c.name, c.distinct, self.rows)), None)

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "group": self.group}

    def describe(self) -> str:
        """For people, in lines of at most 80 columns."""
        heads = ("column", "kind", "missing", "distinct", "values")
        rows = [
            (column.name, column.kind, f"{column.missing:,}", f"{column.distinct:,}", _values(column))
            for column in self.columns
        ]
        widths = [min(24, max(_wide(row[index]) for row in (heads, *rows))) for index in range(4)]
        widths.append(WIDTH - sum(widths) - 2 * 5)
        lines = [*_wrap(f"{self.name}: {_count(self.rows, 'row')}, {_count(len(self.columns), 'column')}"), ""]
        for row in (heads, *rows):
            cells = [truncated(cell, width) for cell, width in zip(row, widths, strict=True)]
            padded = [
                " " * (width - _wide(cell)) + cell if index in (2, 3) else cell + " " * (width - _wide(cell))
                for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
            ]
            lines.append("  " + "  ".join(padded).rstrip())
        lines += ["", *(line for finding in self._findings() for line in _wrap(finding))]
        lines += [line for column in self.columns if column.problem for line in _wrap(column.problem)]
        return "\n".join(lines)

    def _findings(self) -> list[str]:
        found = []
        if self.time:
            found.append(f"time: {', '.join(self.time)}" + (f", {self.frequency}" if self.frequency else ""))
        if self.key:
            steps = f"{self.shortest:,} to {self.longest:,} steps" if self.longest else "steps not counted"
            found.append(f"key: {', '.join(self.key)} ({self.series:,} series, {steps})")
        if self.gaps:
            found.append(f"gaps: {_count(self.gaps, 'step')} missing between others")
        if self.duplicates:
            found.append(f"duplicates: {_count(self.duplicates, 'row')} with the timestamp of an earlier one")
        if self.target:
            found.append(f"target: perhaps {self.target}")
        if group := self.group:
            found.append(f"group: perhaps {group}; with --group {group} none of its values is in two parts")
        return found + ([f"note: {self.note}"] if self.note else [])


def summarise_table(
    source: Any,
    query: str | None = None,
    *,
    csv: CSVFormat = ANY_CSV,
    names: Sequence[str] | None = None,
    encoding: str = "utf-8",
) -> TableSummary:
    """What a table seems to hold. Arguments and errors as for `open_table`."""
    with open_table(source, query, csv=csv, names=names, encoding=encoding) as table:
        table.profile_columns([name for name in table.columns if table.kind(name) != "other"])
        columns = tuple(_column(table, name) for name in table.columns)
        time = _time(table)
        key = _key(table, time)
        found = _series(table, time, key) if time else {}
        return TableSummary(table.name, table.rows, columns, time, key, _target(table, time, key), **found)


def _column(table: Table, name: str) -> ColumnSummary:
    kind, type, column = table.kind(name), table.columns[name], identifier(name)
    if kind == "other":
        missing = table.session.row(f"SELECT count(*) - count({column}) FROM {RELATION}")[0]
        return ColumnSummary(name, kind, type, missing, 0)
    look = table.profile(name)
    least, most, examples = look.least, look.most, ()
    if kind in ("category", "text"):
        order = "n DESC, v" if kind == "category" else "min(r)"
        rows = f"(SELECT row_number() OVER () AS r, {column}::VARCHAR AS v FROM {RELATION})"
        grouped = f"SELECT v, count(*) AS n FROM {rows} WHERE v IS NOT NULL GROUP BY v ORDER BY {order} LIMIT 3"
        first = f"SELECT {column}::VARCHAR FROM {RELATION} WHERE {column} IS NOT NULL LIMIT 1"
        examples = tuple(row[0] for row in table.session.rows(grouped if kind == "category" else first))
        least = most = None
    problem = table.spoiled(name)
    if name == table.row_numbers:
        problem = f"{name} has no name in the file and counts its rows: it is not learned from, unless it is named"
    return ColumnSummary(name, kind, type, look.missing, look.distinct, least, most, examples, problem)


def recognise(
    table: Table, time: tuple[str, ...] = (), key: tuple[str, ...] = (), others: Collection[str] = (), *, repeats: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Time and key of series: those that are given, and else what `info` shows.

    Args:
        others: Columns that are something else.
        repeats: Whether a series may hold a time twice.

    Raises:
        DataError: There are several times, or none of the columns tells series apart; asks for one.
    """
    if not time:
        times = [name for name in table.columns if name not in (*key, *others) and _is_time(table, name)]
        if len(times) > 1:
            raise DataError(
                f"{table.name} has {len(times)} columns of times: {', '.join(times)}. Say which one orders the steps, "
                f"such as time='{times[0]}'"
            )
        time = tuple(times) or tuple(name for name in _time(table) if name not in (*key, *others))
        if len(time) == 1 and table.kind(time[0]) == "number" and (table.profile(time[0]).least or 0) < _LEAST_YEAR:
            time = ()  # such as a month from 1 to 12, which is no time without its year
    if key:
        return time, key
    if not time:
        return (), _blocks(table, others)
    found = _key(table, time, others)
    if not found and not repeats and 2 * _repeated(table, RELATION, time) >= table.rows:
        raise DataError(
            f"{table.name}: values of '{','.join(time)}' stand in several rows, and no column or pair of them "
            "tells series apart. Name those that do, such as key='shop,product', or say what to do with rows of one "
            "time, such as duplicates='mean'"
        )
    return time, found


def _blocks(table: Table, others: Collection[str]) -> tuple[str, ...]:
    """Without a time: the category whose rows stand together, block after block, so that each block is a series."""
    for name in table.columns:
        if name in others or table.kind(name) != "category" or table.profile(name).missing:
            continue
        if table.profile(name).distinct < 2:
            continue
        column = identifier(name)
        begins = table.session.row(
            f"SELECT count(*) FROM (SELECT {column} AS v, lag({column}) OVER () AS b FROM {RELATION}) "
            "WHERE v IS DISTINCT FROM b"
        )[0]
        if 1 < table.profile(name).distinct == begins <= table.rows // 2:
            return (name,)
        warnings.warn(
            f"{table.name} is read as one series, in the order of its rows, without '{name}' "
            f"({table.profile(name).distinct} values). If that tells series apart, name it: --key {name}",
            Notice,
            stacklevel=2,
        )
    return ()


def _is_time(table: Table, name: str) -> bool:
    return table.kind(name) == "time" and not table.profile(name).missing


def _time(table: Table) -> tuple[str, ...]:
    for name in table.columns:
        if _is_time(table, name):
            return (name,)
    lower = {name.lower(): name for name in table.columns if table.kind(name) == "number"}
    parts = list(itertools.takewhile(lambda part: part in lower, PARTS))
    if len(parts) >= 2:
        return tuple(lower[part] for part in parts)
    for name in table.columns:
        if name.lower() in TIMES and table.kind(name) != "other" and not table.profile(name).missing:
            try:
                read_time(table.session, RELATION, table.columns, (name,))
            except DataError:
                continue
            return (name,)
    return ()


def _key(table: Table, time: tuple[str, ...], others: Collection[str] = ()) -> tuple[str, ...]:
    """Columns that make a time unique, by the first rows of a large table."""
    if not time:
        return ()
    some = f"(SELECT * FROM {RELATION} LIMIT {LOOKED_AT})"
    if not _repeated(table, some, time):
        return ()
    free = [
        name for name in table.columns if name not in (*time, *others) and table.kind(name) in ("category", "number")
    ]
    free = [name for name in free if not table.profile(name).missing]
    names = [name for name in free if table.kind(name) == "category"]
    columns = ", ".join(identifier(part) for part in time)
    times = table.session.row(f"SELECT count(*) FROM (SELECT DISTINCT {columns} FROM {some})")[0]
    # Whole numbers may say which series a row is of if most of them stand at most of the times.
    most = 2 * min(table.rows, LOOKED_AT) / times
    names += [n for n in free if table.columns[n] in NUMBERS and 1 < table.profile(n).distinct <= most]
    for key in itertools.chain(((name,) for name in names), itertools.combinations(names[:6], 2)):
        if not _repeated(table, some, (*key, *time)):
            return key
    return ()


def _repeated(table: Table, rows: str, names: Sequence[str]) -> int:
    """Rows that repeat the values of an earlier row in these columns."""
    columns = ", ".join(identifier(name) for name in names)
    return table.session.row(
        f"SELECT coalesce(sum(n - 1), 0)::BIGINT FROM (SELECT count(*) AS n FROM {rows} GROUP BY {columns})"
    )[0]


def _target(table: Table, time: tuple[str, ...], key: tuple[str, ...]) -> str | None:
    names = [n for n in table.columns if n not in (*time, *key) and table.kind(n) in ("number", "category")]
    return next((name for name in names if name.lower() in TARGETS), names[-1] if names else None)


def _series(table: Table, time: tuple[str, ...], key: tuple[str, ...]) -> dict[str, Any]:
    """Number and length of series, frequency, gaps and duplicates."""
    if table.rows > LOOKED_AT:
        return {"note": f"gaps and frequency are not looked for in more than {LOOKED_AT:,} rows"}
    found: dict[str, Any] = {"duplicates": _repeated(table, RELATION, (*key, *time))}
    try:
        steps = sequences(table, key=key, time=time, columns=(), duplicates="first")
        found |= {"series": len(steps), "shortest": int(steps.lengths.min()), "longest": int(steps.lengths.max())}
        name = next(iter(steps.steps))
        found["frequency"] = str(frequency_of(steps, name))
        found["gaps"] = int(np.sum(regular(steps, name).added))
    except DataError as error:
        found["note"] = str(error).removeprefix(f"{table.name}: ")
    return found


def _values(column: ColumnSummary) -> str:
    if column.examples:
        return ", ".join(" ".join(example.split()) for example in column.examples)
    if column.least is None:
        return column.type if column.kind == "other" else ""
    if column.kind == "number":
        return f"{column.least:g} to {column.most:g}"
    least, most = (str(value).removesuffix(" 00:00:00") for value in (column.least, column.most))
    return f"{least} to {most}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _wide(text: str) -> int:
    """Columns that a terminal needs for it: two for Chinese and the like."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def truncated(text: str, width: int) -> str:
    """The text, cut to this many columns of a terminal."""
    if _wide(text) <= width:
        return text
    while _wide(text) > width - 1:
        text = text[: min(len(text) - 1, width)]
    return text + "…"


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH - 2, subsequent_indent="  ", break_on_hyphens=False)
