"""Plain anomaly detectors that a trained one must beat. Each reads a whole series, and scores a step by those before it
alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

WINDOWS = (100, 500, 1000)  # steps: of a z-score

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
    # From the column's first value on, so that a large level costs no digits.
    x = np.where(seen, x - np.stack([_continued(column)[0] for column in x.T]), 0.0)
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


def spectral_residual(values: np.ndarray, window: int = 128) -> np.ndarray:
    """How much the newest value of each window stands out from what its spectrum, smoothed, would have.

    Args:
        values: (n,) or (n, D); of several channels the furthest out counts. NaN where missing: scored 0.
        window: Steps that a spectrum is of.

    Returns:
        (n,) scores: by which share the saliency exceeds the mean of the 21 before it; 0 if it does not, or if there is
        no whole window yet.

    Source: Ren et al. (2019), "Time-series anomaly detection service at Microsoft", KDD, section 4.1, without the
    network. A window goes on as there with values that are estimated, but from those before the newest.
    """
    columns = _columns(values)
    found = np.stack([_saliency(column, window) for column in columns.T])
    return np.where(np.isfinite(columns.T), found, 0.0).max(axis=0)


_GRADIENTS = 5  # steps whose slopes continue a window, and steps that are added to it
_SMOOTHED = 3  # frequencies that the logarithm of a spectrum is averaged over
_COMPARED = 21  # saliencies that the newest one is compared with
_ROWS = 4096  # windows at a time


def _saliency(column: np.ndarray, window: int) -> np.ndarray:
    filled = _continued(column)
    quiet = np.maximum.accumulate(filled) == np.minimum.accumulate(filled)  # nothing stands out of a line
    quiet[: window - 1] = True
    windows = np.lib.stride_tricks.sliding_window_view(np.concatenate([np.full(window - 1, filled[0]), filled]), window)
    scores = np.empty(len(filled))
    for start in range(0, len(filled), _ROWS):
        rows = windows[start : start + _ROWS]
        # From the values before the newest, or an anomaly would be continued, and so be none.
        slopes = np.stack([(rows[:, -2] - rows[:, -2 - k]) / k for k in range(1, _GRADIENTS + 1)])
        ahead = rows[:, -1 - _GRADIENTS] + _GRADIENTS * slopes.mean(axis=0)
        spectrum = np.fft.rfft(np.concatenate([rows, ahead[:, None].repeat(_GRADIENTS, axis=1)], axis=1), axis=1)
        size = np.abs(spectrum) + 1e-8
        padded = np.pad(np.log(size), ((0, 0), (_SMOOTHED - 1, 0)), mode="edge")
        usual = np.lib.stride_tricks.sliding_window_view(padded, _SMOOTHED, axis=1).mean(axis=2)
        saliency = np.abs(np.fft.irfft(spectrum / np.exp(usual), n=window + _GRADIENTS, axis=1))
        newest, others = saliency[:, window - 1], saliency[:, window - 1 - _COMPARED : window - 1].mean(axis=1)
        scores[start : start + _ROWS] = (newest - others) / (others + 1e-8)
    return np.where(quiet, 0.0, np.maximum(scores, 0.0))


def nearest_window(values: np.ndarray, length: int = 50, back: int = 2000) -> np.ndarray:
    """How far the last `length` steps are from the most similar ones before them: the left matrix profile.

    Args:
        values: (n,) or (n, D); of several channels the furthest out counts. Missing values repeat the last one.
        length: Steps that are compared, each stretch less its mean and divided by its standard deviation.
        back: How far back similar ones are looked for. It bounds the cost, which is n * back * length.

    Returns:
        (n,) distances, from 0 to 2; 0 as long as there is nothing to compare with.

    Source: Yeh et al. (2016), "Matrix Profile I", ICDM, with the neighbours before each stretch alone.
    """
    return np.stack([_left_profile(_continued(column), length, back) for column in _columns(values).T]).max(axis=0)


def _left_profile(column: np.ndarray, length: int, back: int) -> np.ndarray:
    scores = np.zeros(len(column))
    if len(column) < 2 * length:
        return scores
    windows = np.lib.stride_tricks.sliding_window_view(column, length)
    spread = windows.std(axis=1, keepdims=True)
    # Of the deviation so far: in what is nearly flat, noise would be a shape.
    size = np.maximum.accumulate(np.abs(windows).max(axis=1, keepdims=True))
    least = 0.01 * np.maximum.accumulate(spread) + 1e-12 * size + 1e-300
    z = (windows - windows.mean(axis=1, keepdims=True)) / np.maximum(spread, least) / math.sqrt(length)
    squares = (z * z).sum(axis=1)
    places = np.arange(len(z))
    for start in range(length, len(z), 256):
        mine, others = places[start : start + 256, None], places[None, max(0, start - back) : start + 256]
        apart = squares[mine] + squares[others] - 2 * (z[start : start + 256] @ z[others[0]].T)
        apart = np.where((others <= mine - length) & (others > mine - back), apart, np.inf).min(axis=1)
        scores[mine[:, 0] + length - 1] = np.sqrt(np.clip(apart, 0.0, None))
    return scores


def _columns(values: np.ndarray) -> np.ndarray:
    x = np.asarray(values, np.float64)
    return x[:, None] if x.ndim == 1 else x


def _continued(column: np.ndarray) -> np.ndarray:
    """A column in which missing values repeat the last one, and 0 or the first one stands before it."""
    seen = np.isfinite(column)
    if not seen.any():
        return np.zeros(len(column))
    newest = np.maximum.accumulate(np.where(seen, np.arange(len(column)), -1))
    return column[np.where(newest < 0, int(np.argmax(seen)), newest)]


def _least(x: np.ndarray) -> np.ndarray:
    """The least standard deviation to divide by, for a line that has been flat until now has none."""
    return np.maximum(1e-6 * np.maximum.accumulate(np.abs(x), axis=0), 1e-12)


def _window_sums(v: np.ndarray, window: int) -> np.ndarray:
    """(n, D) sums over the up to `window` steps before each."""
    sums = np.vstack([np.zeros((1, v.shape[1])), np.cumsum(v, axis=0)])
    end = np.arange(len(v))
    return sums[end] - sums[np.maximum(end - window, 0)]


MOST_COMPARED = 50_000  # values: of a longer series, a detector that compares stretches takes minutes


def z_name(window: int) -> str:
    """What the z-score over so many steps is called."""
    return f"{window}-step z-score"


OLD_NAMES = {"rolling z-score": z_name(100)}  # in older model files

BASELINES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    **{z_name(window): partial(rolling_z, window=window) for window in WINDOWS},
    "windowed Gaussian": windowed_gaussian,
    "spectral residual": spectral_residual,
    "matrix profile": nearest_window,
}


def plain_scores(name: str, values: np.ndarray) -> np.ndarray | None:
    """(n,) scores of one of `BASELINES`; None of a series that is too long for it."""
    if name == "matrix profile" and values.size > MOST_COMPARED:
        return None
    return BASELINES[OLD_NAMES.get(name, name)](values)
