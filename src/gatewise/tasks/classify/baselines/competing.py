"""Competing convolutions of series of numbers, and ridge regression on which of each group won, and by how much.

Letters: N series, C channels, M of them that a group reads, T steps, D dilations, G groups of K kernels, F features,
L outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from ....data.sequences import Sequences
from ....runtime.products import by_block, by_row
from ..inputs import Inputs
from ..targets import Targets
from . import ridge
from .convolutions import LONGEST, TAPS, blocks, dilations_for, drawn_channels
from .method import Examples, Method, Shapes

_GROUPS, _KERNELS = 16, 8
_MOST_VALUES = 1 << 21  # numbers of a block of series, times kernels
# What a kernel gives has to be further from 0 than this, in standard deviations of the values. Where a series does not
# change, kernels give rounding errors alone, and which of them is largest differs from machine to machine.
LEAST = 1e-3


@dataclass(frozen=True)
class Competing(Method):
    """Attributes:
    dilations: (D,) steps between a kernel's taps.
    reads: (2, D, G, C) whether a group reads a channel, of the values and of their changes from step to step.
    kernels: (2, D, G, K, M, TAPS) for the channels that are read, in their order, and zeros for others where these are
        fewer than M. They sum to 0 over the taps.
    mean, weights: (F,) and (F, L) of the regression. Features are the roots of (2, D, G, K, 2) shares of the steps:
        those at which a kernel gave the most of its group, each times what it gave; and those at which it gave the
        least.
    bias: (L,).
    sharpness: See `ridge.Fit`.

    Source: Dempster, Schmidt & Webb (2023), "Hydra: competing convolutional kernels for fast and accurate time series
    classification", DMKD 37. Here groups read few channels at random, and series may differ in length.
    """

    dilations: np.ndarray
    reads: np.ndarray
    kernels: np.ndarray
    mean: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    sharpness: np.ndarray

    @classmethod
    def learn(cls, examples: Examples, seed: int) -> tuple[Self, np.ndarray]:
        """From these series; also predictions of each by the others, (N, L)."""
        inputs, data, rows = examples.inputs, examples.data, examples.rows
        random = np.random.default_rng([seed, 8])
        dilations = dilations_for(data.lengths[rows])
        reads = drawn_channels(random, (2, len(dilations), _GROUPS), inputs.channels)
        channels = _read_first(reads, int(reads.sum(-1).max()))
        kernels = random.normal(size=(*channels.shape[:3], _KERNELS, channels.shape[3], TAPS))
        kernels -= kernels.mean(-1, keepdims=True)
        kernels /= np.abs(kernels).sum(-1, keepdims=True)
        kernels = np.where(np.take_along_axis(reads, channels, -1)[..., None, :, None], kernels, 0).astype(np.float32)
        features = _features(inputs, data, rows, dilations, channels, kernels)
        mean, scale = features.mean(0), features.std(0)
        scale = np.where(scale > 1e-6, scale, np.inf).astype(np.float32)
        features = (features - mean) / scale
        fit = ridge.fitted(features @ features.T, examples.truth(), examples.targets, examples.own_groups)
        weights = features.T @ fit.dual.astype(np.float32) / scale[:, None]
        sharpness = np.array([fit.sharpness], np.float32)
        found = cls(dilations, reads, kernels, mean, weights, fit.bias.astype(np.float32), sharpness)
        return found, fit.left_out

    def outputs(self, inputs: Inputs, targets: Targets, data: Sequences, rows: np.ndarray) -> np.ndarray:
        features = _features(inputs, data, rows, self.dilations, self._channels, self.kernels)
        scores = by_row(features - self.mean, self.weights) + self.bias
        return ridge.probabilities(scores.astype(np.float64), float(self.sharpness[0]), targets)

    def said(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, int]:
        """What `runtime.recording.Won` has."""
        return self.dilations.astype(np.int32), self._channels, self.kernels, LEAST, LONGEST

    @property
    def _channels(self) -> np.ndarray:
        return _read_first(self.reads, self.kernels.shape[4])

    def tensors(self) -> dict[str, np.ndarray]:
        return {**vars(self), "dilations": self.dilations.astype(np.int32), "reads": self.reads.astype(np.uint8)}

    @staticmethod
    def shapes(inputs: Inputs, targets: Targets) -> Shapes:
        return {
            "dilations": (None,),
            "reads": (2, None, None, inputs.channels),
            "kernels": (2, None, None, None, None, TAPS),
            "mean": (None,),
            "weights": (None, targets.outputs),
            "bias": (targets.outputs,),
            "sharpness": (1,),
        }

    @classmethod
    def from_tensors(cls, key: str, tensors: Mapping[str, np.ndarray], targets: Targets) -> Self:
        found = cls(**{**tensors, "reads": tensors["reads"].astype(bool)})
        D, F = len(found.dilations), 2 * found.kernels[..., 0, 0].size
        alike = found.kernels.shape[:3] == found.reads.shape[:3] == (2, D, found.reads.shape[2])
        inside = 1 <= found.kernels.shape[4] <= found.reads.shape[3]
        if not (alike and inside and F == len(found.mean) == len(found.weights)):
            raise ValueError(f"{D} dilations and {F} features do not fit the weights of its competing convolutions")
        if found.dilations.dtype.kind != "i" or not ((found.dilations >= 1) & (found.dilations <= LONGEST)).all():
            raise ValueError(f"its dilations are not from 1 to {LONGEST}")
        return found


def _read_first(reads: np.ndarray, count: int) -> np.ndarray:
    """(2, D, G, count) int32: the channels that each group reads, and others behind them."""
    return np.argsort(~reads, axis=-1, kind="stable")[..., :count].astype(np.int32)


def _features(
    inputs: Inputs, data: Sequences, rows: np.ndarray, dilations: np.ndarray, channels: np.ndarray, kernels: np.ndarray
) -> np.ndarray:
    """(N, F) float32, see `Competing`."""
    _, D, G, K, _, _ = kernels.shape
    longest = int(min(LONGEST, data.lengths[rows].max(initial=1)))
    found = [np.empty((0, 2 * kernels[..., 0, 0].size), np.float32)]
    for x, inside in blocks(inputs, data, rows, max(1, _MOST_VALUES // (longest * G * K))):
        N, T = inside.shape
        won = np.empty((N, 2, D, G, K, 2), np.float32)
        for v, d in np.ndindex(2, D):
            reach = int(dilations[d]) * (TAPS // 2)
            padded = np.pad(x[v], ((0, 0), (0, 0), (reach, reach)))
            taps = np.stack([padded[:, :, k * int(dilations[d]) :][:, :, :T] for k in range(TAPS)], 1)
            weights = np.zeros((G, K, len(x[v]), TAPS), np.float32)
            np.put_along_axis(weights, channels[v, d][:, None, :, None], kernels[v, d], 2)
            given = by_block(weights.reshape(G * K, -1), taps.reshape(-1, N * T)).reshape(G, K, N, T)
            for place, (winner, most) in enumerate((_winners(given), _winners(-given))):
                worth = np.where(inside & (most > LEAST), most if place == 0 else 1.0, 0.0)
                # Step by step, so that a sum does not depend on how long the series beside are.
                at = winner + K * np.arange(G * N).reshape(G, N, 1)
                sums = np.bincount(at.ravel(), worth.ravel(), G * N * K)
                won[:, v, d, :, :, place] = sums.reshape(G, N, K).swapaxes(0, 1)
        shares = won.reshape(N, -1) / inside.sum(1, keepdims=True)
        found.append(np.sqrt(shares).astype(np.float32))
    return np.concatenate(found)


def _winners(given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(G, N, T) the kernel that gave the most of (G, K, N, T), the first of equal ones, and what it gave."""
    most = given[:, 0].copy()
    winner = np.zeros(most.shape, np.int64)
    for k in range(1, given.shape[1]):
        winner[given[:, k] > most] = k
        np.maximum(most, given[:, k], out=most)
    return winner, most
