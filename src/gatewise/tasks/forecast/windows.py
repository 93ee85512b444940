"""Series for `forecast`: which columns do what, the parts by time, and windows of past and future. Plain numpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ...data.sequences import Column, Sequences
from ...errors import DataError

_MOST_LEVELS = 100  # of a category that is a covariate at each step: each level is an input
_PIECE = 1 << 20  # values that are looked at together
_FLAT = 1e-3  # of a window's size, below which its spread is not taken for what the future will have
TINY = 1e-8


@dataclass(frozen=True)
class Inputs:
    """What a network reads beside the targets' own past.

    Attributes:
        past, future: Columns known until now, and beyond it: name -> (mean, standard deviation) of a number, or the
            levels of a category.
        calendar: Names of the calendar's features.
        static: Columns of one value per series, described likewise.
    """

    past: Mapping[str, Any]
    future: Mapping[str, Any]
    calendar: tuple[str, ...]
    static: Mapping[str, Any]

    @property
    def future_width(self) -> int:
        """Numbers per step that are known ahead."""
        return _width(self.future) + len(self.calendar)

    @property
    def past_width(self) -> int:
        """Numbers per step that are known of the past: those known ahead among them."""
        return _width(self.past) + self.future_width

    @property
    def static_width(self) -> int:
        return _width(self.static)


@dataclass(frozen=True)
class Batch:
    """Windows in normalised units: C columns, T steps of past, H of future.

    Attributes:
        past: (B, C, T) float32, holes filled with the value before.
        seen: (B, C, T) float32, 1 where a value was there.
        loc, scale: (B, C) float64, what was taken off and divided by.
        covariates: (B, T, K) float32.
        ahead: (B, H, F) float32, covariates of the future.
        static: (B, S) float32.
        target: (B, C, H) float32, 0 where unknown.
        wanted: (B, C, H) float32, 1 where there is a target.
    """

    past: np.ndarray
    seen: np.ndarray
    loc: np.ndarray
    scale: np.ndarray
    covariates: np.ndarray
    ahead: np.ndarray
    static: np.ndarray
    target: np.ndarray
    wanted: np.ndarray


@dataclass(frozen=True)
class Part:
    """Windows whose targets lie in one stretch of each series. They are counted, not listed: a large table has many.

    Attributes:
        first: (N,) absolute step of each series' first origin: the first step to be predicted.
        counts: (N,) origins of each series.
        stride: Steps from an origin to the next.
    """

    first: np.ndarray
    counts: np.ndarray
    stride: int = 1

    def __len__(self) -> int:
        return int(self.counts.sum())

    def __getitem__(self, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(series, origins) of these windows."""
        before = self._before
        series = np.searchsorted(before, which, side="right") - 1
        return series, self.first[series] + self.stride * (which - before[series])

    @cached_property
    def _before(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(self.counts)]).astype(np.int64)


class Series:
    """N series of C target columns, and their covariates.

    Args:
        data: As read; steps of a series are evenly spaced.
        targets: Number columns to forecast.
        calendar: Gives (..., features) of the stamps at absolute steps (...); None if there are no stamps.
    """

    def __init__(
        self,
        data: Sequences,
        targets: Sequence[str],
        calendar: Callable[[np.ndarray], np.ndarray] | None = None,
    ):
        self.data, self.targets, self.calendar = data, tuple(targets), calendar
        self.starts, self.ends = data.offsets[:-1], data.offsets[1:]
        self._columns = [data.steps[name].values for name in self.targets]

    def __len__(self) -> int:
        return len(self.data)

    @property
    def lengths(self) -> np.ndarray:
        return self.ends - self.starts

    def history(self, series: int, column: int, end: int | None = None) -> np.ndarray:
        """(n,) float64: a series' target column before the absolute step `end`, at most its last million steps."""
        stop = int(self.ends[series] if end is None else end)
        return np.asarray(self._columns[column][max(int(self.starts[series]), stop - _PIECE) : stop], np.float64)

    def last_known(self) -> np.ndarray:
        """(N,) absolute step behind the last one at which a target was there."""
        found = self.starts.copy()
        for index, (start, end) in enumerate(zip(self.starts, self.ends, strict=True)):
            known = np.zeros(end - start, bool)
            for column in self._columns:
                known |= np.isfinite(column[start:end])
            where = np.flatnonzero(known)
            found[index] = start + (where[-1] + 1 if len(where) else 0)
        return found

    def least(self) -> float:
        """The least of all targets. DataError if there is none."""
        least = np.inf
        for name, column in zip(self.targets, self._columns, strict=True):
            pieces = (column[at : at + _PIECE] for at in range(0, len(column), _PIECE))
            own = min((float(np.nanmin(piece)) for piece in pieces if np.isfinite(piece).any()), default=np.inf)
            if np.isinf(own):
                raise DataError(f"{self.data.name}: column '{name}' has no value to learn from")
            least = min(least, own)
        return least

    def values(self, series: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """(B, C, n) float64 targets at absolute steps (B, n); NaN outside the series."""
        inside = (steps >= self.starts[series][:, None]) & (steps < self.ends[series][:, None])
        safe = np.clip(steps, 0, self.data.offsets[-1] - 1)
        found = np.stack([np.asarray(column[safe], np.float64) for column in self._columns], 1)
        found[~np.isfinite(found)] = np.nan
        return np.where(inside[:, None], found, np.nan)

    def batch(
        self, series: np.ndarray, origins: np.ndarray, context: int, horizon: int, scaling: str, inputs: Inputs | None
    ) -> Batch:
        """Windows of `context` steps before each origin and `horizon` from it on."""
        steps = origins[:, None] + np.arange(-context, horizon)
        values = self.values(series, steps)
        if scaling == "log":
            with np.errstate(divide="ignore", invalid="ignore"):  # `Forecaster` has refused what has no logarithm
                values = np.log(values)
        past, target = values[..., :context], values[..., context:]
        seen, wanted = np.isfinite(past), np.isfinite(target)
        filled = fill(past, seen)
        loc, scale = normaliser(filled, seen, scaling)
        wanted &= seen.any(-1, keepdims=True)  # a window without any past has no units to learn in
        normal = (filled - loc[..., None]) / scale[..., None]
        goal = (np.where(wanted, target, loc[..., None]) - loc[..., None]) / scale[..., None]
        count = len(origins)
        if inputs is None:
            covariates, ahead = (np.zeros((count, n, 0), np.float32) for n in (context, horizon))
            static = np.zeros((count, 0), np.float32)
        else:
            known = self._along(inputs.future, series, steps)
            if self.calendar is not None and inputs.calendar:
                known = np.concatenate(
                    [
                        known,
                        self.calendar(np.clip(steps, self.starts[series][:, None], self.ends[series][:, None] - 1)),
                    ],
                    -1,
                )
            extra = self._along(inputs.past, series, steps[:, :context])
            covariates = np.concatenate([extra, known[:, :context]], -1).astype(np.float32)
            ahead = known[:, context:].astype(np.float32)
            static = np.concatenate(
                [np.zeros((count, 0), np.float32)]
                + [_encoded(self.data.static[name][series], how, name) for name, how in inputs.static.items()],
                -1,
            )
        return Batch(
            past=np.nan_to_num(normal).astype(np.float32),
            seen=seen.astype(np.float32),
            loc=loc,
            scale=scale,
            covariates=covariates,
            ahead=ahead,
            static=static.astype(np.float32),
            target=goal.astype(np.float32),
            wanted=wanted.astype(np.float32),
        )

    def _along(self, columns: Mapping[str, Any], series: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """(B, n, features) of covariates at absolute steps; 0, the mean, where a number is missing."""
        inside = (steps >= self.starts[series][:, None]) & (steps < self.ends[series][:, None])
        safe = np.clip(steps, 0, self.data.offsets[-1] - 1).ravel()
        parts = [np.zeros((*steps.shape, 0), np.float32)]
        for name, how in columns.items():
            encoded = _encoded(self.data.steps[name][safe], how, name)
            parts.append(encoded.reshape(*steps.shape, -1) * inside[..., None])
        return np.concatenate(parts, -1)


def fill(past: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(..., T): missing values replaced by the one before; those before the first stay NaN."""
    if seen.all():
        return past
    last = np.maximum.accumulate(np.where(seen, np.arange(past.shape[-1]), 0), axis=-1)
    return np.take_along_axis(past, last, -1)


def normaliser(filled: np.ndarray, seen: np.ndarray, scaling: str) -> tuple[np.ndarray, np.ndarray]:
    """(loc, scale), each (B, C), of windows (B, C, T): reversible instance normalisation, of the values that are there.

    "standard" takes off the mean, "last" the last value, both divide by the standard deviation (Kim et al. 2022,
    "Reversible instance normalization", ICLR); "mean" only divides, by the mean size (Salinas et al. 2020, DeepAR);
    "none" does neither. With "log", logarithms of the values are standardised. What a nearly flat window is
    divided by is a thousandth of its size at least.
    """
    count = np.maximum(1, seen.sum(-1))
    known = np.where(seen, filled, 0.0)
    mean, size = known.sum(-1) / count, np.abs(known).sum(-1) / count
    if scaling == "none":
        return np.zeros_like(mean), np.ones_like(mean)
    if scaling == "mean":
        return np.zeros_like(mean), np.where(size > TINY, size, 1.0)
    spread = np.sqrt((np.where(seen, filled - mean[..., None], 0.0) ** 2).sum(-1) / count)
    # A logarithm's own size says nothing: it depends on the unit of the data.
    scale = np.maximum(spread, _FLAT * (1.0 if scaling == "log" else size))
    scale = np.where(scale > TINY, scale, 1.0)
    return (np.nan_to_num(filled[..., -1]) if scaling == "last" else mean), scale


def in_units(normal: np.ndarray, loc: np.ndarray, scale: np.ndarray, scaling: str) -> np.ndarray:
    """Normalised values back in the units of the data."""
    values = normal * scale + loc
    return np.exp(np.minimum(values, 700.0)) if scaling == "log" else values


def parts(series: Series, horizon: int, split: Sequence[float]) -> dict[str, Part]:
    """Validation and test windows: in each series the test part is its end, and validation lies before it.

    Targets lie wholly in their part; the past may reach back.
    """
    borders = [training_ends(series, horizon, split), training_ends(series, horizon, split, False), series.ends]
    first = [np.maximum(series.starts + 1, border) for border in borders]
    return {
        "validation": _stretch(first[0], borders[1], horizon),
        "test": _stretch(first[1], borders[2], horizon),
    }


def training_ends(series: Series, horizon: int, split: Sequence[float], validated: bool = True) -> np.ndarray:
    """(N,) absolute step where each series' training part ends; a share that is above 0 takes one horizon at least.

    Args:
        validated: Whether the validation part is held out too.
    """
    held = [share for share in split[1 if validated else 2 :] if share > 0]
    taken = sum(np.maximum(horizon, np.round(share * series.lengths).astype(np.int64)) for share in held)
    return np.maximum(series.starts, series.ends - taken)


def training_part(series: Series, ends: np.ndarray, horizon: int, least: int) -> Part:
    """All windows whose targets lie before `ends`, with `least` steps of past, or half of what a short series has."""
    room = ends - series.starts - horizon
    past = np.maximum(1, np.minimum(least, room // 2))
    return _stretch(series.starts + past, ends, horizon)


def spaced(part: Part, most: int) -> Part:
    """The same stretch with at most some `most` windows, evenly spaced in each series."""
    stride = -(-len(part) // most)
    return part if stride <= 1 else Part(part.first, -(-part.counts // stride), stride)


def last_origins(series: Series, ends: np.ndarray, horizon: int, origins: int, stride: int) -> Part:
    """The last `origins` windows before `ends`, `stride` apart; fewer where a series is too short for them."""
    room = ends - horizon - series.starts  # the last origin's distance from the start, which needs a past of one step
    counts = np.clip((room - 1) // stride + 1, 0, origins)
    counts = np.where(room >= 1, counts, 0)
    return Part(ends - horizon - stride * (counts - 1), counts, stride)


def _stretch(first: np.ndarray, end: np.ndarray, horizon: int) -> Part:
    return Part(first, np.maximum(0, end - horizon - first + 1))


def described(column: Column, rows: np.ndarray) -> Any:
    """How a covariate becomes numbers, learned from these rows: see `Inputs`."""
    if column.kind == "category":
        if len(column.levels) > _MOST_LEVELS:
            raise DataError(
                f"column '{column.name}' has {len(column.levels)} different values; as a covariate it may have up to "
                f"{_MOST_LEVELS}. Leave it out, or group its values"
            )
        return list(column.levels)
    if column.kind == "number" and column.values.ndim == 1:
        values = np.asarray(column.values[rows], np.float64)
        values = values[np.isfinite(values)]
        spread = float(values.std()) if len(values) else 0.0
        return [float(values.mean()) if len(values) else 0.0, spread if spread > TINY else 1.0]
    raise DataError(f"column '{column.name}' holds {column.kind}; a covariate is a number or a category")


def _encoded(column: Column, how: Any, name: str) -> np.ndarray:
    """(n, features) float32 of a column as it was described; a missing or unknown value is all 0."""
    if isinstance(how[0], str) if how else column.kind == "category":
        if column.kind != "category":
            raise DataError(f"column '{name}' was a category when the model was trained, and holds {column.kind} now")
        places = {level: place for place, level in enumerate(how)}
        here = np.array([places.get(level, len(how)) for level in column.levels] + [len(how)])
        return np.eye(len(how) + 1, len(how), dtype=np.float32)[here[column.values]]
    if column.kind != "number":
        raise DataError(f"column '{name}' was a number when the model was trained, and holds {column.kind} now")
    mean, spread = how
    return np.nan_to_num((column.values.astype(np.float64) - mean) / spread)[:, None].astype(np.float32)


def _width(columns: Mapping[str, Any]) -> int:
    return sum(len(how) if how and isinstance(how[0], str) else 1 for how in columns.values())
