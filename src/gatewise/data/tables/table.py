"""Tables from where they live: CSV, Parquet, JSON lines, DuckDB, PostgreSQL, and what Python holds, behind one `Table`.

What a column holds, its kind, follows from its type in the source: numbers are "number", dates and timestamps "time",
booleans and enums "category". Text is

- "time" if all of it is written in one of `_timestamps.FORMATS`;
- else "text" if more than 1000 values differ, if more than half of them do and there are more than 20, or if they are
  longer than 40 characters on average;
- else "category".

Whole numbers stay numbers however few of them differ; a query makes categories of them (`CAST(x AS VARCHAR)`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

from ...errors import DataError, no_column
from ._sources import Found, connect
from ._timestamps import REALS, is_number, is_time, read_text
from .schema import ANY_CSV, ColumnSchema, CSVFormat, Schema
from .session import RELATION, Session, identifier, source_name

MOST_LEVELS = 1000
FEW = 20  # that many different values are categories, however few rows there are
LONG = 40  # characters
FEW_ROWS = 1_000_000  # of which different values are counted exactly


@dataclass(frozen=True)
class Profile:
    """Statistics of a column.

    Attributes:
        missing: Values that are not given.
        distinct: How many differ; within a few percent where both they and the rows are many.
        least: Smallest value: a number, or the first as text.
        most: Largest value.
        length: Mean length of text in characters; 0 for other types.
    """

    missing: int
    distinct: int
    least: Any
    most: Any
    length: float


class Table:
    """Rows and columns that DuckDB can read, wherever they are stored.

    Attributes:
        name: What messages call it.
        columns: Column names and DuckDB's types, in order.
        learned: What a model learned of them; None if it is to be found out.
    """

    def __init__(
        self, name: str, session: Session, found: Found, labels: Collection[str] = (), learned: Schema | None = None
    ):
        self.name = name
        self.columns = session.describe(RELATION)
        self.session = session
        self.learned = learned
        self._found = found
        self._labels = labels
        self.time: tuple[str, ...] = ()
        self.key: tuple[str, ...] = ()
        self._kinds: dict[str, str] = {}
        self._written: dict[str, str] = {}  # how text columns of times are written
        self._profiles: dict[str, Profile] = {}
        self._rows: int | None = None

    @property
    def rows(self) -> int:
        if self._rows is None:
            self._rows = self.session.row(f"SELECT count(*) FROM {RELATION}")[0]
        return self._rows

    @property
    def kinds(self) -> dict[str, str]:
        """The kind of each column: "number", "category", "text", "time", or "other", which sequences cannot hold."""
        return {name: self.kind(name) for name in self.columns}

    def kind(self, name: str) -> str:
        if name not in self._kinds:
            self._kinds[name] = self._kind(self.check(name))
        return self._kinds[name]

    @property
    def usable(self) -> list[str]:
        """The columns to learn from, if none is named: all that sequences can hold but one that counts the rows."""
        return [name for name in self.columns if name != self.row_numbers and self.kind(name) != "other"]

    @property
    def row_numbers(self) -> str | None:
        """A column without a name that only counts the rows, such as `DataFrame.to_csv` writes."""
        return self._found.row_numbers

    def schema(self, names: Sequence[str], time: Mapping[str, str], written: str | None) -> Schema:
        """What a model keeps of these columns.

        Args:
            time: Of these, the one that orders the steps, with how it is written; "" if its type says so.
            written: How a time of several columns is written.
        """
        if self.learned is not None:
            return self.learned
        columns = {}
        for name in names:
            known = self._found.columns.get(name, ColumnSchema(self.kind(name), self.columns[name]))
            if name in time:
                columns[name] = replace(known, kind="time", written=known.written or time[name] or None)
            else:
                columns[name] = replace(known, kind=self.kind(name), written=known.written or self._written.get(name))
        return Schema(columns, written, self._found.csv, self.time, self.key)

    def check(self, name: str) -> str:
        """The name, if there is such a column."""
        if name not in self.columns:
            raise DataError(f"{self.name}: {no_column(str(name), self.columns)}")
        return name

    def spoiled(self, name: str) -> str | None:
        """Why a column is not what most of its values say; None if it is."""
        return self._found.spoiled.get(name)

    def zone(self, name: str) -> str | None:
        """The time zone that the source names for a column, if Python knows it."""
        zone = self._found.zones.get(name)
        try:
            return zone and ZoneInfo(zone).key
        except (KeyError, ValueError, OSError):  # such as a fixed offset
            return None

    def profile(self, name: str) -> Profile:
        """Statistics of a column; computed once."""
        if name not in self._profiles:
            self.profile_columns([name])
        return self._profiles[name]

    def profile_columns(self, names: Sequence[str]) -> None:
        """Profile several columns in one pass."""
        wanted = [self.check(name) for name in names if name not in self._profiles]
        if not wanted:
            return
        parts = ["count(*)"]
        for name in wanted:
            column, type = identifier(name), self.columns[name]
            if type in REALS:
                column = f"(CASE WHEN NOT isnan({column}) THEN {column} END)"  # as missing as NULL
            text = f"{column}::VARCHAR"
            order = f"{column}::DOUBLE" if is_number(type) else text
            length = f"avg(length({column}))" if type == "VARCHAR" else "0"
            parts += [
                f"count({column})",
                f"approx_count_distinct({column})",
                f"min({order})",
                f"max({order})",
                f"coalesce({length}, 0)",
            ]
        self._rows, *found = self.session.row(f"SELECT {', '.join(parts)} FROM {RELATION}")
        for index, name in enumerate(wanted):
            given, distinct, least, most, length = found[5 * index : 5 * index + 5]
            if distinct <= 2 * MOST_LEVELS or self._rows <= FEW_ROWS:
                distinct = self.session.row(f"SELECT count(DISTINCT {identifier(name)}) FROM {RELATION}")[0]
            self._profiles[name] = Profile(self._rows - given, min(distinct, given), least, most, float(length))

    def _kind(self, name: str) -> str:
        if self.learned is not None and name in self.learned.columns:
            return self.learned.columns[name].kind
        type = self.columns[name]
        if is_number(type) or type == '"NULL"':
            return "number"
        if is_time(type):
            return "time"
        if type == "BOOLEAN" or type.startswith("ENUM"):
            return "category"
        if type not in ("VARCHAR", "UUID", "TIME"):
            return "other"
        look = self.profile(name)
        given = self.rows - look.missing
        if type == "VARCHAR" and given and name not in self._labels and name not in self._found.words:
            times = read_text(self.session, RELATION, identifier(name), name)
            if times and times[1] == times[2]:
                self._written[name] = times[0].example
                return "time"
        many = look.distinct > MOST_LEVELS or look.distinct > max(FEW, given // 2)
        return "text" if many or look.length > LONG else "category"

    def close(self) -> None:
        """Close the connection and delete its temporary files now."""
        self.session.close()

    def __enter__(self) -> Table:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Table({self.name}: {', '.join(f'{name} {type}' for name, type in self.columns.items())})"


def open_table(
    source: Any,
    query: str | None = None,
    *,
    csv: CSVFormat = ANY_CSV,
    names: Sequence[str] | None = None,
    encoding: str = "utf-8",
    as_written: bool = False,
    labels: Collection[str] = (),
    named: Collection[str] = (),
    schema: Schema | None = None,
) -> Table:
    """A table to read.

    Args:
        source: A path ending in .csv, .tsv, .txt, .data (each also with .gz), .parquet, .jsonl, .ndjson, .json, .duckdb
            or .db; a postgresql:// URL; a pandas, polars or Arrow table or anything else with `__arrow_c_stream__`; a
            DuckDB relation; a dict of columns; a list of dicts.
        query: One SQL SELECT. For files and Python objects the rows are the view `data`, for files also a view with the
            name of the file up to its first dot; for databases it sees their tables.
        csv: How a CSV file is written; what is None in it is found out, see `_sniffing`.
        names: Names for the columns of a CSV file, in place of those in it.
        encoding: Of a CSV file; Python's name.
        as_written: Of a CSV or JSON file all columns are text, each cell as it stands in the file, and of a CSV file
            only empty cells are missing.
        labels: Columns whose values are names: 007 in a CSV file stays 007.
        named: Columns that the user names: a first line of a CSV file that has one of them is a header.
        schema: How a model read these columns when it learned from them; they are read in the same way.

    Raises:
        DataError: it cannot be read; the message names file, row and column where they are known.
        MissingExtra: a package for this kind of source is not installed.

    Example:
        >>> with open_table("sales.parquet", "SELECT * FROM data WHERE year > 2020") as table:
        ...     print(table.rows, table.kinds)
    """
    session = Session(source_name(source))
    try:
        found = connect(
            session,
            source,
            query,
            csv=csv,
            names=names,
            encoding=encoding,
            as_written=as_written,
            labels=labels,
            named=named,
            schema=schema,
        )
        return Table(session.name, session, found, labels, schema)
    except BaseException:
        session.close()
        raise
