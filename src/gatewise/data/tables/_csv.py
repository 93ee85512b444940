"""CSV files. What separates, and whether there is a header: `_sniffing`. What the cells are: `_cells`, where no model
has learned it already.

- Columns of names that are empty: a first one that numbers the rows is not learned from (`DataFrame.to_csv` writes it),
  a last one without values (behind a trailing comma) is left out.
- Rows are counted from 1 below the header; blank lines do not count.
"""

from __future__ import annotations

import csv
import io
import itertools
import os
import re
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...errors import DataError, suggest
from ..readers.files import COMMON_ENCODINGS, open_unpacked
from ._cells import infer
from ._conversion import convert
from ._sniffing import LOOKED_AT, MISSING, looks_like_header, rows_of, separator_of
from .schema import SEPARATORS, ColumnSchema, CSVFormat, Schema
from .session import Session, identifier, literal, one_line, packing, pattern

HEAD = 1 << 18  # characters that decide separator and header


@dataclass(frozen=True)
class Imported:
    """A CSV file in the table `data`.

    Attributes:
        spoiled: What is wrong with columns that a few cells spoil, by column.
        columns: Of columns of numbers and times, how they are written.
        csv: How the file is written; nothing is left open.
        words: Columns that hold neither numbers nor times.
        row_numbers: A column without a name that numbers the rows, if there is one.
    """

    spoiled: dict[str, str]
    columns: dict[str, ColumnSchema]
    csv: CSVFormat
    words: Collection[str]
    row_numbers: str | None


def import_csv(
    session: Session,
    path: str,
    asked: CSVFormat,
    *,
    names: Sequence[str] | None,
    encoding: str,
    as_written: bool,
    labels: Collection[str],
    named: Collection[str],
    schema: Schema | None,
) -> Imported:
    """Read a CSV file into the table `data`.

    Args:
        asked: What the user says of it; the rest is found out, or was learned.
        labels: Columns whose values are names, so that 007 is not 7.
        named: Columns that the user names: a first line that has one of them is a header.
        schema: What a model learned of these columns.

    Raises:
        DataError: The file cannot be read, with its line where that is known.
    """
    path = utf8(path, encoding, session)
    head = first_characters(path, session.name)
    if not head.strip():
        raise DataError(f"{session.name} is empty. Give a file with rows in it.")
    learned = schema.csv if schema is not None else CSVFormat()
    known = {*named, *(schema.columns if schema is not None else ())}
    separator = asked.separator or _separator(path, head, known, learned)
    lines = [row for row in itertools.islice(rows_of(head, separator), LOOKED_AT) if row]
    first = lines[0] if lines else []
    header = asked.header
    if header is None:
        header = bool(known & set(_tidy(first))) or (
            looks_like_header(lines) if learned.header is None else learned.header
        )
    longer = header and len(lines) > 1 and all(len(row) == len(first) + 1 for row in lines[1:])
    if longer and all(not row[-1].strip() for row in lines[1:]):
        first = [*first, ""]  # a separator behind each row, but not behind the names
    elif longer and all(row[0].isdecimal() for row in lines[1:]):
        first = ["", *first]  # R numbers the rows, but gives the numbers no name
    else:
        longer = False
    columns = _names(session.name, first, header, names)
    spec = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in columns)
    missing = ["", *(asked.missing or learned.missing or ())]
    begins = f"header=false, skip={_lines_of_header(head, separator)}" if longer else f"header={str(header).lower()}"
    session.run(
        f"CREATE OR REPLACE TEMP VIEW raw AS SELECT * FROM read_csv({literal(pattern(path))}, auto_detect=false, "
        f"delim={literal(separator)}, quote='\"', escape='\"', {begins}, columns={{{spec}}}, "
        f"nullstr=[{', '.join(map(literal, missing))}], strict_mode=true, null_padding=false, "
        f"max_line_size=16777216, hive_partitioning=false, compression={literal(packing(path))})"
    )
    found = replace(asked.over(learned), separator=separator, header=header)
    try:
        if as_written:
            session.run("CREATE TABLE data AS SELECT * FROM raw")
            _refuse_binary(session)
            return Imported({}, {}, found, columns, None)
        nameless = _nameless(first, header, names)
        return _typed(session, columns, found, labels=labels, schema=schema, asked=asked, nameless=nameless)
    except DataError as error:
        if error.__cause__ is None:  # ours already
            raise
        raise DataError(_explain(session.name, str(error.__cause__))) from None


def utf8(path: str, encoding: str, session: Session, marks: bool = True, name: str | None = None) -> str:
    """The path of the same file in UTF-8: itself, or a copy that goes with the session.

    Args:
        marks: Whether who reads it passes over a byte order mark of UTF-8.
        name: What messages call it, if not as the session does.
    """
    name = name or session.name
    try:
        known = "".encode(encoding) is not None and encoding.lower().replace("_", "-")
    except (LookupError, ValueError, TypeError):
        raise DataError(suggest("text encoding", str(encoding), COMMON_ENCODINGS)) from None
    if known in ("utf-8", "utf8", "utf-8-sig", "ascii") and not (encoding := _marked(path, name, marks)):
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
        raise DataError(f"{name} is not {encoding}: {error}. Pass --encoding with the right one.") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {name}: {error}.") from None
    return str(target)


def _marked(path: str, name: str, utf8_passes: bool) -> str:
    """The encoding that a byte order mark announces, such as that of Excel's "Unicode text"; "" if none has to be."""
    try:
        with open_unpacked(path) as file:
            mark = file.read(4)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {name}: {error}.") from None
    if mark in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "utf-32"
    if mark[:3] == b"\xef\xbb\xbf" and not utf8_passes:
        return "utf-8-sig"
    return "utf-16" if mark[:2] in (b"\xff\xfe", b"\xfe\xff") else ""


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


def _separator(path: str, head: str, known: Collection[str], learned: CSVFormat) -> str:
    """The separator; where columns are known, the one by which the first line names most of them."""
    if ".tsv" in os.path.basename(path).lower():
        return "\t"
    if known:
        candidates = [*([learned.separator] if learned.separator else []), *SEPARATORS]
        named = {sign: len({*known} & {*_tidy(next(rows_of(head, sign), []))}) for sign in candidates}
        best = max(candidates, key=named.__getitem__)
        if named[best] or learned.separator:
            return best
    return separator_of(head)


def _lines_of_header(head: str, separator: str) -> int:
    """Lines of the file up to the end of the first row that is not blank."""
    reader = csv.reader(io.StringIO(head, newline=None), delimiter=separator)
    next(row for row in reader if row)
    return reader.line_num


def _tidy(cells: Sequence[str]) -> list[str]:
    """Names as a header has them; "" where there is none."""
    return [" ".join(cell.split()) for cell in cells]


def _nameless(first: Sequence[str], header: bool, names: Sequence[str] | None) -> tuple[str, ...]:
    """Of a header, the columns without a name."""
    if not header or names is not None:
        return ()
    return tuple(f"column{index}" for index, cell in enumerate(first, 1) if not cell.strip())


def _names(file: str, first: list[str], header: bool, names: Sequence[str] | None) -> list[str]:
    if names is not None:
        if len(names) != len(first):
            raise DataError(f"{file} has {len(first)} columns, but {len(names)} names were given for them.")
        columns = list(names)
    elif header:
        columns = [name or f"column{index}" for index, name in enumerate(_tidy(first), 1)]
    else:
        columns = [f"column{index}" for index in range(1, len(first) + 1)]
    places: dict[str, int] = {}
    for index, name in enumerate(columns, 1):
        if name.lower() in places:  # DuckDB does not tell upper case from lower
            raise DataError(
                f"{file}: columns {places[name.lower()]} and {index} are both named '{name}'. Rename one, or say "
                f"--no-header if the first line is data."
            )
        places[name.lower()] = index
    return columns


def _refuse_binary(session: Session) -> None:
    """Look at the table `data`, for each query on `raw` parses the file anew."""
    texts = [name for name, type in session.describe("data").items() if type == "VARCHAR"]
    counts = ", ".join(f"count(*) FILTER (WHERE contains({identifier(name)}, chr(0)))" for name in texts)
    for name, binary in zip(texts, session.row(f"SELECT {counts} FROM data") if texts else (), strict=True):
        if binary:
            row, _ = _first(session, identifier(name), f"contains({identifier(name)}, chr(0))")
            raise DataError(
                f"{session.name}, row {row}, column '{name}' holds a NUL byte: this is not text. Remove it, or pass "
                f"--encoding with the one it was written in, such as utf-16."
            )


def _typed(
    session: Session,
    columns: list[str],
    found: CSVFormat,
    *,
    labels: Collection[str],
    schema: Schema | None,
    asked: CSVFormat,
    nameless: Sequence[str],
) -> Imported:
    """Make the table `data` of the view `raw`, every column in its type, or as text."""
    missing = found.missing or MISSING
    schema = schema or Schema()
    new = [name for name in columns if name not in schema.columns]
    cells = infer(session, "raw", new, found, labels, missing)
    empty = [name for name in nameless if name in cells.empty and len(columns) > 1]
    types = dict.fromkeys((name for name in columns if name not in empty), "VARCHAR")
    learned = convert(session, "raw", types, schema, missing, asked)
    parts = [cells.sql.get(name, sql) for name, sql in learned.items()]
    session.run(f"CREATE TABLE data AS SELECT {', '.join(parts)} FROM raw")
    _refuse_binary(session)
    numbering = nameless[:1] == (columns[0],) and columns[0] in new and _numbers_rows(session, columns[0])
    words = [name for name in new if name not in cells.columns]
    return Imported(cells.spoiled, cells.columns, found, words, columns[0] if numbering else None)


def _numbers_rows(session: Session, name: str) -> bool:
    """Whether a column holds a whole number of its own in every row."""
    whole = session.describe("data").get(name) == "BIGINT"
    return whole and session.row(f"SELECT count(DISTINCT {identifier(name)}) = count(*) FROM data")[0]


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
