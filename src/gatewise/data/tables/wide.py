"""Wide tables: each line is a whole series, first its name and then its values; lines may differ in length."""

from __future__ import annotations

import csv
import io
import os
import zlib
from collections.abc import Iterator

import numpy as np

from ...errors import DataError
from ..readers.files import open_unpacked
from ..sequences import Column, Sequences
from ._csv import first_characters
from ._fields import EXACT
from ._sniffing import MISSING, is_number, separator_of
from ._sources import check_path
from .session import source_name


def read_wide(
    source: str | os.PathLike[str], *, header: bool | None = None, encoding: str = "utf-8", value: str = "value"
) -> Sequences:
    """The series in a CSV file that has one per line, in the order of its lines. They have to fit in memory.

    Cells that are missing at the end of a line are not part of its series; within it they are steps without a value.

    Args:
        source: Path of a CSV file or its gzip. The first cell of a line is the name of its series.
        header: Whether the first line names the columns; None finds out as for other CSV files. It is passed over.
        encoding: Python's name for it.
        value: Name for the step column.

    Returns:
        Step column `value`, float32 (float64 if some value is beyond 2**24), and the static column `id`.

    Raises:
        DataError: no such file, a cell that is not a number, two series of one name, a series without values.

    Example:
        >>> hourly = read_wide("Hourly-train.csv.gz")
    """
    name = source_name(source)
    path = check_path(source, name)
    ids: dict[str, int] = {}
    pieces: list[np.ndarray] = []
    for line, cells in _lines(path, name, header, encoding):
        values = _values(cells[1:], name, line)
        if not len(values):
            raise DataError(f"{name}, line {line}: the series '{cells[0]}' has no values. Leave the line out.")
        if cells[0] in ids:
            raise DataError(
                f"{name}, line {line}: a series '{cells[0]}' is on line {ids[cells[0]]} already. Rename one."
            )
        ids[cells[0]] = line
        pieces.append(values)
    if not pieces:
        raise DataError(f"{name} holds no series. Give lines of a name and its values.")
    values = np.concatenate(pieces)
    if not np.nanmax(np.abs(values), initial=0) > EXACT:
        values = values.astype(np.float32)
    levels = sorted(ids)
    code = {level: index for index, level in enumerate(levels)}
    return Sequences(
        np.concatenate([[0], np.cumsum([len(piece) for piece in pieces])]).astype(np.int64),
        {value: Column(value, "number", values)},
        {"id": Column("id", "category", np.array([code[one] for one in ids], np.int32), tuple(levels))},
        name,
        np.repeat(np.fromiter(ids.values(), np.int64, len(ids)), [len(piece) for piece in pieces]),
    )


def _lines(path: str, name: str, header: bool | None, encoding: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each line that is not blank."""
    separator = separator_of(first_characters(path, name), ragged=True)
    # A number of a long series is short; a cell beyond csv's limit is a quote that is not closed.
    with io.TextIOWrapper(open_unpacked(path), encoding=encoding, newline="") as text:
        reader = csv.reader(text, delimiter=separator, strict=True)
        try:
            for index, cells in enumerate(reader):
                if index == 0:
                    cells = [cells[0].removeprefix("\ufeff"), *cells[1:]] if cells else cells
                    if header or (header is None and not any(c.strip() in MISSING or is_number(c) for c in cells)):
                        continue
                if cells:
                    yield reader.line_num, cells
        except csv.Error as error:
            raise DataError(f"{name}, line {reader.line_num}: {error}. Fix the quotes of that line.") from None
        except UnicodeError as error:
            raise DataError(f"{name} is not {encoding}: {error}. Pass --encoding with the right one.") from None
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"cannot read {name}: {error}.") from None


def _values(cells: list[str], name: str, line: int) -> np.ndarray:
    """(n,) float64, without what is missing at the end."""
    stop = len(cells)
    while stop and cells[stop - 1].strip() in MISSING:
        stop -= 1
    given = [cell if cell.strip() not in MISSING else "nan" for cell in cells[:stop]]
    try:
        values = np.array(given, np.float64)
    except ValueError:
        column, cell = next((index, cell) for index, cell in enumerate(given, 2) if not is_number(cell))
        raise DataError(
            f"{name}, line {line}, column {column}: {cell!r} is not a number. Write NA if it is missing."
        ) from None
    infinite = np.flatnonzero(np.isinf(values))
    if len(infinite):
        raise DataError(f"{name}, line {line}, column {infinite[0] + 2} is infinite. Write NA if it is missing.")
    return values
