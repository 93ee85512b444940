"""Spectra of recordings of one level, brought to one length, and ridge regression with a Gaussian kernel on them.

Letters: N recordings, F frames, M bands, D features, K outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Self

import numpy as np

from ....data.sequences import Sequences
from ....runtime.products import by_row
from ..inputs import Inputs, pieces
from ..targets import Targets
from . import ridge
from .method import Examples, Method, Shapes
from .warping import stretched

FRAMES = 12  # that a recording is brought to
COEFFICIENTS = 13  # of the cosine transform of a spectrum: its shape, without the harmonics of a voice
MOST = 2_500  # recordings to learn from, drawn at random where there are more
_WIDTHS = (0.5, 1.0, 2.0)  # of the kernel: times one over the features and their variance


@dataclass(frozen=True)
class Spectra(Method):
    """Attributes:
    mean: (D,) of the features.
    known: (N, D) features of the recordings that it learned from, without their mean.
    width: (1,) the kernel is exp(-width * squared distance).
    weights: (N, K).
    bias: (K,).
    sharpness: (1,) see `ridge.Fit`.

    Source: Saunders, Gammerman & Vovk (1998), "Ridge regression learning algorithm in dual variables", ICML.
    """

    mean: np.ndarray
    known: np.ndarray
    width: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    sharpness: np.ndarray

    @classmethod
    def learn(cls, examples: Examples) -> tuple[Self, np.ndarray]:
        """From these recordings; also predictions of each by those of other groups, (N, K)."""
        targets, truth = examples.targets, examples.truth()
        known = _features(examples.inputs, examples.data, examples.rows)
        mean = known.mean(0)
        known -= mean
        distances = _distances(known, known)
        scale = 1 / max(float(known.var() * known.shape[1]), 1e-12)
        fits = {
            width * scale: ridge.fitted(np.exp(-width * scale * distances), truth, targets, examples.own_groups)
            for width in _WIDTHS
        }
        width = min(fits, key=lambda width: fits[width].loss)
        fit = fits[width]
        numbers = (np.array([value], np.float32) for value in (width, fit.sharpness))
        chosen, sharpness = numbers
        found = cls(mean, known, chosen, fit.dual.astype(np.float32), fit.bias.astype(np.float32), sharpness)
        return found, fit.left_out

    def outputs(self, inputs: Inputs, targets: Targets, data: Sequences, rows: np.ndarray) -> np.ndarray:
        found = [np.empty((0, len(self.bias)))]
        for start in range(0, len(rows), 1024):
            features = _features(inputs, data, rows[start : start + 1024]) - self.mean
            kernel = np.exp(-float(self.width[0]) * _distances(features, self.known))
            scores = by_row(kernel, self.weights) + self.bias
            found.append(ridge.probabilities(scores.astype(np.float64), float(self.sharpness[0]), targets))
        return np.concatenate(found)

    def tensors(self) -> dict[str, np.ndarray]:
        return dict(vars(self))

    @staticmethod
    def shapes(inputs: Inputs, targets: Targets) -> Shapes:
        D, K = FRAMES * COEFFICIENTS, targets.outputs
        return {"mean": (D,), "known": (None, D), "width": (1,), "weights": (None, K), "bias": (K,), "sharpness": (1,)}

    @classmethod
    def from_tensors(cls, key: str, tensors: Mapping[str, np.ndarray], targets: Targets) -> Self:
        found = cls(**tensors)
        if len(found.known) != len(found.weights) or not found.width[0] > 0:
            raise ValueError(f"the {len(found.known)} spectra that it knows do not have weights each")
        return found


def _features(inputs: Inputs, data: Sequences, rows: np.ndarray) -> np.ndarray:
    """(N, D) float32 of recordings whose log-mel spectra are levelled already, see `data.log_mel.levelled`."""
    found = np.empty((len(rows), FRAMES * COEFFICIENTS), np.float32)
    [name] = [column.name for column in inputs.numbers if column.per_step]
    done = 0
    for piece in pieces(data, rows):
        values = np.asarray(piece.steps[name].values, np.float32)
        for start, end in zip(piece.offsets[:-1], piece.offsets[1:], strict=True):
            frames = stretched(values[start:end], FRAMES)
            found[done] = (frames @ _cosines(values.shape[1])).ravel()
            done += 1
    return found


@cache
def _cosines(bands: int) -> np.ndarray:
    """(M, COEFFICIENTS) of the cosine transform, type II."""
    at = np.outer(np.arange(bands) + 0.5, np.arange(COEFFICIENTS)) * np.pi / bands
    scale = np.where(np.arange(COEFFICIENTS) == 0, np.sqrt(1 / bands), np.sqrt(2 / bands))
    return np.asarray(np.cos(at) * scale, np.float32)


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(M, N): squared, of (M, D) and (N, D)."""
    squares = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - by_row(2 * a, b.T)
    return np.maximum(squares, 0)
