"""CSV files: which sign separates, whether there is a header, what is missing, and what each column holds.

- The separator is the one of , ; tab | that cuts the first lines into the same number of cells, the most of them.
- The first line is a header unless one of its cells is empty, missing or a number.
- Cells that say `MISSING` are missing, quoted or not.
- A column is numbers if all its cells are; times if all are written in one of `_timestamps.FORMATS`; else text. One in
  which a few cells (a tenth at most, or one) spoil that is refused when it is used, naming the first of them.
- Rows are counted from 1 below the header; blank lines do not count.
"""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...errors import DataError, suggest
from ..readers.files import COMMON_ENCODINGS, open_unpacked
from ._timestamps import read_text
from .session import Session, identifier, literal, one_line, packing, pattern

MISSING = (
    "",
    "NA",
    "N/A",
    "n/a",
    "na",
    "#N/A",
    "<NA>",
    "NaN",
    "nan",
    "NAN",
    "-nan",
    "null",
    "NULL",
    "Null",
    "None",
    "?",
)
SEPARATORS = (",", ";", "\t", "|")
HEAD = 1 << 18  # characters that decide separator and header


def import_csv(
    session: Session,
    path: str,
    header: bool | None,
    names: Sequence[str] | None,
    encoding: str,
    as_written: bool,
) -> dict[str, str]:
    """Read a CSV file into the table `data`.

    Returns:
        What is wrong with columns that a few cells spoil, by column.

    Raises:
        DataError: the file cannot be read, with its line where that is known.
    """
    path = utf8(path, encoding, session)
    head = first_characters(path, session.name)
    if not head.strip():
        raise DataError(f"{session.name} is empty. Give a file with rows in it.")
    separator = "\t" if ".tsv" in os.path.basename(path).lower() else separator_of(head)
    first = next(_rows(head, separator), [])
    header = looks_like_header(first) if header is None else header
    columns = _names(session.name, first, header, names)
    spec = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in columns)
    missing = ", ".join(map(literal, [""] if as_written else MISSING))
    session.run(
        f"CREATE OR REPLACE TEMP VIEW raw AS SELECT * FROM read_csv({literal(pattern(path))}, auto_detect=false, "
        f"delim={literal(separator)}, quote='\"', escape='\"', header={str(header).lower()}, columns={{{spec}}}, "
        f"nullstr=[{missing}], strict_mode=true, null_padding=false, max_line_size=16777216, hive_partitioning=false, "
        f"compression={literal(packing(path))})"
    )
    try:
        return _typed(session, columns, as_written)
    except DataError as error:
        if error.__cause__ is None:  # ours already
            raise
        raise DataError(_explain(session.name, str(error.__cause__))) from None


def utf8(path: str, encoding: str, session: Session) -> str:
    """The path of the same file in UTF-8: itself, or a copy that goes with the session."""
    try:
        known = "".encode(encoding) is not None and encoding.lower().replace("_", "-")
    except (LookupError, ValueError, TypeError):
        raise DataError(suggest("text encoding", str(encoding), COMMON_ENCODINGS)) from None
    if known in ("utf-8", "utf8", "utf-8-sig", "ascii"):
        return path
    target = Path(session.folder) / Path(path).name.removesuffix(".gz")
    try:
        with (
            io.TextIOWrapper(open_unpacked(path), encoding=encoding, newline="") as source,
            open(target, "w", encoding="utf-8", newline="") as copy,
        ):
            while piece := source.read(1 << 20):
                copy.write(piece.removeprefix("\ufeff"))
    except UnicodeError as error:
        raise DataError(f"{session.name} is not {encoding}: {error}. Pass --encoding with the right one.") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {session.name}: {error}.") from None
    return str(target)


def first_characters(path: str, name: str) -> str:
    """The beginning of a file, of whole lines; bytes that are no UTF-8 are for the reader to refuse."""
    try:
        with open_unpacked(path) as file:
            raw = file.read(HEAD)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{name} is not a complete gzip file: {error}. Unpack it yourself, or fetch it again."
        ) from None
    text = raw.decode("utf-8", "replace").removeprefix("\ufeff")
    return text if len(raw) < HEAD else text[: text.rfind("\n") + 1 or len(text)]


def separator_of(head: str, ragged: bool = False) -> str:
    """The separator of a file that begins like this; `ragged` where lines may be of any length."""
    if ragged:
        return max(SEPARATORS, key=head.count)
    best, chosen = 1, SEPARATORS[0]
    for separator in SEPARATORS:
        widths = [len(row) for row in itertools.islice(_rows(head, separator), 20) if row]
        # The line after which something goes wrong is for the reader to name: most lines decide, not all.
        common = max(set(widths), key=widths.count) if widths else 1
        if widths.count(common) * 2 > len(widths) and common > best:
            best, chosen = common, separator
    return chosen


def _rows(head: str, separator: str) -> Iterator[list[str]]:
    """Cells of the first lines, up to one that is not CSV: that is for DuckDB to name."""
    with contextlib.suppress(csv.Error):
        yield from csv.reader(io.StringIO(head, newline=None), delimiter=separator)


def looks_like_header(cells: Sequence[str]) -> bool:
    return not any(cell.strip() in MISSING or is_number(cell) for cell in cells)


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _names(file: str, first: list[str], header: bool, names: Sequence[str] | None) -> list[str]:
    if names is not None:
        if len(names) != len(first):
            raise DataError(f"{file} has {len(first)} columns, but {len(names)} names were given for them.")
        columns = list(names)
    elif header:
        columns = [" ".join(cell.split()) or f"column{index}" for index, cell in enumerate(first, 1)]
    else:
        columns = [f"column{index}" for index in range(1, len(first) + 1)]
    places: dict[str, int] = {}
    for index, name in enumerate(columns, 1):
        if name.lower() in places:  # DuckDB does not tell upper case from lower
            raise DataError(
                f"{file}: columns {places[name.lower()]} and {index} are both named '{name}'. Rename one, "
                f"give names=..., or header=False if the first line is data."
            )
        places[name.lower()] = index
    return columns


def _typed(session: Session, columns: list[str], as_written: bool) -> dict[str, str]:
    """Make the table `data` of the view `raw`, every column in its type, or as text."""
    quoted = [identifier(name) for name in columns]
    counts = ", ".join(
        f"count({c}), count(try_cast({c} AS DOUBLE)), "
        f"count(*) FILTER (WHERE try_cast({c} AS DOUBLE) = try_cast({c} AS BIGINT) AND NOT contains({c}, '.')), "
        f"count(*) FILTER (WHERE contains({c}, chr(0)))"
        for c in quoted
    )
    found = session.row(f"SELECT {counts} FROM raw")
    expressions, spoiled = [], {}
    for index, (name, column) in enumerate(zip(columns, quoted, strict=True)):
        given, numbers, whole, binary = found[4 * index : 4 * index + 4]
        if binary:
            row, _ = _first(session, column, f"contains({column}, chr(0))")
            raise DataError(
                f"{session.name}, row {row}, column '{name}' holds a NUL byte: this is not text. Remove it."
            )
        if as_written:
            expressions.append(column)
            continue
        if numbers == given:
            expressions.append(f"{column}::{'BIGINT' if whole == given and given else 'DOUBLE'} AS {column}")
            continue
        expression = column
        if _spoiled(given, numbers):
            row, value = _first(session, column, f"{column} IS NOT NULL AND try_cast({column} AS DOUBLE) IS NULL")
            spoiled[name] = (
                f"{session.name}, row {row}, column '{name}': {value!r} is not a number, though {numbers} of the "
                f"{given} values are. Fix it, write NA if it is missing, or take the column as text: "
                f'--query "SELECT * REPLACE ({name}::VARCHAR AS {name}) FROM data"'
            )
        elif not numbers and (times := read_text(session, "raw", column, name)):
            reading, given, good = times
            if good == given:
                expression = f"make_timestamp({reading.sql}){'::TIMESTAMPTZ' if reading.zone else ''} AS {column}"
            elif _spoiled(given, good):
                row, value = _first(session, column, f"{column} IS NOT NULL AND {reading.sql} IS NULL")
                spoiled[name] = (
                    f"{session.name}, row {row}, column '{name}': {value!r} is not a time like {reading.example}, "
                    f"though {good} of the {given} values are. Fix it, or write NA if it is missing."
                )
        expressions.append(expression)
    session.run(f"CREATE TABLE data AS SELECT {', '.join(expressions)} FROM raw")
    return spoiled


def _spoiled(given: int, good: int) -> bool:
    """Whether so few values are bad that they are mistakes."""
    return good >= 2 and given - good <= max(1, given // 10)


def _first(session: Session, column: str, condition: str) -> tuple[int, str]:
    """Row and value of the first cell that meets a condition."""
    return session.row(
        f"SELECT r, {column} FROM (SELECT row_number() OVER () AS r, {column} FROM raw) WHERE {condition} LIMIT 1"
    )


def _explain(file: str, message: str) -> str:
    """DuckDB's words for a line that cannot be read, in ours."""
    text = " ".join(message.split())
    line = re.search(r"CSV Error on Line: (\d+)", text)
    where = f"{file}, line {line[1]}" if line else file
    if cells := re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text):
        return f"{where} has {cells[2]} cells, but the first line has {cells[1]}. Fix that line."
    if "unterminated quote" in text and line:
        return (
            f"{where} has a quote that is not closed, or text after a closing one. "
            "Write a quote in a quoted cell twice."
        )
    if "unicode" in text.lower():
        return (
            f"{where} is not utf-8. Pass --encoding with the one it was written in, such as "
            f"{', '.join(COMMON_ENCODINGS[1:4])}."
        )
    if "state machine" in text:
        return f"{file} mixes two kinds of line ends, or quotes that do not match. Write it again with one line end."
    if "GZIP" in text or "gzip" in text:
        return f"{file} is not a complete gzip file. Unpack it yourself, or fetch it again."
    return f"{file}: {one_line(ValueError(message))}"
