"""How a table was read: what a model keeps of it, so that new data are read in the same way and nothing is guessed.

Importing it costs neither DuckDB nor numpy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated

from ...errors import OptionError

SEPARATORS = (",", ";", "\t", "|")
THOUSANDS = (",", ".", " ", "'")
DECIMALS = (".", ",")


def _check_signs(decimal: str | None, thousands: str | None) -> None:
    if decimal not in (None, *DECIMALS):
        raise OptionError(f"decimal is . or , and not {decimal!r:.60}")
    if thousands not in (None, "", *THOUSANDS):
        raise OptionError(f"thousands is one of {' '.join(map(repr, THOUSANDS))}, not {thousands!r:.60}")
    if thousands and thousands == (decimal or "."):
        raise OptionError(f"{thousands!r} cannot stand for decimals and thousands at once")


@dataclass(frozen=True)
class CSVFormat:
    """How a CSV file is written; None is found out from the file.

    Attributes:
        separator: The sign between cells.
        header: Whether the first line names the columns.
        decimal: The sign before the decimals of a number.
        thousands: The sign between groups of three digits; "" for none.
        missing: Words that stand for a missing value in any column. Without them, `_sniffing.MISSING` do in columns of
            numbers and times, and only empty cells elsewhere.

    Raises:
        OptionError: No file could be written so.
    """

    separator: str | None = None
    header: bool | None = None
    decimal: str | None = None
    thousands: str | None = None
    missing: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.separator is not None and (len(self.separator) != 1 or self.separator in '"\r\n'):
            raise OptionError(f"separator is one sign such as ; or tab, not {self.separator!r:.60}")
        _check_signs(self.decimal, self.thousands)

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

    def __post_init__(self) -> None:
        _check_signs(self.decimal, self.thousands)
        if len(self.symbol) > 3:
            raise OptionError(f"symbol is at most three letters, not {self.symbol!r:.60}")

    def __str__(self) -> str:
        return f"1{self.thousands}234{self.decimal}5{self.symbol}"


PLAIN = Spelling()


def _check_kind(name: str, value: str) -> None:
    if value not in ("number", "category", "text", "time"):
        raise OptionError(f"{name} is number, category, text or time, not {value!r:.60}")


@dataclass(frozen=True)
class ColumnSchema:
    """What one column holds.

    Attributes:
        kind: See `data.sequences.Column`.
        type: DuckDB's type of it in the training data.
        written: Of times that are text or numbers, how they are written, as `_timestamps` calls it.
        spelling: Of numbers.
    """

    kind: Annotated[str, _check_kind]
    type: str
    written: str | None = None
    spelling: Spelling = PLAIN

    def __str__(self) -> str:
        """In words, for messages and `info`."""
        if self.kind == "number":
            return "numbers" if self.spelling == PLAIN else f"numbers like {self.spelling}"
        if self.kind == "time":
            return "times" if self.written is None else f"times like {self.written}"
        return "categories" if self.kind == "category" else "text"


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

    def described(self) -> dict[str, str]:
        """What `info` says of it, by column."""
        signs = {"\t": "tabs", " ": "spaces"}
        separator = self.csv.separator
        file = {} if separator is None else {"separator": signs.get(separator, separator)}
        return {name: str(column) for name, column in self.columns.items()} | file
