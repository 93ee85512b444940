"""Our own DuckDB: one thread-bounded, memory-bounded, offline connection per table, with errors in one line.

What a query, or a view of somebody's database, says is untrusted: after `only`, SQL reaches no file but the one named.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from ...errors import DataError
from ...files import TemporaryFolder
from ..readers.files import is_packed
from ..readers.table_files import is_paths
from ._arrow import batches

RELATION = "gatewise_rows"  # the view or table in DuckDB that a `Table` reads
POSTGRES = ("postgresql://", "postgres://")
LEAST_MEMORY = 128 << 20  # bytes; DuckDB cannot sort in less

_T = TypeVar("_T")


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

    def only(self, *files: str) -> None:
        """From now on SQL reads these files and no others, and writes nothing outside the folder of the session."""
        real = [os.path.realpath(file) for file in files]
        paths = [*map(absolute, files), *map(pattern, files), *real, *(path + ".wal" for path in real)]
        for name, allowed in ("paths", paths), ("directories", [self.folder, pattern(self.folder)]):
            self.con.execute(f"SET allowed_{name} = [{', '.join(map(literal, allowed))}]")
        self.con.execute("SET enable_external_access = false")
        self.con.execute("SET lock_configuration = true")  # a view may call enable_logging() with a path

    def run(self, sql: str) -> None:
        self._finish(self.con, lambda: self.con.execute(sql))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The answer as Python values; for small answers."""
        return self._finish(self.con, lambda: self.con.execute(sql).fetchall())

    def row(self, sql: str) -> tuple[Any, ...]:
        return self.rows(sql)[0]

    def stream(self, sql: str) -> Iterator[dict[str, np.ndarray]]:
        """The answer in pieces, as numpy arrays; for answers of any size. See `_arrow.batches` for the types."""
        cursor = self.con.cursor()  # a half-read result would block the connection for everything else
        try:
            with contextlib.closing(batches(self._finish(cursor, lambda: cursor.sql(sql)))) as pieces:
                while (piece := self._finish(cursor, lambda: next(pieces, None))) is not None:
                    yield piece
        finally:
            cursor.close()

    def _finish(self, con: Any, work: Callable[[], _T]) -> _T:
        """Let DuckDB work where Ctrl-C still arrives: it looks at signals between its tasks, and one may take hours."""
        try:
            if threading.current_thread() is not threading.main_thread():  # which alone gets signals
                return work()
            with ThreadPoolExecutor(1) as thread:
                done = thread.submit(work)
                try:
                    return done.result()
                except BaseException:
                    con.interrupt()
                    raise
        except self._errors as error:
            raise DataError(f"{self.name}: {one_line(error)}") from error

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
        if text == "-":
            return "standard input"
        if isinstance(text, str) and text.startswith(POSTGRES):
            return re.sub(r"(://[^:/@]*):[^@]*@", r"\1@", text).partition("?")[0]
        return repr(text) if len(text) <= 300 else repr(text[:300]) + "..."
    if is_paths(source):
        more = len(source) - 1
        return source_name(source[0]) + (f" and {more:,} more" if more else "")
    return f"the {type(source).__module__.partition('.')[0]} {type(source).__name__}".replace("the builtins ", "the ")


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def absolute(path: str) -> str:
    """A path that names a local file to DuckDB, even if it begins with `~` or `s3://`; `..` and links as they are."""
    return os.path.join(os.getcwd(), path)


def packing(path: str) -> str:
    """The `compression` of a file for DuckDB's readers, which do not see the .gz behind a `?`."""
    return "gzip" if path.lower().endswith(".gz") or is_packed(path) else "none"


def pattern(path: str) -> str:
    """The pattern that only this path matches: where DuckDB reads files, `[ ] * ?` stand for others."""
    return re.sub(r"[][*?]", r"[\g<0>]", absolute(path))


def one_line(error: BaseException) -> str:
    """The first line of an error of DuckDB or a database, without its advice on options that are not ours."""
    text = str(error).split("\n\n")[0].split("\nPossible ")[0]
    text = " ".join(text.split())
    if denied := re.search(r'Cannot access (file|directory) "(.*)" - file system operations are disabled', text):
        return f"its SQL reads the {denied[1]} {denied[2]!r}, but may read nothing beside the table that was named."
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
