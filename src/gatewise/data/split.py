"""Which items train, which validate and which test: the one splitter of all tasks.

A text or a long series is cut in its order, many examples are shuffled first, a few long sequences are cut by time.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from ..errors import DataError, OptionError
from .mapped_text import MappedText
from .sequences import Column, Sequences, offsets_of

_DIVISIONS = 50  # of groups that are drawn, of which the best is taken

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
    count: int,
    shares: Sequence[float],
    seed: int | Sequence[int],
    strata: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Indices of the items of each part, drawn at random, in ascending order; a part may be empty.

    Args:
        count: Items in all.
        shares: Of the parts, as for `split`.
        seed: Of the draw, as numpy takes it.
        strata: (count,) whole numbers from 0, such as classes: each is then spread evenly over the parts.
        groups: (count,) whole numbers from 0: items of one group are in one part. There must be as many groups as there
            are parts with a share.
    """
    random = np.random.default_rng(seed)
    if groups is not None:
        return _grouped(groups, shares, random, strata)
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


def _grouped(
    groups: np.ndarray, shares: Sequence[float], random: np.random.Generator, strata: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Whole groups by part: of some random divisions the one whose parts have the sizes, and the strata, that come
    nearest to their shares."""
    split(len(groups), shares)  # refuses shares that are none
    strata = np.zeros(len(groups), np.int64) if strata is None else strata
    table = np.zeros((int(groups.max()) + 1, int(strata.max()) + 1))
    np.add.at(table, (groups, strata), 1)
    wanted = np.array(shares)[:, None] * table.sum(0)  # (3, strata)
    filled = [part for part, share in enumerate(shares) if share > 0]
    best, part_of = math.inf, np.zeros(len(table), np.int64)
    for _ in range(_DIVISIONS):
        drawn = _division(table, wanted, filled, random)
        held = np.zeros_like(wanted)
        np.add.at(held, drawn, table)
        # Counts of strata are weighed against those that a part should have, so that small parts count like large ones.
        far = float((np.abs(held - wanted).sum(1) / np.maximum(wanted.sum(1), 1))[filled].sum())
        if far < best:
            best, part_of = far, drawn
    return {name: np.flatnonzero(part_of[groups] == part) for part, name in enumerate(PARTS)}


def _division(table: np.ndarray, wanted: np.ndarray, filled: Sequence[int], random: np.random.Generator) -> np.ndarray:
    """(G,) the part of each group: one group for each part, then each to the part that still lacks most of it."""
    order = random.permutation(len(table))
    part_of, room = np.zeros(len(table), np.int64), wanted.copy()
    # The small parts get their first group first: of few groups the large one takes what is left.
    first = sorted(filled, key=lambda part: wanted[part].sum())
    for place, group in enumerate(order):
        if place < len(first):
            part = first[place]
        else:
            part = max(filled, key=lambda part: room[part].sum() / max(wanted[part].sum(), 1))
        part_of[group] = part
        room[part] -= table[group]
    return part_of


def equal_together(parts: Mapping[str, np.ndarray], same: np.ndarray) -> dict[str, np.ndarray]:
    """The parts, where items that are equal are all in the one in which most of them were; of equally many, the first.

    Args:
        parts: Indices of items by part, as `shuffled_split` gives them.
        same: (count,) whole numbers from 0, one for all items that are equal; see `equal_sequences`.
    """
    names = [*parts]
    held = np.zeros((int(same.max(initial=-1)) + 1, len(names)), np.int64)
    for place, name in enumerate(names):
        np.add.at(held, (same[parts[name]], place), 1)
    part_of = held.argmax(1)[same]
    return {name: np.flatnonzero(part_of == place) for place, name in enumerate(names)}


def equal_sequences(data: Sequences, ignored: Collection[str] = ()) -> np.ndarray:
    """(N,) the number of each sequence's content, from 0: equal for sequences with the same values in every column.

    Args:
        ignored: Columns that may differ, such as keys and targets.
    """
    row = np.repeat(np.arange(len(data)), data.lengths)
    place = (np.arange(len(row)) - np.repeat(data.offsets[:-1], data.lengths)).astype(np.uint64)
    total = data.lengths.astype(np.uint64)
    for name, column in sorted(data.steps.items()):
        if name not in ignored:
            found = np.zeros(len(data), np.uint64)
            np.add.at(found, row, _mixed(_hashes(column) + place * np.uint64(0x9E3779B97F4A7C15)))
            total = _mixed(total * np.uint64(31) + found)
    for name, column in sorted(data.static.items()):
        if name not in ignored:
            total = _mixed(total * np.uint64(31) + _hashes(column))
    number: np.ndarray = np.unique(total, return_inverse=True)[1]
    return number


def _hashes(column: Column) -> np.ndarray:
    """(n,) uint64 of a column's values."""
    if column.kind in ("text", "category"):
        if isinstance(column.values, MappedText):  # of which not even the different ones may fit into memory
            digests = np.fromiter(map(_digest, column.values), np.uint64, len(column))
            _, first, own = np.unique(digests, return_index=True, return_inverse=True)
            return first.argsort().argsort().astype(np.uint64)[own]
        known: dict[str | None, int] = {}
        return np.array([known.setdefault(value, len(known)) for value in column.strings()], np.uint64)
    values = column.values.reshape(len(column), -1)
    total = np.zeros(len(column), np.uint64)
    for place in range(values.shape[1]):
        own = values[:, place].astype(np.float64 if values.dtype.kind == "f" else np.int64)
        total = _mixed(total * np.uint64(31) + own.view(np.uint64))
    return total


def _digest(text: str | None) -> int:
    written = b"\0" if text is None else text.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(written, digest_size=8).digest(), "little")


def _mixed(x: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64: each bit depends on all."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


class Items(Protocol):
    """Data from which some items can be taken, such as `Pairs` and `Sequences`."""

    @property
    def name(self) -> str: ...

    def __len__(self) -> int: ...

    def take(self, which: np.ndarray, /) -> Self: ...


Data = TypeVar("Data", bound=Items)


def split_at_random(
    data: Data, shares: Sequence[float], seed: int, items: str, groups: np.ndarray | None = None
) -> dict[str, Data]:
    """The parts that are not empty, by name, drawn at random.

    Args:
        data: What is split.
        shares, seed, groups: As for `shuffled_split`.
        items: What the error calls the items.

    Raises:
        DataError: There is nothing to learn from.
    """
    places = shuffled_split(len(data), shares, seed, groups=groups)
    found = {name: data.take(some) for name, some in places.items()}
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
