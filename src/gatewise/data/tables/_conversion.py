"""Columns as a model learned them: whatever type they have in new data, values are read as in training.

Nothing is guessed. What cannot be read so is refused, naming the row, what was learned and what came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...errors import DataError
from ._numbers import number_sql
from ._timestamps import DECLARED, FORMATS, NUMBERS, REALS, UNITS, is_number, is_time, read_time, text_sql, zoned_sql
from ._timestamps import number_sql as time_number_sql
from .schema import ANY_CSV, PLAIN, ColumnSchema, CSVFormat, Schema, Spelling
from .session import Session, identifier, literal


def given_sql(column: str, missing: Sequence[str]) -> str:
    """A text, or NULL where it says that it is missing."""
    listed = ", ".join(map(literal, missing))
    return f"(CASE WHEN trim({column}) NOT IN ({listed}) THEN {column} END)" if missing else column


def convert(
    session: Session,
    relation: str,
    types: Mapping[str, str],
    schema: Schema,
    missing: Sequence[str],
    asked: CSVFormat = ANY_CSV,
) -> dict[str, str]:
    """What to select, by column: those in the schema as it says, the others as they are.

    Args:
        types: DuckDB's types of the relation's columns.
        missing: What stands for a missing number or time in text.
        asked: How the user says that numbers are written now, if not as in the schema.

    Raises:
        DataError: A value cannot be read as what was learned.
    """
    for written in (schema.written, *(column.written for column in schema.columns.values())):
        if written is not None and written not in FORMATS | DECLARED | UNITS:
            raise DataError(f"the model read times like {written!r:.60}, which no table here has. Train it again.")
    parts = {}
    respelled = (asked.decimal, asked.thousands) != (schema.csv.decimal, schema.csv.thousands)
    for name, type in types.items():
        learned, parts[name] = schema.columns.get(name), identifier(name)
        if learned is not None and respelled and (asked.decimal or asked.thousands):
            spelling = Spelling(asked.decimal or ".", asked.thousands or "", learned.spelling.symbol)
            learned = replace(learned, spelling=spelling)
        if learned is not None and not _is(type, learned):
            own = _Conversion(session, relation, name, type, learned, missing)
            parts[name] = f"{own.sql()} AS {identifier(name)}"
    return parts


def _is(type: str, learned: ColumnSchema) -> bool:
    """Whether a column of this type needs no conversion."""
    if learned.kind == "number":
        return is_number(type)
    if learned.kind == "time":
        return is_time(type)
    return type == learned.type or (type == "VARCHAR" and learned.type != "BOOLEAN")


class _Conversion:
    """One column whose type is not the one that was learned."""

    def __init__(
        self, session: Session, relation: str, name: str, type: str, learned: ColumnSchema, missing: Sequence[str]
    ):
        self.session, self.relation, self.name, self.type, self.learned = session, relation, name, type, learned
        self.column = identifier(name)
        self.text = type in ("VARCHAR", "UUID", "TIME") or type.startswith("ENUM")
        self.value = given_sql(f"{self.column}::VARCHAR", missing) if self.text else self.column

    def sql(self) -> str:
        """The column as it was learned. DataError if that is impossible."""
        if self.type == '"NULL"':
            return {"number": "NULL::DOUBLE", "time": "NULL::TIMESTAMP"}.get(self.learned.kind, "NULL::VARCHAR")
        if self.learned.kind == "number":
            return self._number()
        return self._time() if self.learned.kind == "time" else self._words()

    def _words(self) -> str:
        if self.type in REALS:  # pandas makes 7 a 7.0 where a value is missing
            whole = f"{self.column} = floor({self.column}) AND abs({self.column}) < 1e15"
            given = f"WHEN NOT isnan({self.column}) THEN {self.column}::VARCHAR"
            return f"(CASE WHEN {whole} THEN {self.column}::BIGINT::VARCHAR {given} END)"
        text = f"{self.column}::VARCHAR"
        return f"lower({text})" if self.learned.type == "BOOLEAN" else text

    def _number(self) -> str:
        if self.type == "BOOLEAN":
            return f"{self.column}::BIGINT"
        if not self.text:
            raise self._other_type()
        sql = number_sql(self.value, self.learned.spelling)
        self._check(sql)
        whole = f"coalesce(bool_and({sql} = floor({sql}) AND abs({sql}) < 9e15), true)"
        if self.learned.type in NUMBERS and self.session.row(f"SELECT {whole} FROM {self.relation}")[0]:
            return f"{sql}::BIGINT"
        return sql

    def _time(self) -> str:
        written, zoned = self.learned.written, False
        if self.text and written is None:
            reading = read_time(self.session, self.relation, {self.name: self.type}, (self.name,))
            micros, zoned = reading.sql, reading.zone is not None
        elif self.text and written in UNITS:
            number = f"try_cast({self.value} AS {'BIGINT' if self.learned.type in NUMBERS else 'DOUBLE'})"
            micros = time_number_sql(written, number, self.learned.type)
        elif self.text:
            micros = text_sql(str(written), self.value)
            any_zone = f"coalesce(bool_or({zoned_sql(self.value)}), false)"
            zoned = self.session.row(f"SELECT {any_zone} FROM {self.relation}")[0]
        elif is_number(self.type) and written in UNITS:
            micros = time_number_sql(written, self.column, self.type)
        elif is_number(self.type) and written is not None:  # digits such as 20201231, which were text in training
            micros = text_sql(written, f"{self.column}::VARCHAR")
        else:
            raise self._other_type()
        self._check(micros)
        return f"make_timestamp({micros})" + ("::TIMESTAMPTZ" if zoned else "")

    def _check(self, sql: str) -> None:
        """Refuse a column with a value that cannot be read so."""
        found = self.session.rows(
            f"SELECT r, x::VARCHAR FROM (SELECT row_number() OVER () AS r, {self.column} AS x, "
            f"{self.value} IS NOT NULL AND {sql} IS NULL AS w FROM {self.relation}) WHERE w LIMIT 1"
        )
        if found:
            row, value = found[0]
            plain = self.learned.spelling == PLAIN
            way = "" if plain else ", or say how numbers are written with --decimal and --thousands"
            raise DataError(
                f"{self.session.name}, row {row}, column '{self.name}': {value!r:.60} came where the model learned "
                f"{self.learned}. Write it so, leave it empty if it is missing{way}."
            )

    def _other_type(self) -> DataError:
        return DataError(
            f"{self.session.name}: column '{self.name}' is {self.type}, but the model learned {self.learned} from it. "
            "Give it the same."
        )
