"""PostgreSQL, and what speaks its protocol: Arrow batches through ADBC into DuckDB, one after the other."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from ...errors import DataError, MissingExtra
from ._arrow import Once
from .session import Session, identifier, one_line

_TABLES = """SELECT CASE table_schema WHEN 'public' THEN '' ELSE quote_ident(table_schema) || '.' END
|| quote_ident(table_name) AS name FROM information_schema.tables
WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1"""


def load(session: Session, url: str, query: str | None, only: Callable[[str, Sequence[str]], str]) -> None:
    """The answer to a query, or the one table there is, as the table `data`. Nothing is written to the database.

    Args:
        only: Chooses the one table of a list, or says that there are more.

    Raises:
        DataError: no connection, or the database refuses the query.
        MissingExtra: adbc-driver-postgresql is not installed.
    """
    try:
        from adbc_driver_postgresql import dbapi
    except ImportError:
        raise MissingExtra("adbc-driver-postgresql", "postgres") from None
    try:
        with dbapi.connect(url) as connection, connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
            if query is None:
                _copy(session, cursor, _TABLES, "tables")
                query = f"SELECT * FROM {only(session.name, [row[0] for row in session.rows('FROM tables')])}"
            _copy(session, cursor, query, "data")
    except dbapi.Error as error:
        message = one_line(error).partition(" Query was:")[0].partition(". SQLSTATE")[0]
        raise DataError(f"{session.name}: {message}") from None


def _copy(session: Session, cursor: Any, query: str, table: str) -> None:
    cursor.execute(query)
    stream = Once(cursor.fetch_arrow())
    session.con.register("gatewise_source", stream)
    # PostgreSQL's numeric has more digits than any type here; it comes as text and goes on as DOUBLE.
    numerics = [identifier(name) for name, _, metadata in stream.fields if _is_numeric(metadata)]
    casts = ", ".join(f"{column}::DOUBLE AS {column}" for column in numerics)
    replace = f" REPLACE ({casts})" if casts else ""
    session.run(f"CREATE TABLE {table} AS SELECT *{replace} FROM gatewise_source")
    session.con.unregister("gatewise_source")


def _is_numeric(metadata: dict[str, str]) -> bool:
    return json.loads(metadata.get("ARROW:extension:metadata") or "{}").get("type_name") == "numeric"
