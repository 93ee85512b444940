"""Which items train, which validate and which test: the one splitter of all tasks.

A text or a long series is cut in its order, many examples are shuffled first, a few long sequences are cut by time.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from ..errors import DataError, OptionError
from .sequences import Sequences, offsets_of

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


def named_split(length: int, shares: Sequence[float]) -> dict[str, slice]:
    """The same three slices by the names of the parts."""
    return dict(zip(PARTS, split(length, shares), strict=True))


class Sliceable(Protocol):
    """What has a length and can be sliced, such as a text or an array."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> Any: ...


Slices = TypeVar("Slices", bound=Sliceable)


def split_in_order(items: Slices, shares: Sequence[float]) -> dict[str, Slices]:
    """The three parts of a text or an array, by name, one after the other; a part may be empty."""
    return {name: items[part] for name, part in named_split(len(items), shares).items()}


def shuffled_split(
    count: int, shares: Sequence[float], seed: int | Sequence[int], strata: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Indices of the items of each part, drawn at random, in ascending order; a part may be empty.

    Args:
        count: Items in all.
        shares: Of the parts, as for `split`.
        seed: Of the draw, as numpy takes it.
        strata: (count,) whole numbers from 0, such as classes: each is then spread evenly over the parts.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(count)
    if strata is not None:
        order = _spread(order, strata[order], random)
    return {name: np.sort(part) for name, part in split_in_order(order, shares).items()}


def _spread(order: np.ndarray, strata: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Items in an order in which the members of each stratum lie at even distances, from a random start."""
    place = np.empty(len(order))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        place[members] = (np.arange(len(members)) + random.random()) / len(members)
    return order[np.argsort(place, kind="stable")]


class Items(Protocol):
    """Data from which some items can be taken, such as `Pairs` and `Sequences`."""

    @property
    def name(self) -> str: ...

    def __len__(self) -> int: ...

    def take(self, which: np.ndarray, /) -> Self: ...


Data = TypeVar("Data", bound=Items)


def split_at_random(data: Data, shares: Sequence[float], seed: int, items: str) -> dict[str, Data]:
    """The parts that are not empty, by name, drawn at random.

    Args:
        data: What is split.
        shares, seed: As for `shuffled_split`.
        items: What the error calls the items.

    Raises:
        DataError: There is nothing to learn from.
    """
    found = {name: data.take(places) for name, places in shuffled_split(len(data), shares, seed).items()}
    if not len(found["train"]):
        raise DataError(f"{data.name} has {len(data)} {items}, which leaves none to learn from")
    return {name: part for name, part in found.items() if len(part)}


def split_by_time(data: Sequences, shares: Sequence[float]) -> dict[str, Sequences]:
    """The parts by name, each with a piece of every sequence, even one without a step: earlier steps train, later ones
    validate and test."""
    pieces = [split_in_order(np.arange(start, stop), shares) for start, stop in pairwise(data.offsets.tolist())]
    return {name: _steps_of(data, [piece[name] for piece in pieces]) for name in PARTS}


def _steps_of(data: Sequences, rows: Sequence[np.ndarray]) -> Sequences:
    """These steps of each sequence."""
    which = np.concatenate(rows or [np.empty(0, np.int64)])
    steps = {name: column[which] for name, column in data.steps.items()}
    lines = None if data.lines is None else data.lines[which]
    return Sequences(offsets_of(map(len, rows)), steps, data.static, data.name, lines)
