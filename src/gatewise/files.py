"""Files: written whole, by one run at a time, and temporary ones that do not outlive their process for long.

A file or folder that is in use is locked (`flock`), and the system takes the lock from a process that dies. Where a
file system has no locks, nothing is swept and runs are not kept apart.
"""

from __future__ import annotations

import errno
import functools
import os
import re
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import OptionError

_LOCK = ".lock"  # in a temporary folder


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename it to `path`, flushed to disk, when the block succeeds.

    If the block or the flush fails (a full disk, Ctrl-C), the temporary file is removed and `path` stays as it was.
    What a killed process left of an earlier try is removed too. Symbolic links are followed, and a file that is
    replaced keeps its permissions.

    Example:
        >>> with atomic("notes.txt") as temporary:
        ...     temporary.write_text("all of it")
    """
    target = Path(os.path.realpath(path))
    _sweep(target.parent, re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{12}}\.tmp"), "", os.unlink)
    temporary, descriptor = _create(lambda: target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp"))
    try:
        permissions = (target if target.exists() else temporary).stat().st_mode & 0o777
        temporary.chmod(0o600)
        yield temporary
        _flush(temporary)
        temporary.chmod(permissions)
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    finally:
        if descriptor is not None:
            os.close(descriptor)
    with suppress(OSError):  # also flush the rename; some systems cannot flush a folder
        _flush(target.parent)


class TemporaryFolder:
    """A folder for temporary files, until `close`.

    The first one of a process removes what those of this user left whose process is gone.

    Args:
        purpose: One word of its name.

    Attributes:
        path: Where it is.
    """

    def __init__(self, purpose: str):
        _sweep_folders(tempfile.gettempdir())
        lock, self._descriptor = _create(lambda: Path(tempfile.mkdtemp(prefix=f"gatewise-{purpose}-"), _LOCK))
        self.path = str(lock.parent)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            shutil.rmtree(self.path, ignore_errors=True)

    def __enter__(self) -> str:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def only_run(path: str | os.PathLike[str]) -> Iterator[None]:
    """Keep other runs from writing `path`, and what stands beside it, until the block ends.

    Raises:
        OptionError: Another run does so. Names its process.
    """
    target = Path(os.path.realpath(path))
    lock = target.with_name(f".{target.name}{_LOCK}")
    descriptor = _take(lock, path)
    try:
        yield
    finally:
        if descriptor is not None:
            with suppress(OSError):
                lock.unlink()
            os.close(descriptor)


def _take(lock: Path, path: str | os.PathLike[str]) -> int | None:
    """The open lock file; None where there can be none."""
    while True:
        try:
            descriptor = os.open(lock, os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o666)
        except OSError:  # whoever writes the files will say what is wrong with the folder
            return None
        try:
            free = _locked(descriptor)
        except OSError:
            os.close(descriptor)
            with suppress(OSError):
                lock.unlink()
            return None
        if not free:
            holder = os.read(descriptor, 300).decode(errors="replace").split()
            os.close(descriptor)
            raise OptionError(_busy(path, holder))
        if _is_at(descriptor, lock):  # and was not removed by its holder in between
            os.truncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode())
            return descriptor
        os.close(descriptor)


def _busy(path: str | os.PathLike[str], holder: list[str]) -> str:
    who, stop = "", ""
    if len(holder) == 2:  # otherwise it has only just begun
        process, host = holder
        if host != socket.gethostname():
            who, stop = f" (process {process} on {host})", ", stop it there"
        elif process == str(os.getpid()):
            who = " of this process"
        else:
            who, stop = f" (process {process})", f", stop it with `kill {process}`"
    return (
        f"'{os.fspath(path)}' is being written by another run{who}. Wait until it ends{stop}, or name another output."
    )


def _create(name: Callable[[], Path]) -> tuple[Path, int | None]:
    """A new file, and a descriptor that locks it until it is closed; None where there are no locks.

    Args:
        name: A new name each time: a file that was swept before it was locked is given up.
    """
    while True:
        path = name()
        # With os.open, so that it gets the default permissions of a new file.
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        try:
            if _locked(descriptor) and _is_at(descriptor, path):
                return path, descriptor
        except OSError:  # then nothing is swept either
            os.close(descriptor)
            return path, None
        os.close(descriptor)


def _sweep(folder: str | os.PathLike[str], name: re.Pattern[str], lock: str, remove: Callable[[str], object]) -> None:
    """Remove what this user's dead processes left.

    Args:
        name: Of files or folders in `folder`.
        lock: What of them is locked while they are in use: a file in a folder, or "" for the file itself.
        remove: Called with its path.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not name.fullmatch(entry.name):
                continue
            with suppress(OSError):
                descriptor = os.open(
                    os.path.join(entry.path, lock) if lock else entry.path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
                )
                try:
                    if _locked(descriptor) and os.fstat(descriptor).st_uid == os.geteuid():
                        remove(entry.path)  # while it is locked, so that whoever just made it notices; see `_create`
                finally:
                    os.close(descriptor)


@functools.cache  # once for a process
def _sweep_folders(parent: str) -> None:
    _sweep(parent, re.compile(r"gatewise-[a-z]+-\w{8}"), _LOCK, functools.partial(shutil.rmtree, ignore_errors=True))


def _locked(descriptor: int) -> bool:
    """Lock an open file; False if it is locked already. OSError where there are no locks."""
    try:
        import fcntl
    except ImportError as error:  # Windows
        raise OSError(errno.ENOTSUP, "no locks") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def size_text(count: float) -> str:
    """1234567 -> "1.23 MB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
