"""Tables out: CSV, JSON lines or Parquet by suffix, chunk by chunk in bounded memory, whole or not at all."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from ...errors import DataError, OptionError
from ...files import TemporaryFolder, atomic
from .session import identifier, literal

Chunk = Mapping[str, Any]  # columns by name, of one length: arrays or lists


def write_table(path: str | os.PathLike[str], chunks: Iterable[Chunk]) -> int:
    """Write chunks that all have the same columns into one file; returns the number of rows.

    Reading a number gives the same value; what is missing (NaN, NaT, None) is written as nothing, times in ISO 8601,
    with their offset if they are `datetime` with a zone.

    Raises:
        OptionError: The suffix is none that we write.
        DataError: The file cannot be written, or there is no chunk.
    """
    writer = check_suffix(path)
    try:
        with atomic(path) as temporary:
            return writer(temporary, iter(chunks))
    except OSError as error:
        raise DataError(f"cannot write '{os.fspath(path)}': {error.strerror or error}.") from error


def check_suffix(path: str | os.PathLike[str]) -> Callable[[Path, Iterator[Chunk]], int]:
    """The function that writes this kind of file. OptionError if there is none."""
    suffix = Path(path).suffix.lower()
    if suffix not in _WRITERS:
        known = ", ".join(_WRITERS)
        raise OptionError(f"cannot write a table as '{suffix}' ('{os.fspath(path)}'). End its name in one of {known}")
    return _WRITERS[suffix]


def write_csv(file: TextIO, chunks: Iterable[Chunk]) -> int:
    """CSV with a header line, into an open text file; returns the number of rows."""
    writer, rows, begun = csv.writer(file, lineterminator="\n"), 0, False
    for chunk in chunks:
        if not begun:  # a chunk may have no rows
            writer.writerow(chunk)
            begun = True
        found = list(zip(*(map(_csv_cell, _plain(column)) for column in chunk.values()), strict=True))
        writer.writerows(found)
        rows += len(found)
    return rows


def write_lines(file: TextIO, chunks: Iterable[Chunk]) -> int:
    """JSON lines, into an open text file; returns the number of rows."""
    rows = 0
    for chunk in chunks:
        names = list(chunk)
        for values in zip(*(map(_json_cell, _plain(column)) for column in chunk.values()), strict=True):
            row = dict(zip(names, values, strict=True))
            file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
            rows += 1
    return rows


def _text_file(write: Callable[[TextIO, Iterable[Chunk]], int]) -> Callable[[Path, Iterator[Chunk]], int]:
    def writer(path: Path, chunks: Iterator[Chunk]) -> int:
        with open(path, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            return write(file, chunks)

    return writer


def _write_parquet(path: Path, chunks: Iterator[Chunk]) -> int:
    """Through a DuckDB table on disk, for a Parquet file cannot be added to."""
    import duckdb

    with TemporaryFolder("parquet") as folder, duckdb.connect(os.path.join(folder, "table.duckdb")) as connection:
        made = False
        for chunk in chunks:
            columns = {name: _storable(column) for name, column in chunk.items()}
            connection.register("chunk", columns)
            connection.execute(f"{'INSERT INTO result' if made else 'CREATE TABLE result AS'} {_selected(columns)}")
            connection.unregister("chunk")
            made = True
        if not made:
            raise DataError("there is nothing to write: the data has no rows")
        connection.execute(f"COPY result TO {literal(os.fspath(path))} (FORMAT parquet)")
        found = connection.execute("SELECT count(*) FROM result").fetchone()
        return int(found[0]) if found else 0


_WRITERS: dict[str, Callable[[Path, Iterator[Chunk]], int]] = {
    ".csv": _text_file(write_csv),
    ".jsonl": _text_file(write_lines),
    ".parquet": _write_parquet,
}


def _storable(column: Any) -> np.ndarray:
    """An array that DuckDB can scan: text as objects."""
    array = column if isinstance(column, np.ndarray) else np.array(column, dtype=object)
    return array.astype(object) if array.dtype.kind == "U" else array


def _selected(columns: Mapping[str, np.ndarray]) -> str:
    """SQL for a chunk. Times with an offset are moments, whatever their zone; text of which nothing is there is text
    still, which DuckDB cannot see."""
    replaced = []
    for name, column in columns.items():
        if column.dtype == object:
            first = next((value for value in column if value is not None), None)
            if first is None or isinstance(first, datetime):
                type = "VARCHAR" if first is None else "TIMESTAMPTZ"
                replaced.append(f"{identifier(name)}::{type} AS {identifier(name)}")
    return f"SELECT * REPLACE ({', '.join(replaced)}) FROM chunk" if replaced else "FROM chunk"


def _plain(column: Any) -> list[Any]:
    """Python values; of float32 the shortest decimals that give it back."""
    array = np.asarray(column)
    if array.dtype == np.float32:
        return [float(str(value)) for value in array]
    if array.dtype.kind == "M":
        seconds = (array == array.astype("M8[s]")) | np.isnat(array)
        return np.datetime_as_string(array, unit="s" if seconds.all() else "us").tolist()
    return array.tolist()


def _csv_cell(value: Any) -> Any:
    if value is None or value == "NaT" or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    return repr(value) if isinstance(value, float) else value


def _json_cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return None if value == "NaT" or (isinstance(value, float) and not math.isfinite(value)) else value
