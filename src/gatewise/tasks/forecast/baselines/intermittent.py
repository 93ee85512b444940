"""Forecasts of values that are 0 most of the time, such as the sales of spare parts. Plain numpy."""

from __future__ import annotations

import numpy as np

_CHANCE, _SIZE = 0.1, 0.2  # rates of smoothing: of 3 x 3, those of least squared error on validation data of `carparts`
_FIRST = 12  # steps that it starts from


def tsb(past: np.ndarray, horizon: int) -> np.ndarray:
    """The chance that a value is not 0, times its size when it is not, both by exponential smoothing.

    Args:
        past: (N, T), NaN where unknown.

    Returns:
        (N, H), the same for all steps; NaN where nothing is known of the past.

    Source: Teunter, Syntetos & Babai (2011), "Intermittent demand: linking forecasting to inventory obsolescence",
        European Journal of Operational Research 214.
    """
    known, there = np.isfinite(past), np.nan_to_num(past) != 0
    # The first steps that are known of each row.
    first = known & (known.cumsum(-1) <= _FIRST)
    count, sizes = first.sum(-1), np.where(first & there, past, 0.0).sum(-1)
    chance = (first & there).sum(-1) / np.maximum(1, count)
    size = sizes / np.maximum(1, (first & there).sum(-1))
    for step in range(past.shape[-1]):
        now, seen = there[:, step], known[:, step]
        chance = np.where(seen, chance + _CHANCE * (now - chance), chance)
        size = np.where(now, size + _SIZE * (np.nan_to_num(past[:, step]) - size), size)
    return np.repeat(np.where(count > 0, chance * size, np.nan)[:, None], horizon, 1)
