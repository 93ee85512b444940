"""How surprising each step is, and in which channel: what a network did not expect, what is far from the last steps.

Four things are looked at in each channel, and the shape of all: each is measured in standard deviations from its mean
over the last steps, a thousand by default. So one threshold serves series of many kinds, and what lasts becomes normal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .rolling import RollingMean, RollingState, RollingZ, among, beside
from .series import Scale
from .shapes import ShapeReader, Shapes, ShapeState

CAUSES = ("value", "change", "error", "recent errors", "shape")
HISTORY = 1000  # steps that define what is normal, unless they are chosen
HISTORIES = (HISTORY, 100, 500, 5_000, 20_000)  # to choose from by labels; what lasts long asks for a long one

_PIECE = 4096  # steps
_SWITCHED = 100  # steps of a channel with two values, from which on it is a switch
_LEAST_SPREAD = 1e-3  # of residuals: normal data without any spread would make every error infinitely surprising


@dataclass(frozen=True)
class Errors:
    """What a network did not expect, (..., D); NaN where nothing is observed or nothing was predicted.

    Attributes:
        nats: Negative log-likelihoods.
        residuals: Deviance residuals: above 0 if a value is higher than expected, and squared twice the nats by which
            it is less likely than the likeliest one, so that they are near to normal where errors have heavy tails.
    """

    nats: np.ndarray
    residuals: np.ndarray

    def at(self, steps: Any) -> Errors:
        """Those of some steps."""
        return Errors(self.nats[steps], self.residuals[steps])

    def mean(self) -> np.ndarray:
        """(...) nats of a step, over the channels that have some; NaN where none has."""
        seen = np.isfinite(self.nats)
        count = seen.sum(axis=-1)
        return np.where(count > 0, np.where(seen, self.nats, 0.0).sum(axis=-1) / np.maximum(count, 1), np.nan)


@dataclass(frozen=True)
class Surprises:
    """Of steps with D channels: T of one series, (T, ...), or of B series, (T, B, ...).

    Attributes:
        scores: (...) standard deviations, 0 or more: those of the channel that is furthest out, less what the furthest
            of so many is by chance.
        by_channel: (..., D) the same of each channel; None in models of before.
        causes: (...) which of `CAUSES` it is in that channel; None in models of before.
    """

    scores: np.ndarray
    by_channel: np.ndarray | None = None
    causes: np.ndarray | None = None

    def at(self, places: Any) -> Surprises:
        """Those of some steps, or series."""
        parts = self.by_channel, self.causes
        return Surprises(self.scores[places], *(None if part is None else part[places] for part in parts))

    def in_half_the_memory(self) -> Surprises:
        """The same with channels in float32, for a long series has many."""
        if self.by_channel is None or self.causes is None:
            return self
        by_channel = np.minimum(self.by_channel, np.finfo(np.float32).max).astype(np.float32)
        return Surprises(self.scores, by_channel, self.causes.astype(np.int8))


class Scorer(Protocol):
    """What gives the steps of series their scores, as they arrive."""

    def start(self) -> Any:
        """The state at the beginning of a series."""

    def read(self, errors: Errors | None, values: np.ndarray, states: Sequence[Any]) -> Surprises:
        """Those of the next steps of B series; the states are then after them.

        Args:
            errors: (T, B, D) of the network; None without one.
            values: (T, B, D), NaN where missing.
            states: One of each series.
        """


def scores_of(scorer: Scorer, errors: Errors | None, values: np.ndarray) -> np.ndarray:
    """(n,) scores of a whole series (n, D), in pieces: what lies between values and scores takes memory."""
    state, found = scorer.start(), []
    for start in range(0, len(values), _PIECE):
        steps = slice(start, start + _PIECE), None
        found.append(scorer.read(None if errors is None else errors.at(steps), values[steps], [state]).scores[:, 0])
    return np.concatenate(found)


@dataclass(frozen=True)
class Normal:
    """Normal data, by channel: what a series is measured by before its own steps say more.

    Attributes:
        errors: (2, D) mean and standard deviation of the network's residuals; 0 and 1 without a network.
        recent: (2, D) the same of means of the last few residuals, those standardised.
        changes: (2, D) mean, 0, and standard deviation of the steps from one value to the next.
        switches: (2, D) the two values of a channel that has no other ones, as commands and states do; else NaN.
    """

    errors: np.ndarray
    recent: np.ndarray
    changes: np.ndarray
    switches: np.ndarray

    @classmethod
    def of(
        cls,
        residuals: Sequence[np.ndarray] | None,
        values: Sequence[np.ndarray],
        steps: Sequence[np.ndarray],
        scale: Scale,
        smoothing: int,
    ) -> Normal:
        """From series (n, D) each, of which some steps (n,) are normal."""
        D = len(scale.scale)
        own = recent = np.stack([np.zeros(D), np.ones(D)])
        if residuals is not None:
            own = _mean_and_spread([r[mask] for r, mask in zip(residuals, steps, strict=True)], _LEAST_SPREAD)
            mean = RollingMean(smoothing, D)
            means = [mean.read(((r - own[0]) / own[1])[:, None], [mean.start()])[:, 0] for r in residuals]
            recent = _mean_and_spread([m[mask] for m, mask in zip(means, steps, strict=True)], _LEAST_SPREAD)
        changes = [
            _changes(v, np.full(D, np.nan))[0][mask & np.append(False, mask[:-1])]
            for v, mask in zip(values, steps, strict=True)
        ]
        spread = _mean_and_spread(changes, 0.0)[1]
        switches = _switches([v[mask] for v, mask in zip(values, steps, strict=True)])
        return cls(own, recent, np.stack([np.zeros(D), np.where(spread > 0, spread, scale.scale)]), switches)


def _switches(pieces: Sequence[np.ndarray]) -> np.ndarray:
    """(2, D) see `Normal`. Where all channels are switches, none is: something has to be looked at."""
    rows = np.concatenate(pieces)
    with np.errstate(invalid="ignore"):  # of all-missing columns
        low, high = np.fmin.reduce(rows, axis=0), np.fmax.reduce(rows, axis=0)
    count = np.isfinite(rows).sum(axis=0)
    two = (count >= _SWITCHED) & (low < high) & ((rows == low) | (rows == high) | np.isnan(rows)).all(axis=0)
    return np.where(two & ~two.all(), np.stack([low, high]), np.nan)


def _mean_and_spread(pieces: Sequence[np.ndarray], least: float) -> np.ndarray:
    """(2, D) of the columns of these pieces (n, D), without what is missing; 0 and `least` where all is."""
    rows = np.concatenate(pieces)
    seen = np.isfinite(rows)
    count = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, rows, 0.0).sum(axis=0) / count
    spread = np.sqrt((np.where(seen, rows - mean, 0.0) ** 2).sum(axis=0) / count)
    return np.stack([mean, np.maximum(spread, least)])


def _changes(values: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T, ...) from the last value before each step to its own, NaN where there is none; and the last values after all.

    Args:
        last: (...) before the first step, NaN if there was none.
    """
    rows = np.concatenate([last[None], values])
    steps = np.arange(len(rows)).reshape(-1, *[1] * last.ndim)
    newest = np.maximum.accumulate(np.where(np.isfinite(rows), steps, 0), axis=0)
    filled = np.take_along_axis(rows, newest, axis=0)
    return values - filled[:-1], filled[-1]


@dataclass
class SurpriseState:
    """What the surprise at a series' next steps depends on. Reading changes it.

    Attributes:
        last: (D,) the last value of each channel.
        recent: Of the mean of errors; None without a network, or where a mean is of one error.
        rolling: Of all that is measured by the last steps.
        shape: Of the shapes; None without them.
    """

    last: np.ndarray
    recent: RollingState | None
    rolling: RollingState
    shape: ShapeState | None = None


class SurpriseScorer:
    """Scores steps as they arrive.

    The least likely of all counts, and each as much as its share is of the larger one of both shares: the network's,
    whose errors they are, and that of values and shapes, which is the rest. What a switch does is not looked at, unless
    it has a third value: it is switched by somebody, and each time it would be a surprise.

    Args:
        scale: Of the channels in normal data.
        normal: More of that.
        shapes: Still more; None without shapes.
        network: Whether there are errors.
        share: Of the network, from 0 to 1.
        history: Steps that define what is normal.
        smoothing: Errors that a mean of the last few is over.

    Source: the minimum of tail probabilities, Tippett (1931), "The Methods of Statistics"; on the scale of the normal
    distribution the maximum of z.
    """

    def __init__(
        self,
        scale: Scale,
        normal: Normal,
        shapes: Shapes | None,
        *,
        network: bool,
        share: float,
        history: int,
        smoothing: int,
    ):
        D = len(scale.location)
        self._scale, self._network, self._errors = scale, network, normal.errors
        location, spread = [scale.location, normal.changes[0]], [scale.scale, normal.changes[1]]
        causes, weights = ["value", "change"], [1 - share, 1 - share]
        if network:
            location += [np.zeros(D), normal.recent[0]]
            spread += [np.ones(D), normal.recent[1]]
            causes += ["error", "recent errors"]
            weights += [share, share]
        if network and share == 1:
            shapes = None  # they would count nothing, and cost more than all else
        self._shapes, self._shaped = None if shapes is None else ShapeReader(shapes), with_shapes(scale, normal)
        if shapes is not None:
            causes.append("shape")
            weights.append(1 - share)
        self._causes = np.array([CAUSES.index(cause) for cause in causes])
        self._weights = np.array(weights)[:, None] / max(share, 1 - share) if network else np.ones((len(causes), 1))
        self._switches = normal.switches
        self._mean = RollingMean(smoothing, D)
        self._z = RollingZ(history, np.concatenate(location), np.concatenate(spread))
        self._width = D

    def start(self) -> SurpriseState:
        recent = self._mean.start() if self._network else None
        shape = None if self._shapes is None else self._shapes.start()
        return SurpriseState(np.full(self._width, np.nan), recent, self._z.start(), shape)

    def read(self, errors: Errors | None, values: np.ndarray, states: Sequence[SurpriseState]) -> Surprises:
        scores = self.candidates(errors, values, states)[1]
        by_channel = scores.max(axis=2)
        channel = by_channel.argmax(axis=-1)[..., None]
        causes = self._causes[np.take_along_axis(scores, channel[:, :, None], axis=3)[..., 0].argmax(axis=2)]
        return Surprises(np.take_along_axis(by_channel, channel, axis=2)[..., 0], by_channel, causes)

    @property
    def causes(self) -> tuple[str, ...]:
        """What is looked at, as `candidates` has it."""
        return tuple(CAUSES[cause] for cause in self._causes)

    @property
    def weights(self) -> np.ndarray:
        """(causes,) what a standard deviation of each counts."""
        return self._weights[:, 0]

    @property
    def compared(self) -> int:
        """Numbers of all shapes, which each step is compared with."""
        return 0 if self._shapes is None else self._shapes.size

    def candidates(
        self, errors: Errors | None, values: np.ndarray, states: Sequence[SurpriseState]
    ) -> tuple[np.ndarray, np.ndarray]:
        """(T, B, causes, D) how many standard deviations each thing is off, signed, NaN where it is not looked at; and
        what it counts, of which the largest is the score. The states are then after these steps."""
        changes, last = _changes(values, beside(state.last for state in states))
        for state, own in zip(states, last, strict=True):
            state.last[:] = own
        columns = [values, changes]
        if self._network and errors is not None:
            standard = (errors.residuals - self._errors[0]) / self._errors[1]
            columns += [standard, self._mean.read(standard, [state.recent for state in states])]
        z = self._z.read(np.concatenate(columns, axis=-1), [state.rolling for state in states])
        z = z.reshape(*values.shape[:-1], len(columns), self._width)
        z[np.broadcast_to((values == self._switches[:, None, None]).any(axis=0)[:, :, None], z.shape)] = np.nan
        scores = among(z)
        if self._shapes is not None:
            shapes = self._of_shapes(values, states)[:, :, None]
            z, scores = np.concatenate([z, shapes], axis=2), np.concatenate([scores, shapes], axis=2)
        scores *= self._weights
        return z, scores

    def _of_shapes(self, values: np.ndarray, states: Sequence[SurpriseState]) -> np.ndarray:
        """(T, B, D) how far out shapes are, told of the channel that is furthest from the nearest one."""
        assert self._shapes is not None
        own = [state.shape for state in states if state.shape is not None]
        far, channels = self._shapes.read(self._scale.apply(values)[..., self._shaped], own)
        far = np.where(np.isfinite(values).any(axis=-1), far, 0.0)
        return np.where(np.arange(self._width) == self._shaped[channels][..., None], far[..., None], 0.0)


def with_shapes(scale: Scale, normal: Normal) -> np.ndarray:
    """Which channels have a shape: neither switches nor such as never change."""
    return np.flatnonzero(np.isnan(normal.switches[0]) & ~scale.constant)
