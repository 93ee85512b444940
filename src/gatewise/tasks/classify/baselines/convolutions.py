"""Random convolutions of series of numbers, and ridge regression on how often each is above a threshold.

Letters: N series, C channels, T steps, R kernels, D dilations, F features, K outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Self

import numpy as np

from ....data.sequences import Sequences, starts_of
from ....runtime.products import by_block, by_row
from ..inputs import Inputs, changes_of, pieces
from ..targets import Targets
from . import ridge
from .method import Examples, Method, Shapes

TAPS = 9  # of a kernel, six of which are -1 and three 2
LEAST_STEPS = 8  # of a typical series
_FEATURES = 6_000
_MOST_DILATIONS = 16
_MOST_CHANNELS = 9  # that a kernel reads
_MOST_VALUES = 1 << 21  # numbers of a block of series, times kernels
_LONGEST = 2_000  # steps that are read of a series; of longer ones, every so many
_FEW = 32  # series that thresholds are learned from
MOST = 2_000  # series to learn from, drawn at random where there are more


@dataclass(frozen=True)
class Convolutions(Method):
    """Attributes:
    dilations: (D,) steps between a kernel's taps.
    reads: (2, D, R, C) whether a kernel reads a channel, of the values and of their changes from step to step.
    thresholds: (2, D, R, Q) Q of each: a feature is the share of steps at which the convolution is above it.
    mean, weights: (F,) and (F, K) of the regression.
    bias: (K,).
    sharpness: See `ridge.Fit`.

    Source: Dempster, Schmidt & Webb (2021), "MiniRocket", KDD, section 3; changes as in Tan et al. (2022),
    "MultiRocket", DMKD 36. Here kernels read few channels at random, and series may differ in length.
    """

    dilations: np.ndarray
    reads: np.ndarray
    thresholds: np.ndarray
    mean: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    sharpness: np.ndarray

    @classmethod
    def learn(cls, examples: Examples, seed: int) -> tuple[Self, np.ndarray]:
        """From these series; also predictions of each by the others, (N, K)."""
        inputs, data, rows = examples.inputs, examples.data, examples.rows
        random = np.random.default_rng([seed, 5])
        typical = max(TAPS, float(np.median(data.lengths[rows])))
        dilations = _dilations(min(typical, _LONGEST))
        reads = _drawn_channels(random, len(dilations), inputs.channels)
        each = max(1, round(_FEATURES / (2 * len(dilations) * len(_kernels()))))
        thresholds = _learned_thresholds(inputs, data, rows, random, dilations, reads, each)
        features = _features(inputs, data, rows, dilations, reads, thresholds)
        mean = features.mean(0)
        features -= mean
        fit = ridge.fitted(features @ features.T, examples.truth(), examples.targets, examples.own_groups)
        weights = features.T @ fit.dual.astype(np.float32)
        sharpness = np.array([fit.sharpness], np.float32)
        found = cls(dilations, reads, thresholds, mean, weights, fit.bias.astype(np.float32), sharpness)
        return found, fit.left_out

    def outputs(self, inputs: Inputs, targets: Targets, data: Sequences, rows: np.ndarray) -> np.ndarray:
        features = _features(inputs, data, rows, self.dilations, self.reads, self.thresholds)
        scores = by_row(features - self.mean, self.weights) + self.bias
        return ridge.probabilities(scores.astype(np.float64), float(self.sharpness[0]), targets)

    def said(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]:
        """What `runtime.recording.Above` has."""
        kernels = np.array([*combinations(range(TAPS), 3)], np.int32)
        return self.dilations.astype(np.int32), kernels, self.reads.astype(np.int32), self.thresholds, _LONGEST

    def tensors(self) -> dict[str, np.ndarray]:
        return {
            "dilations": self.dilations.astype(np.int32),
            "reads": self.reads.astype(np.uint8),
            "thresholds": self.thresholds,
            "mean": self.mean,
            "weights": self.weights,
            "bias": self.bias,
            "sharpness": self.sharpness,
        }

    @staticmethod
    def shapes(inputs: Inputs, targets: Targets) -> Shapes:
        K, R = targets.outputs, len(_kernels())
        return {
            "dilations": (None,),
            "reads": (2, None, R, inputs.channels),
            "thresholds": (2, None, R, None),
            "mean": (None,),
            "weights": (None, K),
            "bias": (K,),
            "sharpness": (1,),
        }

    @classmethod
    def from_tensors(cls, key: str, tensors: Mapping[str, np.ndarray], targets: Targets) -> Self:
        found = cls(**{**tensors, "reads": tensors["reads"].astype(bool)})
        D, F = len(found.dilations), found.thresholds.size
        if not (D == found.reads.shape[1] == found.thresholds.shape[1] and F == len(found.mean) == len(found.weights)):
            raise ValueError(f"{D} dilations and {F} thresholds do not fit the weights of its convolutions")
        if found.dilations.dtype.kind != "i" or not ((found.dilations >= 1) & (found.dilations <= _LONGEST)).all():
            raise ValueError(f"its dilations are not from 1 to {_LONGEST}")
        return found


@cache
def _kernels() -> np.ndarray:
    """(R, TAPS)."""
    found = np.full((84, TAPS), -1, np.float32)
    for kernel, places in zip(found, combinations(range(TAPS), 3), strict=True):
        kernel[list(places)] = 2
    return found


def _dilations(steps: float) -> np.ndarray:
    """Such that a kernel reaches over up to as many steps as a typical series has."""
    most = max(1.0, (steps - 1) / (TAPS - 1))
    count = min(_MOST_DILATIONS, 1 + 2 * int(np.log2(most)))
    return np.unique(np.round(np.geomspace(1, most, count)).astype(np.int64))


def _drawn_channels(random: np.random.Generator, dilations: int, channels: int) -> np.ndarray:
    """(2, D, R, C): few channels are drawn more often than many."""
    shape = (2, dilations, len(_kernels()))
    most = min(channels, _MOST_CHANNELS)
    counts = np.minimum(most, np.exp2(random.uniform(0, np.log2(most + 1), shape)).astype(np.int64))
    ranks = random.random((*shape, channels)).argsort(-1).argsort(-1)
    return np.asarray(ranks < counts[..., None])


def _blocks(inputs: Inputs, data: Sequences, rows: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Some series at a time: (2, C, N, T) values and changes, zeros beyond the ends, and (N, T) where there are any."""
    for piece in pieces(data, rows, size):
        values, lengths = inputs.series(piece)
        step = np.maximum(1, lengths // _LONGEST)  # of each by itself: what is beside it must not matter
        kept = np.arange(len(values)) - np.repeat(starts_of(lengths), lengths)
        values, lengths = values[kept % np.repeat(step, lengths) == 0], -(-lengths // step)
        inside = np.arange(int(lengths.max())) < lengths[:, None]
        x = np.zeros((2, values.shape[1], *inside.shape), np.float32)
        x[0][:, inside] = values.T
        x[1][:, inside] = changes_of(values, lengths).T
        yield x, inside


def _learned_thresholds(
    inputs: Inputs,
    data: Sequences,
    rows: np.ndarray,
    random: np.random.Generator,
    dilations: np.ndarray,
    reads: np.ndarray,
    each: int,
) -> np.ndarray:
    """(2, D, R, each): quantiles of what each kernel gives for a series drawn at random, evenly spread over all of the
    thresholds."""
    some = np.sort(random.permutation(rows)[:_FEW])
    x, inside = next(_blocks(inputs, data, some, len(some)))
    found = np.empty((*reads.shape[:3], each), np.float32)
    golden = (np.sqrt(5) - 1) / 2
    shares = (np.arange(found.size) * golden % 1).reshape(found.shape)
    for (v, d), convolved in _convolved(x, dilations, reads):
        for r, series in enumerate(random.integers(len(some), size=len(convolved)).tolist()):
            found[v, d, r] = np.quantile(convolved[r, series, inside[series]], shares[v, d, r])
    return found


def _features(
    inputs: Inputs,
    data: Sequences,
    rows: np.ndarray,
    dilations: np.ndarray,
    reads: np.ndarray,
    thresholds: np.ndarray,
) -> np.ndarray:
    """(N, F) float32: the share of the steps of each series at which each convolution is above each of its
    thresholds."""
    longest = int(min(_LONGEST, data.lengths[rows].max(initial=1)))
    size = max(1, _MOST_VALUES // (longest * len(_kernels())))
    found = [np.empty((0, thresholds.size), np.float32)]
    for x, inside in _blocks(inputs, data, rows, size):
        shares = np.empty((len(inside), *thresholds.shape), np.float32)
        beyond, steps = ~inside, inside.sum(1)
        for (v, d), convolved in _convolved(x, dilations, reads):
            convolved[:, beyond] = -np.inf
            for q in range(thresholds.shape[3]):
                above = convolved > thresholds[v, d, :, q, None, None]
                shares[:, v, d, :, q] = (np.count_nonzero(above, axis=2) / steps).T
        found.append(shares.reshape(len(inside), -1))
    return np.concatenate(found)


def _convolved(x: np.ndarray, dilations: np.ndarray, reads: np.ndarray) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """(R, N, T) for the values and their changes, and each dilation.

    Args:
        x: (2, C, N, T); beyond the ends are zeros.
    """
    N, T = x.shape[2:]
    for v, d in np.ndindex(2, len(dilations)):
        dilation, used = int(dilations[d]), reads[v, d].any(0)
        reach = dilation * (TAPS // 2)
        padded = np.pad(x[v][used], ((0, 0), (0, 0), (reach, reach)))
        taps = np.stack([padded[:, :, k * dilation :][:, :, :T] for k in range(TAPS)], 1)
        kernels = reads[v, d][:, used, None] * _kernels()[:, None]
        values = by_block(kernels.reshape(len(kernels), -1).astype(np.float32), taps.reshape(-1, N * T))
        yield (v, d), values.reshape(-1, N, T)
