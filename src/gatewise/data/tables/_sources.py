"""Each kind of source into DuckDB, as the relation `gatewise_rows` that a `Table` reads.

What may be read only once, or would have to be parsed anew each time, is copied into DuckDB's memory, which spills to
disk; a Parquet file, and a table of a DuckDB file, are read where they lie.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError, OptionTypeError, suggest
from ..readers.files import arrived, files_in, is_streamed, name_of, open_unpacked
from ..readers.table_files import PARQUET, is_several, table_files
from ._arrow import Once
from ._conversion import convert
from ._csv import import_csv, utf8
from ._several import joined, parquet_sql
from ._sniffing import MISSING
from ._timestamps import is_time
from .schema import ANY_CSV, ColumnSchema, CSVFormat, Schema
from .session import POSTGRES, RELATION, Session, absolute, identifier, literal, one_line, packing, pattern

CSV = (".csv", ".tsv", ".txt", ".data")
JSON = (".jsonl", ".ndjson", ".json")
DATABASE = (".duckdb", ".db")


@dataclass(frozen=True)
class Found:
    """What is known of columns beside their types.

    Attributes:
        spoiled: What is wrong with those that a few cells spoil.
        zones: Time zones that the source names.
        columns: How numbers and times are written, where they are text.
        csv: How a CSV file is written.
        words: Columns of text that hold neither numbers nor times.
        row_numbers: A column without a name that only numbers the rows.
    """

    spoiled: Mapping[str, str] = field(default_factory=dict)
    zones: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, ColumnSchema] = field(default_factory=dict)
    csv: CSVFormat = ANY_CSV
    words: Collection[str] = ()
    row_numbers: str | None = None


def connect(
    session: Session,
    source: Any,
    query: str | None,
    *,
    csv: CSVFormat,
    names: Sequence[str] | None,
    encoding: str,
    as_written: bool,
    labels: Collection[str],
    named: Collection[str],
    schema: Schema | None,
) -> Found:
    """Make the relation. Arguments as for `open_table`."""
    found, base = Found(), "data"
    if isinstance(source, str) and source.startswith(POSTGRES):
        session.only()
        _postgres(session, source, query)
        query = None
    elif is_several(source):
        found = _several(
            session,
            table_files(source),
            csv,
            names=names,
            encoding=encoding,
            as_written=as_written,
            labels=labels,
            named=named,
            schema=schema,
        )
        _named_view(session, source)
    elif isinstance(source, str | os.PathLike):
        path = arrived(source, session.folder) if is_streamed(source) else check_path(source, session.name)
        session.only(path)
        if _suffix(path) in DATABASE:
            base, query = _database(session, path, query), None
        else:
            found = _file(
                session,
                path,
                csv,
                names=names,
                encoding=encoding,
                as_written=as_written,
                labels=labels,
                named=named,
                schema=schema,
            )
            _named_view(session, path)
    else:
        session.only()
        found = Found(zones=_object(session, source))
    if query is not None:
        base = "gatewise_query"
        _query(session, query, base)
        found = Found(zones=found.zones, csv=found.csv)  # what a query gives is what it says
    selected = "*"
    if schema is not None:
        missing = found.csv.missing or schema.csv.missing or MISSING
        selected = ", ".join(convert(session, base, session.describe(base), schema, missing).values())
    session.run(f"CREATE VIEW {RELATION} AS SELECT {selected} FROM {base}")
    return found


def _file(session: Session, path: str, csv: CSVFormat, *, encoding: str, as_written: bool, **how: Any) -> Found:
    """The rows of a file that is no database, as `data`."""
    suffix = _suffix(path)
    if suffix in CSV:
        return Found(**vars(import_csv(session, path, csv, encoding=encoding, as_written=as_written, **how)))
    if suffix in JSON:
        _json(session, utf8(path, encoding, session, marks=False), as_written)
    elif suffix == PARQUET:
        session.run(
            f"CREATE VIEW data AS SELECT * FROM read_parquet({literal(pattern(path))}, hive_partitioning=false)"
        )
    else:
        known = ", ".join((*CSV, PARQUET, *JSON, *DATABASE))
        raise DataError(f"{session.name} does not end in one of {known} (or .csv.gz), nor begin with {POSTGRES[0]}.")
    return Found()


def _several(session: Session, files: Sequence[str], csv: CSVFormat, *, encoding: str, **how: Any) -> Found:
    """The rows of several files behind one another, as `data`."""
    files = [check_path(file, name_of(file)) for file in files]
    session.only(*files)
    suffix = _suffix(files[0])
    if suffix == PARQUET:
        session.run(f"CREATE VIEW data AS {parquet_sql(session, files, how['labels'], how['schema'])}")
        return Found()
    if suffix in CSV and csv.header is None:  # what the first one says counts for all
        first = import_csv(session, files[0], csv, encoding=encoding, **how).csv
        session.run("DROP TABLE data")
        csv = replace(csv, separator=first.separator, header=first.header)
    path = joined(session, files, suffix in CSV and bool(csv.header), encoding)
    return _file(session, path, csv, encoding="utf-8", **how)


def _named_view(session: Session, source: Any) -> None:
    """Call `data` by the name of a file or folder, too."""
    stem = Path(source).name.partition(".")[0] if isinstance(source, str | os.PathLike) else ""
    if stem and stem.lower() not in ("data", RELATION):
        session.run(f"CREATE VIEW {identifier(stem)} AS SELECT * FROM data")


def _suffix(path: str) -> str:
    name = os.path.basename(path).lower()
    return os.path.splitext(name.removesuffix(".gz"))[1]


def check_path(source: str | os.PathLike[str], name: str) -> str:
    """The path, if there is a file to read. DataError names what is like it."""
    path = os.fspath(source)
    if not isinstance(path, str):
        raise OptionTypeError(f"a path is text, not {type(path).__name__}.")
    if os.path.isfile(path):
        return path
    if os.path.exists(path):
        if os.path.isdir(path) and not any(files_in(path)):
            raise DataError(f"{name} is an empty folder. Put Parquet files into it, or name another one.")
        raise DataError(f"{name} is a folder or device, not a file with a table.")
    if os.path.islink(path):
        raise DataError(f"{name} is a link to {os.readlink(path)!r}, which is not there.")
    folder = os.path.dirname(path) or "."
    try:
        known = (*CSV, *JSON, *DATABASE, PARQUET)
        beside = [entry for entry in os.listdir(folder) if not entry.startswith(".") and _suffix(entry) in known]
    except (OSError, ValueError):
        raise DataError(f"no file {name}: there is no folder {folder!r}.") from None
    if not beside:
        raise DataError(f"no file {name}, nor any other table in {folder!r}.")
    raise DataError(suggest("file", os.path.basename(path), beside[:50]) + f" (in {folder!r})")


def _query(session: Session, query: str, into: str) -> None:
    """Put what a user's query, which may only select, gives into a table of this name."""
    if not isinstance(query, str) or not query.strip():
        raise OptionTypeError(f"query is one SQL SELECT, not {query!r}.")
    try:
        statements = session.con.extract_statements(query)
    except Exception as error:
        raise DataError(f"the query on {session.name} is not SQL: {one_line(error)}") from None
    if len(statements) != 1 or statements[0].type.name != "SELECT":
        raise DataError(f"the query on {session.name} must be one SELECT, not {query.strip()[:60]!r}.")
    text = query.strip().rstrip(";").rstrip()
    try:
        session.run(f"CREATE TABLE {into} AS SELECT * FROM (\n{text}\n)")
    except DataError as error:
        raise DataError(f"the query on {error}") from None


def _json(session: Session, path: str, as_written: bool) -> None:
    lines = "'auto'" if _suffix(path) == ".json" else "'newline_delimited'"
    reader = (
        f"read_json({literal(pattern(path))}, format={lines}, sample_size=-1, maximum_object_size=16777216, "
        f"hive_partitioning=false, compression={literal(packing(path))})"
    )
    try:
        session.run(f"CREATE TABLE data AS SELECT * FROM {reader}")
    except DataError as error:
        if "JSON" not in str(error):
            raise
        _name_bad_line(session, path)
        raise
    columns = session.describe("data")
    if not columns or list(columns) == ["json"]:
        row = session.rows(
            "SELECT r, left(x, 60) FROM (SELECT row_number() OVER () AS r, json::VARCHAR AS x FROM data) "
            "WHERE NOT starts_with(x, '{') LIMIT 1"
            if columns
            else "SELECT 1, '' LIMIT 0"
        )
        where = f", row {row[0][0]}: {row[0][1]!r} is not an object" if row else " holds no objects"
        raise DataError(f'{session.name}{where}. Every row must be an object such as {{"time": 1, "value": 2.5}}.')
    for name, type in columns.items():
        if type == "JSON":
            _mixed(session, name)
    # DuckDB takes "05-04-2020" for a date, and which part of it is the day for known.
    texts = [name for name, type in columns.items() if as_written or is_time(type) or type in ("TIME", "UUID")]
    if texts:
        types = ", ".join(
            f"{literal(name)}: {literal('VARCHAR' if name in texts else type)}" for name, type in columns.items()
        )
        session.run(f"CREATE OR REPLACE TABLE data AS SELECT * FROM {reader[:-1]}, columns={{{types}}})")


def _name_bad_line(session: Session, path: str) -> None:
    """Refuse the first line that is not JSON; DuckDB counts lines from where it began to read a piece of the file."""
    if _suffix(path) == ".json":
        return
    with open_unpacked(path) as file:
        for number, line in enumerate(file, 1):
            try:
                json.loads(line.strip() or b"{}")
            except json.JSONDecodeError as error:
                raise DataError(
                    f"{session.name}, line {number}, column {error.colno} is not whole JSON: {error.msg}. Fix it."
                ) from None
            except RecursionError:
                raise DataError(f"{session.name}, line {number} is nested too deep. Write numbers and text.") from None
            except UnicodeDecodeError as error:
                raise DataError(f"{session.name}, line {number} is not utf-8: {error.reason}. Fix that line.") from None


def _mixed(session: Session, name: str) -> None:
    """Refuse a column that holds numbers and text: the first row that differs from those above."""
    column = identifier(name)
    found = session.rows(
        f"SELECT r, t, v, u FROM (SELECT row_number() OVER () AS r, json_type({column}) AS t, {column}::VARCHAR AS v, "
        f"first_value(json_type({column})) OVER () AS u FROM data WHERE {column} IS NOT NULL) WHERE t <> u LIMIT 1"
    )
    if found:
        row, type, value, common = found[0]
        raise DataError(
            f"{session.name}, row {row}, column '{name}': {value[:60]} is {type}, but the rows above have {common}. "
            f"Write all of them in one type."
        )


def _database(session: Session, path: str, query: str | None) -> str:
    """The relation that is to be read: the only table, or what the query gives."""
    if any(sign in path for sign in "?\\".replace(os.sep, "")):  # DuckDB would open another file
        raise DataError(f"{session.name}: DuckDB opens no database with ? or \\ in its path. Rename it.")
    try:
        session.run(f"ATTACH {literal(absolute(path))} AS source (READ_ONLY)")
    except DataError as error:
        message = str(error.__cause__)
        if "not a valid DuckDB" in message or "Catalog" in message or "extension" in message:
            raise DataError(f"{session.name} is not a DuckDB file: {one_line(ValueError(message))}") from None
        raise
    tables = [
        row[0]
        for row in session.rows(
            "SELECT table_name FROM information_schema.tables WHERE table_catalog = 'source' ORDER BY table_name"
        )
    ]
    if query is None:
        return f"source.{identifier(_only(session.name, tables))}"
    session.run("USE source")
    try:
        _query(session, query, "memory.gatewise_query")
    finally:
        session.run("USE memory")
    return "gatewise_query"


def _only(name: str, tables: Sequence[str]) -> str:
    if len(tables) == 1:
        return tables[0]
    if not tables:
        raise DataError(f"{name} holds no table.")
    listed = ", ".join(tables[:20]) + (", ..." if len(tables) > 20 else "")
    raise DataError(f'{name} holds several tables: {listed}. Choose with a query: --query "SELECT * FROM {tables[0]}"')


def _object(session: Session, source: Any) -> dict[str, str]:
    """What Python holds, copied into `data`; returns time zones by column."""
    if isinstance(source, Mapping):
        source = _columns(source)
    elif isinstance(source, list | tuple) and source and all(isinstance(row, Mapping) for row in source):
        keys = list(dict.fromkeys(key for row in source for key in row))
        source = _columns({key: [row.get(key) for row in source] for key in keys})
    elif not hasattr(source, "__arrow_c_stream__") and not _is_pandas(source) and not hasattr(source, "collect"):
        raise OptionTypeError(
            f"a table is a path, a postgresql:// URL, a table of pandas, polars, Arrow or DuckDB, a dict of columns or "
            f"a list of dicts, not {type(source).__name__}."
        )
    if type(source).__name__ == "LazyFrame":
        source = source.collect()
    if _is_pandas(source):
        source = _of_pandas(source)
    try:
        if isinstance(source, dict):
            zones = {}
        elif _is_pandas(source):
            zones = {str(name): str(dtype.tz) for name, dtype in source.dtypes.items() if hasattr(dtype, "tz")}
        else:
            source = Once(source)
            zones = source.zones
            _refuse_twins(session.name, [name for name, _, _ in source.fields])
        session.con.register("gatewise_source", source)
        session.run("CREATE TABLE data AS SELECT * FROM gatewise_source")
        session.con.unregister("gatewise_source")
        return zones
    except DataError:
        raise
    except Exception as error:  # whatever the object's own library raises
        raise DataError(f"cannot read {session.name}: {one_line(error)}") from None


def _is_pandas(source: Any) -> bool:
    return type(source).__module__.partition(".")[0] == "pandas" and type(source).__name__ == "DataFrame"


def _of_pandas(source: Any) -> Any:
    """A DataFrame with its index as a column, for the time is often there, and periods as the times they begin at."""
    if type(source.index).__name__ != "RangeIndex":
        source = source.reset_index()
    _refuse_twins("the DataFrame", list(map(str, source.columns)))
    if any(hasattr(dtype, "tz") for dtype in source.dtypes):
        source = source.copy()  # DuckDB cannot read times with a zone backwards, as they stand in frame[::-1]
    periods = [name for name, dtype in source.dtypes.items() if str(dtype).startswith("period")]
    return source.assign(**{name: source[name].dt.to_timestamp() for name in periods}) if periods else source


def _refuse_twins(table: str, names: Sequence[str]) -> None:
    """DataError if two columns have one name; DuckDB does not tell upper case from lower."""
    lower = [name.lower() for name in names]
    for index, name in enumerate(lower):
        if (first := lower.index(name)) < index:
            raise DataError(
                f"columns {first + 1} and {index + 1} of {table} are both named '{names[index]}'. Rename one."
            )


def _columns(source: Mapping[Any, Any]) -> dict[str, np.ndarray]:
    """A dict of columns as numpy arrays of one length."""
    columns = {str(name): _array(str(name), values) for name, values in source.items()}
    lengths = {name: len(values) for name, values in columns.items()}
    if not columns:
        raise DataError("the table has no columns.")
    if len(set(lengths.values())) > 1:
        raise DataError(f"columns of one table are of one length, not {lengths}.")
    return columns


def _array(name: str, values: Any) -> np.ndarray:
    array = values if isinstance(values, np.ndarray) else np.asarray(values, None if _plain(values) else object)
    if array.ndim != 1:
        raise DataError(f"column '{name}' has {array.ndim} dimensions; a table's columns have one.")
    if array.dtype.kind == "O":
        array = _uniform(name, array)
    if array.dtype.kind == "M":
        return array.astype("M8[us]")
    if array.dtype.kind not in "biufOU":
        raise DataError(f"column '{name}' is {array.dtype}, which no table can hold. Give numbers, text or datetime64.")
    return array.astype(object) if array.dtype.kind == "U" else array


def _plain(values: Any) -> bool:
    return all(isinstance(value, int | float | np.number) for value in values)


def _uniform(name: str, array: np.ndarray) -> np.ndarray:
    """Objects as what they are: numbers with NaN for None, times, or text."""
    given = [value for value in array if value is not None]
    if all(isinstance(value, bool | np.bool_) for value in given):
        return array if given else np.full(len(array), np.nan)
    if all(isinstance(value, int | float | np.number) for value in given):
        return np.array([np.nan if value is None else value for value in array], float)
    if all(isinstance(value, str) for value in given):
        return array
    if all(isinstance(value, datetime.date | np.datetime64) for value in given):  # a datetime is a date
        return np.array(["NaT" if value is None else np.datetime64(value, "us") for value in array], "M8[us]")
    first = type(given[0])
    row, other = (
        next((row, value) for row, value in enumerate(array, 1) if value is not None and not isinstance(value, first))
        if any(not isinstance(value, first) for value in given)
        else (1, given[0])
    )
    raise DataError(
        f"column '{name}', row {row}: {other!r} is {type(other).__name__}; give numbers, text or times, all alike."
    )


def _postgres(session: Session, url: str, query: str | None) -> None:
    from ._postgres import load

    load(session, url, query, _only)
