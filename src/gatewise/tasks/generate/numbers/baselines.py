"""Plain methods that continue sequences of numbers: what a network must beat, and what it starts from."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ....data.channels import Channels
from .mixture import Expected

if TYPE_CHECKING:
    from .examples import Steps

NAMES = ("Gaussian", "last step", "linear", "linear, two steps")
ONE, TWO = 2, 3  # places of the linear ones
LEAST = 1e-4  # added to standard deviations, of scaled channels, so that none is 0
PATTERNS = 4  # binary channels up to which their last values tell how probable their next ones are, and the end


@dataclass(frozen=True)
class Plain:
    """Plain methods, learned. The next step is a Gaussian around the mean of all steps; around the last step plus the
    mean change; around the least-squares prediction from the last step, or from the last two. Binary channels and ends
    are as probable as on average or, in all methods but the first, as after the same binary values.

    Attributes:
        weights: (4, 1 + 2 D, D), of 1, the last step and the one before, in the mean.
        covariance: (4, D, D), of the residuals.
        chances: (2, patterns, F) probabilities of the binary channels, on average and after the last ones.
        ends: (2, patterns) probabilities of the end, likewise.
    """

    weights: np.ndarray
    covariance: np.ndarray
    chances: np.ndarray
    ends: np.ndarray

    @property
    def expected(self) -> Expected:
        """The method that the network starts from."""
        D = self.weights.shape[-1]
        return Expected(self.weights[ONE, : 1 + D], np.sqrt(np.diagonal(self.covariance[ONE])))

    def check(self) -> None:
        """ValueError if these are no covariances, or no probabilities."""
        np.linalg.cholesky(self.covariance)
        if not all(((part > 0) & (part < 1)).all() for part in (self.chances, self.ends)):
            raise ValueError("plain.chances or plain.ends are not probabilities")

    @classmethod
    def learn(cls, steps: Steps, channels: Channels) -> Plain:
        pairs, real = _Pairs.of(steps, channels), channels.real
        D, patterns = int(real.sum()), _patterns(channels)
        target, design = pairs.after[:, real], pairs.design
        weights = np.zeros((len(NAMES), 1 + 2 * D, D))
        weights[0, 0] = target.mean(0)
        weights[1, 0], weights[1, 1 : 1 + D] = (target - design[:, 1 : 1 + D]).mean(0), np.eye(D)
        inner = ~pairs.first if not pairs.first.all() else pairs.first
        for method, rows, columns in ((ONE, slice(None), 1 + D), (TWO, inner, 1 + 2 * D)):
            x = design[rows, :columns]
            ridge = 1e-8 * len(x) * np.eye(columns)  # channels may repeat each other
            weights[method, :columns] = np.linalg.solve(x.T @ x + ridge, x.T @ target[rows])
        covariance = np.empty((len(NAMES), D, D))
        for method in range(len(NAMES)):
            left = (target - design @ weights[method])[inner if method == TWO else slice(None)]
            covariance[method] = left.T @ left / len(left) + LEAST**2 * np.eye(D)
        chances, ends = np.empty((2, patterns, len(real) - D)), np.empty((2, patterns))
        for conditional in (0, 1):
            times = np.bincount(conditional * pairs.pattern, minlength=patterns)
            stops = np.bincount(conditional * pairs.last, minlength=patterns)
            for place, binary in enumerate(pairs.after[:, ~real].T):
                ones = np.bincount(conditional * pairs.pattern, binary, minlength=patterns)
                chances[conditional, :, place] = (ones + 0.5) / (times + 1)
            ends[conditional] = (stops + 0.5) / (times + stops + 1)
        return cls(weights, covariance, chances, ends)

    def evaluate(self, steps: Steps, channels: Channels, with_ends: bool) -> dict[str, dict[str, float]]:
        """Mean nats per step of each method."""
        pairs, real = _Pairs.of(steps, channels), channels.real
        count = len(pairs.design) + (len(pairs.last) if with_ends else 0)
        gaussian = np.stack([self._nats(method, pairs, real) for method in range(len(NAMES))])
        gaussian[TWO, pairs.first] = gaussian[ONE, pairs.first]
        found = {}
        for method, name in enumerate(NAMES):
            seen, ended = (min(method, 1) * pattern for pattern in (pairs.pattern, pairs.last))
            chances, ends = self.chances[min(method, 1)][seen], self.ends[min(method, 1)]
            nats = gaussian[method].sum() + len(seen) * channels.log_scale
            nats -= np.log(np.where(pairs.after[:, ~real] > 0, chances, 1 - chances)).sum()
            if with_ends:
                nats -= np.log(1 - ends[seen]).sum() + np.log(ends[ended]).sum()
            found[name] = {"loss": float(nats / max(1, count))}
        return found

    def _nats(self, method: int, pairs: _Pairs, real: np.ndarray) -> np.ndarray:
        """(P,) nats of the real channels of each next step."""
        left = pairs.after[:, real] - pairs.design @ self.weights[method]
        factor = np.linalg.cholesky(self.covariance[method])
        standardised = np.linalg.solve(factor, left.T)
        constant = np.log(np.diag(factor)).sum() + 0.5 * left.shape[1] * math.log(2 * math.pi)
        return np.asarray(0.5 * np.square(standardised).sum(0) + constant)

    @staticmethod
    def shapes(channels: Channels) -> dict[str, tuple[int | None, ...]]:
        """Of what `tensors` gives."""
        D, patterns, methods = int(channels.real.sum()), _patterns(channels), len(NAMES)
        return {
            "weights": (methods, 1 + 2 * D, D),
            "covariance": (methods, D, D),
            "chances": (2, patterns, len(channels) - D),
            "ends": (2, patterns),
        }

    def tensors(self) -> dict[str, np.ndarray]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def _patterns(channels: Channels) -> int:
    binary = len(channels) - int(channels.real.sum())
    return 2**binary if binary <= PATTERNS else 1


class _Pairs(NamedTuple):
    """The P steps that are followed by another.

    Attributes:
        design: (P, 1 + 2 D): 1, its real channels and those of the step before, or its own again at the beginning.
        after: (P, C) all channels of the next step.
        pattern: (P,) its binary channels as one number.
        first: (P,) whether it is the first of its sequence.
        last: (N,) the pattern of the last step of each sequence.
    """

    design: np.ndarray
    after: np.ndarray
    pattern: np.ndarray
    first: np.ndarray
    last: np.ndarray

    @classmethod
    def of(cls, steps: Steps, channels: Channels) -> _Pairs:
        values, last, real = steps.values.astype(np.float64), steps.offsets[1:] - 1, channels.real
        at, before = np.delete(np.arange(len(values)), last), steps.before()
        bits = values[:, ~real].astype(np.int64)
        number = bits @ (1 << np.arange(bits.shape[1])) if _patterns(channels) > 1 else np.zeros(len(values), np.int64)
        design = np.hstack([np.ones((len(at), 1)), values[at][:, real], values[before[at]][:, real]])
        return cls(design, values[at + 1], number[at], before[at] == at, number[last])
