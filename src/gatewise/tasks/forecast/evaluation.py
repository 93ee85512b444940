"""How well forecasts of some windows were, beside plain methods. Plain numpy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...metrics.forecasting import Forecast, ForecastScores, seasonal_error
from .baselines import BASELINES
from .windows import Part, Series, spaced

_MOST = 60_000  # windows times columns to measure

Forecasts = Iterator[tuple[np.ndarray, Forecast]]  # numbers of the windows, and what is said of them


def measure(
    series: Series,
    part: Part,
    forecasts: Callable[[Part], Forecasts],
    horizon: int,
    season: int,
    levels: np.ndarray,
    learned: np.ndarray,
    with_baselines: bool,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Figures of the model and of the baselines on the same windows.

    The standard deviation of the standardised figures is taken from a series' steps before `learned`, the (N,) end of
    what was trained on, and what MASE divides by from those, too, and all others before its first window.
    """
    own = ForecastScores(horizon, levels)
    plain = {name: ForecastScores(horizon) for name in BASELINES if with_baselines}
    shape = (len(series), len(series.targets))
    scale, std = np.full(shape, np.nan), np.full(shape, np.nan)
    for index in map(int, np.flatnonzero(part.counts)):
        for column in range(shape[1]):
            scale[index, column] = seasonal_error(
                series.history(index, column, max(part.first[index], learned[index])), season
            )
            known = series.history(index, column, learned[index])
            known = known[np.isfinite(known)]
            std[index, column] = (known.std() if len(known) else 0.0) or np.nan
    for which, forecast in forecasts(part):
        rows, origins = part[which]
        truth = series.values(rows, origins[:, None] + np.arange(horizon))
        own.add(truth, forecast, scale[rows], std[rows])
        for name, scores in plain.items():
            point = np.stack(
                [
                    [BASELINES[name](series.history(i, column, at), horizon, season) for column in range(shape[1])]
                    for i, at in zip(rows, origins, strict=True)
                ]
            )
            scores.add(truth, Forecast(point), scale[rows], std[rows])
    return own.figures(), {name: scores.figures() for name, scores in plain.items()}


def affordable(series: Series, part: Part, most: int = _MOST) -> Part:
    """The part, or windows of it evenly spaced, so that measuring takes no longer than it is worth."""
    return spaced(part, max(1, most // len(series.targets)))
