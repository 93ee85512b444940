"""Times as tables write them, as SQL that gives microseconds since 1970 in UTC.

What is read as a time:

- dates and timestamps of any type, with or without a zone;
- text in one of `FORMATS`, the same for the whole column; where no value tells whether day or month comes first, it is
  refused;
- whole numbers: years if all lie in 1600 to 2200; 20200131 and 202001 if all are such days or months; else what has
  passed since 1970 in seconds, and above 1e11, 1e14 and 1e17 in milli-, micro- and nanoseconds;
- several columns: year, month, day, hour, minute, second in this order, as many as there are; or a date and a time of
  day.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import DataError
from .session import Session, identifier, literal

SAMPLE = 1000  # values that decide which formats are tried on the whole column


def _any(*formats: str) -> str:
    listed = ", ".join(literal(format) for format in formats)
    return f"try_strptime({{x}}, [{listed}])"


def _times(*dates: str) -> str:
    """These dates, alone or with a time of day behind them."""
    return _any(
        *(date + time for date in dates for time in ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %H"))
    )


MONTH_FIRST, DAY_FIRST = "12/31/2020", "31/12/2020"
# How a time may be written, as an example, and what reads it: text {x} to a timestamp, or NULL.
FORMATS = {
    "2020-12-31 23:59:59": "try_cast({x} AS TIMESTAMPTZ)",
    "2020-12": "CASE WHEN length({x}) >= 6 THEN " + _any("%Y-%m", "%Y/%m") + " END",
    "2020-12-31 23": _any("%Y-%m-%d %H", "%Y-%m-%dT%H"),
    "2020-12-31T23:59:59+0100": _any("%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S%z", "%Y-%m-%d %H:%M:%S %z"),
    DAY_FIRST: _times("%d/%m/%y", "%d/%m/%Y"),
    MONTH_FIRST: _times("%m/%d/%y", "%m/%d/%Y"),
    "31.12.2020": _times("%d.%m.%y", "%d.%m.%Y"),
    "31-12-2020": _times("%d-%m-%Y"),
    "31 Dec 2020": _times("%d %b %Y", "%d-%b-%Y", "%d %B %Y", "%d-%b-%y"),
    "Dec 31, 2020": _times("%b %d, %Y", "%B %d, %Y"),
    "Dec 2020": _any("%b %Y", "%B %Y", "%b-%Y", "%b-%y"),
    "20201231": "CASE WHEN length({x}) = 8 THEN " + _any("%Y%m%d") + " END",
    "20201231T235959": _any("%Y%m%dT%H%M%S", "%Y%m%d%H%M%S", "%Y%m%d %H%M%S", "%Y%m%dT%H%M%SZ"),
    "2020Q4": "CASE WHEN regexp_full_match({x}, '\\d{{4}}[- ]?Q[1-4]') "
    "THEN make_timestamp(left({x}, 4)::BIGINT, right({x}, 1)::BIGINT * 3 - 2, 1, 0, 0, 0.0) END",
}
# Read so only where the user says that it is a time: it may as well be a range.
DECLARED = {"1-12": _any("%Y-%m"), "2020": "CASE WHEN length({x}) = 4 THEN " + _any("%Y") + " END"}

_HAS_ZONE = r":\d\d(\.\d+)?\s*(Z|[+-]\d\d(:?\d\d)?|[A-Z][A-Za-z_]+(/[A-Za-z_]+)*)$"
NUMBERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}
REALS = {"FLOAT", "DOUBLE"}
PARTS = ("year", "month", "day", "hour", "minute", "second")


@dataclass(frozen=True)
class Reading:
    """How a column is read as times.

    Attributes:
        sql: Expression in microseconds since 1970, NULL where a value is missing or is not a time.
        given: Expression that says whether there is a value.
        zone: "UTC" if the values say where they are, else None.
        example: How they are written.
        shown: Expression for the value as a message quotes it.
    """

    sql: str
    given: str
    zone: str | None
    example: str
    shown: str


def is_time(type: str) -> bool:
    return type == "DATE" or type.startswith("TIMESTAMP")


def read_text(
    session: Session, relation: str, text: str, name: str, *, declared: bool = False
) -> tuple[Reading, int, int] | None:
    """How a column of text is written as times, with how many values there are and how many of them are times.

    Args:
        text: SQL expression of the values.
        name: What messages call the column.
        declared: The user says it is a time: rarer forms are tried too, and an undecided day/month order is refused.

    Returns:
        None if at most half of the first values are times; if `declared`, if none is.

    Raises:
        DataError: `declared`, and no value tells day and month apart.
    """
    formats = FORMATS | DECLARED if declared else FORMATS
    counts = ", ".join(f"count({sql.format(x='x')})" for sql in formats.values())
    first = f"(SELECT {text} AS x FROM {relation} WHERE {text} IS NOT NULL LIMIT {SAMPLE})"
    total, *parsed = session.row(f"SELECT count(*), {counts} FROM {first}")
    enough = 1 if declared else total // 2 + 1
    candidates = [example for example, count in zip(formats, parsed, strict=True) if count >= enough]
    if not candidates:
        return None
    counts = ", ".join(f"count({formats[example].format(x=text)})" for example in candidates)
    total, zoned, *parsed = session.row(
        f"SELECT count({text}), count(*) FILTER (WHERE regexp_matches({text}, {literal(_HAS_ZONE)})), {counts} "
        f"FROM {relation}"
    )
    best = max(parsed)
    ties = [example for example, count in zip(candidates, parsed, strict=True) if count == best]
    if DAY_FIRST in ties and MONTH_FIRST in ties:
        if not declared:
            return None
        raise DataError(
            f"{session.name}, column '{name}': no value tells whether the day or the month comes first. "
            f"Say so: --query \"SELECT * REPLACE (strptime({name}, '%d/%m/%Y') AS {name}) FROM data\""
        )
    if 0 < zoned < total and declared:
        row, value = session.row(
            f"SELECT r, x FROM (SELECT row_number() OVER () AS r, {text} AS x FROM {relation}) "
            f"WHERE x IS NOT NULL AND regexp_matches(x, {literal(_HAS_ZONE)}) IS DISTINCT FROM "
            f"(SELECT regexp_matches({text}, {literal(_HAS_ZONE)}) FROM {relation} WHERE {text} IS NOT NULL LIMIT 1) "
            f"LIMIT 1"
        )
        raise DataError(
            f"{session.name}, row {row}, column '{name}': '{value}' is the first of its kind: "
            f"some times name their zone and others do not. Write all of them in one way."
        )
    sql = f"epoch_us({formats[ties[0]].format(x=text)})"
    return Reading(sql, f"({text} IS NOT NULL)", "UTC" if zoned else None, ties[0], text), total, best


def read_time(session: Session, relation: str, types: dict[str, str], names: tuple[str, ...]) -> Reading:
    """How these columns are read as one time.

    Raises:
        DataError: they are not times.
    """
    if len(names) > 1:
        return _parts(session, relation, types, names)
    name = names[0]
    type, column = types[name], identifier(name)
    if is_time(type):
        zone = "UTC" if "TIME ZONE" in type else None
        return Reading(f"epoch_us({column}::TIMESTAMPTZ)", f"({column} IS NOT NULL)", zone, type, f"{column}::VARCHAR")
    if type in NUMBERS or type in REALS or type.startswith("DECIMAL"):
        sql, example = _number(session, relation, column, type in NUMBERS)
        return Reading(sql, f"({column} IS NOT NULL)", None, example, f"{column}::VARCHAR")
    if type not in ("VARCHAR", '"NULL"') and not type.startswith("ENUM"):
        raise DataError(f"{session.name}: column '{name}' is {type}, which is not a time. Name another column.")
    found = read_text(session, relation, f"{column}::VARCHAR", name, declared=True)
    if found is None:
        value = session.rows(f"SELECT {column} FROM {relation} WHERE {column} IS NOT NULL LIMIT 1")
        what = f"holds '{value[0][0]}', which is" if value else "is empty: that is"
        raise DataError(
            f"{session.name}: column '{name}' {what} not a time in any form that is read here. "
            f"Write times like {', '.join(list(FORMATS)[:3])}, or say how with --query and strptime."
        )
    return found[0]


def _number(session: Session, relation: str, column: str, whole_type: bool) -> tuple[str, str]:
    """Numbers as times: SQL, and what they were taken for."""
    whole = f"(isfinite({column}::DOUBLE) AND {column} = floor({column}))"
    least, most, days, months = session.row(
        f"SELECT min({column})::DOUBLE, max({column})::DOUBLE, "
        f"bool_and({whole} AND {column} BETWEEN 16000101 AND 22001231 "
        f"AND try_strptime({column}::BIGINT::VARCHAR, '%Y%m%d') IS NOT NULL), "
        f"bool_and({whole} AND {column} BETWEEN 160001 AND 220012 AND {column} % 100 BETWEEN 1 AND 12) FROM {relation}"
    )
    if least is None:
        return "NULL::BIGINT", "nothing"
    if least >= 1600 and most <= 2200:
        return f"epoch_us(make_timestamp({column}::BIGINT, 1, 1, 0, 0, 0.0))", "2020"
    if days:
        return f"epoch_us(strptime({column}::BIGINT::VARCHAR, '%Y%m%d'))", "20201231"
    if months:
        return f"epoch_us(strptime({column}::BIGINT::VARCHAR, '%Y%m'))", "202012"
    size = max(abs(least), abs(most))
    for bound, factor, unit in ((1e11, 1_000_000, ""), (1e14, 1000, "milli"), (1e17, 1, "micro")):
        if size < bound:
            exact = f"{column}::BIGINT * {factor}" if whole_type else f"round({column}::DOUBLE * {factor})::BIGINT"
            return exact, f"{unit}seconds since 1970"
    return f"{column}::BIGINT // 1000", "nanoseconds since 1970"


def _parts(session: Session, relation: str, types: dict[str, str], names: tuple[str, ...]) -> Reading:
    columns = [identifier(name) for name in names]
    given = "(" + " AND ".join(f"{column} IS NOT NULL" for column in columns) + ")"
    shown = " || ' ' || ".join(f"coalesce({column}::VARCHAR, '')" for column in columns)
    if all(types[name] in NUMBERS or types[name] in REALS for name in names):
        if not 2 <= len(names) <= len(PARTS):
            raise DataError(f"{session.name}: a time has the parts {', '.join(PARTS)}, not {len(names)} columns.")
        # The first day plus the rest, in steps that cannot fail: what is out of range is NULL, which is refused by row.
        first = f"try_cast(format('{{:04d}}-{{:02d}}-{{:02d}}', {', '.join(_whole(columns, 3))}) AS DATE)"
        sizes = (3_600_000_000, 60_000_000, 1_000_000)
        rest = "".join(
            f" + round({column}::DOUBLE * {size})::BIGINT" for column, size in zip(columns[3:], sizes, strict=False)
        )
        bounds = "".join(
            f" AND {column} BETWEEN 0 AND {most}" for column, most in zip(columns[3:], (24, 59, 60), strict=False)
        )
        return Reading(
            f"CASE WHEN true{bounds} THEN epoch_us({first}){rest} END",
            given,
            None,
            " ".join(PARTS[: len(names)]),
            shown,
        )
    found = read_text(session, relation, f"nullif(trim({shown}), '')", ", ".join(names), declared=True)
    if found is None:
        raise DataError(f"{session.name}: columns {', '.join(names)} are not times when put together.")
    return Reading(found[0].sql, given, found[0].zone, found[0].example, shown)


def _whole(columns: list[str], count: int) -> list[str]:
    return [f"{column}::BIGINT" for column in columns[:count]] + ["1"] * (count - len(columns))
