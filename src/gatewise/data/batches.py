"""What is learned from side by side: the batches of each epoch, or the rows of one long sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from ..errors import DataError, OptionError, ShapeError

Batch = TypeVar("Batch")


class Epochs(Generic[Batch]):
    """The batches of each epoch in an order of its own, which depends on the seed and the epoch alone.

    Only the current epoch is remembered; any step may be asked for at any time, as a resumed training does.

    Args:
        batches: Number of batches in an epoch.
        draw: Makes the batches of an epoch from that epoch's random numbers, or from None in their fixed order.
        seed: One or more numbers, to which the number of the epoch is added; None for a fixed order.
    """

    def __init__(
        self,
        batches: int,
        draw: Callable[[np.random.Generator | None], Sequence[Batch]],
        seed: int | Sequence[int] | None,
    ):
        self.batches, self.draw = batches, draw
        self.seed = seed if seed is None or isinstance(seed, Sequence) else [seed]
        self._current: tuple[int, Sequence[Batch]] = (-1, [])

    def __len__(self) -> int:
        return self.batches

    def epoch_of(self, step: int) -> int:
        """The epoch that a step belongs to, from 0."""
        return step // self.batches

    def at(self, step: int) -> Batch:
        """The batch of a step, counted through all epochs."""
        epoch, place = divmod(step, self.batches)
        if self._current[0] != epoch:
            random = None if self.seed is None else np.random.default_rng([*self.seed, epoch])
            self._current = epoch, self.draw(random)
        return self._current[1][place]


def in_batches(order: Any, batch_size: int) -> list[Any]:
    """An array or list cut into batches, in its order; the last may be smaller."""
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def bucketed(lengths: np.ndarray, batch_size: int, random: np.random.Generator, pool: int = 20) -> list[np.ndarray]:
    """Indices of the sequences of each batch, (batch_size,) or fewer, in random order; every sequence is in one batch.

    Batches of similar lengths need little padding; sorting only within pools of `pool` batches each keeps them
    different from epoch to epoch.
    """
    pools = in_batches(random.permutation(len(lengths)), pool * batch_size)
    order = np.concatenate([own[np.argsort(lengths[own], kind="stable")] for own in pools])
    batches = in_batches(order, batch_size)
    return [batches[i] for i in random.permutation(len(batches))]


class Rows:
    """One long sequence as rows that are read side by side, chunk after chunk.

    The sequence is cut into B rows of equal length, n // B tokens, one after the other; up to B - 1 tokens at its end
    that fill no whole row are left out. Chunk k holds the next T tokens of every row, so that row r of chunk k + 1 goes
    on where row r of chunk k ended: carry the state over between chunks, and start afresh at chunk 0. A target is the
    token after its input in the same row. Every token of a row but its first is a target once per epoch; the last
    chunk may be shorter.

        >>> inputs, targets = Rows(ids, batch_size=32, chunk_length=128)[0]

    Args:
        ids: (n,) integers, contiguous text; not copied.
        batch_size: Rows, B.
        chunk_length: Targets per row and chunk, T; the last chunk has what remains.

    Shape:
        rows[k]: inputs and targets, each (T, B), int64 and contiguous. len(rows) chunks make one epoch.

    Raises:
        DataError: there are fewer than two tokens a row, so no target.
        OptionError: `batch_size` or `chunk_length` is less than 1.
        ShapeError: `ids` is not one row of integers.
    """

    def __init__(self, ids: np.ndarray | Sequence[int], batch_size: int, chunk_length: int):
        for name, value in (("batch_size", batch_size), ("chunk_length", chunk_length)):
            if value < 1:
                raise OptionError(f"{name} is {value}. Give 1 or more.")
        array = np.asarray(ids)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise ShapeError(f"ids must be one row of integers, not {array.dtype} of shape {array.shape}.")
        if len(array) < 2 * batch_size:
            lower = f"lower batch_size to {len(array) // 2}, or " if len(array) > 1 else ""
            raise DataError(
                f"{len(array)} tokens are too few for batch_size {batch_size}: two a row, one to read and one to "
                f"predict, make {2 * batch_size}. To fix it, {lower}give more text."
            )
        self.batch_size = batch_size
        self.chunk_length = chunk_length
        length = len(array) // batch_size
        self._rows = array[: batch_size * length].reshape(batch_size, length)

    @property
    def targets(self) -> int:
        """Tokens predicted in one epoch, B (n // B - 1)."""
        return self.batch_size * (self._rows.shape[1] - 1)

    def __len__(self) -> int:
        return -(-(self._rows.shape[1] - 1) // self.chunk_length)

    def __getitem__(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        return self.chunk(k)

    def chunk(self, k: int, rows: Sequence[int] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """`self[k]`, or of it these rows, (T, len(rows)): nothing of the others is read.

        Raises:
            IndexError: There is no such chunk.
        """
        if not -len(self) <= k < len(self):
            raise IndexError(f"no chunk {k}: an epoch has {len(self)}.")
        start = k % len(self) * self.chunk_length
        steps = slice(start, start + self.chunk_length + 1)
        window = self._rows[slice(None) if rows is None else list(rows), steps].T.astype(np.int64, order="C")
        return window[:-1], window[1:].copy()  # apart, so that noise put on inputs leaves targets alone

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return (self[k] for k in range(len(self)))
