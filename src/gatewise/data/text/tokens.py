"""The tokens of a text: in memory if they are few, else in a file that is mapped into memory and made once.

The file has a header of 4096 bytes, JSON and then spaces, and behind it the tokens as little-endian integers without a
sign, of one, two or four bytes each. The header says what they are the tokens of, so that they are never taken for
those of another text or vocabulary.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np

from ...errors import DataError
from ...files import atomic

IN_MEMORY = 256 << 20  # bytes of tokens; more of them go to a file
_HEADER = 4096
_FORMAT = 1


def tokens(
    encode: Callable[[], Iterable[np.ndarray]], kinds: int, identity: Mapping[str, Any], path: Path | None
) -> np.ndarray:
    """The tokens of a text, (n,) integers of the smallest size that holds all kinds, which nobody may write to.

    Of more than `IN_MEMORY` bytes the array is mapped from a file, which processes of one machine share if one of them
    calls this before the others do.

    Args:
        encode: Gives the tokens from the first one on, some at a time. It is not called where the file is there.
        kinds: Entries of the vocabulary.
        identity: What these are the tokens of, as JSON holds it.
        path: Of the file. It is written whole or not at all, stays, and is taken again if its identity is this one. If
            omitted, the file has no name, and is gone with the array.

    Raises:
        DataError: The file cannot be written.
        Whatever `encode` raises; nothing is left of the file then.
    """
    dtype = np.min_scalar_type(max(0, kinds - 1)).newbyteorder("<")
    header = {"gatewise": "tokens", "format": _FORMAT, "type": dtype.str, **identity}
    if path is not None and (found := _opened(path, header, dtype)) is not None:
        return found
    chunks, held, size = iter(encode()), [np.zeros(0, dtype)], 0
    for chunk in chunks:
        held.append(chunk.astype(dtype))
        size += held[-1].nbytes
        if size > IN_MEMORY:
            rest = chain(held, (more.astype(dtype, copy=False) for more in chunks))
            return _named(path, header, dtype, rest) if path is not None else _nameless(dtype, rest)
    found = np.concatenate(held)
    found.flags.writeable = False
    return found


def _opened(path: Path, header: Mapping[str, Any], dtype: np.dtype) -> np.ndarray | None:
    """The tokens in a file; None if there is none, or it is not whole or of something else."""
    with suppress(OSError, ValueError, TypeError, AttributeError):
        with open(path, "rb") as file:
            found = json.loads(file.read(_HEADER))
        count = found.pop("count")
        if found == header and os.path.getsize(path) == _HEADER + count * dtype.itemsize:
            return np.memmap(path, dtype, "r", _HEADER, (count,))
    return None


def _named(path: Path, header: Mapping[str, Any], dtype: np.dtype, chunks: Iterable[np.ndarray]) -> np.ndarray:
    hint = "Name an output on a larger disk"
    with _writing(path, hint), atomic(path) as temporary, open(temporary, "wb") as file:
        file.write(bytes(_HEADER))
        count = _write(file, chunks)
        file.seek(0)
        file.write(json.dumps({**header, "count": count}).encode().ljust(_HEADER))
    return np.memmap(path, dtype, "r", _HEADER, (count,))


def _nameless(dtype: np.dtype, chunks: Iterable[np.ndarray]) -> np.ndarray:
    folder = tempfile.gettempdir()
    with _writing(folder, "Set TMPDIR to a folder on a larger disk"), tempfile.TemporaryFile(dir=folder) as file:
        count = _write(file, chunks)
        file.flush()
        return np.memmap(file, dtype, "r", shape=(count,))


def _write(file: IO[bytes], chunks: Iterable[np.ndarray]) -> int:
    count = 0
    for chunk in chunks:
        file.write(np.ascontiguousarray(chunk).data)
        count += len(chunk)
    return count


@contextmanager
def _writing(place: Any, hint: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"cannot write the tokens of the text to '{place}': {error.strerror or error}. {hint}."
        ) from None


def token_counts(ids: np.ndarray, size: int) -> np.ndarray:
    """(size,) how often each token occurs, counted piece by piece."""
    pieces = (ids[start : start + (1 << 24)] for start in range(0, len(ids), 1 << 24))
    return sum((np.bincount(piece, minlength=size) for piece in pieces), np.zeros(size, np.int64))
