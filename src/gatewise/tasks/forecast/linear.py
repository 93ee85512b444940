"""Linear forecasts: weighted sums of the past, solved from all windows of all series. Plain numpy.

Each step ahead is a weighted sum of the past, less the past's last value or its mean (Zeng et al. 2023, "Are
transformers effective for time series forecasting?", AAAI: NLinear): ridge regression, for several lengths of past,
with a strength that is chosen on held-out windows. Beside the solved weights stand rules that need none: the last
value, the last season, the mean of the last seasons. Of all these a weighted mean is taken, with shares chosen on
held-out windows; a weighted mean of weighted sums is one matrix of weights again. It is a plain method beside the
network, and the linear part that the network corrects, as in LSTNet (Lai et al. 2018, "Modeling long- and short-term
temporal patterns with deep neural networks", section 3.6).

No window is cut to solve it. A window is the one before it, moved by one step, so its products are those of the one
before it but for the first and the last; and all lengths and references follow from one table of products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ...metrics.forecasting import seasonal_error
from ...runtime.products import by_row
from ...sharing import each
from .baselines.shares import shares_of
from .split import Part, spaced
from .windows import Series, Window, normaliser, without_gaps

STRENGTHS = 10.0 ** np.arange(-5, 2.6, 0.5)  # of the regularisation, in mean squares of an input
_MOST_MISSING = 0.1  # of a window to learn from
_MOST_PRODUCTS = 4e9  # about as many as take a few seconds: of more series, some are drawn
_MOST_WEIGHTS = 2e7  # of all solved matrices at once: of more, the shortest lengths are left out
_MOST_COMPARED = 200_000  # values of held-out windows that shares are chosen on
_MOST_RESIDUALS = 4_000  # windows that errors are kept of
_APART = 12  # fewer windows than this in a row are multiplied one by one


@dataclass(frozen=True)
class Linear:
    """What was solved.

    Attributes:
        weights: (H, T), from the past to the future; each row sums to 1, so that units and levels do not matter.
        before: The same, of the training part alone, without held-out windows.
        logarithms: Whether of logarithms.
        folds: As `before`, of each fold that it was chosen by; not kept in model files.
    """

    weights: np.ndarray
    before: np.ndarray
    logarithms: bool = False
    folds: Sequence[np.ndarray] = ()

    def of_fold(self, fold: int) -> Linear:
        """With `before` as this fold has it."""
        return replace(self, before=self.folds[fold])

    def trimmed(self, length: int) -> Linear:
        """Of so many last steps of the past; those before it must have no weight."""
        weights, before, *folds = (own[:, -length:] for own in (self.weights, self.before, *self.folds))
        return Linear(weights, before, self.logarithms, folds)

    @property
    def least_context(self) -> int:
        """Steps of the past that have weights."""
        used = np.any([own.any(0) for own in (self.weights, self.before, *self.folds)], axis=0)
        return max(1, self.context_length - int(used.argmax()))

    @property
    def context_length(self) -> int:
        return self.weights.shape[1]

    def forecast(
        self, past: np.ndarray, season: int, before: bool = False, moved: np.ndarray | None = None
    ) -> np.ndarray:
        """(N, H) from pasts (N, R), NaN where unknown; NaN where nothing is known.

        Args:
            moved: (N, H) to add, in standard deviations of the past or, to logarithms, as it is.
        """
        T = self.context_length
        if past.shape[1] < T:
            past = np.concatenate([np.full((len(past), T - past.shape[1]), np.nan), past], 1)
        filled, unit = self._read(past[:, -T:], season)
        found = by_row(filled, (self.before if before else self.weights).T)
        if moved is not None:
            found += moved * unit
        return np.exp(np.minimum(found, 700.0)) if self.logarithms else found

    def errors(self, values: np.ndarray, season: int, weights: np.ndarray) -> np.ndarray:
        """(N, H) how far values (N, T + H) lie above what these weights forecast of them, in the units of `moved`."""
        filled, unit = self._read(values[:, : self.context_length], season)
        return (self._levels(values[:, self.context_length :]) - filled @ weights.T) / unit

    def _read(self, past: np.ndarray, season: int) -> tuple[np.ndarray, np.ndarray]:
        """The past (N, T) without gaps, and what effects on it count in, (N, 1)."""
        filled = without_gaps(self._levels(past), season)
        if self.logarithms:
            return filled, np.ones((len(filled), 1))
        return filled, normaliser(filled, np.isfinite(filled), "standard")[1][:, None]

    def _levels(self, values: np.ndarray) -> np.ndarray:
        return np.log(np.where(values > 0, values, np.nan)) if self.logarithms else values


@dataclass(frozen=True)
class Fold:
    """Windows to solve from, and later ones to choose by.

    Attributes:
        training: Of the series.
        held_out: Of `held_out_series`.
    """

    training: Part
    held_out_series: Series
    held_out: Part


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


def residuals(linear: Linear, folds: Sequence[Fold], everything: tuple[Series, Part], window: Window) -> np.ndarray:
    """(N, H) errors on held-out windows, or on all where none are held out, in units of each window."""
    weights = linear.folds or [linear.weights]
    places = [(fold.held_out_series, fold.held_out) for fold in folds] or [everything]
    found = [np.zeros((0, window.horizon))]
    for own, (series, part) in zip(weights, places, strict=True):
        some = spaced(part, max(1, _MOST_RESIDUALS // (len(folds) or 1) // len(series.targets)))
        batch = series.batch(*some[np.arange(len(some))], window)
        missed = batch.target - batch.past @ own.T
        found.append(missed[batch.wanted.all(-1)])
    return np.concatenate(found).astype(np.float64)


def scales(series: Series, ends: np.ndarray, season: int, logarithms: bool = False) -> np.ndarray:
    """(N, C) what errors of each series count in: between its standard deviation, in which a trend counts, and the
    error of its seasonal rule, in which it does not. NaN of a constant one.

    Args:
        ends: (N,) absolute steps up to which it is looked at.
    """
    found = np.full((len(series), len(series.targets)), np.nan)
    for index in range(len(series)):
        for column in range(found.shape[1]):
            history = series.history(index, column, int(ends[index]))
            if logarithms:
                history = np.log(np.where(history > 0, history, np.nan))
            known = history[np.isfinite(history)]
            std = float(known.std()) if len(known) else 0.0
            rule = seasonal_error(history, season)
            if std > 1e-9 * max(1e-9, float(np.abs(known).max(initial=0))):
                found[index, column] = np.sqrt(std * rule) if np.isfinite(rule) else std
    return found


def solve(
    series: Series,
    folds: Sequence[Fold],
    everything: Part,
    *,
    horizon: int,
    season: int,
    contexts: Sequence[int],
    scale: np.ndarray,
    seed: int,
    logarithms: bool = False,
) -> Linear:
    """The weighted mean of linear forecasts that is best on held-out windows, solved again from all windows.

    Args:
        folds: In the order of time. The training part of the last one is what `Linear.before` is solved from.
        everything: Windows to solve from in the end.
        season: Steps of a season.
        contexts: Lengths of past to try.
        scale: As `scales` gives it.
        seed: Of the choice of series, where there are too many.
        logarithms: Whether to forecast logarithms; the values must be above 0 then.
    """
    longest = max(contexts)
    some = _drawn(series, longest, longest + horizon, seed)

    def looked_at(fold: Fold) -> tuple[tuple[_Moments, _Moments], _Sampled]:
        inside = fold.held_out_series is series
        fit = _stretches(series, fold.training, longest, horizon, season, scale, logarithms, some)
        held = _stretches(
            fold.held_out_series, fold.held_out, longest, horizon, season, scale, logarithms, some if inside else None
        )
        moments = _Moments.of(fit, longest, horizon), _Moments.of(held, longest, horizon)
        return moments, _sampled(held, longest, horizon, _MOST_COMPARED // len(folds))

    both = each(looked_at, folds)
    tables, sampled = [moments for moments, _ in both], [own for _, own in both]
    found = [(weights, [weights] * len(folds)) for weights in _known(contexts, horizon, season)]
    reference = min(1, len(found) - 1)  # the last season, if there is one
    # Of a short beginning there may be no window; then a rule stands for it. But the last fold must have some.
    good = [place for place, (fit, held) in enumerate(tables) if fit.count and held.count]
    if good and good[-1] == len(folds) - 1:
        all_of_it = _stretches(series, everything, longest, horizon, season, scale, logarithms, some)
        whole = _Moments.of(all_of_it, longest, horizon)
        tried = [(context, mean) for context in _affordable(contexts, horizon, len(folds)) for mean in (False, True)]
        for weights, solved in each(lambda one: _ridge([tables[place] for place in good], whole, *one), tried):
            own = dict(zip(good, solved, strict=True))
            found.append((weights, [own.get(place, found[reference][0]) for place in range(len(folds))]))
    elif not any(len(past) for past, *_ in sampled):
        rule = found[reference][0]
        return Linear(rule, rule, logarithms, [rule] * len(folds))
    errors = np.stack([_errors(before, sampled) for _, before in found])
    blocks = np.concatenate([block + place * _FAR for place, (*_, block) in enumerate(sampled)])
    shares = shares_of(errors, blocks, reference)
    kept = [(share, *own) for share, own in zip(shares, found, strict=True) if share > 0]
    weights = np.sum([share * weights for share, weights, _ in kept], axis=0)
    before = [np.sum([share * own[place] for share, _, own in kept], axis=0) for place in range(len(folds))]
    return Linear(weights, before[-1], logarithms, before)


class _Stretch(NamedTuple):
    """Windows of one series that follow one another.

    Attributes:
        values: (n,) of the series, without gaps.
        first, number: Where the first window starts, and how many there are, a step apart.
        scale: What errors are divided by.
        block: Number of the first of the blocks, a horizon long, that the windows lie in.
    """

    values: np.ndarray
    first: int
    number: int
    scale: float
    block: int


_FAR = 1 << 40  # between the numbers of blocks of different folds
_Sampled = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # pasts (N, T), futures (N, H), scales, blocks (N,)


def _known(contexts: Sequence[int], horizon: int, season: int) -> list[np.ndarray]:
    """The different rules for these lengths of past, as weights for the longest; the last value comes first, then the
    last season."""
    found: dict[bytes, np.ndarray] = {}
    for context in sorted(contexts, reverse=True):
        for weights in rules(context, horizon, season).values():
            padded = _padded(weights, max(contexts))
            found.setdefault(padded.tobytes(), padded)
    return list(found.values())


def _drawn(series: Series, context: int, length: int, seed: int) -> np.ndarray | None:
    """Series to solve from, if all would take too long: (n,) of them, drawn at random."""
    most = max(1, int(_MOST_PRODUCTS / (context * length * len(series.targets))))
    if len(series) <= most:
        return None
    return np.sort(np.random.default_rng([seed, 1]).choice(len(series), most, replace=False))


def _affordable(contexts: Sequence[int], horizon: int, folds: int) -> list[int]:
    """The longest of these lengths, as many as there is memory for their weights."""
    most = int(_MOST_WEIGHTS / (2 * (folds + 1) * max(contexts) * horizon))
    return sorted(contexts)[-most:] if most else []


def _stretches(
    series: Series,
    part: Part,
    context: int,
    horizon: int,
    season: int,
    scale: np.ndarray,
    logarithms: bool,
    some: np.ndarray | None,
) -> list[_Stretch]:
    """The windows of a part that are known but for a tenth; of some series alone, if these are given."""
    found = []
    length = context + horizon
    for index in map(int, np.flatnonzero(part.counts) if some is None else some[part.counts[some] > 0]):
        start, stop = int(series.starts[index]), int(part.first[index] + part.counts[index] - 1 + horizon)
        begin = max(int(part.first[index]) - context, start)
        for column in range(len(series.targets)):
            # Series of a validation apart have no scale of their own.
            unit = float(scale[index, column] if index < len(scale) else np.nanmedian(scale))
            values = series.history(index, column, stop)[begin - stop :]
            if logarithms:
                values = np.log(np.where(values > 0, values, np.nan))
            missing = np.concatenate([[0], np.cumsum(~np.isfinite(values))])
            usable = missing[length:] - missing[:-length] <= _MOST_MISSING * length
            if not usable.any() or not np.isfinite(unit):
                continue
            filled = without_gaps(values[None], season)[0]
            edges = np.flatnonzero(np.diff(np.concatenate([[False], usable, [False]])))
            for first, end in edges.reshape(-1, 2):
                block = (index << 20) + (begin + int(first) - start) // horizon
                found.append(_Stretch(filled, int(first), int(end - first), unit, block))
    return found


@dataclass(frozen=True)
class _Moments:
    """Sums over windows of T steps of past and H of future.

    Attributes:
        products: (T, T + H) of each value of the past with each of the window.
        squares: (H,) of the future.
        count: Windows.
    """

    products: np.ndarray
    squares: np.ndarray
    count: int

    @classmethod
    def of(cls, stretches: Sequence[_Stretch], context: int, horizon: int) -> _Moments:
        length = context + horizon
        products, squares, count = np.zeros((context, length)), np.zeros(horizon), 0
        for values, first, n, scale, _ in stretches:
            # Around a value of its own, which weights that sum to 1 do not see, or digits would be lost.
            x = (values[first : first + n + length - 1] - values[first : first + n + length - 1].mean()) / scale
            if n < _APART:
                windows = sliding_window_view(x, length)
                products += windows[:, :context].T @ windows
            else:
                own = np.empty((context, length))
                own[0] = np.correlate(x, x[:n], "valid")
                own[:, 0] = own[0, :context]
                for i in range(context - 1):
                    own[i + 1, 1:] = own[i, :-1] - x[i] * x[: length - 1] + x[n + i] * x[n : n + length - 1]
                products += own
            sums = np.concatenate([[0.0], np.cumsum(x**2)])
            squares += sums[n + context :][:horizon] - sums[context : context + horizon]
            count += n
        return cls(products, squares, count)

    def around(self, context: int, mean: bool) -> tuple[np.ndarray, np.ndarray, float]:
        """Of the past less its last value or its mean: products with itself (T, T), and with the future less the same
        (T, H); and the sum of the latter's squares."""
        longest = len(self.products)
        products = self.products[longest - context :, longest - context :]
        XX, XY = products[:, :context], products[:, context:]
        reference = np.full(context, 1 / context) if mean else np.eye(context)[-1]
        x, y = XX @ reference, reference @ XY
        both = float(reference @ x)
        squares = float((self.squares - 2 * y + both).sum())
        return XX - x[:, None] - x + both, XY - x[:, None] - y + both, squares


def _ridge(
    tables: Sequence[tuple[_Moments, _Moments]], whole: _Moments, context: int, mean: bool
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Weights of all windows, and of the training windows of each fold, with the strength that is best for the windows
    held out; padded to the longest past."""
    longest = len(whole.products)
    paths = [RidgePath(*fit.around(context, mean)[:2]) for fit, _ in tables]
    missed = sum(path.missed(*held.around(context, mean)) for path, (_, held) in zip(paths, tables, strict=True))
    strength = float(STRENGTHS[int(np.argmin(missed))])

    def weights(path: RidgePath) -> np.ndarray:
        solved = path.weights(strength)
        rest = 1 - solved.sum(1, keepdims=True)  # gives back what was subtracted
        return _padded(solved + (rest / context if mean else rest * np.eye(context)[-1]), longest)

    return weights(RidgePath(*whole.around(context, mean)[:2])), [weights(path) for path in paths]


class RidgePath:
    """Ridge regression for all strengths, from one decomposition."""

    def __init__(self, XX: np.ndarray, XY: np.ndarray):
        values, self.vectors = np.linalg.eigh(XX)
        self.values, self.turned = np.maximum(values, 0.0), self.vectors.T @ XY
        # Of the strength, so that it means the same for all data.
        self.unit = max(float(self.values.sum()) / len(XX), 1e-12)

    def _turned(self, strength: float) -> np.ndarray:
        return self.turned / (self.values + strength * self.unit)[:, None]

    def weights(self, strength: float) -> np.ndarray:
        """(H, T)."""
        return (self.vectors @ self._turned(strength)).T

    def missed(self, XX: np.ndarray, XY: np.ndarray, squares: float) -> np.ndarray:
        """(strengths,) sums of squared errors on the windows of these products."""
        XX, XY = self.vectors.T @ XX @ self.vectors, self.vectors.T @ XY
        found = []
        for strength in STRENGTHS:
            w = self._turned(strength)
            found.append(squares - 2 * float((w * XY).sum()) + float((w * (XX @ w)).sum()))
        return np.array(found)


def _padded(weights: np.ndarray, length: int) -> np.ndarray:
    return np.pad(weights, ((0, 0), (length - weights.shape[1], 0)))


def _sampled(stretches: Sequence[_Stretch], context: int, horizon: int, most: int) -> _Sampled:
    """Evenly spaced windows of these."""
    length = context + horizon
    stride = max(1, -(-sum(stretch.number for stretch in stretches) // max(1, most // horizon)))
    windows, units, blocks = [np.zeros((0, length))], [np.zeros(0)], [np.zeros(0, np.int64)]
    for values, first, n, scale, block in stretches:
        own = sliding_window_view(values[first : first + n + length - 1], length)[::stride]
        windows.append(own)
        units.append(np.full(len(own), scale))
        blocks.append(block + np.arange(len(own)) * stride // horizon)
    both = np.concatenate(windows)
    return both[:, :context], both[:, context:], np.concatenate(units), np.concatenate(blocks)


def _errors(before: Sequence[np.ndarray], sampled: Sequence[_Sampled]) -> np.ndarray:
    """(N, H) of one forecast, by its weights in each fold, in units of each series."""
    found = [
        (past @ weights.T - future) / unit[:, None]
        for weights, (past, future, unit, _) in zip(before, sampled, strict=True)
    ]
    return np.concatenate(found)
