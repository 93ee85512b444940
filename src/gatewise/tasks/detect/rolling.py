"""How far steps lie from those before them, as they arrive. One step or many at a time give the same bits, and so do
one series or many.

Letters: T steps of B series at the same time, D columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

_LEAST_SPREAD = 0.1  # of a channel, in its standard deviations in normal data: a line may have been flat for a while
_FURTHEST = 1e100
_KNOWN = 10  # a series begins as if this part of a window had been normal: two values alone have hardly a deviation


@dataclass
class RollingState:
    """What the sums over the steps before a series' next ones depend on, in blocks of W steps. Reading changes it.

    Attributes:
        position: Steps of this block so far.
        block: (W, D) these steps; what lies behind them is of no meaning.
        sums: (3, D) of these steps: how many values there are, their sum, and that of their squares.
        before: (W + 1, 3, D) the same of the steps of the block before from each on.
    """

    position: int
    block: np.ndarray
    sums: np.ndarray
    before: np.ndarray

    def __post_init__(self) -> None:
        if not 0 <= self.position < len(self.block):
            raise ValueError(f"a block of {len(self.block)} steps has no place {self.position}")


class RollingSums:
    """Number, sum and sum of squares of the `window` values before each.

    Steps are counted off in blocks of a window. What a window holds of this block is summed up as it arrives, what it
    holds of the block before was summed up from its end; so nothing is ever subtracted, and a value that is far out is
    forgotten with its window, to the last digit.

    Args:
        window: Number of earlier values, W.
        width: Of a step, D.
        known: A series begins as if so many steps before it had been normal, of mean 0 and deviation 1.
    """

    def __init__(self, window: int, width: int, known: int):
        self.window, self.width, self.known = window, width, known

    def start(self) -> RollingState:
        """The state at the beginning of a series."""
        W, D = self.window, self.width
        known = np.minimum(np.arange(W, -1, -1), self.known).astype(np.float64)
        before = np.stack([known, np.zeros(W + 1), known], axis=1)[:, :, None].repeat(D, axis=2)
        return RollingState(0, np.zeros((W, D)), np.zeros((3, D)), before)

    def read(self, x: np.ndarray, states: Sequence[RollingState]) -> np.ndarray:
        """(T, B, 3, D) sums over what lies before each of the next steps (T, B, D); the states are then after them."""
        found = np.empty((*x.shape[:2], 3, self.width))
        first = 0
        while first < len(x):
            last = min(len(x), first + self.window - max(state.position for state in states))
            self._in_block(x[first:last], states, found[first:last])
            first = last
        return found

    def _in_block(self, x: np.ndarray, states: Sequence[RollingState], found: np.ndarray) -> None:
        begun = beside(state.sums for state in states)
        sums = np.cumsum(np.concatenate([begun[None], _terms(x)]), axis=0)  # one by one, in this order
        for row, state in enumerate(states):
            first, last = state.position, state.position + len(x)
            state.block[first:last] = x[:, row]
            found[:, row] = state.before[first:last]
            state.sums[:] = sums[-1, row]
            state.position = last
            if last == self.window:
                np.cumsum(_terms(state.block)[::-1], axis=0, out=state.before[-2::-1])
                state.before[-1] = state.sums[:] = 0
                state.position = 0
        np.add(sums[:-1], found, out=found)


class RollingZ:
    """How many standard deviations each value lies from the mean of the `window` values before it.

    Args:
        window: Number of earlier values, W. A series begins as if a tenth of a window had been normal data.
        location: (D,) mean of each column in normal data.
        scale: (D,) its standard deviation, above 0.
    """

    def __init__(self, window: int, location: np.ndarray, scale: np.ndarray):
        self.window, self.location, self.scale = window, location, scale
        self._sums = RollingSums(window, len(location), max(window // _KNOWN, 2))

    def start(self) -> RollingState:
        """The state at the beginning of a series."""
        return self._sums.start()

    def read(self, values: np.ndarray, states: Sequence[RollingState]) -> np.ndarray:
        """z of the next steps (T, B, D), signed, NaN where there is no value; the states are then after them."""
        # Cut off where squares would overflow, and no nearer: a series may wander far from where it was learned.
        x = np.clip((values - self.location) / self.scale, -_FURTHEST, _FURTHEST)
        count, total, squares = np.moveaxis(self._sums.read(x, states), 2, 0)
        mean = total / np.maximum(count, 1)
        spread = np.sqrt(np.maximum(squares / np.maximum(count, 1) - mean * mean, _LEAST_SPREAD**2))
        found: np.ndarray = (x - mean) / spread
        return found


class RollingMean:
    """Mean of each value and the `length` - 1 before it.

    Args:
        width: Of a step, D; a series begins as if the steps before it had been normal, of mean 0.
    """

    def __init__(self, length: int, width: int):
        self._sums = RollingSums(length - 1, width, length - 1) if length > 1 else None

    def start(self) -> RollingState | None:
        """The state at the beginning of a series."""
        return None if self._sums is None else self._sums.start()

    def read(self, x: np.ndarray, states: Sequence[RollingState | None]) -> np.ndarray:
        """Means of the next steps (T, B, D), NaN where there is no value; the states are then after them."""
        if self._sums is None:
            return x
        sums = self._sums.read(x, [state for state in states if state is not None])
        found: np.ndarray = (sums[:, :, 1] + x) / (sums[:, :, 0] + 1)
        return found


def beside(arrays: Iterable[np.ndarray]) -> np.ndarray:
    """(B, ...) of B arrays of the same shape. For small ones; `np.stack` takes several times as long."""
    each = list(arrays)
    return np.concatenate(each).reshape(len(each), *each[0].shape)


def _terms(x: np.ndarray) -> np.ndarray:
    """(..., 3, D) of steps (..., D): whether there is a value, the value, its square."""
    seen = np.isfinite(x)
    known = np.where(seen, x, 0.0)
    return np.stack([seen.astype(np.float64), known, known * known], axis=-2)


def furthest(z: np.ndarray) -> np.ndarray:
    """(...) how far out a step is whose D channels are z (..., D) off; NaN where none has a value."""
    return np.where(np.isfinite(z).any(axis=-1), among(z).max(axis=-1), np.nan)


def among(z: np.ndarray) -> np.ndarray:
    """(..., D) how far out each of D channels is, 0 or more, less what the furthest of so many is by chance; 0 where
    there is no value.

    To the normal distribution, a tail probability D times as large is about that of sqrt(z^2 - 2 ln D).
    """
    seen = np.isfinite(z)
    count = np.maximum(seen.sum(axis=-1, keepdims=True), 1)
    return np.sqrt(np.maximum(np.where(seen, z * z, 0.0) - 2 * np.log(count), 0.0))
