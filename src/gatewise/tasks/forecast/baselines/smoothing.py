"""The theta method and damped Holt-Winters, of many windows at once. Plain numpy.

Both are functions of the past alone: their parameters are chosen for each window by the errors of its own one-step
forecasts, so there is nothing to save with a model, and a forecast does not depend on what else is forecast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ..windows import fill

_AT_ONCE = 1 << 16  # numbers of each step: windows, times the parameters that are tried
_SHAPES = 1 << 22  # and of their seasons
_ALPHAS = np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.98])
_LEVELS, _TRENDS, _SEASONS = (0.05, 0.2, 0.5, 0.9), (0.01, 0.1), (0.05, 0.3)
_DAMPING = 0.95
_GRID = 32  # steps by which pasts of about one length are told apart
_FAR = 2.0  # ranges of the past beyond which no forecast goes
_SEASONAL = 1.645  # of the normal distribution: a season is believed in at 90 %


def theta(past: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Theta: half the trend of a line, on exponential smoothing, without the season and with it again.

    Args:
        past: (N, T), NaN where unknown.
        season: Steps; 1 for none.

    Returns:
        (N, H); NaN where nothing is known of the past.

    Source: Assimakopoulos & Nikolopoulos (2000), "The theta model", Int. J. of Forecasting 16; as smoothing with drift
        by Hyndman & Billah (2003), "Unmasking the theta method", Int. J. of Forecasting 19.
    """
    return _in_pieces(_theta, past, horizon, season, len(_ALPHAS))


def holt_winters(past: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Exponential smoothing of level, damped trend and season, of logarithms where all values are above 0.

    Args and returns as for `theta`.

    Source: Gardner & McKenzie (1985), "Forecasting trends in time series", Management Science 31; Hyndman &
        Athanasopoulos (2021), "Forecasting: principles and practice", section 8.3.
    """
    return _in_pieces(_holt_winters, past, horizon, season, len(_LEVELS) * len(_TRENDS) * len(_SEASONS))


_Method = Callable[[np.ndarray, int, int], np.ndarray]


def _in_pieces(method: _Method, past: np.ndarray, horizon: int, season: int, tried: int) -> np.ndarray:
    """Some windows at a time; within reach of their pasts, for a trend of few values may lead anywhere."""
    found = np.full((len(past), horizon), np.nan)
    size = max(1, min(_AT_ONCE, _SHAPES // season) // tried)
    for first, which in _of_one_length(past, size):
        piece = past[which, first:]
        low, high = np.nanmin(piece, -1, keepdims=True), np.nanmax(piece, -1, keepdims=True)
        reach = _FAR * (high - low)
        found[which] = np.clip(method(piece, horizon, season), low - reach, high + reach)
    return found


def _of_one_length(past: np.ndarray, size: int) -> Iterator[tuple[int, np.ndarray]]:
    """Numbers of some pasts (N, R) that begin at about the same step, and a step before. So what is made of a past does
    not depend on how long the others are."""
    finite = np.isfinite(past)
    begin = finite.argmax(-1) // _GRID * _GRID
    for first in np.unique(begin):
        own = np.flatnonzero((begin == first) & finite.any(-1))
        for start in range(0, len(own), size):
            yield int(first), own[start : start + size]


def _theta(past: np.ndarray, horizon: int, season: int) -> np.ndarray:
    T = past.shape[1]
    seen = np.isfinite(past)
    filled = fill(past, seen)
    positive = np.where(seen, past, 1.0).min(-1) > 0
    index = _seasonal_indices(filled, seen, season, positive)  # (N, season)
    at = np.arange(T) - T
    within = index[:, at % season]
    plain = np.where(positive[:, None], filled / np.where(positive[:, None], within, 1.0), filled - within)
    level, alpha = _smoothed(plain, seen)
    slope = _slope(plain, seen)
    n = T - seen.argmax(-1)
    ahead = np.arange(horizon)
    grown = level[:, None] + slope[:, None] / 2 * (ahead + ((1 - (1 - alpha) ** n) / alpha)[:, None])
    again = index[:, ahead % season]
    return np.where(positive[:, None], grown * again, grown + again)


def _seasonal_indices(filled: np.ndarray, seen: np.ndarray, season: int, positive: np.ndarray) -> np.ndarray:
    """(N, season) of steps 0, 1, ... after the end: factors where `positive`, or else what is added; 1 or 0 where no
    season is to be seen."""
    N, T = filled.shape
    none = np.where(positive[:, None], 1.0, np.zeros((N, season)))
    if season < 2 or 2 * season + 1 > T:
        return none
    half = season // 2
    kernel = np.ones(season + 1 - season % 2)
    if season % 2 == 0:
        kernel[[0, -1]] = 0.5
    sums = np.concatenate([np.zeros((N, 1)), np.cumsum(np.nan_to_num(filled), 1)], 1)
    width = len(kernel)
    middle = sums[:, width:] - sums[:, :-width]
    if season % 2 == 0:
        middle = middle - 0.5 * (np.nan_to_num(filled[:, : T - width + 1]) + np.nan_to_num(filled[:, width - 1 :]))
    middle = middle / season
    inside = slice(half, half + middle.shape[1])
    usable = seen[:, inside] & np.isfinite(filled[:, : middle.shape[1]])
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.where(positive[:, None], filled[:, inside] / middle, filled[:, inside] - middle)
    apart = np.where(usable & np.isfinite(apart), apart, 0.0)
    count = _by_phase(usable.astype(np.float64), (half - T) % season, season)
    index = _by_phase(apart, (half - T) % season, season) / np.maximum(1, count)
    mean = index.mean(-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        index = np.where(positive[:, None], index / mean, index - mean)
    believed = (count > 0).all(-1) & (seen.sum(-1) > 2 * season) & _is_seasonal(filled, season)
    believed &= ~positive | (index > 0.01).all(-1)
    return np.where(believed[:, None], index, none)


def _by_phase(values: np.ndarray, first: int, season: int) -> np.ndarray:
    """(N, season) sums of steps (N, n) that are a season apart, the first of which is this one of its season."""
    padded = np.pad(values, ((0, 0), (first, -(first + values.shape[1]) % season)))
    return padded.reshape(len(values), -1, season).sum(1)


def _is_seasonal(filled: np.ndarray, season: int) -> np.ndarray:
    """(N,) whether the autocorrelation at a season's lag is larger than chance would have it."""
    inside = np.isfinite(filled)
    n = inside.sum(-1)
    mean = np.where(inside, filled, 0).sum(-1) / n
    x = np.where(inside, filled - mean[:, None], 0.0)
    power = np.maximum((x**2).sum(-1), 1e-300)
    lags = np.stack([(x[:, lag:] * x[:, :-lag]).sum(-1) / power for lag in range(1, season + 1)], -1)
    limit = _SEASONAL * np.sqrt((1 + 2 * (lags[:, :-1] ** 2).sum(-1)) / n)
    return lags[:, -1] > limit


def _smoothed(values: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) last level of simple exponential smoothing, and its constant, of least squared error."""
    N, T = values.shape
    rows = np.arange(N)
    level = values[rows, seen.argmax(-1)][:, None].repeat(len(_ALPHAS), 1)
    errors = np.zeros_like(level)
    for step in range(T):
        missed = np.where(seen[:, step : step + 1], values[:, step : step + 1] - level, 0.0)
        errors += missed**2
        level = level + _ALPHAS * missed
    best = errors.argmin(-1)
    return level[rows, best], _ALPHAS[best]


def _slope(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(N,) of the line of least squares through what is known."""
    n = seen.sum(-1)
    t = np.arange(values.shape[1], dtype=float)
    known = np.where(seen, values, 0.0)
    middle = (seen * t).sum(-1) / n
    away = np.where(seen, t - middle[:, None], 0.0)
    return (away * known).sum(-1) / np.maximum((away**2).sum(-1), 1e-300)


def _holt_winters(past: np.ndarray, horizon: int, season: int) -> np.ndarray:
    N, T = past.shape
    seen = np.isfinite(past)
    positive = np.where(seen, past, 1.0).min(-1) > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.where(positive[:, None], np.log(np.where(past > 0, past, 1.0)), past)
    filled = fill(values, seen)
    first = seen.argmax(-1)
    known = T - first
    rows = np.arange(N)
    seasonal = (known >= 2 * season + 1) & (season > 1)
    m = season if seasonal.any() else 1
    # First states, from the first two seasons.
    span = np.minimum(first[:, None] + np.arange(2 * m), T - 1)
    begin = filled[rows[:, None], span].reshape(N, 2, m)
    means = begin.mean(-1)
    trend0 = np.where(seasonal, (means[:, 1] - means[:, 0]) / m, 0.0)
    shape0 = (begin - means[..., None]).mean(1) - trend0[:, None] * (np.arange(m) - (m - 1) / 2)
    shape0 = np.where(seasonal[:, None], shape0, 0.0)
    level0 = np.where(seasonal, means[:, 0] - trend0 * (m + 1) / 2, filled[rows, first])
    a, b, g = (v.ravel() for v in np.meshgrid(_LEVELS, _TRENDS, _SEASONS, indexing="ij"))
    K = len(a)
    level, trend = level0[:, None].repeat(K, 1), trend0[:, None].repeat(K, 1)
    phase = (first[:, None] + np.arange(m) - T) % m
    shape = np.zeros((m, N, K))
    shape[phase.T, rows[None, :]] = shape0.T[..., None]
    g = np.where(seasonal[:, None], g, 0.0)
    errors = np.zeros((N, K))
    for step in range(T):
        now = (step - T) % m
        there = (step >= first)[:, None]
        ok = seen[:, step : step + 1]
        drift = _DAMPING * trend
        ahead = level + drift
        missed = np.where(ok, filled[:, step : step + 1] - ahead - shape[now], 0.0)
        errors += missed**2
        level = np.where(there, ahead + a * missed, level)
        trend = np.where(there, drift + a * b * missed, trend)
        shape[now] += g * (1 - a) * missed
    best = errors.argmin(-1)
    steps = np.arange(1, horizon + 1)
    grown = np.cumsum(_DAMPING**steps)
    ahead = shape[np.arange(horizon) % m][:, rows, best].T
    found = level[rows, best][:, None] + trend[rows, best][:, None] * grown + ahead
    return np.where(positive[:, None], np.exp(np.minimum(found, 700.0)), found)
