"""Texts that lie in a file which is mapped into memory: what is asked for is read then, however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

PIECE = 1 << 12  # texts that are read together


class MappedText:
    """(n,) texts, None where missing, as an array of objects has them; a part of them is such an array.

    Args:
        letters: (bytes,) uint8, all texts in UTF-8, one behind the other.
        ends: (n,) int64 where each ends among them; ~end of one that is missing, which has no letters.
    """

    dtype = np.dtype(object)
    ndim = 1

    def __init__(self, letters: np.ndarray, ends: np.ndarray):
        self.letters, self.ends = letters, ends

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def shape(self) -> tuple[int]:
        return (len(self),)

    def __getitem__(self, which: Any) -> Any:
        if isinstance(which, int | np.integer):
            return self._read(np.array([range(len(self))[which]]))[0]
        rows = np.arange(len(self))[which] if not isinstance(which, slice) else np.arange(*which.indices(len(self)))
        return self._read(rows)

    def __iter__(self) -> Iterator[str | None]:
        for start in range(0, len(self), PIECE):
            yield from self[start : start + PIECE]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or object, copy=False)

    def _read(self, rows: np.ndarray) -> np.ndarray:
        found = np.empty(len(rows), object)
        ends = np.asarray(self.ends[rows])
        before = np.asarray(self.ends[np.maximum(rows - 1, 0)])
        starts = np.where(rows > 0, np.where(before < 0, ~before, before), 0)
        for place, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            found[place] = None if end < 0 else self.letters[start:end].tobytes().decode("utf-8", "surrogatepass")
        return found
