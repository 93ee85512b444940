"""How a table was read: what a model keeps of it, so that new data are read in the same way and nothing is guessed.

Importing it costs neither DuckDB nor numpy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from ...errors import DataError

KINDS = ("number", "category", "text", "time")
SEPARATORS = (",", ";", "\t", "|")
THOUSANDS = (",", ".", " ", "'")
DECIMALS = (".", ",")


@dataclass(frozen=True)
class CSVFormat:
    """How a CSV file is written; None is found out from the file.

    Attributes:
        separator: The sign between cells.
        header: Whether the first line names the columns.
        decimal: The sign before the decimals of a number.
        thousands: The sign between groups of three digits; "" for none.
        missing: Words that stand for a missing value in any column. Without them, `_csv.MISSING` do in columns of
            numbers and times, and only empty cells elsewhere.
    """

    separator: str | None = None
    header: bool | None = None
    decimal: str | None = None
    thousands: str | None = None
    missing: tuple[str, ...] | None = None

    def over(self, learned: CSVFormat) -> CSVFormat:
        """What is given here, and what was learned for the rest."""
        return replace(learned, **{name: value for name, value in vars(self).items() if value is not None})


ANY_CSV = CSVFormat()


@dataclass(frozen=True)
class Spelling:
    """How the numbers of a column are written.

    Attributes:
        decimal: The sign before the decimals.
        thousands: The sign between groups of three digits, or "".
        symbol: A currency or per cent sign that stands at every one of them, or "".
    """

    decimal: str = "."
    thousands: str = ""
    symbol: str = ""

    def __str__(self) -> str:
        return f"1{self.thousands}234{self.decimal}5{self.symbol}"


PLAIN = Spelling()


@dataclass(frozen=True)
class ColumnSchema:
    """What one column holds.

    Attributes:
        kind: "number", "category", "text" or "time".
        type: DuckDB's type of it in the training data.
        written: Of times that are text or numbers, how they are written, as `_timestamps` calls it.
        spelling: Of numbers.
    """

    kind: str
    type: str
    written: str | None = None
    spelling: Spelling = PLAIN

    @property
    def shown(self) -> str:
        """In words, for messages and `info`."""
        if self.kind == "number":
            return "numbers" if self.spelling == PLAIN else f"numbers like {self.spelling}"
        if self.kind == "time":
            return "times" if self.written is None else f"times like {self.written}"
        return {"category": "categories", "text": "text"}[self.kind]


@dataclass(frozen=True)
class Schema:
    """How a table was read.

    Attributes:
        columns: Those that were read, by name, in their order; the one that orders the steps is of kind "time".
        written: How a time is written that is made of several columns, such as a date and a time of day.
        csv: Of a CSV file; all None for another source.
        time, key: Columns that were taken for these because nobody named any.
    """

    columns: Mapping[str, ColumnSchema] = field(default_factory=dict)
    written: str | None = None
    csv: CSVFormat = ANY_CSV
    time: tuple[str, ...] = ()
    key: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """For the model file."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """DataError if it says something that no table could be."""
        csv = document["csv"]
        found = cls(
            {str(name): _column(name, given) for name, given in document["columns"].items()},
            document["written"],
            CSVFormat(**{**csv, "missing": None if csv["missing"] is None else tuple(map(str, csv["missing"]))}),
            *(tuple(map(str, document.get(role, ()))) for role in ("time", "key")),
        )
        check_format(found.csv)
        return found


def _column(name: str, given: Mapping[str, Any]) -> ColumnSchema:
    column = ColumnSchema(**{**given, "spelling": Spelling(**given["spelling"])})
    spelling = column.spelling
    known = spelling.decimal in DECIMALS and spelling.thousands in ("", *THOUSANDS) and len(spelling.symbol) <= 3
    if column.kind not in KINDS or not known:
        raise DataError(f"the schema of column '{name}' is impossible: {column}")
    return column


def check_format(csv: CSVFormat) -> None:
    """Refuse what no CSV file could be. DataError."""
    if csv.separator is not None and (len(csv.separator) != 1 or csv.separator in '"\r\n'):
        raise DataError(f"a separator is one sign such as ; or a tab, not {csv.separator!r}")
    if csv.decimal is not None and csv.decimal not in DECIMALS:
        raise DataError(f"the decimal sign is . or , and not {csv.decimal!r}")
    if csv.thousands is not None and csv.thousands not in ("", *THOUSANDS):
        raise DataError(f"thousands are separated by one of {' '.join(map(repr, THOUSANDS))}, not {csv.thousands!r}")
    if csv.thousands and csv.thousands == (csv.decimal or "."):
        raise DataError(f"{csv.thousands!r} cannot stand for decimals and thousands at once")
