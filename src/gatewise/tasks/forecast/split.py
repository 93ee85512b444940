"""Which windows train, which validate and which test: the parts of each series follow each other in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .windows import Series

_FIRST_LOOKED_AT, _LOOKED_AT = 100, 10_000  # windows in which a target is looked for


@dataclass(frozen=True)
class Part:
    """Windows whose targets lie in one stretch of each series, counted instead of listed: a large table has many.

    Attributes:
        first: (N,) absolute step of each series' first origin, which is the first step to be predicted.
        counts: (N,) number of origins in each series.
        stride: Steps from one origin to the next.
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


@dataclass(frozen=True)
class Split:
    """Windows of three parts: in each series the test part is its end, and validation lies before it.

    A series ends with its last known target, whatever rows come after it.

    Targets lie within their part; the past may reach back into earlier ones.

    Attributes:
        series: What is split.
        horizon: Steps to forecast.
        ends: (N,) absolute step at which each series' training part ends.
        validation: Held-out windows to validate on; none if that part is trained on.
        test: Held-out windows to test on.
    """

    series: Series
    horizon: int
    ends: np.ndarray
    validation: Part
    test: Part

    @classmethod
    def of(cls, series: Series, horizon: int, shares: Sequence[float], validated: bool = True) -> Split:
        """Split series.

        Args:
            shares: Of the three parts.
            validated: Whether the validation part is held out, or trained on.
        """
        ends = training_ends(series, horizon, shares, validated)
        tested = training_ends(series, horizon, shares, False)
        validation = _stretch(np.maximum(series.starts + 1, ends), tested, horizon)
        test = _stretch(np.maximum(series.starts + 1, tested), series.known_ends, horizon)
        return cls(series, horizon, ends, validation, test)

    def training(self, context: int) -> Part:
        """Windows to train on, with `context` steps of past where a series is long enough."""
        return training_part(self.series, self.ends, self.horizon, context)

    def parts(self, context: int) -> dict[str, Part]:
        """The parts that hold a window, by name."""
        found = {"train": self.training(context), "validation": self.validation, "test": self.test}
        return {name: part for name, part in found.items() if len(part)}


def training_ends(series: Series, horizon: int, split: Sequence[float], validated: bool = True) -> np.ndarray:
    """(N,) absolute step at which each series' training part ends; a share above 0 takes at least one horizon.

    Args:
        validated: Whether the validation part is held out too.
    """
    held = [share for share in split[1 if validated else 2 :] if share > 0]
    taken = sum(np.maximum(horizon, np.round(share * series.lengths).astype(np.int64)) for share in held)
    return np.maximum(series.starts, series.known_ends - taken)


def training_part(series: Series, ends: np.ndarray, horizon: int, least: int) -> Part:
    """All windows whose targets lie before `ends`, with `least` steps of past, or half of those that there are."""
    room = ends - series.starts - horizon
    past = np.maximum(1, np.minimum(least, room // 2))
    return _stretch(series.starts + past, ends, horizon)


def spaced(part: Part, most: int) -> Part:
    """At most about `most` windows of the same stretches, evenly spaced in each series."""
    stride = -(-len(part) // most)
    return part if stride <= 1 else Part(part.first, -(-part.counts // stride), stride)


def holds_targets(series: Series, part: Part, horizon: int, context: int) -> bool:
    """Whether there are a past and a target in one of these windows, or of some of many."""
    for most in (_FIRST_LOOKED_AT, _LOOKED_AT):
        some = spaced(part, most)
        index, origins = some[np.arange(len(some))]
        known = np.isfinite(series.values(index, origins[:, None] + np.arange(-context, horizon)))
        if (known[..., :context].any(-1) & known[..., context:].any(-1)).any():
            return True
    return False


def last_part(series: Series, first: np.ndarray, ends: np.ndarray, horizon: int) -> Part:
    """All windows whose targets lie from `first` on, and before `ends`, and which have a past."""
    return _stretch(np.maximum(series.starts + 1, first), ends, horizon)


def last_origins(series: Series, ends: np.ndarray, horizon: int, origins: int, stride: int) -> Part:
    """The last `origins` windows before `ends`, `stride` apart; fewer where a series is too short for them."""
    room = ends - horizon - series.starts  # the last origin's distance from the start, which needs a past of one step
    counts = np.clip((room - 1) // stride + 1, 0, origins)
    counts = np.where(room >= 1, counts, 0)
    return Part(ends - horizon - stride * (counts - 1), counts, stride)


def _stretch(first: np.ndarray, end: np.ndarray, horizon: int) -> Part:
    return Part(first, np.maximum(0, end - horizon - first + 1))
