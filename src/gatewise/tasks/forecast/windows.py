"""Series for `forecast`, and windows of their past and future in normalised units. Plain numpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from ...data.sequences import Sequences
from ...errors import DataError
from .inputs import Inputs, encode

_PIECE = 1 << 20  # values that are looked at together
FLAT = 1e-3  # of a window's mean absolute value: its standard deviation counts as this much at least
TINY = 1e-8


@dataclass(frozen=True, kw_only=True)
class Window:
    """How windows are cut from series and encoded.

    Attributes:
        context_length, horizon: Steps of past, T, and of future, H.
        scaling: As in `normaliser`.
        inputs: What is read beside the targets.
    """

    context_length: int
    horizon: int
    scaling: str
    inputs: Inputs


@dataclass(frozen=True)
class Batch:
    """Windows in normalised units: C columns, T steps of past, H of future.

    Attributes:
        past: (B, C, T) float32, missing values filled with the one before.
        seen: (B, C, T) float32, 1 where a value was observed.
        loc, scale: (B, C) float64, what was subtracted and divided by.
        covariates: (B, T, K) float32 features of the past.
        ahead: (B, H, F) float32 features known ahead.
        static: (B, S) float32 features.
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

    def arrays(self) -> dict[str, np.ndarray]:
        """The fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


class Series:
    """N series of C target columns, and their covariates.

    Args:
        data: As read; steps of a series are evenly spaced.
        targets: Number columns to forecast.
        calendar: Gives (..., features) of the timestamps at absolute steps (...); None if there are none.
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
        """(N,) steps up to the last known target."""
        return self.known_ends - self.starts

    def history(self, series: int, column: int, stop: int) -> np.ndarray:
        """(n,) float64: a series' target column before the absolute step `stop`, at most its last million steps."""
        return np.asarray(self._columns[column][max(int(self.starts[series]), stop - _PIECE) : stop], np.float64)

    @cached_property
    def known_ends(self) -> np.ndarray:
        """(N,) absolute step after the last one at which a target was observed; its start, if there is none."""
        found = self.starts.copy()
        for index, (start, end) in enumerate(zip(self.starts, self.ends, strict=True)):
            for stop in range(end, start, -_PIECE):
                first = max(start, stop - _PIECE)
                known = np.flatnonzero(np.any([np.isfinite(column[first:stop]) for column in self._columns], 0))
                if len(known):
                    found[index] = first + known[-1] + 1
                    break
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

    def mostly_zero(self) -> bool:
        """Whether more than half of all targets are 0, and the others above it."""
        zeros = known = 0
        for column in self._columns:
            for at in range(0, len(column), _PIECE):
                piece = np.asarray(column[at : at + _PIECE], np.float64)
                if (piece < 0).any():
                    return False
                zeros, known = zeros + int((piece == 0).sum()), known + int(np.isfinite(piece).sum())
        return zeros > known / 2

    def values(self, series: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """(B, C, n) float64 targets at absolute steps (B, n); NaN outside the series."""
        inside = (steps >= self.starts[series][:, None]) & (steps < self.ends[series][:, None])
        safe = np.clip(steps, 0, self.data.offsets[-1] - 1)
        found = np.stack([np.asarray(column[safe], np.float64) for column in self._columns], 1)
        found[~np.isfinite(found)] = np.nan
        return np.where(inside[:, None], found, np.nan)

    def batch(self, series: np.ndarray, origins: np.ndarray, window: Window) -> Batch:
        """Windows around these origins, the first steps to be predicted.

        Args:
            series: (B,) the series of each.
            origins: (B,) absolute steps.
        """
        context, horizon = window.context_length, window.horizon
        steps = origins[:, None] + np.arange(-context, horizon)
        values = self.values(series, steps)
        if window.scaling == "log":
            with np.errstate(divide="ignore", invalid="ignore"):  # `Forecaster` has refused what has no logarithm
                values = np.log(values)
        past, target = values[..., :context], values[..., context:]
        seen, wanted = np.isfinite(past), np.isfinite(target)
        filled = fill(past, seen)
        loc, scale = normaliser(filled, seen, window.scaling)
        wanted &= seen.any(-1, keepdims=True)  # a window without any past has no units to learn in
        normal = (filled - loc[..., None]) / scale[..., None]
        goal = (np.where(wanted, target, loc[..., None]) - loc[..., None]) / scale[..., None]
        covariates, ahead = self._covariates(series, steps, window)
        return Batch(
            past=np.nan_to_num(normal).astype(np.float32),
            seen=seen.astype(np.float32),
            loc=loc,
            scale=scale,
            covariates=covariates,
            ahead=ahead,
            static=self._static(series, window.inputs),
            target=goal.astype(np.float32),
            wanted=wanted.astype(np.float32),
        )

    def _covariates(self, series: np.ndarray, steps: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Features of the past (B, T, K), and those known ahead (B, H, F)."""
        context, inputs = window.context_length, window.inputs
        known = self.covariates(inputs.future, series, steps)
        if self.calendar is not None and inputs.calendar:
            inside = np.clip(steps, self.starts[series][:, None], self.ends[series][:, None] - 1)
            known = np.concatenate([known, self.calendar(inside)], -1)
        past = self.covariates(inputs.past, series, steps[:, :context])
        covariates = np.concatenate([past, known[:, :context]], -1)
        return covariates.astype(np.float32), known[:, context:].astype(np.float32)

    def _static(self, series: np.ndarray, inputs: Inputs) -> np.ndarray:
        """(B, S) features of the static covariates."""
        parts = [encode(self.data.static[name][series], how, name) for name, how in inputs.static.items()]
        return np.concatenate([np.zeros((len(series), 0), np.float32), *parts], -1).astype(np.float32)

    def covariates(self, columns: Mapping[str, Any], series: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """(B, n, features) of these covariates at absolute steps; 0, the mean, where a number is missing."""
        inside = (steps >= self.starts[series][:, None]) & (steps < self.ends[series][:, None])
        safe = np.clip(steps, 0, self.data.offsets[-1] - 1).ravel()
        parts = [np.zeros((*steps.shape, 0), np.float32)]
        for name, how in columns.items():
            encoded = encode(self.data.steps[name][safe], how, name)
            parts.append(encoded.reshape(*steps.shape, -1) * inside[..., None])
        return np.concatenate(parts, -1)


def fill(past: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(..., T): missing values replaced by the one before; those before the first stay NaN."""
    if seen.all():
        return past
    last = np.maximum.accumulate(np.where(seen, np.arange(past.shape[-1]), 0), axis=-1)
    return np.take_along_axis(past, last, -1)


def without_gaps(values: np.ndarray, season: int) -> np.ndarray:
    """(N, T): a missing value is taken from the season before it or, at the beginning, after it; where there is none,
    the value before counts, or the first one. NaN remains where nothing is known of a row."""
    if np.isfinite(values).all():
        return values
    found = np.where(np.isfinite(values), values, np.nan)
    T = found.shape[-1]
    for at in range(season, T, season):
        now = found[:, at : at + season]
        now[:] = np.where(np.isfinite(now), now, found[:, at - season :][:, : now.shape[1]])
    for end in range(T - season, 0, -season):
        begin = max(0, end - season)
        now = found[:, begin:end]
        now[:] = np.where(np.isfinite(now), now, found[:, begin + season :][:, : now.shape[1]])
    known = np.isfinite(found)
    if known.all():
        return found
    steps = np.arange(T)
    last = np.maximum.accumulate(np.where(known, steps, -1), -1)
    first = np.where(known.any(-1), known.argmax(-1), 0)[:, None]
    return np.take_along_axis(found, np.where(last >= 0, last, first), -1)


def normaliser(filled: np.ndarray, seen: np.ndarray, scaling: str) -> tuple[np.ndarray, np.ndarray]:
    """(loc, scale), each (B, C), of windows (B, C, T): reversible instance normalisation of the observed values.

    "standard" subtracts the mean, "last" the last value, both divide by the standard deviation (Kim et al. 2022,
    "Reversible instance normalization", ICLR); "mean" only divides, by the mean absolute value (Salinas et al. 2020,
    DeepAR); "none" does neither. With "log", logarithms of the values are standardised. A nearly flat window is divided
    by a thousandth of its mean absolute value at least.
    """
    count = np.maximum(1, seen.sum(-1))
    known = np.where(seen, filled, 0.0)
    mean, size = known.sum(-1) / count, np.abs(known).sum(-1) / count
    if scaling == "none":
        return np.zeros_like(mean), np.ones_like(mean)
    if scaling == "mean":
        return np.zeros_like(mean), np.where(size > TINY, size, 1.0)
    std = np.sqrt((np.where(seen, filled - mean[..., None], 0.0) ** 2).sum(-1) / count)
    # The absolute value of a logarithm says nothing: it depends on the unit of the data.
    scale = np.maximum(std, FLAT * (1.0 if scaling == "log" else size))
    scale = np.where(scale > TINY, scale, 1.0)
    return (np.nan_to_num(filled[..., -1]) if scaling == "last" else mean), scale


def in_units(normal: np.ndarray, loc: np.ndarray, scale: np.ndarray, scaling: str) -> np.ndarray:
    """Normalised values back in the units of the data."""
    values = normal * scale + loc
    return np.exp(np.minimum(values, 700.0)) if scaling == "log" else values
