"""Our own DuckDB: one thread-bounded, memory-bounded, offline connection per table, with errors in one line."""

from __future__ import annotations

import itertools
import os
import re
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...errors import DataError
from ...files import TemporaryFolder
from ._arrow import batches

RELATION = "gatewise_rows"  # the view or table in DuckDB that a `Table` reads
POSTGRES = ("postgresql://", "postgres://")
LEAST_MEMORY = 128 << 20  # bytes; DuckDB cannot sort in less


class Session:
    """A separate DuckDB connection, which spills into a folder of its own and deletes it when it is closed.

    Args:
        name: What messages call the source.
    """

    def __init__(self, name: str):
        import duckdb

        self.name = name
        folder = TemporaryFolder("table")
        self.folder = folder.path
        self._errors = duckdb.Error
        self._numbers = itertools.count()
        # Nothing may be fetched from the network: an extension that is not in the wheel is an error, not a download.
        settings: dict[str, str | bool | int | float | list[str]] = {
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "memory_limit": f"{memory_limit() >> 20}MiB",
            "preserve_insertion_order": "true",
            "python_enable_replacements": "false",  # a query sees tables, not the variables of whoever calls
            "temp_directory": os.path.join(self.folder, "spill"),
            "threads": str(thread_limit()),
        }
        self.con = duckdb.connect(":memory:", config=settings)
        self.con.execute("SET TimeZone = 'UTC'")
        self.con.execute("SET enable_progress_bar = false")
        self._finalizer = weakref.finalize(self, _close, self.con, folder)

    def fresh(self, prefix: str) -> str:
        """A name that is not in use yet."""
        return f"{prefix}_{next(self._numbers)}"

    def run(self, sql: str) -> None:
        try:
            self.con.execute(sql)
        except self._errors as error:
            raise DataError(f"{self.name}: {one_line(error)}") from error

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The answer as Python values; for small answers."""
        try:
            return self.con.execute(sql).fetchall()
        except self._errors as error:
            raise DataError(f"{self.name}: {one_line(error)}") from error

    def row(self, sql: str) -> tuple[Any, ...]:
        return self.rows(sql)[0]

    def stream(self, sql: str) -> Iterator[dict[str, np.ndarray]]:
        """The answer in pieces, as numpy arrays; for answers of any size. See `_arrow.batches` for the types."""
        cursor = self.con.cursor()  # a half-read result would block the connection for everything else
        try:
            yield from batches(cursor.sql(sql))
        except self._errors as error:
            raise DataError(f"{self.name}: {one_line(error)}") from error
        finally:
            cursor.close()

    def describe(self, relation: str) -> dict[str, str]:
        """Column names and DuckDB's types."""
        return {row[0]: row[1] for row in self.rows(f"DESCRIBE SELECT * FROM {relation}")}

    def close(self) -> None:
        self._finalizer()


def _close(con: Any, folder: TemporaryFolder) -> None:
    con.close()
    folder.close()


def source_name(source: Any) -> str:
    """What messages call a source, on one line and without a password."""
    if isinstance(source, str | os.PathLike):
        text = os.fspath(source)
        if isinstance(text, str) and text.startswith(POSTGRES):
            return re.sub(r"(://[^:/@]*):[^@]*@", r"\1@", text).partition("?")[0]
        return repr(text) if len(text) <= 300 else repr(text[:300]) + "..."
    return f"the {type(source).__module__.partition('.')[0]} {type(source).__name__}".replace("the builtins ", "the ")


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def one_line(error: BaseException) -> str:
    """The first line of an error of DuckDB or a database, without its advice on options that are not ours."""
    text = str(error).split("\n\n")[0].split("\nPossible ")[0]
    text = " ".join(text.split())
    for prefix in ("Invalid Input Error: ", "IO Error: "):
        text = text.removeprefix(prefix)
    return text if len(text) <= 400 else text[:400] + "..."


def thread_limit() -> int:
    """Threads for DuckDB: as many as the user lets numerical code have."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(int(asked), available)) if asked.isdigit() else available


def memory_limit() -> int:
    """Bytes for DuckDB: a quarter of what this process may have, for training wants the rest."""
    return max(LEAST_MEMORY, min(_limits()) // 4)


def _limits() -> Iterator[int]:
    yield os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 4 << 30
    try:
        import resource
    except ImportError:  # not a POSIX system
        return
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        soft, _ = resource.getrlimit(kind)
        if soft != resource.RLIM_INFINITY:
            yield soft
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):  # what a container gives
        try:
            with open(path) as file:
                yield int(file.read())
        except (OSError, ValueError):  # not there, or "max"
            continue
