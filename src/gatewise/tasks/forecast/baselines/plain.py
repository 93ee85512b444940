"""The plain methods together: each one's forecast, and their mean by shares chosen on held-out windows.

Plain numpy. It reads the past of a window and what it keeps itself, so a model file that holds it can forecast
without a network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

import numpy as np

from ...baselines import by_losses
from ..inputs import Inputs
from ..linear import Fold, Linear
from ..split import Part, spaced
from ..windows import Series, Window, in_units
from .covariates import Effects, Known
from .intermittent import tsb
from .shares import losses_of, shares_of, without_small
from .simple import seasonal_naive
from .smoothing import holt_winters, theta

NAIVE, THETA, HOLT_WINTERS, TSB = "seasonal naive", "theta", "Holt-Winters", "TSB"
RIDGE, RIDGE_OF_LOGS = "ridge", "ridge of logs"
AVERAGE = "plain average"
_LINEAR = (RIDGE, RIDGE_OF_LOGS)
WITH_COVARIATES = {RIDGE: "regression", RIDGE_OF_LOGS: "regression, logs"}
METHODS = (NAIVE, THETA, HOLT_WINTERS, TSB, *_LINEAR, *WITH_COVARIATES.values())
LEVELS = np.array([0.001, 0.005, *np.arange(1, 100) / 100, 0.995, 0.999])  # of the errors that are kept
_MOST_SMOOTHED, _LEAST_SMOOTHED = 1024, 128  # steps of past that are smoothed
_MOST_REACH = 20_000  # steps of past that any method reads
_MOST_WINDOWS, _MOST_COMPARED, _MOST_READ = 4_000, 200_000, 8_000_000  # windows, values ahead and past, to choose by
_FEW_BLOCKS = 10  # of held-out time, at which a column's own shares count as much as those of all
_FEW_AT_ALL = 3  # at which those by losses alone count as much as those of least loss together
_POWER = 4  # of one over the losses there
_FEW_ERRORS = 50  # windows from which the fan has a width of its own at each step
_ALONE = 0.98  # a share from which on the mean is one method
_EFFECTS = ("ahead", "recent", "ahead_before", "recent_before")  # parts of `Effects` in a model file


def smoothed_steps(season: int) -> int:
    """Steps of past that theta and Holt-Winters read."""
    return min(_MOST_SMOOTHED, max(_LEAST_SMOOTHED, 8 * season))


@dataclass(frozen=True)
class Plain:
    """The plain methods of a model.

    Attributes:
        horizon: Steps to forecast, H.
        season: Steps of a season.
        intermittent: Whether most values are 0, and TSB is one of the methods.
        linear: Those that were solved, by name.
        effects: What covariates add to them, by the same names; each makes a method of its own.
        shares: (C, K) of each method in a forecast of each column; each row sums to 1.
        strongest: The method that was best on held-out windows.
        residuals: (H, L) quantiles of the mean's errors there, in units of each window, at `LEVELS`.
    """

    horizon: int
    season: int
    intermittent: bool = False
    linear: Mapping[str, Linear] = field(default_factory=dict)
    effects: Mapping[str, Effects] = field(default_factory=dict)
    shares: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    strongest: str = NAIVE
    residuals: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))

    def of_fold(self, fold: int) -> Plain:
        """As it was before this fold's windows were known."""
        return replace(
            self,
            linear={name: own.of_fold(fold) for name, own in self.linear.items()},
            effects={name: own.of_fold(fold) for name, own in self.effects.items()},
        )

    def kept(self, *names: str) -> Plain:
        """Without solved methods that have no share, but for these."""
        shares = dict(zip(self.methods, self.shares.T, strict=True))

        def wanted(name: str) -> bool:
            return name == self.strongest or bool(shares[name].any())

        effects = {n: own for n, own in self.effects.items() if wanted(WITH_COVARIATES[n])}
        linear = {n: own for n, own in self.linear.items() if n in names or n in effects or wanted(n)}
        found = replace(self, linear=linear, effects=effects)
        return replace(found, shares=np.stack([shares[name] for name in found.methods], 1))

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of all K methods, in the order of shares."""
        corrected = (WITH_COVARIATES[name] for name in _LINEAR if name in self.effects)
        smoothed = (NAIVE, THETA, HOLT_WINTERS, *([TSB] if self.intermittent else []))
        return (*smoothed, *(name for name in _LINEAR if name in self.linear), *corrected)

    @property
    def reach(self) -> int:
        """Steps of the past that the methods read."""
        lengths = [own.context_length for own in self.linear.values()]
        return min(_MOST_REACH, max(smoothed_steps(self.season), self.season, *lengths, 1))

    @property
    def used(self) -> tuple[str, ...]:
        """Those that have a share."""
        return tuple(name for name, share in zip(self.methods, self.shares.max(0), strict=True) if share > 0)

    @property
    def average(self) -> str:
        """What the mean is called: it may be one method alone."""
        alone = self.shares.min(0)
        return self.methods[int(alone.argmax())] if alone.max(initial=0) >= _ALONE else AVERAGE

    def known(self, series: Series, rows: np.ndarray, origins: np.ndarray, inputs: Inputs) -> Known | None:
        """The covariates of some windows; None if no method reads any."""
        if not self.effects:
            return None
        return Known.of(series, rows, origins, next(iter(self.linear.values())), inputs)

    def each(
        self, past: np.ndarray, names: Sequence[str], known: Known | None, before: bool = False
    ) -> dict[str, np.ndarray]:
        """Forecasts (B, C, H) of these methods, by name.

        Args:
            past: (B, C, R) in the units of the data, NaN where unknown.
            known: As the method of that name gives it.
            before: Whether as solved without held-out windows.
        """
        B, C, R = past.shape
        rows = past.reshape(B * C, R)
        naive = np.stack([np.zeros(self.horizon), *(seasonal_naive(row, self.horizon, self.season) for row in rows)])[
            1:
        ]
        found, corrected = {}, {method: name for name, method in WITH_COVARIATES.items()}
        for name in names:
            if name in self.linear:
                own = self.linear[name].forecast(rows, self.season, before)
            elif name in corrected:
                assert known is not None
                linear = self.linear[corrected[name]]
                moved = self.effects[corrected[name]].on(known, linear, self.season, before)
                own = linear.forecast(rows, self.season, before, moved.reshape(B * C, self.horizon))
            elif name == NAIVE:
                own = naive
            elif name == TSB:
                own = tsb(rows[:, -smoothed_steps(self.season) :], self.horizon)
            else:
                smooth = theta if name == THETA else holt_winters
                own = smooth(rows[:, -smoothed_steps(self.season) :], self.horizon, self.season)
            found[name] = np.where(np.isfinite(own), own, naive).reshape(B, C, self.horizon)
        return found

    def forecast(self, past: np.ndarray, known: Known | None, before: bool = False) -> np.ndarray:
        """The mean of the methods, (B, C, H), from (B, C, R)."""
        return self.mean(self.each(past, self.used, known, before))

    def tensors(self) -> dict[str, np.ndarray]:
        """For the model file."""
        found = {"shares": self.shares, "residuals": self.residuals}
        for name, own in self.linear.items():
            prefix = name.replace(" ", "_")
            found |= {prefix: own.weights, f"{prefix}_before": own.before}
        for name, effects in self.effects.items():
            prefix = name.replace(" ", "_")
            found |= {f"{prefix}_{part}": getattr(effects, part) for part in _EFFECTS}
        return {name: array.astype(np.float32) for name, array in found.items()}

    @staticmethod
    def shapes(
        names: Sequence[str], horizon: int, columns: int, context: int, inputs: Inputs
    ) -> dict[str, tuple[int | None, ...]]:
        """Of what `tensors` gives."""
        ahead, past = inputs.covariate_widths
        found: dict[str, tuple[int | None, ...]] = {
            "shares": (columns, len(names)),
            "residuals": (horizon, len(LEVELS)),
        }
        for name in names:
            if name in _LINEAR:
                prefix = name.replace(" ", "_")
                found |= {prefix: (horizon, context), f"{prefix}_before": (horizon, context)}
            if WITH_COVARIATES.get(name) in names:
                own = (columns, ahead), (columns, 2 * past, horizon)
                found |= {f"{prefix}_{part}": shape for part, shape in zip(_EFFECTS, own * 2, strict=True)}
        return found

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray], names: Sequence[str], season: int, strongest: str) -> Self:
        """What `tensors` gave. ValueError if it cannot be that."""
        given = {name: array.astype(np.float64) for name, array in tensors.items()}
        shares = given["shares"]
        if (shares < 0).any() or (np.abs(shares.sum(1) - 1) > 1e-3).any():
            raise ValueError("the shares of its plain methods are not those of one whole")
        linear, effects = {}, {}
        for name in _LINEAR:
            prefix = name.replace(" ", "_")
            if name in names:
                linear[name] = Linear(given[prefix], given[f"{prefix}_before"], name == RIDGE_OF_LOGS)
            if WITH_COVARIATES[name] in names:
                ahead, recent, ahead_before, recent_before = (given[f"{prefix}_{part}"] for part in _EFFECTS)
                effects[name] = Effects(ahead, recent, ahead_before, recent_before)
        residuals = given["residuals"]
        return cls(len(residuals), season, TSB in names, linear, effects, shares, strongest, residuals)

    def rounded(self) -> Self:
        """As a model file keeps it, so that a model forecasts the same before and after."""
        return self.from_tensors(self.tensors(), self.methods, self.season, self.strongest)

    def mean(self, each: Mapping[str, np.ndarray]) -> np.ndarray:
        """The mean (B, C, H) of forecasts of those that have a share."""
        shares = dict(zip(self.methods, self.shares.T, strict=True))
        return np.sum([shares[name][:, None] * each[name] for name in self.used], axis=0)

    def fan(
        self, mean: np.ndarray, loc: np.ndarray, scale: np.ndarray, scaling: str, levels: Sequence[float]
    ) -> np.ndarray:
        """Quantiles (B, C, H, Q) around the mean (B, C, H), as far apart as held-out errors are.

        Args:
            loc, scale: (B, C, 1) of the windows, see `normaliser`.
        """
        errors = np.stack([np.interp(levels, LEVELS, row) for row in self.residuals])
        middle = normal(mean, loc, scale, scaling)
        return in_units(middle[..., None] + errors, loc[..., None], scale[..., None], scaling)


def weigh(plain: Plain, folds: Sequence[Fold], scale: np.ndarray, inputs: Inputs) -> tuple[Plain, dict[str, float]]:
    """Choose the shares and the strongest method on held-out windows; without any, it is the seasonal naive one.

    Args:
        plain: Of which the linear methods are known, with their weights in each fold.
        scale: As `linear.scales` gives it.
        inputs: Of covariates.

    Returns:
        The methods with their shares, and what each method loses on held-out windows.
    """
    C, H, names = scale.shape[1], plain.horizon, plain.methods
    parts = [_held_out(plain.of_fold(k), fold, len(folds), scale, inputs) for k, fold in enumerate(folds)]
    errors = np.concatenate([np.zeros((len(names), 0, C, H)), *(own.errors for own in parts)], 1)
    blocks = np.concatenate([np.zeros(0, np.int64), *(own.blocks + (k << 40) for k, own in enumerate(parts))])
    relative = None
    if parts and all(own.positive for own in parts):
        relative = np.concatenate([own.relative for own in parts])
    shares = np.zeros((C, len(names)))
    shares[:, 0] = 1
    losses = dict.fromkeys(names, 1.0)
    strongest = NAIVE
    if errors.any():
        flat = errors.reshape(len(names), -1, H)
        flat_relative = None if relative is None else relative.reshape(-1, H)
        of_all = shares_of(flat, np.repeat(blocks, C), relative=flat_relative)
        alone = losses_of(flat, flat_relative)
        few = _FEW_AT_ALL / (_FEW_AT_ALL + len(np.unique(blocks[errors.any((0, 2, 3))])))
        of_all = without_small(few * by_losses(alone, _POWER) + (1 - few) * of_all)
        losses = dict(zip(names, map(float, alone), strict=True))
        strongest = min(losses, key=lambda name: losses[name])
        for column in range(C):
            own = errors[:, :, column]
            there = own.any((0, 2))
            count = len(np.unique(blocks[there]))
            trust = count / (count + _FEW_BLOCKS) if C > 1 else 0.0
            shares[column] = of_all
            if trust:
                factors = None if relative is None else relative[there, column]
                own_shares = shares_of(own[:, there], blocks[there], relative=factors)
                shares[column] = trust * own_shares + (1 - trust) * of_all
    return replace(plain, shares=shares, strongest=strongest), losses


class _HeldOut(NamedTuple):
    """Of some held-out windows.

    Attributes:
        errors: (K, N, C, H) of all methods, 0 where nothing is known.
        blocks: (N,) the stretches of time that they lie in.
        relative: (N, C, H) what makes errors relative ones.
        positive: Whether all values are above 0, so that relative errors say something.
    """

    errors: np.ndarray
    blocks: np.ndarray
    relative: np.ndarray
    positive: bool


def _held_out(plain: Plain, fold: Fold, folds: int, scale: np.ndarray, inputs: Inputs) -> _HeldOut:
    series, some = fold.held_out_series, _some(plain, fold.held_out, len(fold.held_out_series.targets), folds)
    rows, origins = some[np.arange(len(some))]
    B, C, H = len(rows), len(series.targets), plain.horizon
    values = series.values(rows, origins[:, None] + np.arange(-plain.reach, H))
    past, truth = values[..., : plain.reach], values[..., plain.reach :]
    each = plain.each(past, plain.methods, plain.known(series, rows, origins, inputs), before=True)
    points = np.stack([*each.values()])
    unit = (scale[rows] if len(scale) == len(series) else np.broadcast_to(np.nanmedian(scale, 0), (B, C)))[..., None]
    errors = (points - truth) / unit
    known = np.isfinite(errors).all(0)
    errors[:, ~known] = 0.0
    # Small values of a series matter as much as large ones to who measures relative errors. Of sMAPE's two values one
    # is the forecast's: here a typical one's, so that it is the same for all methods.
    typical = np.abs(truth) + np.abs(np.median(points, axis=0))
    relative = np.where(known, unit / np.maximum(typical, 1e-300), 0.0)
    blocks = (rows << 20) + (origins - series.starts[rows]) // H
    return _HeldOut(errors, blocks, relative, bool((truth[np.isfinite(truth)] > 0).all()))


def _some(plain: Plain, part: Part, columns: int, folds: int) -> Part:
    """As many windows of a part as can be compared soon."""
    features = sum(len(own.ahead[0]) + len(own.recent[0]) for own in plain.effects.values())
    most = min(_MOST_WINDOWS, _MOST_COMPARED // plain.horizon, _MOST_READ // (plain.reach * (1 + features)))
    return spaced(part, max(1, most // folds // columns))


def spread(
    plain: Plain, folds: Sequence[Fold], everything: tuple[Series, Part], window: Window, inputs: Inputs
) -> Plain:
    """Choose the width of the fan by the errors on held-out windows.

    Args:
        everything: Windows to look at where nothing is held out. The one method that has a share then, the seasonal
            naive one, has not learned from them.
        inputs: Of covariates.
    """
    places = [(fold.held_out_series, fold.held_out) for fold in folds] or [everything]
    found = []
    for k, (series, part) in enumerate(places):
        own = plain.of_fold(k) if folds else plain
        some = _some(plain, part, len(series.targets), len(places))
        rows, origins = some[np.arange(len(some))]
        values = series.values(rows, origins[:, None] + np.arange(-plain.reach, plain.horizon))
        if window.scaling == "log":
            values = np.where(values > 0, values, np.nan)
        past, truth = values[..., : plain.reach], values[..., plain.reach :]
        batch = series.batch(rows, origins, window)
        loc, scale = batch.loc[..., None], batch.scale[..., None]
        known = own.known(series, rows, origins, inputs)
        mean = normal(own.forecast(past, known, before=True), loc, scale, window.scaling)
        found.append((normal(truth, loc, scale, window.scaling) - mean).reshape(-1, plain.horizon))
    missed = np.concatenate(found)
    quantiles = np.zeros((plain.horizon, len(LEVELS)))
    count = int(np.isfinite(missed).any(-1).sum())
    few, apart = count < _FEW_ERRORS, max(2.0, count / plain.horizon)
    wider = np.sqrt((apart + 1) / (apart - 1))  # for so few windows that share no value see less than there is
    for step, errors in enumerate(missed.T):
        known = errors[np.isfinite(errors)]
        if few:  # too few to tell how wide the fan is at each step
            known = missed[np.isfinite(missed)]
        if len(known):
            # Around zero: the average error of held-out windows says little of that of others.
            quantiles[step] = wider * np.quantile(known - np.median(known), LEVELS)
    return replace(plain, residuals=quantiles)


def normal(values: np.ndarray, loc: np.ndarray, scale: np.ndarray, scaling: str) -> np.ndarray:
    """The opposite of `in_units`; with logarithms, what is not above 0 counts as very small."""
    if scaling == "log":
        values = np.log(np.maximum(values, np.exp(np.maximum(loc - 10 * scale, -700.0))))
    return (values - loc) / scale
