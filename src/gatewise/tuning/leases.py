"""Leases: which worker runs a trial, and whether it still does.

A worker that runs a trial says so every few seconds. A trial whose worker has been silent for too long, or is known to
be dead, is abandoned, and one of the others may take it and go on with it.
"""

from __future__ import annotations

import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

from ..errors import OptionError
from ..files import atomic
from .locks import Lock
from .processes import Process, read, this_process, written

BEAT = 15.0  # seconds between two signs of life
GRACE = 60.0  # seconds of silence after which a trial is abandoned


@dataclass(frozen=True)
class Lease:
    """What is known of a trial's worker.

    Attributes:
        owner: Who runs it; None if that is not known, since a worker may die between asking for a trial and saying so.
        age: Seconds since the last sign of life.
    """

    owner: Process | None
    age: float

    @property
    def is_mine(self) -> bool:
        return self.owner == this_process()

    def is_over(self, grace: float) -> bool:
        return self.age > grace or (self.owner is not None and self.owner.is_dead)


class Leases(ABC):
    """The leases of a study's trials, which go by the trials' numbers.

    Args:
        beat: Seconds between two signs of life.
        grace: Seconds of silence after which a trial is abandoned. The same for all workers.
    """

    _failures: tuple[type[Exception], ...] = (OSError,)  # which may be over a moment later

    def __init__(self, beat: float = BEAT, grace: float = GRACE):
        self._beat = beat
        self._grace = grace

    @contextmanager
    def held(self, number: int) -> Iterator[None]:
        """Say inside the block that this process runs a trial. Afterwards the lease is given back: it is over.

        Raises:
            OptionError: Another process runs it.
        """
        if not self._begin(number):
            lease = self._read(number)
            other = lease.owner if lease and lease.owner else "another process"
            raise OptionError(f"trial {number} is run by {other} already")
        ended = Event()
        beating = Thread(target=self._beat_until, args=(number, ended), name=f"lease-{number}", daemon=True)
        beating.start()
        try:
            yield
        finally:
            ended.set()
            beating.join()
            with suppress(*self._failures):  # others then wait for as long as the grace
                self._give_back(number)

    def failures_told(self) -> AbstractContextManager[None]:
        """Inside the block a failure of what keeps the study is told in one line. Those of files are that already."""
        return nullcontext()

    def holds(self, number: int) -> bool:
        """Whether this process still has the lease. One that slept for longer than the grace may have lost it."""
        lease = self._read(number)
        return lease is not None and lease.is_mine

    def abandoned(self, numbers: Collection[int]) -> list[int]:
        """Those whose lease is over. The time of one that was never leased runs from when it is first asked for."""
        leases = self._read_all(numbers)
        for number in numbers:
            if number not in leases:
                self._expect(number)
        return [number for number in numbers if number in leases and leases[number].is_over(self._grace)]

    @abstractmethod
    def take(self, number: int) -> bool:
        """Make an abandoned trial this process's own. False if it is not abandoned: another one may have been first."""

    def _beat_until(self, number: int, ended: Event) -> None:
        while not ended.wait(self._beat):
            with suppress(*self._failures):
                if not self.holds(number):
                    return
                self._touch(number)

    def _read(self, number: int) -> Lease | None:
        """A trial's lease, or None if it never had one."""
        return self._read_all([number]).get(number)

    @abstractmethod
    def _read_all(self, numbers: Collection[int]) -> dict[int, Lease]:
        """The leases of those trials that have one."""

    @abstractmethod
    def _expect(self, number: int) -> None:
        """Make a lease without an owner, unless there is one."""

    @abstractmethod
    def _begin(self, number: int) -> bool:
        """Make a lease this process's own if it has no owner or is its own already."""

    @abstractmethod
    def _touch(self, number: int) -> None:
        """Give a sign of life."""

    @abstractmethod
    def _give_back(self, number: int) -> None:
        """Make the lease as old as can be, if it is this process's own."""


class FolderLeases(Leases):
    """Leases as files, `N/lease` for trial N: who, and when it was touched last, by the clock of the file system.

    Args:
        folder: Of the trials' folders.
    """

    def __init__(self, folder: Path, beat: float = BEAT, grace: float = GRACE):
        super().__init__(beat, grace)
        self._folder = folder

    def take(self, number: int) -> bool:
        with self._lock(number):
            if not self.abandoned([number]):
                return False
            self._write(number)
            return True

    def _read_all(self, numbers: Collection[int]) -> dict[int, Lease]:
        found = {}
        for number in numbers:
            with suppress(FileNotFoundError):
                found[number] = _content(self._path(number))
        clock = self._folder / ".clock"
        clock.touch()
        now = _content(clock)[1]
        return {number: Lease(read(text), now - touched) for number, (text, touched) in found.items()}

    def _expect(self, number: int) -> None:
        self._path(number).parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError), open(self._path(number), "x", encoding="utf-8"):
            pass

    def _begin(self, number: int) -> bool:
        self._path(number).parent.mkdir(parents=True, exist_ok=True)
        with self._lock(number):
            lease = self._read(number)
            free = lease is None or lease.owner is None or lease.is_mine
            if free:
                self._write(number)
            return free

    def _touch(self, number: int) -> None:
        os.utime(self._path(number))  # without a time of ours, so that a server sets its own

    def _give_back(self, number: int) -> None:
        with self._lock(number):
            if self.holds(number):
                os.utime(self._path(number), (0, 0))

    def _write(self, number: int) -> None:
        with atomic(self._path(number)) as temporary:
            temporary.write_text(written(this_process()), encoding="utf-8")

    def _path(self, number: int) -> Path:
        return self._folder / str(number) / "lease"

    def _lock(self, number: int) -> Lock:
        return Lock(self._path(number).with_name("lease.lock"))


def _content(path: Path) -> tuple[str, float]:
    """What stands in a file, and when it was changed. Opened, since NFS asks the server anew only then."""
    while True:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                return file.read(), os.fstat(file.fileno()).st_mtime
        except OSError as error:
            if error.errno != errno.ESTALE:  # NFS: it was replaced after it had been opened
                raise
