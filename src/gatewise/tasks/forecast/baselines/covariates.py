"""What covariates say of the errors of a linear forecast: regression with linear errors. Plain numpy.

What is known ahead moves a value by its effect, and has moved the values of the past by it too. A linear forecast W of
values without these effects, with the effects given back, is W past + effect (ahead - W ahead of the past). So the
errors of W are regressed on what is known ahead less W of its own past (Hyndman & Athanasopoulos 2021, "Forecasting:
principles and practice", chapter 10). What is known of the past alone has weights for each step ahead: of its last
value and of its last season, each less its mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..inputs import Inputs
from ..linear import STRENGTHS, Fold, Linear, RidgePath
from ..split import Part, spaced
from ..windows import Series

_MOST_WINDOWS, _MOST_PRODUCTS = 4_000, 2e10  # of each part that effects are learned from
_AT_ONCE = 256  # windows


@dataclass(frozen=True)
class Known:
    """Features of B windows; as `Inputs` describes them, without the calendar.

    Attributes:
        future: (B, T + H, F) of what is known ahead.
        past: (B, T, P) of what is known of the past alone.
    """

    future: np.ndarray
    past: np.ndarray

    @classmethod
    def of(cls, series: Series, rows: np.ndarray, origins: np.ndarray, linear: Linear, inputs: Inputs) -> Known:
        """Of windows of as many steps of past as a linear forecast reads."""
        steps = origins[:, None] + np.arange(-linear.context_length, len(linear.weights))
        return cls(
            series.covariates(inputs.future, rows, steps),
            series.covariates(inputs.past, rows, steps[:, : linear.context_length]),
        )

    def unforeseen(self, weights: np.ndarray) -> np.ndarray:
        """(B, H, F) what is known ahead, less what these weights (H, T) make of its past."""
        T = weights.shape[1]
        return self.future[:, T:] - weights @ self.future[:, :T]

    def recent(self, season: int) -> np.ndarray:
        """(B, 2 P) the last value and the mean of the last season, less the mean."""
        mean = self.past.mean(1)
        return np.concatenate([self.past[:, -1] - mean, self.past[:, -season:].mean(1) - mean], -1)


@dataclass(frozen=True)
class Effects:
    """Of covariates on C columns, in units of a window; see `Linear.forecast`.

    Attributes:
        ahead: (C, F) of what is known ahead.
        recent: (C, 2 P, H) of what is known of the past alone.
        ahead_before, recent_before: The same, of the training part alone, without held-out windows.
        folds: As both of those, of each fold; not kept in model files.
    """

    ahead: np.ndarray
    recent: np.ndarray
    ahead_before: np.ndarray
    recent_before: np.ndarray
    folds: Sequence[tuple[np.ndarray, np.ndarray]] = ()

    def of_fold(self, fold: int) -> Effects:
        """With those `before` as this fold has them."""
        ahead, recent = self.folds[fold]
        return replace(self, ahead_before=ahead, recent_before=recent)

    def on(self, known: Known, linear: Linear, season: int, before: bool) -> np.ndarray:
        """(B, C, H) to be added to the linear forecast."""
        ahead, recent = (self.ahead_before, self.recent_before) if before else (self.ahead, self.recent)
        unforeseen = known.unforeseen(linear.before if before else linear.weights)
        return np.einsum("bhf,cf->bch", unforeseen, ahead) + np.einsum("bp,cph->bch", known.recent(season), recent)


def solve_effects(
    series: Series, folds: Sequence[Fold], everything: Part, linear: Linear, inputs: Inputs, season: int
) -> Effects | None:
    """Ridge regression, with strengths that are best on held-out windows; None if none are held out.

    Args:
        everything: Windows to solve from in the end.
        linear: Whose errors are explained.
    """
    tables = []
    for fold, weights in zip(folds, linear.folds, strict=True):
        fit = _Moments.of(series, fold.training, linear, weights, inputs, season)
        held = _Moments.of(fold.held_out_series, fold.held_out, linear, weights, inputs, season)
        tables.append((fit, held))
    if not tables or not all(fit.count and held.count for fit, held in tables):
        return None
    whole = _Moments.of(series, everything, linear, linear.weights, inputs, season)
    ahead, *each_ahead = _solved(whole, tables, lambda own, _: (own.AA, own.Ae[..., None]))
    of_ahead = dict(zip(map(id, [whole, *(fit for fit, _ in tables)]), [ahead, *each_ahead], strict=True))

    def of_recent(own: _Moments, fit: _Moments) -> tuple[np.ndarray, np.ndarray]:
        rest = own.Re - np.einsum("cphf,cf->cph", own.RA, of_ahead[id(fit)][..., 0])
        return np.broadcast_to(own.RR, (len(rest), *own.RR.shape)), rest

    recent, *each_recent = _solved(whole, tables, of_recent)
    before = [(own[..., 0], other) for own, other in zip(each_ahead, each_recent, strict=True)]
    return Effects(ahead[..., 0], recent, *before[-1], before)


@dataclass(frozen=True)
class _Moments:
    """Sums over windows: A of what is known ahead, R of what is known of the past, e the errors (C columns).

    Attributes:
        AA, Ae: (C, F, F), (C, F), over all steps ahead.
        RR, Re, RA: (2 P, 2 P), (C, 2 P, H), (C, 2 P, H, F). An unknown error counts as none.
        count: Known errors.
    """

    AA: np.ndarray
    Ae: np.ndarray
    RR: np.ndarray
    Re: np.ndarray
    RA: np.ndarray
    count: int

    @classmethod
    def of(
        cls, series: Series, part: Part, linear: Linear, weights: np.ndarray, inputs: Inputs, season: int
    ) -> _Moments:
        H, T = weights.shape
        C, (F, P) = len(series.targets), inputs.covariate_widths
        AA, Ae, RR = np.zeros((C, F, F)), np.zeros((C, F)), np.zeros((2 * P, 2 * P))
        Re, RA, count = np.zeros((C, 2 * P, H)), np.zeros((C, 2 * P, H, F)), 0
        some = spaced(part, max(1, min(_MOST_WINDOWS, int(_MOST_PRODUCTS / (H * T * (C + F))))))
        for start in range(0, len(some), _AT_ONCE):
            rows, origins = some[np.arange(start, min(len(some), start + _AT_ONCE))]
            values = series.values(rows, origins[:, None] + np.arange(-T, H))
            errors = linear.errors(values.reshape(-1, T + H), season, weights).reshape(len(rows), C, H)
            there = np.isfinite(errors)
            errors = np.where(there, errors, 0.0)
            known = Known.of(series, rows, origins, linear, inputs)
            ahead, recent = known.unforeseen(weights), known.recent(season)
            RR += recent.T @ recent
            for c in range(C):
                own = np.where(there[:, c, :, None], ahead, 0.0)
                flat = own.reshape(len(rows) * H, F)
                AA[c] += flat.T @ flat
                Ae[c] += flat.T @ errors[:, c].ravel()
                Re[c] += recent.T @ errors[:, c]
                RA[c] += np.tensordot(recent, own, (0, 0))
            count += int(there.sum())
        return cls(AA, Ae, RR, Re, RA, count)


def _solved(
    whole: _Moments,
    tables: Sequence[tuple[_Moments, _Moments]],
    equations: Callable[[_Moments, _Moments], tuple[np.ndarray, np.ndarray]],
) -> list[np.ndarray]:
    """Solutions (C, n, m) of all windows, and of each fold, with the strength of least error on held-out windows.

    Args:
        equations: Products (C, n, n) and (C, n, m) of some moments, given those that a solution is fitted to.
    """
    fitted = [whole, *(fit for fit, _ in tables)]
    products = [equations(own, own) for own in fitted]
    if not products[0][0].shape[-1]:
        return [np.zeros_like(right) for _, right in products]
    paths = [[RidgePath(XX, XY) for XX, XY in zip(*own, strict=True)] for own in products]
    missed = np.zeros(len(STRENGTHS))
    for own, (fit, held) in zip(paths[1:], tables, strict=True):
        for path, XX, XY in zip(own, *equations(held, fit), strict=True):
            missed += path.missed(XX, XY, 0.0)
    strength = float(STRENGTHS[int(missed.argmin())])
    return [np.stack([path.weights(strength).T for path in own]) for own in paths]
