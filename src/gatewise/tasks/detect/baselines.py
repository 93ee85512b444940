"""Plain anomaly detectors that a trained one must beat. Both score a step by those before it alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

_erfc = np.frompyfunc(math.erfc, 1, 1)  # numpy has none of its own


def rolling_z(values: np.ndarray, window: int = 100) -> np.ndarray:
    """How many standard deviations each value lies from the mean of the `window` values before it.

    Args:
        values: (n,) or (n, D); of several channels the furthest out counts. NaN where missing: scored 0.
        window: Number of earlier values; fewer at the beginning, where fewer than 2 score 0.

    Returns:
        (n,) scores, 0 or more.
    """
    x = _columns(values)
    seen = np.isfinite(x)
    # Around the column's middle, so that a large level costs no digits.
    x = np.where(seen, x - _middle(x), 0.0)
    count = _window_sums(seen.astype(np.float64), window)
    mean = _window_sums(x, window) / np.maximum(count, 1)
    std = np.sqrt(np.maximum(_window_sums(x * x, window) / np.maximum(count, 1) - mean * mean, 0.0))
    z = np.abs(x - mean) / np.maximum(std, _least(x))
    return np.where(seen & (count >= 2), z, 0.0).max(axis=1)


def windowed_gaussian(values: np.ndarray, window: int = 6400, step: int = 100) -> np.ndarray:
    """One minus the Gaussian tail probability of each value, as in the NAB benchmark's own baseline.

    The Gaussian is fitted to all values so far until there are `window` of them, and from then on to the last `window`,
    again every `step` steps. Both sizes are the benchmark's, which tuned them on its data.

    Args:
        values: (n,) or (n, D); of several channels the furthest out counts. NaN where missing: scored 0.

    Returns:
        (n,) scores, 0, or from 0.5 to 1.

    Source: `windowedGaussian` of the Numenta Anomaly Benchmark, version 1.1 (its definition, not its code).
    """
    return np.stack([_gaussian(column, window, step) for column in _columns(values).T]).max(axis=0)


def _gaussian(column: np.ndarray, window: int, step: int) -> np.ndarray:
    seen = column[np.isfinite(column)]
    if not len(seen):
        return np.zeros(len(column))
    seen = seen - seen[0]  # so that the deviation of a line that has been flat until now is 0, and no rounding error
    ends = np.arange(1, len(seen))  # of what each value but the first is compared with
    ends = np.where(ends <= window, ends, window + (ends - window) // step * step)
    starts = np.maximum(ends - window, 0)
    mean, std = np.empty(len(ends)), np.empty(len(ends))
    for k in range(len(ends)):
        if k and ends[k] == ends[k - 1]:
            mean[k], std[k] = mean[k - 1], std[k - 1]
        else:
            part = seen[starts[k] : ends[k]]
            mean[k], std[k] = part.mean(), part.std()
    z = np.abs(seen[1:] - mean) / np.where(std == 0, 1e-6, std)
    scores = np.zeros(len(column))
    scores[np.flatnonzero(np.isfinite(column))[1:]] = 1 - 0.5 * _erfc(z / math.sqrt(2)).astype(np.float64)
    return scores


def _columns(values: np.ndarray) -> np.ndarray:
    x = np.asarray(values, np.float64)
    return x[:, None] if x.ndim == 1 else x


def _middle(x: np.ndarray) -> np.ndarray:
    return np.array([np.median(c[np.isfinite(c)]) if np.isfinite(c).any() else 0.0 for c in x.T])


def _least(x: np.ndarray) -> np.ndarray:
    """The least standard deviation to divide by, for a line that has been flat until now has none."""
    return np.maximum(1e-6 * np.abs(x).max(axis=0), 1e-12)


def _window_sums(v: np.ndarray, window: int) -> np.ndarray:
    """(n, D) sums over the up to `window` steps before each."""
    sums = np.vstack([np.zeros((1, v.shape[1])), np.cumsum(v, axis=0)])
    end = np.arange(len(v))
    return sums[end] - sums[np.maximum(end - window, 0)]


BASELINES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "rolling z-score": rolling_z,
    "windowed Gaussian": windowed_gaussian,
}
