"""How far steps lie from those before them, as they arrive. One step or many at a time give the same bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_LEAST_SPREAD = 0.1  # of a channel, in its standard deviations in normal data: a line may have been flat for a while
_FURTHEST = 1e100
_KNOWN = 10  # a series begins as if this part of a window had been normal: two values alone have hardly a deviation


@dataclass(frozen=True)
class RollingState:
    """What the sums over the steps before a series' next ones depend on. D columns, blocks of W steps.

    Reading on from a state uses it up: its block, the large part of it, becomes that of the state after.

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

    def read(self, x: np.ndarray, state: RollingState) -> tuple[np.ndarray, RollingState]:
        """(T, 3, D) sums over what lies before each of the next steps (T, D), and the state after them."""
        found = []
        start = 0
        while start < len(x):
            rows = x[start : start + self.window - state.position]
            sums, state = self._in_block(rows, state)
            found.append(sums)
            start += len(rows)
        return np.concatenate(found), state

    def _in_block(self, x: np.ndarray, state: RollingState) -> tuple[np.ndarray, RollingState]:
        first, last = state.position, state.position + len(x)
        state.block[first:last] = x
        sums = np.cumsum(np.concatenate([state.sums[None], _terms(x)]), axis=0)  # one by one, in this order
        found = sums[:-1] + state.before[first:last]
        if last < self.window:
            return found, RollingState(last, state.block, sums[-1].copy(), state.before)
        backward = np.cumsum(_terms(state.block)[::-1], axis=0)[::-1]
        before = np.concatenate([backward, np.zeros_like(backward[:1])])
        return found, RollingState(0, state.block, np.zeros_like(state.sums), before)


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

    def read(self, values: np.ndarray, state: RollingState) -> tuple[np.ndarray, RollingState]:
        """z (T, D) of the next steps (T, D), signed, NaN where there is no value; and the state after them."""
        # Cut off where squares would overflow, and no nearer: a series may wander far from where it was learned.
        x = np.clip((values - self.location) / self.scale, -_FURTHEST, _FURTHEST)
        sums, state = self._sums.read(x, state)
        count, total, squares = np.moveaxis(sums, 1, 0)
        mean = total / np.maximum(count, 1)
        spread = np.sqrt(np.maximum(squares / np.maximum(count, 1) - mean * mean, _LEAST_SPREAD**2))
        return (x - mean) / spread, state


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

    def read(self, x: np.ndarray, state: RollingState | None) -> tuple[np.ndarray, RollingState | None]:
        """Means (T, D) of the next steps (T, D), NaN where there is no value; and the state after them."""
        if self._sums is None or state is None:
            return x, None
        sums, state = self._sums.read(x, state)
        return (sums[:, 1] + x) / (sums[:, 0] + 1), state


def _terms(x: np.ndarray) -> np.ndarray:
    """(T, 3, D) of steps (T, D): whether there is a value, the value, its square."""
    seen = np.isfinite(x)
    known = np.where(seen, x, 0.0)
    return np.stack([seen.astype(np.float64), known, known * known], axis=1)


def furthest(z: np.ndarray) -> np.ndarray:
    """(T,) how far out a step is whose D channels are z (T, D) off; NaN where none has a value."""
    return np.where(np.isfinite(z).any(axis=1), among(z).max(axis=1), np.nan)


def among(z: np.ndarray) -> np.ndarray:
    """(T, D) how far out each of D channels is, 0 or more, less what the furthest of so many is by chance; 0 where
    there is no value.

    To the normal distribution, a tail probability D times as large is about that of sqrt(z^2 - 2 ln D).
    """
    seen = np.isfinite(z)
    count = np.maximum(seen.sum(axis=1, keepdims=True), 1)
    return np.sqrt(np.maximum(np.where(seen, z * z, 0.0) - 2 * np.log(count), 0.0))
