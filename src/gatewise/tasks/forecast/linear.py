"""The linear part of a forecast, which also chooses context length and scaling. Plain numpy.

A forecaster's network is a recurrent part beside a linear one that reaches from the past straight to the horizon, as in
LSTNet (Lai et al. 2018, "Modeling long- and short-term temporal patterns with deep neural networks", section 3.6). The
linear part is solved, not trained: ridge regression towards the best simple rule (last value, last season, mean of the
last seasons), with a strength that is chosen on held-out windows. With little data it stays that rule. Since it is
solved in a moment, it is also used to choose how long a past and which scaling suit the data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from .split import Part
from .windows import Series, fill, in_units, normaliser

_MOST_NUMBERS = 12_000_000  # of all windows to solve from
_Raw = tuple[np.ndarray, np.ndarray]  # pasts (N, T) and futures (N, H)
_FEWEST = 200  # windows to solve from, however long they are
NOISE = 0.005  # relative difference up to which two errors count as equal; then the simpler model is taken
_LARGE = 10.0  # normalised values beyond this count for less
_STRENGTHS = (*(10.0 ** np.arange(-4, 2.1, 0.5)), np.inf)


@dataclass(frozen=True)
class Linear:
    """What was solved.

    Attributes:
        context_length: Steps of past, T.
        scaling: As in `normaliser`.
        weights: (H, T), from the past to the future in normalised units.
        residuals: (N, H) errors on held-out windows, in normalised units.
        error: Mean absolute error there, in standard deviations of each window; for data above 0, the geometric mean of
            that and the mean relative error, for small values may matter as much as large ones.
        rule: Name of the rule that it is regularised towards.
        strength: Of that regularisation.
    """

    context_length: int
    scaling: str
    weights: np.ndarray
    residuals: np.ndarray
    error: float
    rule: str
    strength: float


def rules(context: int, horizon: int, season: int) -> dict[str, np.ndarray]:
    """Simple forecasts as weights (H, T)."""
    ahead = np.arange(horizon)
    found = {"last value": np.zeros((horizon, context))}
    found["last value"][:, -1] = 1
    if 1 < season <= context:
        for name, count in (("last season", 1), ("mean of the last seasons", context // season)):
            weights = np.zeros((horizon, context))
            for back in range(1, count + 1):
                weights[ahead, context - back * season + ahead % season] += 1 / count
            found[name] = weights
    weeks = 7 * season
    if season > 1 and weeks <= context:
        found["seven seasons before"] = np.zeros((horizon, context))
        found["seven seasons before"][ahead, context - weeks + ahead % weeks] = 1
    return found


def solve(
    series: Series,
    training: Part,
    validation_series: Series,
    validation: Part | None,
    *,
    horizon: int,
    season: int,
    contexts: Sequence[int],
    scalings: Sequence[str],
    seed: int,
) -> Linear:
    """The best linear forecast on held-out windows, among these context lengths and scalings.

    Args:
        training: Windows of `series` to solve from.
        validation: Held-out windows of `validation_series`; None: each quarter of the training windows is predicted
            from the others.
        season: Steps of a season.
        seed: Of the choice of windows, where there are too many.
    """
    longest = max(contexts)
    limit = max(_FEWEST, _MOST_NUMBERS // ((longest + horizon) * len(series.targets)))
    rng = np.random.default_rng([seed, 1])
    everything = _raw(series, training, longest, horizon, limit, rng)
    trials = []
    if validation is not None:
        trials = [(everything, _raw(validation_series, validation, longest, horizon, limit // 3, rng))]
    folded = not trials or not len(trials[0][1][0])  # windows may be held out whose future is hardly known
    if folded:
        trials = _folds(everything)
    found = [_best(trials, context, season, scaling) for context in contexts for scaling in scalings]
    least = min(linear.error for linear in found)
    good = [linear for linear in found if linear.error <= (1 + NOISE) * least]
    # A network may find more in a longer past; but where a bare rule is as good as any, there is nothing to find.
    bare = any(np.isinf(linear.strength) for linear in good)
    best = min(good, key=lambda linear: (linear.context_length if bare else -linear.context_length, linear.error))
    if folded:
        rule = rules(best.context_length, horizon, season)[best.rule]
        best = replace(best, weights=_path(everything, best.context_length, best.scaling, rule)(best.strength))
    return best


def _raw(series: Series, part: Part, context: int, horizon: int, most: int, rng: np.random.Generator) -> _Raw:
    """(N, T) pasts and (N, H) futures of at most `most` windows, a row for each column. At least half of a future is
    known; its missing values are filled with the one before."""
    which = np.arange(len(part)) if len(part) <= most else np.sort(rng.choice(len(part), most, replace=False))
    index, origins = part[which]
    values = series.values(index, origins[:, None] + np.arange(-context, horizon)).reshape(-1, context + horizon)
    seen = np.isfinite(values)
    usable = seen[:, :context].any(-1) & (2 * seen[:, context:].sum(-1) >= horizon)
    values, seen = values[usable], seen[usable]
    return values[:, :context], fill(values, seen)[:, context:]


def _folds(windows: _Raw) -> list[tuple[_Raw, _Raw]]:
    """Windows to solve from and to validate on: all but a quarter, and that quarter; four times."""
    past, future = windows
    borders = np.linspace(0, len(past), 5).astype(int)
    folds = []
    for first, last in pairwise(borders):
        held = np.zeros(len(past), bool)
        held[first:last] = True
        folds.append(((past[~held], future[~held]), (past[held], future[held])))
    return folds


@dataclass(frozen=True)
class _Normal:
    """Windows in normalised units: pasts X (N, T), futures Y (N, H), and what was subtracted and divided by."""

    X: np.ndarray
    Y: np.ndarray
    loc: np.ndarray
    scale: np.ndarray


def _normal(windows: _Raw, context: int, scaling: str) -> _Normal:
    past, future = windows[0][:, -context:], windows[1]
    if scaling == "log":
        past, future = np.log(past), np.log(future)
    seen = np.isfinite(past)
    filled = fill(past, seen)
    loc, scale = normaliser(filled[:, None], seen[:, None], scaling)
    return _Normal(np.nan_to_num((filled - loc) / scale), (future - loc) / scale, loc, scale)


def _best(trials: list[tuple[_Raw, _Raw]], context: int, season: int, scaling: str) -> Linear:
    """The rule, and the strength of regularisation towards it, that are best on held-out windows."""
    held_out = [_normal(windows, context, scaling) for _, windows in trials]
    stds = []
    for _, (past, _) in trials:
        seen = np.isfinite(past)
        stds.append(normaliser(fill(past, seen)[:, None], seen[:, None], "standard")[1])
    positive = all((future > 0).all() for _, (_, future) in trials)

    def error(weights: Sequence[np.ndarray]) -> float:
        total, relative, count = 0.0, 0.0, 0
        for own, windows, std, (_, (_, future)) in zip(weights, held_out, stds, trials, strict=True):
            forecast = in_units(windows.X @ own.T, windows.loc, windows.scale, scaling)
            missed = np.abs(future - forecast)
            total, count = total + float((missed / std).sum()), count + future.size
            if positive:
                relative += float((missed / (future + np.abs(forecast))).sum())
        return float(np.sqrt(total * relative) if positive else total) / max(1, count)

    horizon = held_out[0].Y.shape[1]
    known = rules(context, horizon, season)
    rule = min(known, key=lambda name: error([known[name]] * len(trials)))
    paths = [_path(fit, context, scaling, known[rule]) for fit, _ in trials]
    errors = {strength: error([path(strength) for path in paths]) for strength in _STRENGTHS}
    strength = max(s for s, found in errors.items() if found <= (1 + NOISE) * min(errors.values()))
    weights = [path(strength) for path in paths]
    residuals = [windows.Y - windows.X @ own.T for own, windows in zip(weights, held_out, strict=True)]
    return Linear(context, scaling, weights[0], np.concatenate(residuals), errors[strength], rule, float(strength))


def _path(fit: _Raw, context: int, scaling: str, prior: np.ndarray) -> Callable[[float], np.ndarray]:
    """Ridge regression towards `prior` (H, T): weights (H, T) by strength, from one decomposition for all strengths."""
    normal = _normal(fit, context, scaling)
    X, Y = normal.X, normal.Y
    # A window that is flat but for its end has huge values in its own units; one must not outweigh the rest.
    weight = 1 / np.maximum(1.0, np.abs(Y).max(-1, keepdims=True, initial=0) / _LARGE)
    values, vectors = np.linalg.eigh((weight * X).T @ (weight * X))
    turned = vectors.T @ ((weight * X).T @ (weight * (Y - X @ prior.T)))
    unit = max(float(values.sum()) / context, 1e-12)  # of the strength, so that it means the same for all data

    def at(strength: float) -> np.ndarray:
        if np.isinf(strength):
            return prior
        return prior + (vectors @ (turned / (np.maximum(values, 0) + strength * unit)[:, None])).T

    return at
