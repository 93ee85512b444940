"""How good forecasts of some windows are, beside plain baselines. Plain numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...errors import DataError
from ...metrics.comparison import standard_error
from ...metrics.forecasting import Forecast, ForecastScores, crps_of_quantiles, seasonal_error, smape
from ..report import NOTHING_MEASURED, Metrics, table
from ..verdict import judged
from .baselines.plain import AVERAGE
from .baselines.simple import RULES
from .blend import SHARES, chosen_share, own_shares
from .calibration import Calibration, calibration_by, has_two_sides, normal_scores, scores_in
from .linear import scales
from .predictor import Predictor
from .split import Part, Split, holds_targets, spaced
from .windows import Series

_MOST = 60_000  # windows to evaluate, counting each column
_MOST_TRAINING = 2_000  # of the training part
_MOST_DRAWN = 400  # windows to choose a share on and to calibrate by, where each is many sample paths


def evaluate_split(predictor: Predictor, split: Split, with_baselines: bool) -> dict[str, Any]:
    """Figures of each part, and of the baselines on the last one."""
    parts = split.parts(predictor.window.context_length)
    if "train" in parts:
        parts["train"] = _affordable(split.series, parts["train"], _MOST_TRAINING)
    parts = {name: part for name, part in parts.items() if _can_be_measured(predictor, split.series, part)}
    last = next(reversed(parts), None)
    metrics: dict[str, Any] = {}
    for name, part in parts.items():
        # The part that the last windows were held out of for good is that of the test.
        held_out = name == "validation"
        metrics |= evaluate_part(
            predictor,
            split.series,
            part,
            split.ends,
            name=name,
            with_baselines=with_baselines and name == last,
            before=held_out,
        )
    return metrics


def evaluate_part(
    predictor: Predictor,
    series: Series,
    part: Part,
    ends: np.ndarray,
    *,
    name: str,
    with_baselines: bool = True,
    before: bool = False,
) -> dict[str, Any]:
    """Figures of one part under its name, of the "baselines", and what is judged by them.

    Args:
        ends: (N,) absolute step at which what was trained on ends.
        before: Whether to forecast by what was solved without the validation part.

    Raises:
        DataError: There is no window to evaluate.
    """
    if not _can_be_measured(predictor, series, part):
        raise DataError(
            f"{series.data.name}: the longest series has {int(max(series.lengths))} steps up to its last value, too "
            f"few to compare a forecast of {predictor.horizon} steps with the actual values"
        )
    some = _affordable(series, part)
    own, plain, sums = _figures(predictor, series, some, ends, with_baselines, before)
    if not with_baselines:
        return {name: own}
    return {name: own, "baselines": plain, **_judgement(predictor, name, own, plain, sums)}


def network_shares(
    predictor: Callable[[float], Predictor], held_out: tuple[Series, Part] | None, given: float | None
) -> tuple[float, dict[str, float]]:
    """The network's share in forecasts, chosen on held-out windows, 0 if nothing is held out; and the shares of series
    that have others, by their keys.

    Args:
        predictor: With a share.
        held_out: Windows of a series.
        given: By the user.
    """
    if given is not None or held_out is None:
        return 0.0 if given is None else float(given), {}
    series, part = held_out
    both = predictor(0.5)
    most = _MOST_DRAWN if both.options.mode == "autoregressive" else len(part) + 1
    part = spaced(part, max(1, most // len(series.targets)))
    unit = scales(series, series.known_ends, both.sizing.season)
    levels = np.array(both.options.quantiles)
    positive = series.least() > 0
    losses = [np.zeros((len(SHARES), 4 if positive else 3, 0))]
    blocks, places = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for which, own, plain, _ in both.both(series, part, before=True):
        rows, origins = part[which]
        truth = series.values(rows, origins[:, None] + np.arange(both.horizon))
        measures = []
        for share in SHARES:
            found = both.blended(own, plain, float(share))
            error = (found.point - truth) / unit[rows][..., None]
            assert found.quantiles is not None
            fan = crps_of_quantiles(truth, found.quantiles, levels) / unit[rows][..., None]
            kinds = [error**2, np.abs(error), fan]
            if positive:
                kinds.append(smape(truth, found.point))
            measures.append([_mean(kind) for kind in kinds])
        losses.append(np.array(measures))
        blocks.append((rows << 20) + (origins - series.starts[rows]) // both.horizon)
        places.append(rows)
    loss, block, place = np.concatenate(losses, -1), np.concatenate(blocks), np.concatenate(places)
    share = chosen_share(loss, block)
    others = own_shares(loss, block, place, share)
    keys = both.keys_of(series, np.array([*others], np.int64))
    return share, dict(zip(keys, others.values(), strict=True)) if keys else {}


def calibration_of(predictor: Predictor, held_out: tuple[Series, Part] | None) -> Calibration | None:
    """Of the forecasts of a predictor that is not calibrated yet.

    None, and so the fan as it is, where nothing is held out or known there, and for counts: several of them share a
    place in the fan.
    """
    options = predictor.options
    if held_out is None or not has_two_sides(options.quantiles) or options.head == "negative-binomial":
        return None
    series, part = held_out
    if options.mode == "autoregressive":
        part = spaced(part, max(1, _MOST_DRAWN // len(series.targets)))
    levels, middle = normal_scores(options.quantiles), [*options.quantiles].index(0.5)
    scores, blocks = [np.zeros(0)], [np.zeros(0, np.int64)]
    for which, forecast in predictor.forecasts(series, part, before=True):
        rows, origins = part[which]
        truth = predictor.on_scale(series.values(rows, origins[:, None] + np.arange(predictor.horizon)))
        assert forecast.quantiles is not None
        own = scores_in(predictor.on_scale(forecast.quantiles), truth, levels, middle)
        known = np.isfinite(own)
        scores.append(own[known])
        blocks.append(((rows << 20) + (origins - series.starts[rows]) // predictor.horizon)[known.any((1, 2))])
    block = np.concatenate(blocks)
    return calibration_by(np.concatenate(scores), len(block), len(np.unique(block))) if len(block) else None


def _mean(values: np.ndarray) -> np.ndarray:
    """(N,) of (N, C, H), where nothing is known 0."""
    return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0).mean((1, 2))


def _can_be_measured(predictor: Predictor, series: Series, part: Part) -> bool:
    return holds_targets(series, part, predictor.horizon, predictor.window.context_length)


@dataclass
class _Sums:
    """Of each window, to compare two forecasts by: the scaled absolute errors of all values that are known, by name."""

    errors: dict[str, list[np.ndarray]] = field(default_factory=dict)
    blocks: list[np.ndarray] = field(default_factory=list)
    means: list[np.ndarray] = field(default_factory=list)
    origins: list[np.ndarray] = field(default_factory=list)

    def add_origins(self, truth: np.ndarray, point: np.ndarray, scale: np.ndarray, before_end: np.ndarray) -> None:
        """The MASE of some windows of the model, and how far before the end of their series they begin."""
        scaled = np.abs(truth - point) / scale[..., None]
        known = np.isfinite(scaled)
        count = known.sum((1, 2))
        self.means.append(np.where(known, scaled, 0.0).sum((1, 2))[count > 0] / count[count > 0])
        self.origins.append(before_end[count > 0])

    def by_origin(self) -> dict[str, float | int]:
        """How much the MASE differs between origins, of all series at each; nothing, where there is one origin."""
        if not self.means or not len(means := np.concatenate(self.means)):
            return {}
        _, origin = np.unique(np.concatenate(self.origins), return_inverse=True)
        each = np.bincount(origin, means) / np.bincount(origin)
        if len(each) < 2:
            return {}
        found = {"origins": len(each), "mase_std": float(each.std(ddof=1))}
        return {**found, "mase_least": float(each.min()), "mase_most": float(each.max())}

    def add(self, name: str, truth: np.ndarray, point: np.ndarray, scale: np.ndarray) -> None:
        self.errors.setdefault(name, []).append(np.nansum(np.abs(truth - point) / scale[..., None], (1, 2)))

    def standard_error(self, one: str, other: str, count: int) -> float:
        """Of the difference of both means over `count` values."""
        differences = np.concatenate(self.errors[one]) - np.concatenate(self.errors[other])
        return standard_error(differences, np.concatenate(self.blocks)) * len(differences) / max(1, count)


def _figures(
    predictor: Predictor, series: Series, part: Part, ends: np.ndarray, with_baselines: bool, before: bool
) -> tuple[dict[str, Any], dict[str, Any], _Sums]:
    """Figures of the model and of the plain methods on the same windows, and what tells them apart."""
    horizon, season = predictor.horizon, predictor.sizing.season
    levels = np.array(predictor.options.quantiles)
    own = ForecastScores(horizon, levels)
    each = {name: ForecastScores(horizon, levels) for name in series.targets if len(series.targets) > 1}
    methods = predictor.plain
    known = () if methods is None else (*methods.methods, methods.average)
    names = [*dict.fromkeys([*RULES, *known])] if with_baselines else []
    plain = {name: ForecastScores(horizon) for name in names}
    sums = _Sums()
    scale, std = _units(series, part, ends, season)
    for which, of_network, of_plain, points in predictor.both(series, part, before, every=bool(names)):
        rows, origins = part[which]
        forecast = predictor.forecast_of(of_network, of_plain, series, rows)
        truth = series.values(rows, origins[:, None] + np.arange(horizon))
        own.add(truth, forecast, scale[rows], std[rows])
        sums.add_origins(truth, forecast.point, scale[rows], series.ends[rows] - origins)
        for column, scores in enumerate(each.values()):
            one = slice(column, column + 1)
            scores.add(truth[:, one], forecast.of_column(column), scale[rows, one], std[rows, one])
        if not names:
            continue
        if methods is not None and AVERAGE in plain:
            points = {**points, AVERAGE: methods.mean(points)}
        points = {**points, **_of_rules(horizon, season, series, rows, origins)}
        sums.blocks.append((rows << 20) + (origins - series.starts[rows]) // horizon)
        sums.add("model", truth, forecast.point, scale[rows])
        for name, scores in plain.items():
            points[name][np.isnan(forecast.point)] = np.nan  # the same values for all
            scores.add(truth, Forecast(points[name]), scale[rows], std[rows])
            sums.add(name, truth, points[name], scale[rows])
    figures: dict[str, Any] = own.figures() | sums.by_origin()
    if each:
        figures["by_target"] = {name: scores.figures() for name, scores in each.items()}
    found: dict[str, Any] = {name: scores.figures() for name, scores in plain.items()}
    if methods is not None and AVERAGE in found:
        found[AVERAGE]["shares"] = dict(zip(methods.methods, map(float, methods.shares.mean(0)), strict=True))
    return figures, found, sums


def _of_rules(
    horizon: int, season: int, series: Series, rows: np.ndarray, origins: np.ndarray
) -> dict[str, np.ndarray]:
    """Forecasts (B, C, H) of the rules, which see all that was known."""
    columns = range(len(series.targets))
    return {
        name: np.stack(
            [
                [rule(series.history(i, column, at), horizon, season) for column in columns]
                for i, at in zip(rows, origins, strict=True)
            ]
        )
        for name, rule in RULES.items()
    }


def _judgement(
    predictor: Predictor, part: str, own: dict[str, Any], plain: dict[str, Any], sums: _Sums
) -> dict[str, Any]:
    """The model beside the plain methods together, which were best on held-out windows: see `verdict.judged`."""
    if predictor.plain is None or part == "train":
        return {}
    # MASE is undefined where all series are constant.
    measure = "mase" if own.get("mase") is not None else "mae"
    if own.get(measure) is None:
        return {}
    strongest = predictor.plain.average
    error = sums.standard_error("model", strongest, own["values"]) if measure == "mase" else None
    return judged(
        measure=measure,
        part=part,
        model=own[measure],
        plain={name: figures[measure] for name, figures in plain.items()},
        strongest=strongest,
        share=predictor.share,
        standard_error=error,
    )


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
    if "coverage_80" in own:
        lines.append(f"intervals: that of 80% covers {own['coverage_80']:.1%}, that of 95% {own['coverage_95']:.1%}")
    if "origins" in own:
        spread = f"{own['mase_least']:.4g} to {own['mase_most']:.4g}, standard deviation {own['mase_std']:.2g}"
        lines.append(f"{own['origins']:,} origins: MASE from {spread}")
    return "\n".join(lines)
