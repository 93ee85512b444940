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

TEXT = ("VARCHAR", "UUID", "TIME")


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
            parts[name] = f"{_sql(session, relation, name, type, learned, missing)} AS {identifier(name)}"
    return parts


def _is(type: str, learned: ColumnSchema) -> bool:
    """Whether a column of this type needs no conversion."""
    if learned.kind == "number":
        return is_number(type)
    if learned.kind == "time":
        return is_time(type)
    return type == learned.type or (type == "VARCHAR" and learned.type != "BOOLEAN")


def _sql(session: Session, relation: str, name: str, type: str, learned: ColumnSchema, missing: Sequence[str]) -> str:
    column = identifier(name)
    if learned.kind in ("category", "text"):
        if type == '"NULL"':
            return "NULL::VARCHAR"
        if type in REALS:  # pandas makes 7 a 7.0 where a value is missing
            return (
                f"(CASE WHEN {column} = floor({column}) AND abs({column}) < 1e15 THEN {column}::BIGINT::VARCHAR "
                f"WHEN NOT isnan({column}) THEN {column}::VARCHAR END)"
            )
        return f"lower({column}::VARCHAR)" if learned.type == "BOOLEAN" else f"{column}::VARCHAR"
    if type == '"NULL"':
        return "NULL::TIMESTAMP" if learned.kind == "time" else "NULL::DOUBLE"
    text = type in TEXT or type.startswith("ENUM")
    value = given_sql(f"{column}::VARCHAR", missing) if text else column
    if learned.kind == "number" and text:
        sql = number_sql(value, learned.spelling)
        _check(session, relation, name, f"{value} IS NOT NULL AND {sql} IS NULL", learned)
        whole = f"bool_and({sql} = floor({sql}) AND abs({sql}) < 9e15)"
        if learned.type in NUMBERS and session.row(f"SELECT coalesce({whole}, true) FROM {relation}")[0]:
            return f"{sql}::BIGINT"
        return sql
    if learned.kind == "number" and type == "BOOLEAN":
        return f"{column}::BIGINT"
    if learned.kind == "time" and text:
        if learned.written in UNITS:
            number = f"try_cast({value} AS {'BIGINT' if learned.type in NUMBERS else 'DOUBLE'})"
            micros = time_number_sql(learned.written, number, learned.type)
        elif learned.written is not None:
            micros = text_sql(learned.written, value)
        else:
            micros = read_time(session, relation, {name: type}, (name,)).sql
        _check(session, relation, name, f"{value} IS NOT NULL AND {micros} IS NULL", learned)
        zoned = session.row(f"SELECT coalesce(bool_or({zoned_sql(f'{column}::VARCHAR')}), false) FROM {relation}")[0]
        return f"make_timestamp({micros})" + ("::TIMESTAMPTZ" if zoned else "")
    if learned.kind == "time" and is_number(type) and learned.written in UNITS:
        micros = time_number_sql(learned.written, column, type)
        _check(session, relation, name, f"{column} IS NOT NULL AND {micros} IS NULL", learned)
        return f"make_timestamp({micros})"
    if learned.kind == "time" and is_number(type) and learned.written in FORMATS:
        return _sql_of_number_as_text(session, relation, name, learned)
    raise DataError(
        f"{session.name}: column '{name}' is {type}, but the model learned {learned} from it. Give it the same."
    )


def _sql_of_number_as_text(session: Session, relation: str, name: str, learned: ColumnSchema) -> str:
    """Digits such as 20201231 that were text in training and are a number now."""
    micros = text_sql(str(learned.written), f"{identifier(name)}::VARCHAR")
    _check(session, relation, name, f"{identifier(name)} IS NOT NULL AND {micros} IS NULL", learned)
    return f"make_timestamp({micros})"


def _check(session: Session, relation: str, name: str, wrong: str, learned: ColumnSchema) -> None:
    """Refuse a column with a value that meets the condition."""
    found = session.rows(
        f"SELECT r, x::VARCHAR FROM (SELECT row_number() OVER () AS r, {identifier(name)} AS x, {wrong} AS w "
        f"FROM {relation}) WHERE w LIMIT 1"
    )
    if found:
        row, value = found[0]
        way = "" if learned.spelling == PLAIN else ", or say how numbers are written with --decimal and --thousands"
        raise DataError(
            f"{session.name}, row {row}, column '{name}': {value!r:.60} came where the model learned {learned}. "
            f"Write it so, leave it empty if it is missing{way}."
        )
