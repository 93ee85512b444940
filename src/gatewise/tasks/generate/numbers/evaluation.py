"""How well a model continues sequences of numbers, and how well plain methods do."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import torch

from ....data.channels import Channels
from .batches import Examples, InOrder, Steps
from .mixture import Expected
from .network import TrajectoryModel

NAMES = ("Gaussian", "last step", "linear", "linear, two steps")
ONE, TWO = 2, 3  # places of the linear ones
LEAST = 1e-4  # spread, of scaled channels, below which nothing is told apart
PATTERNS = 4  # binary channels up to which what they were tells how likely they, and an end, are next


@torch.inference_mode()
def loss_of(model: TrajectoryModel, steps: Examples) -> dict[str, Any]:
    """Mean nats per step, of the values as they were before scaling, and how many steps were predicted."""
    was_training, carried = model.training, model.carried
    model.eval()
    model.begin("test")
    nats, count = 0.0, 0
    batches = InOrder(steps)
    for number in range(len(batches)):
        total, targets = model.validation_sums(batches.at(number))
        nats, count = nats + float(total), count + targets
    model.train(was_training)
    model.carried = carried
    return {"loss": nats / max(1, count), "steps": count, "sequences": len(steps.lengths)}


@dataclass(frozen=True)
class Plain:
    """Plain methods, learned. The next step is a Gaussian around the mean of all steps; around the last step and the
    usual change; around what least squares make of the last step, or of the last two. Binary channels and ends are as
    likely as they were on average, or, but for the first method, as they were behind the same binary values.

    Attributes:
        weights: (4, 1 + 2 D, D), by which 1, the last step and the one before give the mean.
        covariance: (4, D, D), of what is left.
        chances: (2, patterns, F) of the binary channels, on average and behind the last ones.
        ends: (2, patterns), likewise.
    """

    weights: np.ndarray
    covariance: np.ndarray
    chances: np.ndarray
    ends: np.ndarray

    @property
    def expected(self) -> Expected:
        """One of these methods, as a network begins with it."""
        D = self.weights.shape[-1]
        return Expected(self.weights[ONE, : 1 + D], np.sqrt(np.diagonal(self.covariance[ONE])))

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
        for told in (0, 1):
            times = np.bincount(told * pairs.pattern, minlength=patterns)
            stops = np.bincount(told * pairs.last, minlength=patterns)
            for place, binary in enumerate(pairs.after[:, ~real].T):
                ones = np.bincount(told * pairs.pattern, binary, minlength=patterns)
                chances[told, :, place] = (ones + 0.5) / (times + 1)
            ends[told] = (stops + 0.5) / (times + stops + 1)
        return cls(weights, covariance, chances, ends)

    def measure(self, steps: Steps, channels: Channels, with_ends: bool) -> dict[str, dict[str, float]]:
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
        """(P,) of each next step's real channels."""
        left = pairs.after[:, real] - pairs.design @ self.weights[method]
        factor = np.linalg.cholesky(self.covariance[method])
        apart = np.linalg.solve(factor, left.T)
        constant = np.log(np.diag(factor)).sum() + 0.5 * left.shape[1] * math.log(2 * math.pi)
        return np.asarray(0.5 * np.square(apart).sum(0) + constant)

    def tensors(self) -> dict[str, np.ndarray]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def _patterns(channels: Channels) -> int:
    binary = len(channels) - int(channels.real.sum())
    return 2**binary if binary <= PATTERNS else 1


class _Pairs(NamedTuple):
    """Each step that another follows, P of them.

    Attributes:
        design: (P, 1 + 2 D): 1, its real channels and those of the step before, or its own again at the beginning.
        after: (P, C) all channels of the next step.
        pattern: (P,) its binary channels as one number.
        first: (P,) whether it is a sequence's first.
        last: (N,) that number of the steps that nothing follows.
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
