"""The plain methods of a forecaster as symbols for exporters, as far as they are sums of the past or its last season,
and where the quantiles of network and plain methods together are read.

Letters: C columns, R steps of the past, H steps ahead, Q levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...runtime.recorder import Recorder, Symbol
from .baselines.plain import LEVELS, NAIVE, RIDGE, RIDGE_OF_LOGS, Plain
from .calibration import Calibration, along, has_two_sides, normal_scores

_SAID = (NAIVE, RIDGE, RIDGE_OF_LOGS)
_LEAST = 1e-30  # has a logarithm
_MOST = 80.0  # whose power a float holds


def sayable(plain: Plain) -> tuple[Plain | None, float]:
    """The plain methods that can be said, in the shares that they have among themselves; None if a column has none. And
    the largest share of the others in what the plain methods forecast of a column."""
    said = np.array([name in _SAID for name in plain.methods])
    kept = np.where(said, plain.shares, 0.0)
    total = kept.sum(1, keepdims=True)
    if not (total > 0).all():
        return None, 1.0
    return replace(plain, shares=kept / total), float(1 - total.min())


def others(plain: Plain) -> str:
    """Names of those that cannot."""
    return ", ".join(name for name in plain.used if name not in _SAID)


def reach_of(plain: Plain) -> int:
    """Steps of the past that the methods with a share read."""
    lengths = [plain.linear[name].context_length for name in plain.used if name in plain.linear]
    return max([plain.season if NAIVE in plain.used else 1, *lengths])


@dataclass
class Fan:
    """The units of a window, and quantiles in them.

    Attributes:
        loc, scale: (1, C, 1), or numbers.
        log: Whether they are of logarithms.
    """

    recorder: Recorder
    loc: Any
    scale: Any
    log: bool

    def units(self, normal: Symbol) -> Symbol:
        """(1, C, H), in the units of the data."""
        found = normal * self.scale + self.loc
        return self.recorder.ops.exp(found) if self.log else found

    def around(self, plain: Plain, mean: Symbol, levels: Sequence[float]) -> list[Symbol]:
        """(1, C, H) of each level: how far the plain methods' errors lie around their mean (1, C, H)."""
        ops = self.recorder.ops
        errors = np.stack([np.interp(levels, LEVELS, row) for row in plain.residuals])  # (H, Q)
        values = mean
        if self.log:
            values = ops.log(ops.maximum(mean, ops.exp(ops.maximum(self.loc - self.scale * 10.0, -_MOST))))
        normal = (values - self.loc) / self.scale
        return [self.units(normal + errors[:, k].astype(np.float32)) for k in range(errors.shape[1])]


def mean_of(recorder: Recorder, plain: Plain, past: Symbol, horizon: int) -> Symbol:
    """(1, C, H): what they forecast in their shares, from the past (1, C, R)."""
    shares = dict(zip(plain.methods, plain.shares.T.astype(np.float32), strict=True))
    season = plain.season if past.shape[-1] >= plain.season else 1
    last = past[..., past.shape[-1] - season + np.arange(horizon) % season]
    total: Any = 0.0
    for name in plain.used:
        own = last
        if name != NAIVE:
            own = recorder.ops.or_else(_weighted(recorder, plain.linear[name], past), last)
        total = total + own * shares[name][:, None]
    return total


def _weighted(recorder: Recorder, linear: Any, past: Symbol) -> Symbol:
    """As `Linear.forecast`. What is weighed is how far the past lies from its last value, so that no digits are lost of
    what is large and changes little."""
    ops, weights = recorder.ops, linear.weights
    values = past[..., -linear.context_length :]
    if linear.logarithms:
        values = ops.log(values)
    last = values[..., -1:]
    sums = (weights.sum(1)).astype(np.float32)
    found = ops.linear(values - last, weights.astype(np.float32)) + last * sums
    return ops.exp(ops.minimum(found, _MOST)) if linear.logarithms else found


def calibrated(
    recorder: Recorder, fan: Sequence[Symbol], levels: Sequence[float], calibration: Calibration | None, log: bool
) -> list[Symbol]:
    """As `Predictor.calibrated`: each quantile is read on the line between two of the fan, so it is a weighted sum."""
    if calibration is None or not has_two_sides(levels):
        return list(fan)
    scores, middle, ops = normal_scores(levels), list(levels).index(0.5), recorder.ops
    places = calibration.scores_of(scores)
    moved = along(places[None], scores, np.eye(len(levels)), middle).T  # (Q, Q)
    together = ops.concatenate([level[..., None] for level in fan])
    middles = together[..., middle : middle + 1]
    if log:
        together, middles = (ops.log(ops.maximum(values, _LEAST)) for values in (together, middles))
    # Weights of a quantile sum to 1, so that its distance from the median can be moved alone.
    found = ops.linear(together - middles, moved.astype(np.float32)) + middles
    if log:
        found = ops.exp(found)
    return [found[..., k] for k in range(len(levels))]
