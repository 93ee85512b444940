"""A table's rows as sequences: which rows belong together, in which order, and what is a step's and what a sequence's.

The rules:

- Rows with the same values in the key columns are one sequence; sequences are in the order of their keys. A row without
  a key, or without a time where there is a time column, is refused.
- With a time column, steps are in the order of time, whatever the order of the rows; without one, in that of the rows.
- Two rows of one sequence at one time are refused, unless `duplicates` says what to do with them.
- Times without a zone stay as they are and count as UTC; `zone` says which local time they are (`timezones`).
- Numbers are float32; float64 where a column goes beyond 2**24, above which float32 skips whole numbers. What is not
  given is NaN, code -1, None or NaT. Infinite numbers are refused.
- A static column holds one value per sequence. Rows that do not give it do not count; two that give different ones
  are refused.
- Rows are counted from 1. `Sequences.lines` holds these numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ...errors import DataError, OptionError, suggest
from ..sequences import MISSING, Column, Sequences
from ._fields import EXACT, NEVER, NOT_A_TIME, Field, StaticField
from ._spill import Sink, Spill, TextSink
from ._timestamps import DECLARED, FORMATS, UNITS, Reading, read_time
from .schema import Schema
from .session import RELATION, identifier
from .table import Table
from .timezones import changes, skipped_by, to_local, zone_of_doubled

DUPLICATES = ("error", "first", "last", "mean")
ROWS = ("steps", "sequences")


def sequences(
    table: Table,
    *,
    key: str | Iterable[str] = (),
    time: str | Iterable[str] | None = None,
    columns: Iterable[str] | None = None,
    static: Iterable[str] = (),
    zone: str | None = None,
    duplicates: str = "error",
    rows: str = "steps",
) -> Sequences:
    """The sequences in a table, in bounded memory: large ones lie in temporary files that go with the result.

    Args:
        table: From `open_table`.
        key: Column or columns whose values tell sequences apart. They become static columns.
        time: Column that orders the steps, or several that make up the time: year, month, day, hour...; a date and a
            time of day. One string may name several with commas between them. The result has it as one step column,
            "time" if it is made of several (their names with commas if there is another column of that name).
        columns: Step columns; by default all that are not named otherwise and that sequences can hold.
        static: Columns of which each sequence has one value, such as a label.
        zone: Time zone of times that do not say theirs, such as "Europe/Berlin".
        duplicates: Two rows at one time: "error", "first", "last" (in the order of rows) or "mean" (of numbers; the
            first of what else there is).
        rows: "steps": without key and time, the table is one sequence in the order of its rows. "sequences": every row
            is a sequence of one step; where one of them is text, all columns are static.

    Raises:
        DataError: an unknown column, or rows that break a rule; names the row.
        OptionError: an impossible option.
    """
    if duplicates not in DUPLICATES:
        raise OptionError(suggest("rule for duplicates", duplicates, DUPLICATES))
    if rows not in ROWS:
        raise OptionError(suggest("reading of rows as", rows, ROWS))
    keys, times = split_names(key), split_names(time or (), table.columns)
    if rows == "sequences" and (keys or times):
        raise OptionError("where every row is a sequence, there is neither key nor time. Leave out rows='sequences'.")
    named = [table.check(name) for name in (*keys, *times, *split_names(static))]
    chosen = split_names(columns) if columns is not None else [n for n in table.usable if n not in named]
    for name in chosen:
        if table.check(name) in named or chosen.count(name) > 1:
            raise OptionError(f"column '{name}' is named twice. Name it once: as key, time, static or other column.")
    job = _Job(table, tuple(keys), tuple(times), chosen, list(split_names(static)), zone, duplicates, rows)
    try:
        return job.run()
    finally:
        job.tidy()


def split_names(names: str | Iterable[str], known: Iterable[str] = ()) -> list[str]:
    """Names in a list, or in one string with commas between, unless that is the name of a column."""
    if not isinstance(names, str):
        return list(names)
    if names in known or "," not in names:
        return [names]
    return [name.strip() for name in names.split(",")]


class _Job:
    """One table becoming sequences."""

    def __init__(
        self,
        table: Table,
        keys: tuple[str, ...],
        times: tuple[str, ...],
        columns: Sequence[str],
        static: Sequence[str],
        zone: str | None,
        duplicates: str,
        rows: str,
    ):
        self.table, self.session = table, table.session
        self.keys, self.times, self.zone, self.duplicates = keys, times, zone, duplicates
        self.by_row = rows == "sequences"
        self._types: list[str] = []
        self._seconds = self.session.fresh("gw_seconds")
        self._example = ""  # how the time is written
        self._packed: tuple[int, int] | None = None  # first time and span, where series and time are one number
        if not table.rows:
            raise DataError(f"{table.name} has no rows. Give a table with data in it.")
        names = [*columns, *static]
        table.profile_columns([name for name in names if table.kind(name) == "number"])
        fields = {name: self._field(name, static=name in static and not self.by_row) for name in names}
        if self.by_row:
            texts = any(fields[name].kind == "text" for name in names)  # beside which there are no steps
            static = names if texts else static
        self.steps = [fields[name] for name in names if name not in static]
        self.static = [fields[name] for name in static]
        self.levels = {name: self._enum(name) for name in keys}
        self.series = self._series()

    def run(self) -> Sequences:
        inner, order = self._inner()
        if self.times and self.duplicates != "error":
            inner = self._merged(inner)
        return self._collect(inner, order)

    def _schema(self) -> Schema:
        """What a model has to know to read such a table again."""
        names = [name for name in self.table.columns if name in (*self.keys, *self.times)]
        fields = [field for field in (*self.steps, *self.static) if field.sql != "gw_time"]
        names += [field.name for field in fields if field.name not in names]
        several = len(self.times) > 1
        written = self._example if self._example in FORMATS | DECLARED | UNITS else ""
        time = {} if several else dict.fromkeys(self.times, written)
        return self.table.schema(names, time, written or None if several else None)

    def tidy(self) -> None:
        self.session.run(f"DROP TABLE IF EXISTS {self._seconds}")
        for name in self._types:
            self.session.run(f"DROP TYPE {name}")

    # What each column is in SQL

    def _field(self, name: str, static: bool) -> Field:
        table, column, kind = self.table, identifier(name), self.table.kind(name)
        if problem := table.spoiled(name):
            raise DataError(problem)
        if kind == "other":
            type = table.columns[name]
            way = f"unnest({column}) AS {column}" if type.endswith("]") else f"a part of {column}"
            raise DataError(
                f"{table.name}: column '{name}' is {type}, which is not a number, text or time. Leave it out, or take "
                f'it apart with a query such as "SELECT row_number() OVER () AS id, {way} FROM data"'
                + (" and the key id." if type.endswith("]") else ".")
            )
        if kind == "number":
            look = table.profile(name)
            most = max(abs(look.least or 0), abs(look.most or 0))
            if not np.isfinite(most):
                row, value = self._first(f"isinf({column}::DOUBLE)", column)
                raise DataError(f"{table.name}, row {row}, column '{name}' is {value}. Write NA if it is missing.")
            wide = most > EXACT or static
            sql = f"coalesce({column}::{'DOUBLE' if wide else 'FLOAT'}, 'nan')"
            return Field(name, kind, sql, np.float64 if wide else np.float32)
        if kind == "time":
            sql, zone, offset = self._timestamp((name,))
            return Field(name, kind, f"coalesce({sql}, {NEVER})", np.int64, zone=zone, offset=offset)
        if kind == "text" and not static:
            return Field(name, kind, f"{column}::VARCHAR", object)
        levels, code = self._enum(name)
        return Field(name, kind, f"coalesce({code}, {MISSING})::INTEGER", np.int32, levels, coded_text=kind == "text")

    def _enum(self, name: str) -> tuple[tuple[str, ...], str]:
        """The different values of a column, sorted, and its codes in SQL."""
        column = identifier(name)
        distinct = (
            f"SELECT v::VARCHAR FROM (SELECT DISTINCT {column} AS v FROM {RELATION}) WHERE v IS NOT NULL ORDER BY v"
        )
        levels = tuple(row[0] for row in self.session.rows(distinct))
        if not levels:
            return (), "NULL"
        type = self.session.fresh("gw_levels")
        self.session.run(f"CREATE TYPE {type} AS ENUM ({distinct})")
        self._types.append(type)
        return levels, f"enum_code({column}::VARCHAR::{type})"

    def _series(self) -> str:
        """One number for all keys of a row, NULL if one is missing; numbers are in the order of the keys."""
        sql = "0::BIGINT"
        for levels, code in self.levels.values():
            sql = f"({sql} * {len(levels)} + {code})"
        return sql

    # What each row is, and whether the rules hold

    def _inner(self) -> tuple[str, str]:
        """SQL of rows with gw_row, gw_series, gw_time and the columns; and their order, if they are not in it."""
        rows = f"(SELECT row_number() OVER () AS gw_row, * FROM {RELATION})"
        timestamp, given, reading = "NULL::BIGINT", "true", None
        if self.times:
            timestamp, zone, offset = self._timestamp(self.times)
            reading = self._reading(self.times)
            given, self._example = reading.given, reading.example
            taken = "time" in self.table.columns and "time" not in self.times
            name = self.times[0] if len(self.times) == 1 else ",".join(self.times) if taken else "time"
            self.steps.insert(0, Field(name, "time", "gw_time", np.int64, zone=zone, offset=offset))
        values = "".join(
            f", {field.sql} AS c{index}"
            for index, field in enumerate([*self.steps, *self.static])
            if field.sql != "gw_time"
        )
        base = f"SELECT gw_row, {self.series} AS gw_series, {timestamp} AS gw_time, {given} AS gw_given"
        without_key, without_time, unreadable, first, last, ordered = self.session.row(
            "SELECT min(gw_row) FILTER (WHERE gw_series IS NULL), "
            "min(gw_row) FILTER (WHERE gw_time IS NULL AND NOT gw_given), "
            "min(gw_row) FILTER (WHERE gw_time IS NULL AND gw_given), min(gw_time), max(gw_time), "
            "coalesce(bool_and(gw_series > s OR (gw_series = s AND (gw_time IS NULL OR gw_time >= t))), true) FROM ("
            "SELECT *, lag(gw_series) OVER () AS s, lag(gw_time) OVER () AS t "
            f"FROM ({base} FROM {rows}))"
        )
        if without_key:
            raise DataError(
                f"{self.table.name}, row {without_key} has no {' or '.join(self.keys)}. Every row needs its key."
            )
        if self.times and unreadable and reading:
            row, value = self._first(f"{reading.given} AND ({reading.sql}) IS NULL", reading.shown)
            raise DataError(
                f"{self.table.name}, row {row}, column '{','.join(self.times)}': {value!r} is not a time like "
                f"{reading.example}. Fix it, or leave the row out."
            )
        if self.times and without_time:
            raise DataError(
                f"{self.table.name}, row {without_time} has no {','.join(self.times)}. Every row needs its time."
            )
        ordered = self.by_row or (ordered and not (self.times and self.duplicates != "error"))
        return f"{base}{values} FROM {rows}", "" if ordered else self._order(first, last)

    def _order(self, first: int | None, last: int | None) -> str:
        if first is None or last is None:
            return "gw_series, gw_row"
        # DuckDB sorts by up to 16 bytes in half the time that it takes for more, and stores what it sorts by only once:
        # series and time go into 8 bytes if they fit.
        span = last - first + 1
        if math.prod(len(levels) for levels, _ in self.levels.values()) * span >= 1 << 62:
            return "gw_series, gw_time, gw_row"
        self._packed = first, span
        return "gw_key, gw_row"

    def _reading(self, names: tuple[str, ...]) -> Reading:
        for name in names:
            if problem := self.table.spoiled(name):
                raise DataError(problem)
        written = self.table.learned.written if self.table.learned is not None else None
        return read_time(self.session, RELATION, self.table.columns, names, written)

    def _timestamp(self, names: tuple[str, ...]) -> tuple[str, str | None, bool]:
        """SQL of these columns as microseconds in UTC, their zone, and whether they say their offset."""
        reading = self._reading(names)
        if reading.zone or self.zone is None:
            named = self.table.zone(names[0]) if reading.zone else None
            return reading.sql, self.zone or named or reading.zone, reading.zone is not None
        first, last = self.session.row(f"SELECT min({reading.sql}), max({reading.sql}) FROM {RELATION}")
        known = changes(self.zone, first or 0, last or 0)
        sql = known.utc_sql(f"({reading.sql})")
        spans = [span for span in known.twice() if first is not None and span[1] > first and span[0] <= last]
        if names != self.times or not spans:
            return sql, self.zone, False
        # Clocks showed some times twice: the second row of such a time belongs behind the change.
        within = " OR ".join(f"t >= {start} AND t < {end}" for start, end, _ in spans)
        self.session.run(
            f"CREATE TABLE {self._seconds} AS SELECT gw_row FROM (SELECT gw_row, "
            "row_number() OVER (PARTITION BY s, t ORDER BY gw_row) AS n FROM (SELECT row_number() OVER () AS gw_row, "
            f"{self.series} AS s, {reading.sql} AS t FROM {RELATION}) WHERE {within}) WHERE n = 2"
        )
        whens = "".join(
            f" WHEN {reading.sql} >= {start} AND {reading.sql} < {end} THEN {reading.sql} - {after}"
            for start, end, after in spans
        )
        return (
            f"(CASE WHEN gw_row IN (SELECT gw_row FROM {self._seconds}) THEN CASE{whens} END ELSE {sql} END)",
            self.zone,
            False,
        )

    def _merged(self, inner: str) -> str:
        """One row per series and time."""
        take = "arg_max_null" if self.duplicates == "last" else "arg_min_null"
        parts = []
        for index, field in enumerate([*self.steps, *self.static]):
            if field.sql == "gw_time":
                continue
            if self.duplicates == "mean" and field.kind == "number" and field in self.steps:
                type = "DOUBLE" if field.dtype is np.float64 else "FLOAT"
                value = f"coalesce(avg(c{index}) FILTER (WHERE NOT isnan(c{index})), 'nan')::{type}"
            else:
                value = f"{take}(c{index}, gw_row)"
            parts.append(f", {value} AS c{index}")
        values = "".join(parts)
        return f"SELECT min(gw_row) AS gw_row, gw_series, gw_time{values} FROM ({inner}) GROUP BY gw_series, gw_time"

    # The rows as they come

    def _collect(self, inner: str, order: str) -> Sequences:
        fields = [*self.steps, *self.static] if self.by_row else self.steps
        width = sum(np.dtype(field.dtype).itemsize for field in fields) + 8
        spill = Spill(width * self.table.rows)
        try:
            lines, sinks = spill.sink(np.int64), [spill.sink(field.dtype) for field in fields]
            offsets, static = self._fill(self._rows(inner, order), fields, lines, sinks)
            columns = [field.column(sink.values()) for field, sink in zip(fields, sinks, strict=True)]
            if self.by_row:
                static = {column.name: column for column in columns[len(self.steps) :]}
            steps = {column.name: column for column in columns[: len(self.steps)]}
            return spill.keep(Sequences(offsets, steps, static, self.table.name, lines.values(), self._schema()))
        except BaseException:
            spill.discard()
            raise

    def _rows(self, inner: str, order: str) -> Iterator[tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]]:
        """Series, time and all else of the rows, batch by batch."""
        names = [f"c{index}" for index, field in enumerate([*self.steps, *self.static]) if field.sql != "gw_time"]
        if self._packed is None:
            names += ["gw_series", "coalesce(gw_time, 0) AS gw_time"]
        else:
            first, span = self._packed
            names += [f"gw_series * {span} + (gw_time - ({first})) AS gw_key"]
        sql = f"SELECT gw_row, {', '.join(names)} FROM ({inner})" + (f" ORDER BY {order}" if order else "")
        for batch in self.session.stream(sql):
            if self._packed is None:
                yield batch["gw_series"], batch["gw_time"], batch
            else:
                codes, past = np.divmod(batch["gw_key"], span)
                yield codes, past + first, batch

    def _fill(
        self,
        batches: Iterable[tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]],
        fields: Sequence[Field],
        lines: Sink | TextSink,
        sinks: Sequence[Sink | TextSink],
    ) -> tuple[np.ndarray, dict[str, Column]]:
        """Pass all rows on to the sinks; returns the offsets and the static columns."""
        starts: list[np.ndarray] = []
        series: list[np.ndarray] = []
        static = [StaticField(field) for field in self.static] if not self.by_row else []
        total, number = 0, -1
        last_series, last_time, last_row = -1, NOT_A_TIME, 0
        for codes, timestamps, batch in batches:
            rows = batch["gw_row"]
            if not len(rows):
                continue
            same = codes == np.concatenate([[last_series], codes[:-1]])
            if self.times:
                before = np.concatenate([[last_time], timestamps[:-1]])
                twice = np.flatnonzero(same & (timestamps == before))
                if len(twice):
                    at = int(twice[0])
                    self._refuse_duplicate(
                        int(rows[at - 1]) if at else last_row, int(rows[at]), int(codes[at]), timestamps[at]
                    )
            begins = np.flatnonzero(~same)
            starts.append(begins + total)
            series.append(codes[begins])
            which = number + np.cumsum(~same)
            for index, held in enumerate(static, len(self.steps)):
                clash = held.take(which, batch[f"c{index}"])
                if clash is not None:
                    raise DataError(
                        f"{self.table.name}: column '{held.field.name}' changes within series "
                        f"{self._shown(int(codes[clash]))} at row {rows[clash]}. A static column has one "
                        f"value per sequence: make it a column of steps, or fix the row."
                    )
            for index, (field, sink) in enumerate(zip(fields, sinks, strict=True)):
                sink.add(timestamps if field.sql == "gw_time" else batch[f"c{index}"])
            lines.add(rows)
            total, number = total + len(rows), int(which[-1])
            last_series, last_time, last_row = int(codes[-1]), int(timestamps[-1]), int(rows[-1])
        if self.by_row:
            return np.arange(total + 1, dtype=np.int64), {}
        offsets = np.concatenate([*starts, [total]]).astype(np.int64)
        codes = np.concatenate(series)
        columns = {name: Column(name, "category", *held) for name, held in self._keys(codes).items()}
        return offsets, columns | {held.field.name: held.column(len(codes)) for held in static}

    def _keys(self, codes: np.ndarray) -> dict[str, tuple[np.ndarray, tuple[str, ...]]]:
        """The key columns of series numbers."""
        found = {}
        for name, (levels, _) in reversed(self.levels.items()):
            codes, part = np.divmod(codes, len(levels))
            found[name] = part.astype(np.int32), levels
        return dict(reversed(found.items()))

    def _shown(self, code: int) -> str:
        held = self._keys(np.array([code]))
        return ", ".join(f"'{levels[part[0]]}'" for part, levels in held.values()) or "of the table"

    def _refuse_duplicate(self, first: int, second: int, code: int, timestamp: np.integer) -> None:
        whose = f" of series {self._shown(code)}" if self.keys else ""
        moment = np.array([timestamp], np.int64).astype("M8[us]")
        local = to_local(moment, self.steps[0].zone).astype("M8[s]")[0]
        clocks = ""
        if self.steps[0].zone is None and (zone := zone_of_doubled(local)):
            clocks = f", which clocks in {zone} showed twice. If it is local time, name its zone: zone='{zone}'. Else"
        elif self.zone and not self.steps[0].offset and (skipped := skipped_by(int(timestamp), self.zone)):
            clocks = (
                f": clocks in {self.zone} skipped {skipped}, which is read as that. If the data do not follow these "
                "clocks, read them without a zone. Else"
            )
        raise DataError(
            f"{self.table.name}: rows {first} and {second}{whose} have the same time {local}{clocks or '.'} "
            f"{'keep' if clocks else 'Keep'} one with duplicates='first', 'last' or 'mean'"
            + ("." if self.keys else ", or name the column that tells series apart as key.")
        )

    def _first(self, condition: str, shown: str) -> tuple[int, str]:
        rows = f"(SELECT row_number() OVER () AS gw_row, * FROM {RELATION})"
        return self.session.row(
            f"SELECT gw_row, ({shown})::VARCHAR FROM {rows} WHERE {condition} ORDER BY gw_row LIMIT 1"
        )
