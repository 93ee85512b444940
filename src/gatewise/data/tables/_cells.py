"""What the cells of text columns hold: numbers, times, or words.

- Cells that say that they are missing are so in columns of numbers and times; elsewhere they are words, and only empty
  cells are missing.
- A column is numbers if all its cells are, in one spelling (`_numbers`); times if all are written in one of
  `_timestamps.FORMATS`; else text. One in which a few cells (a tenth at most, or one) spoil that is refused when it is
  used, naming the first of them; and so are numbers in several spellings.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ._conversion import given_sql
from ._numbers import any_number_sql, decimal_of, grouped_sql, number_sql, plain_sql, spellings
from ._timestamps import read_text
from .schema import PLAIN, ColumnSchema, CSVFormat, Spelling
from .session import Session, identifier

SAMPLE = 1000  # values that decide which spellings of numbers are tried on the whole column


@dataclass(frozen=True)
class Cells:
    """What was found, by column; a column of words is in none but perhaps `spoiled`.

    Attributes:
        sql: Expressions of numbers and times, with the column's name.
        columns: What they hold.
        spoiled: What is wrong with columns that a few cells spoil.
        empty: Columns without a filled cell.
    """

    sql: dict[str, str]
    columns: dict[str, ColumnSchema]
    spoiled: dict[str, str]
    empty: list[str]


class _Look(NamedTuple):
    """Numbers of cells: filled; of them not said to be missing; plain numbers; whole ones; those that start with a zero
    or plus sign, which a number would lose; with dots between groups of three digits; and with any dot."""

    filled: int
    given: int
    numbers: int
    whole: int
    padded: int
    grouped: int
    dotted: int


def infer(
    session: Session,
    relation: str,
    names: Sequence[str],
    csv: CSVFormat,
    labels: Collection[str],
    missing: Sequence[str],
) -> Cells:
    """Look at columns of text.

    Args:
        csv: How the file is written, as far as that is known.
        labels: Columns whose values are names: where numbers would not be written as they are, they stay text.
        missing: What stands for a missing number or time.
    """
    looks = _looks(session, relation, names, missing)
    forms = {
        name: _spellings(session, relation, given_sql(identifier(name), missing), csv)
        for name, look in looks.items()
        if look.numbers < look.given
    }
    proven = csv.decimal or decimal_of(forms.values())
    decimal = proven or {";": ",", ",": "."}.get(str(csv.separator))
    cells = Cells({}, {}, {}, [name for name, look in looks.items() if not look.filled])
    for name, look in looks.items():
        if name in labels and (not look.given or (look.padded and look.whole == look.given)):
            continue  # names such as None, NA or 007
        column = _Column(session, relation, name, given_sql(identifier(name), missing), look)
        try:
            dots = proven == "," or (decimal == "," and look.dotted < look.given)
            found = column.infer(forms.get(name, []), decimal, dots)
        except _SpoiledError as error:
            cells.spoiled[name] = str(error)
            continue
        if found is not None:
            sql, cells.columns[name] = found
            cells.sql[name] = f"{sql} AS {identifier(name)}"
    return cells


def _looks(session: Session, relation: str, names: Sequence[str], missing: Sequence[str]) -> dict[str, _Look]:
    parts = []
    for name in names:
        column, value = identifier(name), given_sql(identifier(name), missing)
        conditions = (
            f"{plain_sql(value)} = try_cast({value} AS BIGINT) AND NOT contains({column}, '.')",
            f"regexp_matches({value}, '^\\s*(\\+|[-+]?0\\d)')",
            grouped_sql(value),
            f"contains({value}, '.')",
        )
        parts += [f"count({column})", f"count({value})", f"count({plain_sql(value)})"]
        parts += [f"count(*) FILTER (WHERE {condition})" for condition in conditions]
    counts = session.row(f"SELECT {', '.join(parts)} FROM {relation}") if parts else ()
    width = len(_Look._fields)
    return {name: _Look(*counts[width * at : width * (at + 1)]) for at, name in enumerate(names)}


def _spellings(session: Session, relation: str, value: str, csv: CSVFormat) -> list[Spelling]:
    """How values that are not plain numbers may be spelled, as far as the user leaves it open."""
    first = session.rows(
        f"SELECT {value} FROM {relation} WHERE {value} IS NOT NULL AND {plain_sql(value)} IS NULL LIMIT {SAMPLE}"
    )
    return [
        form
        for form in spellings([row[0] for row in first])
        if csv.decimal in (None, form.decimal) and (csv.thousands in (None, form.thousands) or not form.thousands)
    ]


class _SpoiledError(Exception):
    """A few cells are not what the others are."""


class _Column:
    """One column of text.

    Args:
        value: SQL of its cells, NULL where they are missing.
    """

    def __init__(self, session: Session, relation: str, name: str, value: str, look: _Look):
        self.session, self.relation, self.name, self.value, self.look = session, relation, name, value, look

    def infer(self, forms: Sequence[Spelling], decimal: str | None, dots: bool) -> tuple[str, ColumnSchema] | None:
        """SQL of numbers or times, and what they are; None for words.

        Args:
            forms: Spellings of numbers that are not plain.
            decimal: The decimal sign of the file, if it is known.
            dots: Whether a dot may stand between thousands.
        """
        look = self.look
        if look.numbers == look.given:
            if dots and look.grouped and look.grouped == look.dotted:
                return self._numbers(Spelling(",", "."))
            if look.whole == look.given and look.given:
                return f"{self.value}::BIGINT", ColumnSchema("number", "BIGINT")
            return plain_sql(self.value), ColumnSchema("number", "DOUBLE")
        signs = {form.decimal for form in forms}
        signed = f"regexp_matches({self.value}, '[.,]')"
        if len(signs) > 1 and decimal is None and self._count(f"CASE WHEN {signed} THEN 1 END"):
            row, value = self._first(signed)
            raise _SpoiledError(
                f"{self._at(row)}: {value!r} is a number with decimals or with thousands. Say which: --decimal , or "
                f"--decimal ."
            )
        # A column that can be read in but one way is, whatever the others are.
        form = next((form for form in forms if len(signs) == 1 or form.decimal == (decimal or form.decimal)), None)
        numbers = look.numbers if form is None else self._count(number_sql(self.value, form))
        if numbers == look.given and form is not None:
            return self._numbers(form)
        self._refuse_odd_number(numbers, PLAIN if form is None else form)
        return None if look.numbers else self._times()

    def _numbers(self, spelling: Spelling) -> tuple[str, ColumnSchema]:
        return number_sql(self.value, spelling), ColumnSchema("number", "DOUBLE", spelling=spelling)

    def _refuse_odd_number(self, numbers: int, spelling: Spelling) -> None:
        given, wrong = self.look.given, f"{number_sql(self.value, spelling)} IS NULL"
        if _spoiled(given, numbers):
            row, value = self._first(wrong)
            raise _SpoiledError(
                f"{self._at(row)}: {value!r} is not a number, though {numbers} of the {given} values are. Fix it, "
                f"write NA if it is missing, or take the column as text: "
                f'--query "SELECT * REPLACE ({self.name}::VARCHAR AS {self.name}) FROM data"'
            )
        if _spoiled(given, self._count(f"CASE WHEN {any_number_sql(self.value)} THEN 1 END")):
            row, value = self._first(wrong)
            raise _SpoiledError(
                f"{self._at(row)}: {value!r} is a number, but not written as the others are. Write all in one way, or "
                f"say how with --decimal and --thousands."
            )

    def _times(self) -> tuple[str, ColumnSchema] | None:
        found = read_text(self.session, self.relation, self.value, self.name)
        if found is None:
            return None
        reading, given, good = found
        if good == given:
            sql = f"make_timestamp({reading.sql}){'::TIMESTAMPTZ' if reading.zone else ''}"
            return sql, ColumnSchema("time", "TIMESTAMP", written=reading.example)
        if _spoiled(given, good):
            row, value = self._first(f"{reading.sql} IS NULL")
            raise _SpoiledError(
                f"{self._at(row)}: {value!r} is not a time like {reading.example}, though {good} of the {given} values "
                f"are. Fix it, or write NA if it is missing."
            )
        return None

    def _count(self, sql: str) -> int:
        return self.session.row(f"SELECT count({sql}) FROM {self.relation}")[0]

    def _first(self, condition: str) -> tuple[int, str]:
        """Row and value of the first given cell that meets a condition."""
        rows = f"(SELECT row_number() OVER () AS r, {identifier(self.name)} FROM {self.relation})"
        return self.session.row(
            f"SELECT r, {self.value} FROM {rows} WHERE {self.value} IS NOT NULL AND {condition} LIMIT 1"
        )

    def _at(self, row: int) -> str:
        return f"{self.session.name}, row {row}, column '{self.name}'"


def _spoiled(given: int, good: int) -> bool:
    """Whether so few values are bad that they are mistakes."""
    return good >= 2 and given - good <= max(1, given // 10)
