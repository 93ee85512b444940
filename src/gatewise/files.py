"""Files: written atomically, and their sizes for messages."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename it to `path`, flushed to disk, when the block succeeds.

    If the block or the flush fails (a full disk, Ctrl-C), the temporary file is removed and `path` stays as it was.
    Symbolic links are followed, and a file that is replaced keeps its permissions.

    Example:
        >>> with atomic("notes.txt") as temporary:
        ...     temporary.write_text("all of it")
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    # Created with os.open, so that it gets the default permissions of a new file. They are applied at the end.
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
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
    with suppress(OSError):  # also flush the rename; some systems cannot flush a folder
        _flush(target.parent)


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
