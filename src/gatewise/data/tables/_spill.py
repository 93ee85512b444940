"""Columns of any length: in memory, or in temporary files where they would be too large for it.

The files belong to the process that read the table, and are deleted with the `Sequences`. Processes that train together
each read the table and make files of their own: what is shared between them is then nothing but the table, which is
there anyway, no process waits for another one's files, and one that is killed leaves none that others depend on. Mapped
pages do not count as memory of a process, so none of them holds the whole data.
"""

from __future__ import annotations

import os
import weakref
from typing import BinaryIO, cast

import numpy as np

from ...errors import DataError
from ...files import TemporaryFolder
from ..mapped_text import MappedText
from ..sequences import Sequences

IN_MEMORY = 256 << 20  # bytes of one Sequences; what is larger goes to files


class Spill:
    """Stores the columns of one `Sequences`, in memory or in temporary files.

    Args:
        size: Bytes of numbers that are expected. How long texts are shows as they come.
    """

    def __init__(self, size: int):
        self._in_files = size > IN_MEMORY
        self._folder: TemporaryFolder | None = None
        self._sinks: list[Sink | TextSink] = []
        self._names = 0

    def sink(self, dtype: np.dtype | type) -> Sink | TextSink:
        """What takes a column: text, where it is of objects."""
        text = np.dtype(dtype) == object
        sink = TextSink(self) if text else Sink(np.dtype(dtype), self.path() if self._in_files else None)
        self._sinks.append(sink)
        return sink

    def path(self) -> str:
        """A new file."""
        if self._folder is None:
            self._folder = TemporaryFolder("columns")
        self._names += 1
        return os.path.join(self._folder.path, f"{self._names}.bin")

    def keep(self, sequences: Sequences) -> Sequences:
        """Tie the files to `sequences`: they are deleted when it is."""
        if self._folder is not None:
            weakref.finalize(sequences, self._folder.close)
        return sequences

    def discard(self) -> None:
        for sink in self._sinks:
            sink.close()
        if self._folder is not None:
            self._folder.close()


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


class TextSink:
    """Takes a column of text piece by piece: in memory as long as it is short, then in two files, see `MappedText`."""

    def __init__(self, spill: Spill):
        self._spill = spill
        self._pieces: list[np.ndarray] = []
        self._held = 0  # characters
        self._end = 0
        self._files: tuple[Sink, Sink] | None = None

    def add(self, piece: np.ndarray) -> None:
        if self._files is None:
            self._pieces.append(np.asarray(piece, object))
            self._held += sum(len(text) for text in piece if text is not None)
            if self._held > IN_MEMORY:
                self._files = Sink(np.dtype(np.uint8), self._spill.path()), Sink(np.dtype(np.int64), self._spill.path())
                pieces, self._pieces = self._pieces, []
                for held in pieces:
                    self.add(held)
            return
        raw = [None if text is None else text.encode("utf-8", "surrogatepass") for text in piece]
        ends = self._end + np.cumsum([len(text or b"") for text in raw], dtype=np.int64)
        missing = np.array([text is None for text in raw], bool)
        self._files[0].add(np.frombuffer(b"".join(text or b"" for text in raw), np.uint8))
        self._files[1].add(np.where(missing, ~ends, ends))
        self._end = int(ends[-1]) if len(ends) else self._end

    def close(self) -> None:
        for file in self._files or ():
            file.close()

    def values(self) -> np.ndarray:
        if self._files is None:
            return np.concatenate(self._pieces) if self._pieces else np.empty(0, object)
        letters, ends = (file.values() for file in self._files)
        return cast(np.ndarray, MappedText(letters, ends))
