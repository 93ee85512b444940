"""Which part of the data trains, validates and tests, and what is learned from side by side: rows of a long sequence,
or sequences of about one length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, Self, TypeVar

import numpy as np

from ..errors import DataError, OptionError, ShapeError

PARTS = ("train", "validation", "test")


def split(length: int, fractions: Sequence[float] = (0.9, 0.05, 0.05)) -> tuple[slice, slice, slice]:
    """Where training, validation and test lie in a sequence of `length` tokens: in this order, never shuffled.

    Args:
        length: Tokens in all.
        fractions: The three shares; none is negative, training is positive, and together they are 1.

    Returns:
        Three slices without a gap; one may be empty where its share is less than half a token.

    Raises:
        OptionError: `length` is negative or the shares are not as above.
    """
    if length < 0:
        raise OptionError(f"length is {length}. Give 0 or more tokens.")
    try:
        train, validation, test = (float(share) for share in fractions)
    except (TypeError, ValueError):
        raise OptionError(f"fractions is {fractions!r}. Give three numbers, such as (0.9, 0.05, 0.05).") from None
    if not (train > 0 and validation >= 0 and test >= 0 and abs(train + validation + test - 1) <= 1e-9):
        raise OptionError(
            f"fractions is {fractions!r}, which sums to {train + validation + test:.10g}. "
            "Give a positive share for training and none below 0 for validation and test, 1 in all."
        )
    first = min(round(length * train), length)
    second = min(round(length * (train + validation)), length) if test else length
    return slice(0, first), slice(first, second), slice(second, length)


def dealt(count: int, shares: Sequence[float], seed: int | Sequence[int]) -> dict[str, np.ndarray]:
    """Places of the items of each of `PARTS`, drawn at random, in ascending order; a part may be empty.

    Args:
        count: Items in all.
        shares: Of the parts, as for `split`.
        seed: Of the draw, as numpy takes it.
    """
    order = np.random.default_rng(seed).permutation(count)
    return {name: np.sort(order[part]) for name, part in zip(PARTS, split(count, shares), strict=True)}


class Items(Protocol):
    """Data of which some items can be taken, such as `Pairs` and `Sequences`."""

    @property
    def name(self) -> str: ...

    def __len__(self) -> int: ...

    def take(self, which: np.ndarray, /) -> Self: ...


Some = TypeVar("Some", bound=Items)


def parts_of(data: Some, shares: Sequence[float], seed: int, items: str) -> dict[str, Some]:
    """The parts that are not empty, by name, dealt out at random.

    Args:
        data: What is dealt out.
        shares, seed: As for `dealt`.
        items: What the error calls them.

    Raises:
        DataError: There is nothing to learn from.
    """
    found = {name: data.take(places) for name, places in dealt(len(data), shares, seed).items()}
    if not len(found["train"]):
        raise DataError(f"{data.name} has {len(data)} {items}, which leaves none to learn from")
    return {name: part for name, part in found.items() if len(part)}


def alike(lengths: np.ndarray, batch_size: int, random: np.random.Generator, pool: int = 20) -> list[np.ndarray]:
    """Places of the sequences of each batch, (batch_size,) or fewer, in random order; every sequence is in one of them.

    Batches of like lengths pad little; sorting within pools, of `pool` batches each, keeps them different from pass to
    pass.
    """
    order, pooled = random.permutation(len(lengths)), pool * batch_size
    pools = [order[i : i + pooled] for i in range(0, len(order), pooled)]
    order = np.concatenate([own[np.argsort(lengths[own], kind="stable")] for own in pools])
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    return [batches[i] for i in random.permutation(len(batches))]


class Rows:
    """One long sequence as rows that are read side by side, chunk after chunk.

    The sequence is cut into B rows of equal length, n // B tokens, one after the other; up to B - 1 tokens at its end
    that fill no whole row are left out. Chunk k holds the next T tokens of every row, so that row r of chunk k + 1 goes
    on where row r of chunk k ended: carry the state over between chunks, and start afresh at chunk 0. A target is the
    token behind its input in the same row. Every token of a row but its first is a target once a pass; the last chunk
    may be shorter.

        >>> inputs, targets = Rows(ids, batch_size=32, chunk_length=128)[0]

    Args:
        ids: (n,) integers, contiguous text; not copied.
        batch_size: Rows, B.
        chunk_length: Targets per row and chunk, T; the last chunk has what remains.

    Shape:
        rows[k]: inputs and targets, each (T, B), int64 and contiguous. len(rows) chunks make one pass.

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
                f"predict, make {2 * batch_size}. To mend it, {lower}give more text."
            )
        self.batch_size = batch_size
        self.chunk_length = chunk_length
        length = len(array) // batch_size
        self._rows = array[: batch_size * length].reshape(batch_size, length)

    @property
    def targets(self) -> int:
        """Tokens predicted in one pass, B (n // B - 1)."""
        return self.batch_size * (self._rows.shape[1] - 1)

    def __len__(self) -> int:
        return -(-(self._rows.shape[1] - 1) // self.chunk_length)

    def __getitem__(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        if not -len(self) <= k < len(self):
            raise IndexError(f"no chunk {k}: a pass has {len(self)}.")
        start = k % len(self) * self.chunk_length
        window = self._rows[:, start : start + self.chunk_length + 1].T.astype(np.int64, order="C")
        return window[:-1], window[1:].copy()  # apart, so that noise put on inputs leaves targets alone

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return (self[k] for k in range(len(self)))
