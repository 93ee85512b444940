"""Locks between processes that share a folder, on one machine or several."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from pathlib import Path

from .processes import read, this_process, written

PATIENCE = 30.0  # seconds after which a lock that never changed hands is taken from a process elsewhere
_LONGEST_PAUSE = 0.05  # seconds between two tries


class Lock:
    """One process at a time, by a symbolic link that names its holder: made at once or not at all, over NFS too.

    The lock of a process of this machine that died is taken away at once, that of a process elsewhere after `PATIENCE`,
    by the clock of the one who waits. Not reentrant.

    Args:
        path: Of the link. There must not be anything else.
    """

    def __init__(self, path: Path):
        self.path = path
        self._mine = ""

    def acquire(self) -> bool:
        """Wait for the lock. True, as Optuna wants it."""
        mine = json.dumps([written(this_process()), secrets.token_hex(8)])
        seen, since, pause = "", 0.0, 0.001
        while True:
            try:
                os.symlink(mine, self.path)
                break
            except FileExistsError:
                holder = self._holder()
            if holder == mine:  # NFS asked twice, since the first answer was lost
                break
            if holder is None:
                continue
            if holder != seen:
                seen, since, pause = holder, time.monotonic(), 0.001
            if _is_dead(holder) or time.monotonic() - since > PATIENCE:
                self._take_away(holder)
            else:
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        self._mine = mine
        return True

    def release(self) -> None:
        """Give it back, unless it was taken away meanwhile."""
        if self._holder() == self._mine:
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def _holder(self) -> str | None:
        try:
            return os.readlink(self.path)
        except FileNotFoundError:
            return None
        except OSError:  # a copy of the folder may hold something else in its place
            return "nobody"

    def _take_away(self, holder: str) -> None:
        """Remove the lock if `holder` still has it.

        Of several who see that the holder is dead, one may otherwise remove the lock that another has just made. Each
        holder's lock is therefore removed under a lock of its own; no holder ever comes back.
        """
        name = hashlib.sha256(holder.encode(errors="surrogateescape")).hexdigest()[:16]
        with Lock(self.path.with_name(f"{self.path.name}.{name}")):
            if self._holder() == holder:
                self.path.unlink(missing_ok=True)


def _is_dead(holder: str) -> bool:
    try:
        process = read(json.loads(holder)[0])
    except (ValueError, TypeError, LookupError, RecursionError):
        return False
    return process is not None and process.is_dead
