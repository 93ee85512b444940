"""How good forecasts of some windows are, beside plain baselines. Plain numpy."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import DataError
from ...metrics.forecasting import Forecast, ForecastScores, seasonal_error
from ..report import NOTHING_MEASURED, Metrics, table
from .baselines import BASELINES
from .predictor import Predictor
from .split import Part, Split, holds_targets, spaced
from .windows import Series

_MOST = 60_000  # windows to evaluate, counting each column
_MOST_TRAINING = 2_000  # of the training part


def evaluate_split(predictor: Predictor, split: Split, with_baselines: bool) -> dict[str, Any]:
    """Figures of each part, and of the baselines on the last one."""
    parts = split.parts(predictor.window.context_length)
    if "train" in parts:
        parts["train"] = _affordable(split.series, parts["train"], _MOST_TRAINING)
    parts = {name: part for name, part in parts.items() if _can_be_measured(predictor, split.series, part)}
    last = next(reversed(parts), None)
    metrics: dict[str, Any] = {}
    for name, part in parts.items():
        metrics |= evaluate_part(
            predictor, split.series, part, split.ends, name=name, with_baselines=with_baselines and name == last
        )
    return metrics


def evaluate_part(
    predictor: Predictor, series: Series, part: Part, ends: np.ndarray, *, name: str, with_baselines: bool = True
) -> dict[str, Any]:
    """Figures of one part under its name, and of the "baselines".

    Args:
        ends: (N,) absolute step at which what was trained on ends.

    Raises:
        DataError: There is no window to evaluate.
    """
    if not _can_be_measured(predictor, series, part):
        raise DataError(
            f"{series.data.name}: the longest series has {int(max(series.lengths))} steps up to its last value, too "
            f"few to compare a forecast of {predictor.horizon} steps with the actual values"
        )
    own, plain = _figures(predictor, series, _affordable(series, part), ends, with_baselines)
    return {name: own, **({"baselines": plain} if with_baselines else {})}


def _can_be_measured(predictor: Predictor, series: Series, part: Part) -> bool:
    return holds_targets(series, part, predictor.horizon, predictor.window.context_length)


def _figures(
    predictor: Predictor, series: Series, part: Part, ends: np.ndarray, with_baselines: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Figures of the model and of the baselines on the same windows."""
    horizon, season = predictor.horizon, predictor.sizing.season
    levels = np.array(predictor.options.quantiles)
    own = ForecastScores(horizon, levels)
    each = {name: ForecastScores(horizon, levels) for name in series.targets if len(series.targets) > 1}
    plain = {name: ForecastScores(horizon) for name in BASELINES if with_baselines}
    columns = range(len(series.targets))
    scale, std = _units(series, part, ends, season)
    for which, forecast in predictor.forecasts(series, part):
        rows, origins = part[which]
        truth = series.values(rows, origins[:, None] + np.arange(horizon))
        own.add(truth, forecast, scale[rows], std[rows])
        for column, scores in enumerate(each.values()):
            one = slice(column, column + 1)
            scores.add(truth[:, one], forecast.of_column(column), scale[rows, one], std[rows, one])
        for name, scores in plain.items():
            point = np.stack(
                [
                    [BASELINES[name](series.history(i, column, at), horizon, season) for column in columns]
                    for i, at in zip(rows, origins, strict=True)
                ]
            )
            point[np.isnan(forecast.point)] = np.nan  # the same values for all
            scores.add(truth, Forecast(point), scale[rows], std[rows])
    figures: dict[str, Any] = own.figures()
    if each:
        figures["by_target"] = {name: scores.figures() for name, scores in each.items()}
    return figures, {name: scores.figures() for name, scores in plain.items()}


def _units(series: Series, part: Part, ends: np.ndarray, season: int) -> tuple[np.ndarray, np.ndarray]:
    """What errors of each series are divided by, (N, C) each: the scale of MASE, and a standard deviation.

    The standard deviation is that of the steps before `ends`; the scale is that of those and of all others before the
    first window.
    """
    shape = (len(series), len(series.targets))
    scale, std = np.full(shape, np.nan), np.full(shape, np.nan)
    for index in map(int, np.flatnonzero(part.counts)):
        for column in range(shape[1]):
            history = series.history(index, column, max(part.first[index], ends[index]))
            scale[index, column] = seasonal_error(history, season)
            known = series.history(index, column, ends[index])
            known = known[np.isfinite(known)]
            std[index, column] = (known.std() if len(known) else 0.0) or np.nan
    return scale, std


def _affordable(series: Series, part: Part, most: int = _MOST) -> Part:
    """The part, or evenly spaced windows of it, so that evaluation does not take too long."""
    return spaced(part, max(1, most // len(series.targets)))


_FORECASTS = {
    "mase": "MASE",
    "smape": "sMAPE",
    "mae": "MAE",
    "rmse": "RMSE",
    "mse_standardised": "MSE std.",
    "crps": "CRPS",
}


def forecast_report(metrics: Metrics) -> str:
    """The model and the baselines, on the last part."""
    part = next((name for name in ("test", "all", "validation", "train") if metrics.get(name)), None)
    if part is None:
        return NOTHING_MEASURED
    own = metrics[part]
    targets = {f"  {name[:13]}": scores for name, scores in own.get("by_target", {}).items()}
    rows = (
        (name, ["-" if scores.get(key) is None else f"{scores[key]:.4g}" for key in _FORECASTS])
        for name, scores in {"model": own, **targets, **metrics.get("baselines", {})}.items()
    )
    lines = table(list(_FORECASTS.values()), rows, left=16, widths=[10] * 6, corner=part)
    if "coverage" in own:
        lines.append(f"{own['coverage_meant']:.0%} interval: covers {own['coverage']:.1%}")
    return "\n".join(lines)
