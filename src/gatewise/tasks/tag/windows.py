"""What the plain regression reads at a step: the tokens and categories around it, hashed; and the measurements there,
the shares of bins of their ranges, and the means, deviations and differences of the steps around it.

Letters: n steps, S slots of hashed values, N measurements, F numbers.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from .features import SHORT, SINGLE, Encoded, Features, shape

_DIGITS = str.maketrans("123456789", "000000000")
_AROUND = 2  # tokens, and categories, to each side
_BEYOND = np.uint64(1 << 61)  # stands for what lies beyond an end of the sequence
_MOST_REACH = 1 << 10
_BINS = 8
_MOST_BINNED = 400  # measurements with bins of their own at most
_BLOCK = 1 << 21  # numbers at once

# Part of a token -> how to compute it. Each distinct token is looked at once.
_PARTS: dict[str, Callable[[str], str]] = {
    "word": lambda word: word.lower().translate(_DIGITS),
    "exact": lambda word: word,
    "shape": shape,
    "prefix 1": lambda word: word[:1].lower(),
    "prefix 2": lambda word: word[:2].lower(),
    "prefix 3": lambda word: word[:3].lower(),
    "prefix 4": lambda word: word[:4].lower(),
    "prefix 5": lambda word: word[:5].lower(),
    "suffix 1": lambda word: word[-1:].lower(),
    "suffix 2": lambda word: word[-2:].lower(),
    "suffix 3": lambda word: word[-3:].lower(),
    "suffix 4": lambda word: word[-4:].lower(),
    "suffix 5": lambda word: word[-5:].lower(),
}

Slot = tuple[tuple[str, int], ...]  # parts, and how many steps away, that are read as one

_OF_WORDS: tuple[Slot, ...] = (
    *((("word", k),) for k in range(-_AROUND, _AROUND + 1)),
    (("exact", 0),),
    *((("shape", k),) for k in (-1, 0, 1)),
    *(((f"prefix {letters}", 0),) for letters in (1, 2, 3, 4)),
    *(((f"suffix {letters}", 0),) for letters in (1, 2, 3, 4)),
    *((("suffix 2", k),) for k in (-1, 1)),
    *((("suffix 3", k),) for k in (-1, 1)),
    (("word", -1), ("word", 0)),
    (("word", 0), ("word", 1)),
    (("suffix 3", -1), ("suffix 3", 0)),
    (("suffix 3", 0), ("suffix 3", 1)),
    (("shape", -1), ("shape", 0), ("shape", 1)),
)
_OF_LETTERS: tuple[Slot, ...] = (
    *((("word", k),) for k in range(-_AROUND, _AROUND + 1)),
    *((("prefix 1", k),) for k in (-1, 0, 1)),
    (("suffix 1", 0),),
    (("shape", 0),),
    *((("word", k), ("word", k + 1)) for k in range(-_AROUND, _AROUND)),
    (("word", -1), ("word", 1)),
    *((("word", k), ("word", k + 1), ("word", k + 2)) for k in range(-_AROUND, _AROUND - 1)),
)
# Behind those above, whose numbers are part of the hash, where parts are read finely. Ends tell of words that training
# lacks; and where a character's token says more than the character, its place in a word for example, that counts too.
_FINE_OF_WORDS: tuple[Slot, ...] = (
    (("suffix 3", 0), ("shape", 0)),
    (("prefix 5", 0),),
    (("suffix 5", 0),),
    *((("prefix 3", k),) for k in (-1, 1)),
)
_FINE_OF_LETTERS: tuple[Slot, ...] = (
    *((("exact", k),) for k in (-1, 0, 1)),
    *((("exact", k), ("exact", k + 1)) for k in (-1, 0)),
)
_OF_CATEGORIES = (-1, 0, 1)


@dataclass(frozen=True)
class Windows:
    """How steps are read.

    Attributes:
        ahead: Whether steps after a step are read too.
        short: Of each column of tokens, whether these are as short as characters.
        reach: Measurements are read so many steps to each side: 0, or a power of two.
        binned: Whether bins of the measurements are read.
        chained: Whether the regression scores neighbouring labels too.
        fine: Of each column of tokens, whether more of their parts are read; empty in models of before.
    """

    ahead: bool
    short: list[bool]
    reach: int = 0
    binned: bool = False
    chained: bool = False
    fine: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not 0 <= self.reach <= _MOST_REACH or self.reach & (self.reach - 1):
            raise ValueError(f"its windows reach {self.reach} steps, which is no power of two up to {_MOST_REACH}")
        if len(self.fine) not in (0, len(self.short)):
            raise ValueError(f"it reads parts of {len(self.fine)} columns of tokens, and has {len(self.short)}")

    @classmethod
    def of(cls, data: Encoded, ahead: bool, **rest: Any) -> Self:
        """Windows that suit these training data."""
        short, fine = [], []
        for words in data.words:
            lengths = np.array([len(word) for word in words.distinct] or [0])
            mean = float(lengths[words.index].mean()) if len(words.index) else SHORT
            short.append(mean < SHORT)
            fine.append(mean >= SINGLE)
        return cls(ahead, short, fine=fine, **rest)

    @property
    def before(self) -> int:
        """Steps before a step that it depends on."""
        return max(_AROUND, self.reach)

    # Tokens and categories.

    def hashes(self, data: Encoded) -> np.ndarray:
        """(n, S) uint32: a hashed value for each slot. What is the same in the same slot has the same hash."""
        n = int(data.offsets[-1])
        around = _Around(data.offsets)
        found = []
        for place, words in enumerate(data.words):
            slots = self.slots(place)
            values = {}
            for name in sorted({name for slot in slots for name, _ in slot}):
                own = [zlib.crc32(_PARTS[name](word).encode("utf-8", "surrogatepass")) for word in words.distinct]
                values[name] = np.array(own, np.uint64)[words.index]
            found += [_hashed(values, slot, around, f"{place}.{number}") for number, slot in enumerate(slots)]
        for place in range(data.categories.shape[1]):
            value = {"": data.categories[:, place].astype(np.uint64)}
            slots = [(("", k),) for k in _OF_CATEGORIES if k <= 0 or self.ahead]
            found += [_hashed(value, slot, around, f"category {place}.{k}") for k, slot in enumerate(slots)]
        return np.stack(found, 1) if found else np.zeros((n, 0), np.uint32)

    def slots(self, place: int) -> list[Slot]:
        """What is hashed of the tokens of a column."""
        slots = _OF_LETTERS if self.short[place] else _OF_WORDS
        if self.fine and self.fine[place]:
            slots += _FINE_OF_LETTERS if self.short[place] else _FINE_OF_WORDS
        return [slot for slot in slots if self.ahead or all(k <= 0 for _, k in slot)]

    # Measurements.

    def width(self, features: Features) -> int:
        """F."""
        sides = 2 if self.ahead else 1
        scales = len(self._scales) * (2 + sides) + (sides if self.reach else 0)
        bins = sum(map(len, self.edges(features)))
        return features.width * (1 + scales) + bins - len(self.edges(features))

    def numbers(self, data: Encoded, features: Features, rows: np.ndarray | None = None) -> Iterator[np.ndarray]:
        """(some steps, F) float32 at a time, of all steps or of these, ascending.

        A value depends on nothing but the steps that its window reaches, to the last bit, so that a stream can have
        the same.
        """
        n = int(data.offsets[-1])
        length = max(1, _BLOCK // max(1, self.width(features)))
        for start in range(0, n, length):
            stop = min(n, start + length)
            if rows is None:
                yield self._block(data, features, start, stop)
                continue
            own = rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)]
            if len(own):
                yield self._block(data, features, start, stop)[own - start]

    def _block(self, data: Encoded, features: Features, start: int, stop: int) -> np.ndarray:
        low, high = max(0, start - self.reach), min(int(data.offsets[-1]), stop + self.reach)
        offsets = np.clip(data.offsets, low, high) - low  # what windows do not reach need not be there
        x = data.numbers[low:high].astype(np.float64)
        found = [x, *self._summaries(x, _Around(offsets)), *_binned(x, self.edges(features))]
        return np.concatenate(found, 1)[start - low : stop - low].astype(np.float32)

    def _summaries(self, x: np.ndarray, around: _Around) -> Iterator[np.ndarray]:
        """(n, N) each: how far the neighbours are from here; mean and deviation of windows of each scale, and how far
        the steps at their ends are from here.

        Sums are made of sums of half as many steps, in one order wherever a window lies: their bits depend on no step
        beyond it, as running sums would.
        """
        N = x.shape[1]
        here = np.concatenate([x, x * x, np.ones((len(x), 1))], 1)
        back = ahead = here
        steps = 1
        if self.reach:
            yield from self._differences(x, around, 1)
        while steps < self.reach:
            back = back + around.of(back, -steps)
            ahead = ahead + around.of(ahead, steps) if self.ahead else ahead
            steps *= 2
            if steps in self._scales:
                total = back + ahead - here if self.ahead else back
                mean, square = total[:, :N] / total[:, -1:], total[:, N:-1] / total[:, -1:]
                yield mean
                yield np.sqrt(np.maximum(square - mean * mean, 0.0))
                yield from self._differences(x, around, steps)

    def _differences(self, x: np.ndarray, around: _Around, steps: int) -> Iterator[np.ndarray]:
        yield x - x[around.nearest(-steps)]
        if self.ahead:
            yield x - x[around.nearest(steps)]

    @property
    def _scales(self) -> list[int]:
        """Steps of the windows: 2, 4, 8 and so on."""
        return [2**power for power in range(1, self.reach.bit_length())]

    def edges(self, features: Features) -> list[np.ndarray]:
        """Of the bins of each measurement that has bins."""
        if not self.binned or len(features.edges) > _MOST_BINNED:
            return []
        found = []
        for edges in features.edges:
            some = np.linspace(0, len(edges) - 1, min(_BINS, len(edges) - 1) + 1).round().astype(int)
            found.append(np.array(edges)[some])
        return found


def _binned(x: np.ndarray, edges: list[np.ndarray]) -> Iterator[np.ndarray]:
    """(n, bins) of each measurement: the share of each bin that lies below the value."""
    for place, own in enumerate(edges):
        widths = np.maximum(np.diff(own), 1e-6)
        yield np.clip((x[:, place, None] - own[:-1]) / widths, 0.0, 1.0)


class _Around:
    """Where the steps around each step are, within its sequence.

    Args:
        offsets: Where sequences begin and end.
    """

    def __init__(self, offsets: np.ndarray):
        lengths = np.diff(offsets)
        self._first, self._last = np.repeat(offsets[:-1], lengths), np.repeat(offsets[1:] - 1, lengths)
        self._steps = np.arange(len(self._first)) + int(offsets[0])

    def nearest(self, away: int) -> np.ndarray:
        """(n,) the step so far away, or the end of the sequence where there is none."""
        return np.clip(self._steps + away, self._first, self._last)

    def inside(self, away: int) -> np.ndarray:
        """(n,) whether there is one."""
        there = self._steps + away
        return (there >= self._first) & (there <= self._last)

    def of(self, values: np.ndarray, away: int) -> np.ndarray:
        """(n, ...) their values, 0 where there is none."""
        found: np.ndarray = np.where(self.inside(away)[:, None], values[self.nearest(away)], 0.0)
        return found


def _hashed(values: dict[str, np.ndarray], slot: Slot, around: _Around, name: str) -> np.ndarray:
    """(n,) uint32 of the values of a slot."""
    total = np.full(len(next(iter(values.values()))), zlib.crc32(name.encode()), np.uint64)
    for part, away in slot:
        value = np.where(around.inside(away), values[part][around.nearest(away)], _BEYOND)
        total = _mixed(total * np.uint64(0x9E3779B97F4A7C15) + value)
    return (total >> np.uint64(32)).astype(np.uint32)


def _mixed(x: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64: each bit depends on all."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
