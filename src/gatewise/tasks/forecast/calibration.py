"""Where the quantiles of a forecast ought to lie, by where held-out values fell among them. Plain numpy.

Conformal, of distributions (Chernozhukov, Wüthrich & Zhu 2021, "Distributional conformal prediction", PNAS 118): each
held-out value becomes a normal score, by its place among the quantiles that were forecast for it. The quantile of a
level is then read where, with the correction for finite samples, that share of the scores lies below. Scores of all
steps ahead, series and origins count together: how much wider the fan is further ahead, it says itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

LEVELS = (0.025, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.975)
_NORMAL = np.array([NormalDist().inv_cdf(level) for level in LEVELS])
_MIDDLE = len(LEVELS) // 2
# Of held-out time, at which scores count as much as the fan itself. Of 1, 3, 10, 30 and 100, 10 has the least CRPS in
# the mean of 11 data sets and 46 single series (docs/forecasting.md).
_FEW_BLOCKS = 10
_TIE, _LEAST = 1e-9, 1e-300  # of the median, by which equal quantiles are held apart
_GOLDEN = (5**0.5 - 1) / 2  # multiples of it are spread evenly between whole numbers
_MOST = 3.0  # times as wide, or as narrow: of flat series any width would be too small


@dataclass(frozen=True)
class Calibration:
    """Where in a fan quantiles are read.

    Attributes:
        scores: The normal score at which the quantile of each of `LEVELS` is read; 0 for the median.
    """

    scores: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.scores) != len(LEVELS) or self.scores[_MIDDLE] != 0 or list(self.scores) != sorted(self.scores):
            raise ValueError(f"its calibration is {list(self.scores)!r:.200}")

    def scores_of(self, scores: np.ndarray) -> np.ndarray:
        """Where a quantile is read that would be at these scores of the normal distribution."""
        return along(scores, _NORMAL, np.array(self.scores), _MIDDLE)


def normal_scores(levels: Sequence[float]) -> np.ndarray:
    """(Q,) quantiles of the normal distribution."""
    return np.array([NormalDist().inv_cdf(float(level)) for level in levels])


def has_two_sides(levels: Sequence[float]) -> bool:
    """Whether quantiles of these levels say how far values lie on both sides of the median."""
    return min(levels) < 0.5 < max(levels)


def along(x: np.ndarray, xs: np.ndarray, ys: np.ndarray, middle: int) -> np.ndarray:
    """(..., W) at x (..., W): the line from point to point of (xs, ys), each (..., K) and rising; beyond both ends, the
    line from the middle point through the last one."""
    shape = np.broadcast_shapes(x.shape[:-1], xs.shape[:-1], ys.shape[:-1])
    x = np.broadcast_to(x, (*shape, x.shape[-1]))
    xs, ys = np.broadcast_to(xs, (*shape, xs.shape[-1])), np.broadcast_to(ys, (*shape, ys.shape[-1]))
    last = xs.shape[-1] - 1
    above = (xs[..., None, :] < x[..., None]).sum(-1)  # the first point at or above x
    begin, end = np.clip(above - 1, 0, last - 1), np.clip(above, 1, last)
    begin, end = np.where(above > last, middle, begin), np.where(above == 0, middle, end)

    def at(values: np.ndarray, places: np.ndarray) -> np.ndarray:
        return np.take_along_axis(values, places, -1)

    run = at(xs, end) - at(xs, begin)
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(run > 0, (x - at(xs, begin)) / run, 0.0)
    return np.where(np.isnan(x) | np.isnan(run), np.nan, at(ys, begin) + part * (at(ys, end) - at(ys, begin)))


def scores_in(fan: np.ndarray, truth: np.ndarray, scores: np.ndarray, middle: int) -> np.ndarray:
    """Where values (...) fell in their fans (..., Q), whose quantiles have these normal scores (Q,); NaN where a fan
    has no width.

    Where several quantiles are equal, such as those of a count that is 0 most of the time, a value that equals them has
    no one place: it has one after another, so that values together are spread as the fan says.
    """
    tiny = _TIE * np.abs(fan[..., middle, None]) + _LEAST
    turn = (np.arange(truth.size).reshape(truth.shape) * _GOLDEN) % 1
    spread, value = fan + tiny * np.arange(len(scores)), truth[..., None] + tiny * (len(scores) - 1) * turn[..., None]
    return np.where(fan[..., -1] > fan[..., 0], along(value, spread, scores, middle)[..., 0], np.nan)


def calibration_by(scores: np.ndarray, windows: int, blocks: int) -> Calibration:
    """By where held-out values fell.

    Few blocks of held-out time tell little, and count by how many they are, beside the fan as it is.

    Args:
        scores: (n,) normal scores of held-out values in the fans of their forecasts.
        windows: How many forecasts they are of.
        blocks: How many stretches of time, of all series, those cover.
    """
    # The order statistics that hold these shares of one more value, from either end.
    upper = np.minimum(1.0, np.array(LEVELS[_MIDDLE + 1 :]) * (windows + 1) / windows)
    high, low = np.quantile(scores, upper), -np.quantile(-scores, upper)[::-1]
    sides, sizes = np.sign(_NORMAL), np.abs(_NORMAL)
    measured = sides * np.clip(sides * np.concatenate([low, [0.0], high]), sizes / _MOST, sizes * _MOST)
    trust = blocks / (blocks + _FEW_BLOCKS)
    return Calibration(tuple(map(float, np.round(np.sort(trust * measured + (1 - trust) * _NORMAL), 4))))
