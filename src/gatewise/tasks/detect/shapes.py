"""How far the last steps are from all stretches of normal data: anomalies of shape, each value of which is usual."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .rolling import RollingState, RollingZ, beside
from .series import filled_forward

LENGTH = 32  # steps of a stretch
PROTOTYPES = 64  # stretches that stand for all normal ones
HISTORY = 5_000  # distances that a distance is compared with; they vary more slowly than values

_SAMPLED = 8192  # stretches that prototypes are found among
_ROUNDS = 25  # of k-means
_TRIED = 6  # points for each of its means to start from
_FITTED = 0.7  # of the normal steps; the rest tells how much farther away is what was not learned from
_AT_ONCE = 1 << 20  # numbers


@dataclass(frozen=True)
class Shapes:
    """The stretches of normal data, standardised. D channels, those that have a shape.

    Attributes:
        prototypes: (K, D, L) float32: means of similar stretches.
        distances: (3,) mean and standard deviation of the distances of normal stretches from the nearest prototype that
            was found without them; and how much farther away than the others these are, on average or at most, 1 or
            more.

    Source: k-means as a detector of anomalies, Yairi, Kato & Hori (2001), "Fault detection by mining association rules
    from house-keeping data", i-SAIRAS.
    """

    prototypes: np.ndarray
    distances: np.ndarray

    @classmethod
    def of(cls, stretches: Sequence[np.ndarray], seed: int) -> Shapes | None:
        """From normal stretches (n, D), standardised, NaN where missing; None if there is no channel, or too few
        steps to divide."""
        rng = np.random.default_rng([seed, 7])
        windows = [_windows(filled_forward(stretch)[0]) for stretch in stretches if len(stretch) >= LENGTH]
        if not stretches[0].shape[1]:
            return None
        earlier = _sample([some[: int(_FITTED * len(some))] for some in windows], rng)
        later = _sample([some[int(_FITTED * len(some)) :] for some in windows], rng)
        if len(earlier) < LENGTH or not len(later):
            return None
        first = k_means(earlier, PROTOTYPES, rng)
        near, far = _distances(earlier, first), _distances(later, first)
        surprise = np.maximum(far - near.mean(), 0.0) / max(float(near.std()), 1e-9)
        usual = math.sqrt(2 * math.log(len(far))) if len(far) > 1 else 1.0  # the largest of so many, were they normal
        drift = max(1.0, float(np.sqrt(np.mean(surprise**2))), float(surprise.max()) / usual)
        prototypes = k_means(np.concatenate([earlier, later]), PROTOTYPES, rng)
        spread = max(float(near.std()), float(far.std()), 1e-6)
        shape = len(prototypes), stretches[0].shape[1], LENGTH
        return cls(prototypes.reshape(shape), np.array([float(far.mean()), spread, drift]))


def _windows(stretch: np.ndarray) -> np.ndarray:
    """(n - L + 1, D, L) views of a stretch (n, D)."""
    return np.lib.stride_tricks.sliding_window_view(stretch, LENGTH, axis=0)


def _sample(windows: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """(at most `_SAMPLED`, D * L) of them, drawn evenly from all."""
    count = sum(map(len, windows))
    if not count:
        return np.zeros((0, LENGTH), np.float32)
    drawn = np.arange(count) if count <= _SAMPLED else np.sort(rng.choice(count, _SAMPLED, replace=False))
    ends = np.cumsum([len(some) for some in windows])
    parts = [
        some[drawn[(drawn >= end - len(some)) & (drawn < end)] - (end - len(some))]
        for some, end in zip(windows, ends, strict=True)
    ]
    return np.concatenate([part.reshape(len(part), math.prod(part.shape[1:])) for part in parts])


def k_means(points: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """(at most `count`, n) means of points (N, n) that lie together.

    Source: Lloyd (1982), IEEE Transactions on Information Theory 28(2); its start, Arthur & Vassilvitskii (2007),
    "k-means++: the advantages of careful seeding", SODA.
    """
    means = points[rng.integers(len(points))][None]
    nearest = _squares(points, means)[:, 0]
    while len(means) < count and nearest.max() > 0:
        reached = np.cumsum(nearest, dtype=np.float64)
        places = np.searchsorted(reached, rng.random(_TRIED) * reached[-1])
        drawn = points[np.minimum(places, len(points) - 1)]
        left = np.minimum(nearest[:, None], _squares(points, drawn))
        best = left.sum(axis=0).argmin()
        means, nearest = np.concatenate([means, drawn[best, None]]), left[:, best]
    own = None
    for _ in range(_ROUNDS):
        closest = _squares(points, means).argmin(axis=1)
        if own is not None and (closest == own).all():
            break
        own = closest
        members = np.eye(len(means), dtype=points.dtype)[own].T
        sizes = members.sum(axis=1, keepdims=True)
        means = np.where(sizes > 0, members @ points / np.maximum(sizes, 1), means)
    return means


def _squares(points: np.ndarray, means: np.ndarray) -> np.ndarray:
    """(N, K) squared distances."""
    both = (points**2).sum(axis=1)[:, None] + (means**2).sum(axis=1) - 2 * points @ means.T
    return np.maximum(both, 0.0)


def _distances(points: np.ndarray, means: np.ndarray) -> np.ndarray:
    """(N,) distance of each point from the nearest mean."""
    return np.sqrt(_squares(points, means).min(axis=1)).astype(np.float64)


@dataclass
class ShapeState:
    """What the distances of a series' next steps depend on. Reading changes it.

    Attributes:
        steps: How many there were, up to L - 1.
        recent: (L - 1, D) float32 the last ones, standardised; missing ones repeat the one before.
        rolling: Of the distances.
    """

    steps: int
    recent: np.ndarray
    rolling: RollingState


class ShapeReader:
    """How far the last L steps are from the nearest prototype, by the distances of the last thousands of steps."""

    def __init__(self, shapes: Shapes):
        self._prototypes = np.ascontiguousarray(shapes.prototypes.transpose(1, 2, 0))  # (D, L, K)
        mean, spread, self._drift = shapes.distances.tolist()
        self._z = RollingZ(HISTORY, np.array([mean]), np.array([spread]))

    @property
    def size(self) -> int:
        """Numbers of all prototypes."""
        return self._prototypes.size

    def start(self) -> ShapeState:
        """The state at the beginning of a series."""
        return ShapeState(0, np.zeros((LENGTH - 1, len(self._prototypes)), np.float32), self._z.start())

    def read(self, z: np.ndarray, states: Sequence[ShapeState]) -> tuple[np.ndarray, np.ndarray]:
        """At each of the next steps z (T, B, D) of B series, standardised: standard deviations, 0 or more and 0 as
        long as there were no L steps, (T, B); and the channel that is furthest from the prototype, (T, B). The states
        are then after them."""
        T = len(z)
        recent = beside(state.recent for state in states).transpose(1, 0, 2)
        rows = np.concatenate([recent, filled_forward(z, recent[-1])[0]])
        distances, channels = self._nearest(rows)
        for row, state in enumerate(states):
            distances[: max(0, LENGTH - 1 - state.steps), row] = np.nan  # steps without so many before them
            state.steps = min(state.steps + T, LENGTH - 1)
            state.recent[:] = rows[T:, row]
        found = self._z.read(distances[:, :, None], [state.rolling for state in states])
        return np.maximum(np.nan_to_num(found[:, :, 0]), 0.0) / self._drift, channels

    def _nearest(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of the stretches of rows (L - 1 + T, B, D) that end at each of the last T: the distance from the nearest
        prototype (T, B), and the channel that is furthest from it (T, B)."""
        T, B = len(rows) - LENGTH + 1, rows.shape[1]
        distances, channels = np.empty((T, B)), np.empty((T, B), np.int64)
        windows = _windows(rows)  # (T, B, D, L)
        for first in range(0, T, size := max(1, _AT_ONCE // (B * self._prototypes.size))):
            some = slice(first, first + size)
            # Not as a matrix product, whose bits would depend on how many steps there are.
            apart = np.ascontiguousarray(windows[some])[..., None] - self._prototypes
            np.multiply(apart, apart, out=apart)
            by_channel = apart.sum(axis=3)  # one step after the other, for all prototypes
            squares = by_channel.sum(axis=2)
            nearest = squares.argmin(axis=2)[..., None]
            distances[some] = np.sqrt(np.take_along_axis(squares, nearest, axis=2))[..., 0]
            channels[some] = np.take_along_axis(by_channel, nearest[:, :, None], axis=3)[..., 0].argmax(axis=2)
        return distances, channels
