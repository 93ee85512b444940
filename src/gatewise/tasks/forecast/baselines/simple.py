"""Forecasts without learning: what a model has to beat. Plain numpy; each takes the past (n,) and fills H steps."""

from __future__ import annotations

import numpy as np


def seasonal_naive(past: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """The last season again; the last value, if the past is shorter than a season. A missing value is taken from the
    season before it."""
    season = season if len(past) >= season else 1
    filled = past[-season:].copy()
    for back in range(2 * season, len(past) + 1, season):
        holes = ~np.isfinite(filled)
        if not holes.any():
            break
        filled[holes] = past[len(past) - back : len(past) - back + season][holes]
    known = past[np.isfinite(past)]
    filled[~np.isfinite(filled)] = known[-1] if len(known) else np.nan
    return np.resize(filled, horizon)


def drift(past: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """The line from the first to the last known value, drawn on."""
    known = np.flatnonzero(np.isfinite(past))
    if len(known) < 2:
        return seasonal_naive(past, horizon, 1)
    first, last = known[0], known[-1]
    slope = (past[last] - past[first]) / (last - first)
    return past[last] + slope * (np.arange(len(past), len(past) + horizon) - last)


def mean(past: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """The mean of the past."""
    known = past[np.isfinite(past)]
    return np.full(horizon, known.mean() if len(known) else np.nan)


RULES = {"seasonal naive": seasonal_naive, "drift": drift, "mean": mean}  # of all that was known, however long ago
