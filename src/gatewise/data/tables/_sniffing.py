"""What a CSV file's first lines tell: the sign between cells, and whether there is a header.

- The separator is the first one of tab ; | , that cuts the first line and all of the next ones, or else most of them,
  into the same number of cells, two or more: commas are also decimals and in texts.
- The first line is a header if it differs from the lines below as names differ from values.
"""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import re
from collections.abc import Iterator, Sequence

from .schema import SEPARATORS

MISSING = (
    *("", "NA", "N/A", "n/a", "na", "#N/A", "<NA>", "NaN", "nan", "NAN", "-nan", "null", "NULL", "Null"),
    *("None", "none", "?", "-", "--", "n.a.", "N.A.", "nil", "NIL"),
    *("#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NAME?", "#NULL!"),
)
LOOKED_AT = 20  # lines


def separator_of(head: str, ragged: bool = False) -> str:
    """The separator of a file that begins like this; `ragged` where lines may be of any length."""
    if ragged:
        return max(SEPARATORS, key=head.count)
    agreeing = {separator: _agreeing(head, separator) for separator in ("\t", ";", "|", ",")}
    # The line after which something goes wrong is for the reader to name: where not all agree, most decide.
    for least in (1.0, 0.5):
        for separator, share in agreeing.items():
            if share and share >= least:
                return separator
    return max(SEPARATORS, key=lambda separator: _width(head, separator))


def is_table_of_cells(path: str) -> bool:
    """Whether a file that may be CSV is: all of its first lines have as many cells, two or more. Other tables are."""
    if not path.endswith(".csv"):
        return True
    with open(path, encoding="utf-8", errors="replace") as file:
        head = "".join(itertools.islice(file, LOOKED_AT + 1))
    return head.count("\n") > 1 and any(_agreeing(head, separator) == 1 for separator in SEPARATORS)


def _agreeing(head: str, separator: str) -> float:
    """The share of lines with as many cells as the first, if that has two or more; else 0."""
    widths = _widths(head, separator)
    return widths.count(widths[0]) / len(widths) if widths and widths[0] > 1 else 0.0


def _width(head: str, separator: str) -> int:
    """The cells of most lines."""
    widths = _widths(head, separator)
    common = max(set(widths), key=widths.count, default=1)
    return common if widths.count(common) * 2 > len(widths) else 1


def _widths(head: str, separator: str) -> list[int]:
    """The cells of each of the first lines that is not blank."""
    return [len(row) for row in itertools.islice(rows_of(head, separator), LOOKED_AT) if row]


def rows_of(head: str, separator: str) -> Iterator[list[str]]:
    """Cells of the first lines, up to one that is not CSV: that is for DuckDB to name."""
    with contextlib.suppress(csv.Error):
        yield from csv.reader(io.StringIO(head, newline=None), delimiter=separator)


def looks_like_header(lines: Sequence[Sequence[str]]) -> bool:
    """Whether the first of these lines names the columns of the others.

    It does if a column of values, numbers or times, has something else there; it does not if there is a time or, in a
    column of words, one that comes again. Whole numbers that count, such as years, may be names, and so may NA.
    """
    first, below = lines[0], lines[1:]
    columns = [[row[index] for row in below if index < len(row) and _given(row[index])] for index in range(len(first))]
    names = 0
    for cell, values in zip(first, columns, strict=True):
        if not values:
            continue
        if all(map(_is_value, values)):
            times = all(map(_is_time, values))
            if times and _is_time(cell):
                return False
            names += bool(cell.strip()) and (not _is_value(cell) or times != _is_time(cell))
        elif _given(cell) and not _is_value(cell) and cell in values and len(set(values)) < len(values):
            return False
    if names:
        return True
    numbers = [cell for cell in first if is_number(cell)]
    words = [cell for cell in first if _given(cell) and not is_number(cell)]
    if numbers:
        return _count_up(numbers) and len(numbers) > 1 and (not first[0].strip() or bool(words)) and len(lines) > 1
    return bool(words) and (all(map(_given, first)) or any(map(_is_value, itertools.chain(*columns))) or not below)


def _given(cell: str) -> bool:
    return cell.strip() not in MISSING


def _is_value(cell: str) -> bool:
    return bool(_VALUE.fullmatch(cell.strip())) or _is_time(cell)


def _is_time(cell: str) -> bool:
    return bool(_TIME.fullmatch(cell.strip()))


# A number in any spelling, a date or a time of day: rough, but enough to tell them from names.
_VALUE = re.compile(
    r"[^\w\s]{0,2}\s?[-+−]?[\d.,'’\u00a0\u202f ]*\d[\d.,]*([eE][-+]?\d+)?\s?[^\w\s]{0,2}|[-+]?(inf|nan)", re.IGNORECASE
)
_TIME = re.compile(r"\d{1,4}[-/.]\d{1,2}([-/.]\d{1,4})?([ T,].*)?|\d{1,2}[ -]\w{3,9}[ -]\d{2,4}.*|\d{1,2}:\d\d.*")


def _count_up(numbers: Sequence[str]) -> bool:
    """Whether these are whole numbers, each one more than the one before."""
    try:
        whole = [int(number) for number in numbers]
    except ValueError:
        return False
    return whole == list(range(whole[0], whole[0] + len(whole))) and (whole[0] in (0, 1) or 1800 <= whole[0] <= 2200)


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
