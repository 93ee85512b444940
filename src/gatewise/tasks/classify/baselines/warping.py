"""Nearest neighbours of series under dynamic time warping.

Letters: N training series, M others, C channels, T steps, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from ....data.sequences import Sequences, starts_of
from ....runtime.products import by_row
from ..inputs import Inputs, pieces
from ..targets import Targets
from .method import Examples, Method, Shapes

MOST_STEPS = 64  # that are compared of a series; of longer ones, means of neighbouring steps
MOST_WORK = 3e8  # cells times channels of comparing all training series with one another
_BANDS = (0.0, 0.05, 0.1, 0.2)  # shares of the length by which a step may be matched away from its own place
_SHARPNESS = np.geomspace(0.3, 30, 13)
_BLOCK = 1 << 21  # pairs times steps that are compared at a time


@dataclass(frozen=True)
class Neighbours(Method):
    """Classes of the nearest training series: probable as their nearest members are near.

    Attributes:
        series: (N, T, C) float32, brought to one length.
        classes: (N,) their class.
        band: (1,) steps by which one may be matched away from its own place.
        sharpness: (1,) what distances are multiplied by before they become probabilities.

    Source: Sakoe & Chiba (1978), IEEE Transactions on ASSP 26(1).
    """

    series: np.ndarray
    classes: np.ndarray
    band: np.ndarray
    sharpness: np.ndarray

    @staticmethod
    def affordable(inputs: Inputs, data: Sequences, rows: np.ndarray) -> bool:
        T = min(MOST_STEPS, float(np.median(data.lengths[rows])))
        return len(rows) ** 2 * (0.1 * T + 1) * T * inputs.channels <= MOST_WORK

    @classmethod
    def learn(cls, examples: Examples) -> tuple[Self, np.ndarray]:
        """From these series; also predictions of each by those of other groups, (N, K), by which band and sharpness are
        chosen."""
        targets, truth = examples.targets, examples.truth()
        T = int(np.clip(np.median(examples.data.lengths[examples.rows]), 1, MOST_STEPS))
        series = _brought(examples.inputs, examples.data, examples.rows, T)
        groups = examples.own_groups
        best, lowest = None, np.inf
        for band in sorted({int(np.ceil(share * T)) for share in _BANDS}):
            distances = warped_distances(series, series, band)
            distances[groups[:, None] == groups] = np.inf
            nearest = _by_class(distances, truth, targets.outputs)
            for sharpness in _SHARPNESS:
                found = _probable(nearest, sharpness)
                loss = targets.loss(truth, found)
                if loss < lowest:
                    best, lowest = (band, sharpness, found), loss
        assert best is not None
        band, sharpness, found = best
        numbers = np.array([band], np.int32), np.array([sharpness], np.float32)
        return cls(series, truth.astype(np.int32), *numbers), found

    def outputs(self, inputs: Inputs, targets: Targets, data: Sequences, rows: np.ndarray) -> np.ndarray:
        series = _brought(inputs, data, rows, self.series.shape[1])
        distances = warped_distances(series, self.series, int(self.band[0]))
        return _probable(_by_class(distances, self.classes, targets.outputs), float(self.sharpness[0]))

    def tensors(self) -> dict[str, np.ndarray]:
        return dict(vars(self))

    @staticmethod
    def shapes(inputs: Inputs, targets: Targets) -> Shapes:
        return {"series": (None, None, inputs.channels), "classes": (None,), "band": (1,), "sharpness": (1,)}

    @classmethod
    def from_tensors(cls, key: str, tensors: Mapping[str, np.ndarray], targets: Targets) -> Self:
        found = cls(**tensors)
        classes, (N, T, _) = found.classes, found.series.shape
        inside = classes.dtype.kind == "i" and ((classes >= 0) & (classes < targets.outputs)).all()
        if not (inside and len(classes) == N > 0 and 1 <= T <= MOST_STEPS and 0 <= found.band[0] <= T):
            raise ValueError(f"the {N} nearest neighbours do not have a class each, or a band within their length")
        return found


def warped_distances(a: np.ndarray, b: np.ndarray, band: int) -> np.ndarray:
    """(M, N): the least sum of squared differences of series (M, T, C) and (N, T, C) over all ways of matching steps
    in order, at most `band` steps apart; its root."""
    found = [np.empty((0, len(b)), np.float32)]
    size = max(1, _BLOCK // (len(b) * (2 * band + 1)))
    for start in range(0, len(a), size):
        found.append(_costs(a[start : start + size], b, band))
    return np.sqrt(np.concatenate(found))


def _costs(a: np.ndarray, b: np.ndarray, band: int) -> np.ndarray:
    M, T, _ = a.shape
    squares_a, squares_b = np.square(a).sum(2), np.square(b).sum(2)
    before = np.full((T + 1, M, len(b)), np.inf, np.float32)
    before[0] = 0
    for i in range(T):
        first, last = max(0, i - band), min(T, i + band + 1)
        row = np.full((2 * band + 3, M, len(b)), np.inf, np.float32) if band else before
        if not band:  # each step with its own
            cost = squares_a[:, i, None] + squares_b[:, i] - by_row(2 * a[:, i], b[:, i].T)
            before[i + 1] = before[i] + np.maximum(cost, 0)
            continue
        for j in range(first, last):
            cost = squares_a[:, i, None] + squares_b[:, j] - by_row(2 * a[:, i], b[:, j].T)
            at = j - first + 1
            least = np.minimum(before[j], before[j + 1])
            row[at] = np.maximum(cost, 0) + np.minimum(least, row[at - 1])
        before[first] = np.inf
        before[first + 1 : last + 1] = row[1 : last - first + 1]
    return np.asarray(before[T])


def _by_class(distances: np.ndarray, classes: np.ndarray, count: int) -> np.ndarray:
    """(M, K): distance to the nearest series of each class; infinite where there is none."""
    found = np.full((len(distances), count), np.inf)
    for k in range(count):
        if (classes == k).any():
            found[:, k] = distances[:, classes == k].min(1)
    return found


def _probable(nearest: np.ndarray, sharpness: float) -> np.ndarray:
    """Probabilities of the classes, from how much farther each is than the nearest one."""
    least = nearest.min(1, keepdims=True)
    ratio = np.where(np.isfinite(nearest), nearest / np.maximum(least, 1e-12), np.inf)
    powers = np.exp(-sharpness * np.minimum(ratio - 1, 1e6)) + 1e-3
    return np.asarray(powers / powers.sum(1, keepdims=True))


def _brought(inputs: Inputs, data: Sequences, rows: np.ndarray, steps: int) -> np.ndarray:
    """(N, steps, C): series brought to one length, by means of neighbouring steps or between them."""
    found = np.empty((len(rows), steps, inputs.channels), np.float32)
    done = 0
    for piece in pieces(data, rows):
        values, lengths = inputs.series(piece)
        for start, length in zip(starts_of(lengths), lengths, strict=True):
            found[done] = stretched(values[start : start + length], steps)
            done += 1
    return found


def stretched(values: np.ndarray, steps: int) -> np.ndarray:
    """(steps, C) of (T, C): the mean over each of as many equal parts, of a series that is constant within a step."""
    T = len(values)
    edges = np.linspace(0, T, steps + 1)
    whole = np.minimum(edges.astype(np.int64), T - 1)
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, 0, np.float64)])
    at = sums[whole] + (edges - whole)[:, None] * values[whole]
    return np.asarray(np.diff(at, axis=0) * (steps / T), np.float32)
