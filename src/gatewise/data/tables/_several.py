"""Several files as one table: their rows behind one another, columns by their names."""

from __future__ import annotations

import os
import tempfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from ...errors import DataError
from ..readers.files import PIECE, name_of, open_unpacked
from ..readers.table_files import partitions_of
from ._csv import utf8
from ._timestamps import is_number, is_time
from .schema import Schema
from .session import Session, literal, pattern

_NOTHING = '"NULL"'  # the type of a column in which no value is given


def parquet_sql(session: Session, files: Sequence[str], labels: Collection[str], schema: Schema | None) -> str:
    """SQL of all rows of Parquet files. A column that a file lacks is not given in its rows; folders such as
    `year=2024` are columns.

    Args:
        labels: Columns whose values are names, so that `month=03` is not 3.
        schema: How a model read these columns.

    Raises:
        DataError: A file cannot be read, or a column is of kinds that do not go together.
    """
    _check_types(session, files)
    listed = ", ".join(literal(pattern(file)) for file in files)
    partitions = partitions_of(files)
    hive = "false"
    if partitions:
        learned = {} if schema is None else schema.columns
        names = {name for name, column in learned.items() if column.kind in ("category", "text")} | {*labels}
        texts = ", ".join(f"{literal(name)}: VARCHAR" for name in partitions if name in names)
        hive = "true" + (f", hive_types={{{texts}}}" if texts else "")
    return f"SELECT * FROM read_parquet([{listed}], union_by_name=true, hive_partitioning={hive})"


def _check_types(session: Session, files: Sequence[str]) -> None:
    """Refuse columns that hold one kind of value in one file and another kind in another: DuckDB would make text of
    numbers where one file has text."""
    listed = ", ".join(literal(pattern(file)) for file in files)
    alike = session.rows(  # most files are alike, and one of them is enough
        "SELECT min(file_name), fields FROM (SELECT file_name, list((name, duckdb_type, num_children) ORDER BY row) AS "
        "fields FROM (SELECT *, row_number() OVER () AS row FROM "
        f"parquet_schema([{listed}])) GROUP BY file_name) GROUP BY fields ORDER BY 1"
    )
    seen: dict[str, tuple[str, str, str]] = {}
    for file, fields in alike:
        for name, type in _columns(fields):
            if type == _NOTHING:
                continue
            kind, first, beside = seen.setdefault(name.lower(), (_kind(type), type, file))
            if kind != _kind(type):
                raise DataError(
                    f"column '{name}' is {first} in {name_of(beside)}, but {type} in {name_of(file)}. Write it in one "
                    "type, or leave one of the files out."
                )


def _columns(fields: Sequence[tuple[str, str, int | None]]) -> Iterator[tuple[str, str]]:
    """Name and type of each column among all fields of a file, which stand in the order of a walk through its tree."""
    within = 0  # fields that are still to come of the column before
    for name, type, children in fields[1:]:  # the first one is the root
        if within:
            within += (children or 0) - 1
        else:
            within = children or 0
            yield name, type


def _kind(type: str) -> str:
    """What goes together in one column; any other type with itself alone."""
    if is_number(type):
        return "number"
    if is_time(type):
        return "time with a zone" if "TIME ZONE" in type else "time"
    return type


def joined(session: Session, files: Sequence[str], header: bool, encoding: str) -> str:
    """The path of one file, which goes with the session, with the lines of all of these in UTF-8.

    Args:
        header: Whether the first line of each names its columns.

    Raises:
        DataError: A file cannot be read, or names other columns than the first one.
    """
    # In a folder of its own: a copy in UTF-8 of a file that is read here has that file's name, whatever it is.
    folder = tempfile.mkdtemp(dir=session.folder)
    target = os.path.join(folder, f"rows{Path(files[0].lower().removesuffix('.gz')).suffix}")
    names = b""
    try:
        with open(target, "wb") as sink:
            for file in files:
                pieces = _pieces_of(file, encoding, session)
                first = next(pieces)
                if names:
                    _check_first_line(first, file, names, files[0], header)
                if not (header and names):
                    sink.write(first)
                names = names or first
                sink.writelines(pieces)
                _end_line(sink)
    except OSError as error:
        raise DataError(
            f"cannot write to {session.folder}: {error.strerror}. Set TMPDIR to a folder on a larger disk."
        ) from None
    return target


def _pieces_of(file: str, encoding: str, session: Session) -> Iterator[bytes]:
    """The first line of a file that is not blank, then what follows it."""
    try:
        with open_unpacked(utf8(file, encoding, session, marks=False, name=name_of(file))) as source:
            first = next((line for line in source if line.strip()), None)
            if first is None:
                raise DataError(f"{name_of(file)} is empty. Give a file with rows in it, or leave it out.")
            yield first
            while piece := source.read(PIECE):
                yield piece
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {name_of(file)}: {getattr(error, 'strerror', None) or error}.") from None


def _check_first_line(line: bytes, file: str, wanted: bytes, first: str, header: bool) -> None:
    """Refuse a file whose lines cannot follow those of the first one."""
    if header and line.strip() != wanted.strip():
        raise DataError(
            f"the first line of {name_of(file)} is not that of {name_of(first)}, which names the columns. Files that "
            "are one table have the same columns, in one order."
        )
    ends, others = ("CR LF" if one.endswith(b"\r\n") else "LF" for one in (line, wanted))
    if ends != others and line.endswith(b"\n") and wanted.endswith(b"\n"):
        raise DataError(
            f"lines end with {ends} in {name_of(file)}, but with {others} in {name_of(first)}. Write them again with "
            "one line end."
        )


def _end_line(sink: BinaryIO) -> None:
    """A last line of a file need not end."""
    sink.flush()
    with open(sink.name, "rb") as written:
        if written.seek(0, os.SEEK_END):
            written.seek(-1, os.SEEK_END)
            if written.read(1) != b"\n":
                sink.write(b"\n")
