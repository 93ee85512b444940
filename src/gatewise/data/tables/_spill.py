"""Columns of any length: in memory, or in temporary files where they would be too large for it."""

from __future__ import annotations

import os
import weakref
from typing import BinaryIO

import numpy as np

from ...errors import DataError
from ...files import TemporaryFolder
from ..sequences import Sequences

IN_MEMORY = 256 << 20  # bytes of one Sequences; what is larger goes to files


class Spill:
    """Stores the columns of one `Sequences`, in memory or in temporary files.

    Args:
        size: Bytes that are expected.
    """

    def __init__(self, size: int):
        self.folder = TemporaryFolder("columns") if size > IN_MEMORY else None
        self._sinks: list[Sink] = []

    def sink(self, dtype: np.dtype | type) -> Sink:
        on_disk = np.dtype(dtype) != object
        path = os.path.join(self.folder.path, f"{len(self._sinks)}.bin") if self.folder and on_disk else None
        self._sinks.append(Sink(np.dtype(dtype), path))
        return self._sinks[-1]

    def keep(self, sequences: Sequences) -> Sequences:
        """Tie the files to `sequences`: they are deleted when it is."""
        if self.folder is not None:
            weakref.finalize(sequences, self.folder.close)
        return sequences

    def discard(self) -> None:
        for sink in self._sinks:
            sink.close()
        if self.folder is not None:
            self.folder.close()


class Sink:
    """Takes a column piece by piece.

    Files are written, not mapped, so that pages not yet on disk do not count as memory of this process.
    """

    def __init__(self, dtype: np.dtype, path: str | None):
        self._dtype, self._path = dtype, path
        self._pieces: list[np.ndarray] = []
        self._file: BinaryIO | None = open(path, "wb") if path else None  # noqa: SIM115 - closed by values()

    def add(self, piece: np.ndarray) -> None:
        if self._file is None:
            self._pieces.append(np.asarray(piece, self._dtype))
            return
        try:
            self._file.write(np.ascontiguousarray(piece, self._dtype).tobytes())
        except OSError as error:
            raise DataError(
                f"cannot write to {os.path.dirname(self._path or '')}: {error.strerror}. "
                f"Set TMPDIR to a folder on a larger disk."
            ) from None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def values(self) -> np.ndarray:
        if self._file is None:
            return np.concatenate(self._pieces) if self._pieces else np.empty(0, self._dtype)
        self._file.close()
        if not os.path.getsize(self._file.name):
            return np.empty(0, self._dtype)
        return np.memmap(self._file.name, self._dtype, "r")
