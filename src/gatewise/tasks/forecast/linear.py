"""The linear part of a forecast, and what the data say of context and scaling. Plain numpy.

A forecast's network is a recurrent part beside a linear one that reaches from the past straight to the horizon, as in
LSTNet (Lai et al. 2018, "Modeling long- and short-term temporal patterns with deep neural networks", section 3.6). The
linear part is solved, not trained: ridge regression towards the best simple rule (last value, last season, mean of the
last seasons), whose strength held-out windows choose. With little data it stays that rule. Since it is solved in a
moment, it also decides how long a past and which scaling suit the data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from .windows import Part, Series, fill, in_units, normaliser

_MOST_NUMBERS = 12_000_000  # of all windows to solve from
_Raw = tuple[np.ndarray, np.ndarray]  # pasts (N, T) and futures (N, H)
_FEWEST = 200  # windows to solve from, however long they are
NOISE = 0.005  # share of an error by which two may differ and count as the same; the simpler is then taken
_LARGE = 10.0  # normalised values beyond this count for less
_STRENGTHS = (*(10.0 ** np.arange(-4, 2.1, 0.5)), np.inf)


@dataclass(frozen=True)
class Linear:
    """What was solved.

    Attributes:
        context_length: Steps of past, T.
        scaling: As in `normaliser`.
        weights: (H, T): what the future is of the past, in normalised units.
        residuals: (N, H) what it left over on held-out windows, in normalised units.
        error: Mean absolute error there, in units of each window's spread; of data above 0, the geometric mean of that
            and the mean relative error, for what is small may matter as much as what is large.
        rule: The rule that it was drawn to, for people.
        strength: How strongly.
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
    checked: Series,
    check: Part | None,
    horizon: int,
    season: int,
    contexts: Sequence[int],
    scalings: Sequence[str],
    seed: int,
) -> Linear:
    """The best linear forecast, by held-out windows, among these contexts and scalings.

    Args:
        checked, check: Windows to judge by; None: each quarter of the training windows, by what the others say.
    """
    longest = max(contexts)
    limit = max(_FEWEST, _MOST_NUMBERS // ((longest + horizon) * len(series.targets)))
    rng = np.random.default_rng([seed, 1])
    everything = _raw(series, training, longest, horizon, limit, rng)
    if check is None:
        trials = _folds(everything)
    else:
        trials = [(everything, _raw(checked, check, longest, horizon, limit // 3, rng))]
    found = [_chosen(trials, context, season, scaling) for context in contexts for scaling in scalings]
    least = min(linear.error for linear in found)
    good = [linear for linear in found if linear.error <= (1 + NOISE) * least]
    # In a longer past a network may find more; but where a bare rule is as good as any, there is nothing to find.
    bare = any(np.isinf(linear.strength) for linear in good)
    best = min(good, key=lambda linear: (linear.context_length if bare else -linear.context_length, linear.error))
    if check is None:
        path = _path(
            everything, best.context_length, best.scaling, rules(best.context_length, horizon, season)[best.rule]
        )
        best = replace(best, weights=path(best.strength))
    return best


def _raw(series: Series, part: Part, context: int, horizon: int, most: int, rng: np.random.Generator) -> _Raw:
    """(N, T) pasts and (N, H) futures of at most `most` windows, columns side by side; a future is at least half known,
    and its holes are filled by the value before."""
    which = np.arange(len(part)) if len(part) <= most else np.sort(rng.choice(len(part), most, replace=False))
    index, origins = part[which]
    values = series.values(index, origins[:, None] + np.arange(-context, horizon)).reshape(-1, context + horizon)
    seen = np.isfinite(values)
    usable = seen[:, :context].any(-1) & (2 * seen[:, context:].sum(-1) >= horizon)
    values, seen = values[usable], seen[usable]
    return values[:, :context], fill(values, seen)[:, context:]


def _folds(windows: _Raw) -> list[tuple[_Raw, _Raw]]:
    """What to solve from and what to judge by: all but a quarter of the windows, and that quarter; four times."""
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
    """Windows in normalised units: pasts X (N, T), futures Y (N, H), and what they were divided by."""

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


def _chosen(trials: list[tuple[_Raw, _Raw]], context: int, season: int, scaling: str) -> Linear:
    """The rule, and the strength of the pull towards it, that held-out windows like best."""
    checks = [_normal(held, context, scaling) for _, held in trials]
    spreads = []
    for _, (past, _) in trials:
        seen = np.isfinite(past)
        spreads.append(normaliser(fill(past, seen)[:, None], seen[:, None], "standard")[1])

    positive = all((future > 0).all() for _, (_, future) in trials)

    def error(weights: Sequence[np.ndarray]) -> float:
        total, relative, count = 0.0, 0.0, 0
        for own, check, spread, (_, (_, future)) in zip(weights, checks, spreads, trials, strict=True):
            forecast = in_units(check.X @ own.T, check.loc, check.scale, scaling)
            missed = np.abs(future - forecast)
            total, count = total + float((missed / spread).sum()), count + future.size
            if positive:
                relative += float((missed / (future + np.abs(forecast))).sum())
        return float(np.sqrt(total * relative) if positive else total) / max(1, count)

    horizon = checks[0].Y.shape[1]
    known = rules(context, horizon, season)
    rule = min(known, key=lambda name: error([known[name]] * len(trials)))
    paths = [_path(fit, context, scaling, known[rule]) for fit, _ in trials]
    errors = {strength: error([path(strength) for path in paths]) for strength in _STRENGTHS}
    strength = max(s for s, found in errors.items() if found <= (1 + NOISE) * min(errors.values()))
    weights = [path(strength) for path in paths]
    residuals = [check.Y - check.X @ own.T for own, check in zip(weights, checks, strict=True)]
    return Linear(context, scaling, weights[0], np.concatenate(residuals), errors[strength], rule, float(strength))


def _path(fit: _Raw, context: int, scaling: str, prior: np.ndarray) -> Callable[[float], np.ndarray]:
    """Ridge regression towards `prior` (H, T): weights (H, T) by strength, from one decomposition for all strengths."""
    normal = _normal(fit, context, scaling)
    X, Y = normal.X, normal.Y
    # A window that is flat but for its end has values of any size in its own units; one must not outweigh the rest.
    weight = 1 / np.maximum(1.0, np.abs(Y).max(-1, keepdims=True, initial=0) / _LARGE)
    values, vectors = np.linalg.eigh((weight * X).T @ (weight * X))
    turned = vectors.T @ ((weight * X).T @ (weight * (Y - X @ prior.T)))
    unit = max(float(values.sum()) / context, 1e-12)  # of the strength, so that it means the same for all data

    def at(strength: float) -> np.ndarray:
        if np.isinf(strength):
            return prior
        return prior + (vectors @ (turned / (np.maximum(values, 0) + strength * unit)[:, None])).T

    return at
