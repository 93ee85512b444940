"""What the window regression reads at a step: the tokens and categories around it, hashed, and the measurements around
it with their means, deviations and differences.

Letters: n steps, S slots of hashed values, F numbers.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .features import Encoded, EncodedWords, shape

_DIGITS = str.maketrans("123456789", "000000000")
_AROUND = 2  # tokens to each side
_BEYOND = 1 << 61  # the hash of what lies beyond an end of the sequence
_SHORT = 3.0  # letters of a token, on average: of shorter ones, as of characters, more are read together

# Part of a token -> how to compute it. Each distinct token is looked at once.
_PARTS: dict[str, Callable[[str], str]] = {
    "word": lambda word: word.lower().translate(_DIGITS),
    "exact": lambda word: word,
    "shape": shape,
    **{f"prefix {n}": lambda word, n=n: word[:n].lower() for n in (1, 2, 3, 4)},
    **{f"suffix {n}": lambda word, n=n: word[-n:].lower() for n in (1, 2, 3, 4)},
}

# Slots of a column of tokens: (part, offset) that are read together.
_WORDS = (
    *((("word", k),) for k in range(-2, 3)),
    (("exact", 0),),
    *((("shape", k),) for k in (-1, 0, 1)),
    *(((f"prefix {n}", 0),) for n in (1, 2, 3, 4)),
    *(((f"suffix {n}", 0),) for n in (1, 2, 3, 4)),
    *((("suffix 2", k),) for k in (-1, 1)),
    *((("suffix 3", k),) for k in (-1, 1)),
    (("word", -1), ("word", 0)),
    (("word", 0), ("word", 1)),
    (("suffix 3", -1), ("suffix 3", 0)),
    (("suffix 3", 0), ("suffix 3", 1)),
    (("shape", -1), ("shape", 0), ("shape", 1)),
)
_LETTERS = (
    *((("word", k),) for k in range(-2, 3)),
    (("prefix 1", -1),), (("prefix 1", 0),), (("prefix 1", 1),),
    (("suffix 1", 0),),
    (("shape", 0),),
    *((("word", k), ("word", k + 1)) for k in (-2, -1, 0, 1)),
    (("word", -1), ("word", 1)),
    *((("word", k), ("word", k + 1), ("word", k + 2)) for k in (-2, -1, 0)),
)


def hash_slots(data: Encoded, causal: bool, short: Sequence[bool]) -> np.ndarray:
    """(n, S) uint32"""
    n = int(data.offsets[-1])
    found = []
    first = np.repeat(data.offsets[:-1], np.diff(data.offsets))
    last = np.repeat(data.offsets[1:], np.diff(data.offsets))
    for place, (words, few) in enumerate(zip(data.words, short, strict=True)):
        slots = _LETTERS if few else _WORDS
        if causal:
            slots = tuple(s for s in slots if all(k <= 0 for _, k in s))
        parts = {}
        for name in {name for slot in slots for name, _ in slot}:
            part = _PARTS[name]
            own = np.array([zlib.crc32(part(w).encode("utf-8", "surrogatepass")) + 1 for w in words.distinct], np.uint64)
            parts[name] = own[words.index] if n else np.zeros(0, np.uint64)
        at = np.arange(n)
        around = {}
        for k in range(-_AROUND, _AROUND + 1):
            there = at + k
            around[k] = np.clip(there, 0, max(n - 1, 0)), (there >= first) & (there < last)
        for number, slot in enumerate(slots):
            total = np.full(n, 1 + number + 1000 * place, np.uint64)
            for name, k in slot:
                where, inside = around[k]
                value = np.where(inside, parts[name][where], np.uint64(_BEYOND))
                total = _mixed(total * np.uint64(0x9E3779B97F4A7C15) + value)
            found.append(total)
    return (np.stack(found, 1) >> np.uint64(32)).astype(np.uint32) if found else np.zeros((n, 0), np.uint32)


def _mixed(x: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64: every bit depends on every other."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


# Measurements.


def dense(x: np.ndarray, offsets: np.ndarray, scales: Sequence[int], causal: bool) -> list[np.ndarray]:
    """of (n, N)"""
    first = np.repeat(offsets[:-1], np.diff(offsets))
    last = np.repeat(offsets[1:], np.diff(offsets)) - 1
    at = np.arange(len(x))
    x = x.astype(np.float64)
    both = np.concatenate([x, x * x, np.ones((len(x), 1))], 1)
    N = x.shape[1]
    back = ahead = both
    found = [x]
    w = 1
    while w < max(scales, default=1):
        # sums over 2 w steps up to here, of two of w steps
        inside = at - w >= first
        back = back + np.where(inside[:, None], back[np.maximum(at - w, 0)], 0)
        if not causal:
            inside = at + w <= last
            ahead = ahead + np.where(inside[:, None], ahead[np.minimum(at + w, len(x) - 1)], 0)
        w *= 2
        if w in scales:
            total = back if causal else back + ahead - both
            count = total[:, -1:]
            mean = total[:, :N] / count
            deviation = np.sqrt(np.maximum(total[:, N : 2 * N] / count - mean * mean, 0))
            found += [mean, deviation, x - x[np.maximum(at - w, first)]]
            if not causal:
                found.append(x - x[np.minimum(at + w, last)])
    return found
