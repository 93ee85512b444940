"""A study in PostgreSQL: Optuna's tables, and the leases of its trials in one of ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import OptionError, TrainingError
from .leases import BEAT, GRACE, Lease, Leases
from .processes import read, this_process, written

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from sqlalchemy import Connection, CursorResult, Engine

FORM = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
_OPENING = 0x67617465  # of the advisory lock under which studies are opened
_TIMEOUT = 10  # seconds for connecting, unless the URL has another connect_timeout

_TABLE = """CREATE TABLE IF NOT EXISTS gatewise_leases (
    study text, number integer, owner text NOT NULL, beat timestamptz NOT NULL, PRIMARY KEY (study, number))"""
_NAMES = re.compile(r"(?<!:):(\w+)")
_ROW = "study = :study AND number = :number"
_READ = """SELECT number, owner, extract(epoch FROM clock_timestamp() - beat)::float8 FROM gatewise_leases
    WHERE study = :study AND number = ANY(:numbers)"""
_EXPECT = "INSERT INTO gatewise_leases VALUES (:study, :number, '', clock_timestamp()) ON CONFLICT DO NOTHING"
_BEGIN = """INSERT INTO gatewise_leases AS lease VALUES (:study, :number, :mine, clock_timestamp())
    ON CONFLICT (study, number) DO UPDATE SET owner = :mine, beat = clock_timestamp()
    WHERE lease.owner IN ('', :mine)"""
_TAKE = f"UPDATE gatewise_leases SET owner = :mine, beat = clock_timestamp() WHERE {_ROW}"
_TOUCH = f"UPDATE gatewise_leases SET beat = clock_timestamp() WHERE {_ROW} AND owner = :mine"
_GIVE_BACK = f"UPDATE gatewise_leases SET beat = 'epoch' WHERE {_ROW} AND owner = :mine"


class Database:
    """A PostgreSQL database that holds studies.

    Args:
        url: As libpq has it, in the form of `FORM`.

    Attributes:
        name: The URL without its password, for messages.

    Raises:
        OptionError: The URL is that of another kind of database, or cannot be read.
        ModuleNotFoundError: psycopg is not installed.
    """

    def __init__(self, url: str):
        from sqlalchemy import create_engine, make_url
        from sqlalchemy.exc import ArgumentError
        from sqlalchemy.pool import NullPool

        _refuse_others(url)
        try:
            parsed = make_url(url).set(drivername="postgresql+psycopg")
        except (ArgumentError, ValueError):
            raise OptionError(f"the URL of the database cannot be read; it has the form {FORM}") from None
        self.name = parsed.set(drivername="postgresql").render_as_string(hide_password=True)
        self._url = parsed.render_as_string(hide_password=False)
        self._options: dict[str, Any] = {
            "poolclass": NullPool,  # calls are rare, and a connection that was kept for hours may be lost
            "connect_args": {} if "connect_timeout" in parsed.query else {"connect_timeout": _TIMEOUT},
        }
        self._engine = create_engine(parsed, **self._options)

    @contextmanager
    def opening(self) -> Iterator[BaseStorage]:
        """Optuna's storage; inside the block no other process opens a study here, nor makes the tables.

        Raises:
            OptionError: No connection, or the database, or Optuna, refuses something.
        """
        from optuna.storages import RDBStorage
        from sqlalchemy import text

        # The end of the transaction gives the lock back, and so does the death of the process.
        with _failures(lambda why: OptionError(f"{self.name}: {why}")), self._engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _OPENING})
            connection.execute(text(_TABLE))
            try:
                storage = RDBStorage(self._url, self._options)
            except RuntimeError as error:  # its tables are those of another Optuna
                raise OptionError(f"{self.name}: {_one_line(error)}") from error
            yield storage

    def leases(self, study: str, beat: float = BEAT, grace: float = GRACE) -> Leases:
        """The leases of a study's trials.

        Args:
            study: What it is called in the table; never the name of an earlier one.
        """
        return _DatabaseLeases(self.name, self._engine, study, beat, grace)


class _DatabaseLeases(Leases):
    """Leases as rows: who, and when there was a sign of life, by the clock of the server."""

    def __init__(self, name: str, engine: Engine, study: str, beat: float, grace: float):
        from sqlalchemy.exc import SQLAlchemyError

        super().__init__(beat, grace)
        self._failures = (OSError, SQLAlchemyError)
        self._name = name
        self._engine = engine
        self._study = study

    def failures_told(self) -> AbstractContextManager[None]:
        return _failures(lambda why: TrainingError(f"{self._name}: {why}. The same command goes on with the study"))

    def take(self, number: int) -> bool:
        with self._engine.begin() as connection:
            lease = _leases(self._execute(connection, f"{_READ} FOR UPDATE", numbers=[number])).get(number)
            if lease is None or not lease.is_over(self._grace):
                return False
            self._execute(connection, _TAKE, number=number)
            return True

    def _read_all(self, numbers: Collection[int]) -> dict[int, Lease]:
        with self._engine.begin() as connection:
            return _leases(self._execute(connection, _READ, numbers=list(numbers)))

    def _expect(self, number: int) -> None:
        self._change(_EXPECT, number)

    def _begin(self, number: int) -> bool:
        return self._change(_BEGIN, number) == 1

    def _touch(self, number: int) -> None:
        self._change(_TOUCH, number)

    def _give_back(self, number: int) -> None:
        self._change(_GIVE_BACK, number)

    def _change(self, statement: str, number: int) -> int:
        """The number of rows that a statement changed."""
        with self._engine.begin() as connection:
            return self._execute(connection, statement, number=number).rowcount

    def _execute(self, connection: Connection, statement: str, **given: Any) -> CursorResult:
        from sqlalchemy import text

        given |= {"study": self._study, "mine": written(this_process())}
        return connection.execute(text(statement), {name: given[name] for name in _NAMES.findall(statement)})


def _leases(rows: CursorResult) -> dict[int, Lease]:
    return {number: Lease(read(owner), age) for number, owner, age in rows}


def _refuse_others(url: str) -> None:
    scheme = url.partition(":")[0].partition("+")[0].lower()
    if scheme == "sqlite":
        raise OptionError(
            "a study is not kept in SQLite, whose locks fail on the network file systems that workers on several "
            f"machines share. Name a folder, or {FORM}"
        )
    if scheme not in ("postgresql", "postgres"):
        raise OptionError(f"a study is kept in a folder or in PostgreSQL, not in '{scheme}'. Name a folder, or {FORM}")


@contextmanager
def _failures(told: Callable[[str], Exception]) -> Iterator[None]:
    """Inside the block what a database refuses, or Optuna's storage over it, is an error of ours."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) else error
        raise told(_one_line(getattr(cause, "orig", None) or cause or error)) from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
