"""Optuna's journal of a study: a file to which each worker appends lines, and which no killed worker can spoil."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import OptionError
from .locks import Lock

if TYPE_CHECKING:
    from optuna.storages import BaseStorage


def opened(path: Path) -> BaseStorage:
    """The storage whose journal is at `path`; it is made if it is not there.

    Raises:
        OptionError: It is damaged, elsewhere than at its end.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    lock: Any = _JournalLock(path)
    backend = JournalFileBackend(str(path), lock)
    with lock:
        _check(path)
    try:
        return JournalStorage(backend)
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        raise _damaged(path, f"{type(error).__name__} in Optuna") from error


class _JournalLock(Lock):
    """Whoever holds it can trust that the journal ends with a whole line.

    A worker that dies while it writes, or a full disk, leaves a part of a line. Optuna reads past it, but the next line
    would be appended to that part, and then neither could be read.
    """

    def __init__(self, journal: Path):
        super().__init__(journal.with_name(f"{journal.name}.lock"))
        self._journal = journal

    def acquire(self) -> bool:
        super().acquire()
        try:
            _cut_torn_tail(self._journal)
        except BaseException:
            self.release()
            raise
        return True


def _cut_torn_tail(path: Path) -> None:
    """Cut off what stands behind the last line end. It is kept in a file beside, named by where it began."""
    with open(path, "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        if end == 0:
            return
        file.seek(end - 1)
        if file.read(1) == b"\n":
            return
        file.seek(0)
        content = file.read()
        keep = content.rfind(b"\n") + 1
        with open(path.with_name(f"{path.name}.torn-{keep}"), "ab") as aside:
            aside.write(content[keep:])
        file.truncate(keep)
        os.fsync(file.fileno())


def _check(path: Path) -> None:
    """OptionError if a line is no record. Optuna notices only at the next one."""
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                whole = isinstance(json.loads(line), dict)
            except (ValueError, RecursionError):
                whole = False
            if not whole:
                raise _damaged(path, f"line {number} is no record")


def _damaged(path: Path, why: str) -> OptionError:
    return OptionError(f"'{path}' is damaged ({why}). Restore it from a copy, or begin a new study in another folder")
