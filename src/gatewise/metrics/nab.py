"""The score of the Numenta Anomaly Benchmark (NAB): early detections earn more, false alarms cost.

Each labelled anomaly has a window of steps around it. The first detection inside a window earns its position's value of
a scaled sigmoid, 1 at the window's left edge and nearly 0 at its right one; a window without any costs `missed`. Each
detection outside a window costs, by the same sigmoid, the more the later it comes after the last window, and all of
`false_alarm` if no window precedes it. The first part of each series (the probation) is not scored. One
threshold serves all series: the one that scores best on them, as the benchmark defines it for every detector.

Source: Lavin & Ahmad (2015), "Evaluating real-time anomaly detection algorithms: the Numenta Anomaly Benchmark", ICMLA,
section II; weights and the cap of 750 steps as in the benchmark's version 1.0 and later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import DataError

Window = tuple[int, int]  # first and last step, both included


@dataclass(frozen=True)
class Profile:
    """Weights of detections.

    Attributes:
        found: Earned by a detection at the left edge of a window.
        false_alarm: Cost of a detection far from any window.
        missed: Cost of a window without a detection.
    """

    found: float
    false_alarm: float
    missed: float


PROFILES = {
    "standard": Profile(1.0, 0.11, 1.0),
    "low_false_positives": Profile(1.0, 0.22, 1.0),
    "low_false_negatives": Profile(1.0, 0.11, 2.0),
}


@dataclass(frozen=True)
class Result:
    """The score of a detector on a corpus.

    Attributes:
        score: 100 if all windows are detected at their first step without false alarms, 0 for a detector that never
            alarms.
        threshold: A step is a detection if its score is at least this; infinite if no detections score best.
        raw: Per series, the sum of earnings and costs.
    """

    score: float
    threshold: float
    raw: tuple[float, ...]


def probation(steps: int) -> int:
    """How many of a series' first steps are not scored: 15 %, at most 750."""
    return min(int(0.15 * steps), 750)


def nab_score(
    scores: Sequence[np.ndarray],
    windows: Sequence[Sequence[Window]],
    profile: Profile = PROFILES["standard"],
    threshold: float | None = None,
) -> Result:
    """Score a detector on a corpus.

    Args:
        scores: Per series, (steps,) anomaly scores of all its steps, higher is more anomalous.
        windows: Per series, its anomalies as (first step, last step), in order, without overlap.
        profile: Weights of detections.
        threshold: Scores from it on are detections; None: the one that scores best on this corpus.

    Raises:
        DataError: A score is not finite, a window is not inside its series, or there is no window at all.
    """
    parts = [_weigh(s, w, profile, number) for number, (s, w) in enumerate(zip(scores, windows, strict=True))]
    count = sum(len(part.starts) for part in parts)
    if count == 0:
        raise DataError("the NAB score compares with a perfect detector, but there is no anomaly to find")
    if threshold is None:
        threshold = _best_threshold(parts, profile)
    raw = tuple(part.total(threshold, profile) for part in parts)
    null, perfect = -count * profile.missed, count * profile.found
    return Result(100 * (sum(raw) - null) / (perfect - null), threshold, raw)


@dataclass(frozen=True)
class _Weighted:
    """The scored steps of one series.

    Attributes:
        scores: (n,) of the detector.
        weights: (n,) what a detection there earns, if it is the first in its window, or costs.
        inside: (n,) whether the step lies in a window.
        starts: Where in these steps the windows begin.
        ends: Where they end, exclusive.
    """

    scores: np.ndarray
    weights: np.ndarray
    inside: np.ndarray
    starts: list[int]
    ends: list[int]

    def total(self, threshold: float, profile: Profile) -> float:
        found = self.scores >= threshold
        total = float(self.weights[found & ~self.inside].sum())
        for start, end in zip(self.starts, self.ends, strict=True):
            hits = np.flatnonzero(found[start:end])
            total += float(self.weights[start + hits[0]]) if len(hits) else -profile.missed
        return total

    def changes(self, profile: Profile) -> tuple[np.ndarray, np.ndarray]:
        """Scores, and the gain of the total when the threshold drops to each of them."""
        gains = np.where(self.inside, 0.0, self.weights)
        for start, end in zip(self.starts, self.ends, strict=True):
            order = start + np.argsort(-self.scores[start:end], kind="stable")
            best = np.maximum.accumulate(self.weights[order])  # the earliest detection so far
            gains[order] = np.diff(best, prepend=-profile.missed)
        return self.scores, gains


def _weigh(scores: np.ndarray, windows: Sequence[Window], profile: Profile, number: int) -> _Weighted:
    steps = len(scores)
    if not np.isfinite(scores).all():
        raise DataError(f"series {number}: the score of step {int(np.argmin(np.isfinite(scores)))} is not finite")
    weights = np.full(steps, -profile.false_alarm)
    inside = np.zeros(steps, bool)
    for first, last in windows:
        if not 0 <= first <= last < steps:
            raise DataError(f"series {number}: the window ({first}, {last}) is not inside its {steps} steps")
        width = last - first + 1
        after = np.arange(last + 1, steps)
        weights[after] = profile.false_alarm * _sigmoid((after - last) / max(width - 1, 1))
        within = np.arange(first, last + 1)
        # One step is added to the distance from the right edge, so that a detection on the last step still earns.
        weights[within] = profile.found * _sigmoid((within - last - 1) / width) / _sigmoid(np.array(-1.0))
        inside[within] = True
    skipped = probation(steps)
    kept = [(max(first - skipped, 0), last + 1 - skipped) for first, last in windows if last >= skipped]
    starts, ends = [first for first, _ in kept], [end for _, end in kept]
    return _Weighted(scores[skipped:], weights[skipped:], inside[skipped:], starts, ends)


def _sigmoid(position: np.ndarray) -> np.ndarray:
    """1 to -1, and 0 at a window's right edge; -1 from three widths after it."""
    return np.where(position >= 3, -1.0, 2 / (1 + np.exp(5 * np.minimum(position, 3))) - 1)


def _best_threshold(parts: Sequence[_Weighted], profile: Profile) -> float:
    """The threshold with the best total; of equals the highest."""
    pairs = [part.changes(profile) for part in parts]
    scores, gains = (np.concatenate(values) for values in zip(*pairs, strict=True))
    order = np.argsort(-scores, kind="stable")
    scores, totals = scores[order], np.cumsum(gains[order])
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # a threshold includes all equal scores
    best = last[np.argmax(totals[last])]
    return float(scores[best]) if totals[best] > 0 else np.inf
