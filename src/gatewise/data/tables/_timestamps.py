"""Times as tables write them, as SQL that gives microseconds since 1970 in UTC.

What is read as a time:

- dates and timestamps of any type, with or without a zone;
- text in one of `FORMATS`, the same for the whole column; where no value tells whether day, month or year comes first,
  it is refused. Years of two digits are 1969 to 2068; spaces around, a comma before fractions of a second (as Python's
  logging writes them) and an hour 24 are read over;
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


_CLOCKS = (
    *("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M:%S.%f %p", "%I:%M%p", "%I %p", "%H"),
    *("%H.%M", "%H.%M.%S"),
)


def _times(*dates: str) -> str:
    """These dates, alone or with a time of day behind them. Years of two digits go before those of four, for which
    DuckDB would take them, too."""
    clocks = (between + clock for between in (" ", ", ", "T") for clock in _CLOCKS)
    return _any(*(date + clock for clock in ("", *clocks) for date in dates))


MONTH_FIRST, DAY_FIRST, YEAR_FIRST = "12/31/2020", "31/12/2020", "20/12/31"
# How a time may be written, as an example, and what reads it: text {x} to a timestamp, or NULL.
FORMATS = {
    # DuckDB would take 99-12-31 for the year 99.
    "2020-12-31 23:59:59": "CASE WHEN {x} LIKE '____-%' OR {x} LIKE '____/%' THEN try_cast({x} AS TIMESTAMPTZ) END",
    "2020-12": "CASE WHEN length({x}) >= 6 THEN " + _any("%Y-%m", "%Y/%m") + " END",
    "2020-12-31 23": _any("%Y-%m-%d %H", "%Y-%m-%dT%H"),
    "2020-12-31 11:59 PM": _any(*(f"%Y-%m-%d{between}{clock}" for between in (" ", ", ") for clock in _CLOCKS[3:8])),
    "2020-12-31T23:59:59+0100": _any("%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S%z", "%Y-%m-%d %H:%M:%S %z"),
    DAY_FIRST: _times("%d/%m/%y", "%d/%m/%Y"),
    MONTH_FIRST: _times("%m/%d/%y", "%m/%d/%Y"),
    "31.12.2020": _times("%d.%m.%y", "%d.%m.%Y"),
    "31-12-2020": _times("%d-%m-%y", "%d-%m-%Y"),
    "12-31-2020": _times("%m-%d-%y", "%m-%d-%Y"),
    YEAR_FIRST: _times("%y/%m/%d"),
    "20-12-31": _times("%y-%m-%d"),
    "2020.12.31": _times("%Y.%m.%d"),
    "31 Dec 2020": _times("%d %b %y", "%d %b %Y", "%d-%b-%y", "%d-%b-%Y", "%d %B %y", "%d %B %Y"),
    "Dec 31, 2020": _times("%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y"),
    "Dec 2020": _any("%b %y", "%b %Y", "%B %y", "%B %Y", "%b-%y", "%b-%Y"),
    "20201231": "CASE WHEN length({x}) = 8 THEN " + _any("%Y%m%d") + " END",
    "20201231T235959": _any(
        *("%Y%m%dT%H%M%S", "%Y%m%d%H%M%S", "%Y%m%d %H%M%S", "%Y%m%dT%H%M%SZ", "%Y%m%d %H:%M", "%Y%m%d %H:%M:%S")
    ),
    "31Dec2020": _times("%d%b%y", "%d%b%Y"),
    "Thu Dec 31 23:59:59 2020": _any("%a %b %d %H:%M:%S %Y"),
    "Thu, 31 Dec 2020 23:59:59 +0100": _any(
        "%a, %d %b %Y %H:%M:%S %z", "%a, %d %b %Y %H:%M:%S %Z", "%a %b %d %H:%M:%S %z %Y"
    ),
    "2020-W53-5": _any("%G-W%V-%u"),
    "2020-W53": "CASE WHEN regexp_full_match({x}, '\\d{{4}}-?W\\d\\d') "
    "THEN try_strptime(replace({x}, '-', '') || '1', '%GW%V%u') END",
    "2020Q4": "CASE WHEN regexp_full_match({x}, '\\d{{4}}[- ]?Q[1-4]') "
    "THEN make_timestamp(left({x}, 4)::BIGINT, right({x}, 1)::BIGINT * 3 - 2, 1, 0, 0, 0.0) END",
}
# Read so only where the user says that it is a time: it may as well be a range.
DECLARED = {"1-12": _any("%Y-%m"), "2020": "CASE WHEN length({x}) = 4 THEN " + _any("%Y") + " END"}
# What numbers may be, and microseconds since 1970 of a number {x}.
UNITS = {
    "2020": "epoch_us(make_timestamp({x}::BIGINT, 1, 1, 0, 0, 0.0))",
    "20201231": "epoch_us(try_strptime({x}::BIGINT::VARCHAR, '%Y%m%d'))",
    "202012": "epoch_us(try_strptime({x}::BIGINT::VARCHAR, '%Y%m'))",
    "seconds since 1970": "round({x} * 1000000)::BIGINT",
    "milliseconds since 1970": "round({x} * 1000)::BIGINT",
    "microseconds since 1970": "round({x})::BIGINT",
    "nanoseconds since 1970": "{x}::BIGINT // 1000",
}

# What any of them has: a digit, and not much text.
_MAY_BE_TIME = "length({x}) BETWEEN 5 AND 60 AND regexp_matches({x}, '\\d')"
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


def is_number(type: str) -> bool:
    return type in NUMBERS or type in REALS or type.startswith("DECIMAL") or type == "UHUGEINT"


def text_sql(written: str, x: str) -> str:
    """Microseconds since 1970 of a text that is written so, or NULL."""
    reads, tidy, midnight = (FORMATS | DECLARED)[written], _tidy_sql(x), _midnight_sql(x)
    late = f"CASE WHEN {midnight} <> {tidy} THEN {reads.format(x=midnight)} + INTERVAL 1 DAY END"
    # What stands behind the first is computed only for texts that it cannot read.
    return f"epoch_us(coalesce({reads.format(x=x)}, {reads.format(x=tidy)}, {late}))"


def _tidy_sql(x: str) -> str:
    """Without spaces around, and with a dot before fractions of a second."""
    return f"regexp_replace(trim({x}), '(:\\d\\d),(\\d+)$', '\\1.\\2')"


def _midnight_sql(x: str) -> str:
    """The same with hour 0 in place of 24."""
    return f"regexp_replace({_tidy_sql(x)}, '([ T])24:00(:00(\\.0+)?)?$', '\\1' || '00:00')"


def number_sql(written: str, x: str, type: str) -> str:
    """Microseconds since 1970 of a number that means a time so, or NULL."""
    return UNITS[written].format(x=f"{x}::{'BIGINT' if type in NUMBERS else 'DOUBLE'}")


def zoned_sql(x: str) -> str:
    """Whether a text names its zone or offset."""
    return f"regexp_matches(trim({x}), {literal(_HAS_ZONE)})"


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
    first = f"(SELECT {_midnight_sql(text)} AS x FROM {relation} WHERE {text} IS NOT NULL LIMIT {SAMPLE})"
    total, possible = session.row(f"SELECT count(*), count(*) FILTER (WHERE {_MAY_BE_TIME.format(x='x')}) FROM {first}")
    if not declared and 2 * possible <= total:  # so that words cost little
        return None
    counts = ", ".join(f"count({reads.format(x='x')})" for reads in formats.values())
    parsed = [*session.row(f"SELECT {counts} FROM {first}")]
    enough = 1 if declared else total // 2 + 1
    candidates = [written for written, count in zip(formats, parsed, strict=True) if count >= enough]
    if not candidates:
        return None
    counts = ", ".join(f"count({text_sql(written, text)})" for written in candidates)
    total, zoned, *parsed = session.row(
        f"SELECT count({text}), count(*) FILTER (WHERE {zoned_sql(text)}), {counts} FROM {relation}"
    )
    best = max(parsed)
    ties = [written for written, count in zip(candidates, parsed, strict=True) if count == best]
    if ties[0] in (DAY_FIRST, MONTH_FIRST):  # with slashes, few put a year of two digits first
        ties = [written for written in ties if written != YEAR_FIRST]
    if other := _another_reading(session, relation, text, ties):
        if not declared:
            return None
        raise DataError(
            f"{session.name}, column '{name}': no value tells {_orders(ties[0], other)}. "
            f"Say so: --query \"SELECT * REPLACE (strptime({name}, '%d/%m/%Y') AS {name}) FROM data\""
        )
    if 0 < zoned < total and declared:
        row, value = session.row(
            f"SELECT r, x FROM (SELECT row_number() OVER () AS r, {text} AS x FROM {relation}) "
            f"WHERE x IS NOT NULL AND {zoned_sql('x')} IS DISTINCT FROM "
            f"(SELECT {zoned_sql(text)} FROM {relation} WHERE {text} IS NOT NULL LIMIT 1) LIMIT 1"
        )
        raise DataError(
            f"{session.name}, row {row}, column '{name}': '{value}' is the first of its kind: "
            f"some times name their zone and others do not. Write all of them in one way."
        )
    sql = text_sql(ties[0], text)
    return Reading(sql, f"({text} IS NOT NULL)", "UTC" if zoned else None, ties[0], text), total, best


def _another_reading(session: Session, relation: str, text: str, ties: list[str]) -> str | None:
    """Of several ways to read all values, one that reads some of them as other times than the first does."""
    for other in ties[1:]:
        differ = f"{text_sql(ties[0], text)} IS DISTINCT FROM {text_sql(other, text)}"
        if session.row(f"SELECT coalesce(bool_or({differ}), false) FROM {relation} WHERE {text} IS NOT NULL")[0]:
            return other
    return None


def _orders(first: str, other: str) -> str:
    if {first, other} == {DAY_FIRST, MONTH_FIRST}:
        return "whether the day or the month comes first"
    return f"whether it is written like {first} or like {other}"


def read_time(
    session: Session, relation: str, types: dict[str, str], names: tuple[str, ...], written: str | None = None
) -> Reading:
    """How these columns are read as one time.

    Args:
        written: How a model that is to read them learned that a time of several columns is written.

    Raises:
        DataError: they are not times.
    """
    if len(names) > 1:
        return _parts(session, relation, types, names, written)
    name = names[0]
    type, column = types[name], identifier(name)
    if is_time(type):
        zone = "UTC" if "TIME ZONE" in type else None
        return Reading(f"epoch_us({column}::TIMESTAMPTZ)", f"({column} IS NOT NULL)", zone, type, f"{column}::VARCHAR")
    if type == '"NULL"':
        raise DataError(f"{session.name}: column '{name}' is empty: that is not a time. Name another column.")
    if is_number(type):
        unit = _unit(session, relation, column)
        shown = f"{column}::VARCHAR"
        return Reading(number_sql(unit, column, type), f"({column} IS NOT NULL)", None, unit, shown)
    if type != "VARCHAR" and not type.startswith("ENUM"):
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


def _unit(session: Session, relation: str, column: str) -> str:
    """What numbers were taken for: one of `UNITS`."""
    whole = f"(isfinite({column}::DOUBLE) AND {column} = floor({column}))"
    least, most, days, months = session.row(
        f"SELECT min({column})::DOUBLE, max({column})::DOUBLE, "
        f"bool_and({whole} AND {column} BETWEEN 16000101 AND 22001231 "
        f"AND try_strptime({column}::BIGINT::VARCHAR, '%Y%m%d') IS NOT NULL), "
        f"bool_and({whole} AND {column} BETWEEN 160001 AND 220012 AND {column} % 100 BETWEEN 1 AND 12) FROM {relation}"
    )
    if least is not None and least >= 1600 and most <= 2200:
        return "2020"
    if days:
        return "20201231"
    if months:
        return "202012"
    size = max(abs(least or 0), abs(most or 0))
    bounds = ((1e11, ""), (1e14, "milli"), (1e17, "micro"))
    return next((unit for bound, unit in bounds if size < bound), "nano") + "seconds since 1970"


def _parts(
    session: Session, relation: str, types: dict[str, str], names: tuple[str, ...], written: str | None
) -> Reading:
    columns = [identifier(name) for name in names]
    given = "(" + " AND ".join(f"{column} IS NOT NULL" for column in columns) + ")"
    texts = [
        f"strftime({column}, '%Y-%m-%d')" if is_time(types[name]) else f"{column}::VARCHAR"
        for name, column in zip(names, columns, strict=True)
    ]
    shown = " || ' ' || ".join(f"coalesce({text}, '')" for text in texts)
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
    text = f"nullif(trim({shown}), '')"
    if any(is_time(types[name]) for name in names):
        written = next(iter(FORMATS))  # as the date is written here
    if written is not None:
        zoned = session.row(f"SELECT coalesce(bool_or({zoned_sql(text)}), false) FROM {relation}")[0]
        return Reading(text_sql(written, text), given, "UTC" if zoned else None, written, shown)
    found = read_text(session, relation, text, ", ".join(names), declared=True)
    if found is None:
        raise DataError(f"{session.name}: columns {', '.join(names)} are not times when put together.")
    return Reading(found[0].sql, given, found[0].zone, found[0].example, shown)


def _whole(columns: list[str], count: int) -> list[str]:
    return [f"{column}::BIGINT" for column in columns[:count]] + ["1"] * (count - len(columns))
