"""From errors to scores, from scores to alarms, from alarms to events. Each step is judged by what came before it."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

HIGH = 0.99  # the share of the reference below a score of 1
MOST_REFERENCE = 10_000  # errors kept of quiet data where nothing is forgotten: more say the same

_LEAST_TAIL = 50  # scores that a Pareto tail is fitted to, at least; fewer get an exponential one
_TAIL_SHARE = 0.1
_COUNTED = 10  # expected false alarms from which they are counted rather than extrapolated


class Scorer:
    """Scores one series, step by step: how far the mean error of the last few steps stands out.

    A score of 0 is the median of the reference, a score of 1 what one of its steps in a hundred exceeds. The reference
    is the quiet data's errors, or, with a memory, the last `memory` steps' errors, so that what has become usual stops
    being strange.

    Args:
        reference: (n,) mean errors of quiet data, in their order, at least 1.
        smoothing: Steps that an error is averaged over.
        memory: Steps that are remembered, or None.

    Source: after Ahmad et al. (2017), "Unsupervised real-time anomaly detection for streaming data", Neurocomputing
    262, section 3.2: recent errors against the distribution of past ones; here by its quantiles instead of a Gaussian,
    for errors have heavy tails.
    """

    def __init__(self, reference: Sequence[float] | np.ndarray, smoothing: int, memory: int | None):
        kept = [float(error) for error in reference][-(memory or MOST_REFERENCE) :]
        self._memory = memory
        self._order = deque(kept)
        self._sorted = sorted(kept)
        # As if all had been usual before: one large error of a network that knows nothing yet is no alarm.
        self._recent = deque([self._sorted[len(kept) // 2]] * smoothing, maxlen=smoothing)

    def push(self, error: float) -> float:
        """The score of the next step; NaN, nothing was observed, scores 0 and changes nothing."""
        if math.isnan(error):
            return 0.0
        self._recent.append(error)
        mean = sum(self._recent) / len(self._recent)
        median = self._sorted[len(self._sorted) // 2]
        high = self._sorted[int(HIGH * len(self._sorted))]
        # Quiet data without any spread would make every score infinite.
        score = (mean - median) / max(high - median, 1e-3)
        if self._memory is not None:
            insort(self._sorted, mean)
            self._order.append(mean)
            if len(self._order) > self._memory:
                del self._sorted[bisect_left(self._sorted, self._order.popleft())]
        return score


def score_series(errors: np.ndarray, reference: np.ndarray, smoothing: int, memory: int | None) -> np.ndarray:
    """(n,) scores of a whole series from its errors (n,), the very numbers that pushing them one by one gives."""
    scorer = Scorer(reference, smoothing, memory)
    return np.array([scorer.push(error) for error in errors.tolist()])


def smoothed(errors: np.ndarray, smoothing: int) -> np.ndarray:
    """Mean errors of a series, of the steps where something was observed: what a reference is made of."""
    recent: deque[float] = deque(maxlen=smoothing)
    means = []
    for error in errors[~np.isnan(errors)].tolist():
        recent.append(error)
        means.append(sum(recent) / len(recent))
    return np.array(means)


def tail_threshold(scores: np.ndarray, rate: float) -> float:
    """The value that a share `rate` of quiet data's scores exceeds.

    Where there are enough scores for that to be ten of them or more, it is their quantile. Further out, a generalised
    Pareto distribution of what exceeds the 90 % quantile (or the highest 50 scores) is continued; with fewer than 50
    scores above it, an exponential one.

    Args:
        scores: (n,) of quiet data, n at least 2.
        rate: Above 0, below 1.

    Source: Pickands (1975), Annals of Statistics 3(1); fitted by probability-weighted moments, Hosking & Wallis (1987),
    Technometrics 29(3).
    """
    ordered = np.sort(np.asarray(scores, np.float64))
    n = len(ordered)
    if rate * n >= _COUNTED or rate >= _TAIL_SHARE:
        return float(np.quantile(ordered, 1 - rate))
    beyond = min(max(int(_TAIL_SHARE * n), min(_LEAST_TAIL, n // 2), 1), n - 1)
    start = ordered[n - beyond - 1]
    excess = ordered[n - beyond :] - start
    mean = float(excess.mean())
    if mean <= 0:
        return float(ordered[-1])
    # E[excess * P(larger)], by which and the mean the two parameters follow.
    larger = 1 - (np.arange(1, beyond + 1) - 0.35) / beyond
    weighted = float((excess * larger).mean())
    shape = 2 - mean / (mean - 2 * weighted) if beyond >= _LEAST_TAIL and mean > 2 * weighted else 0.0
    shape = min(max(shape, -0.5), 0.5)  # beyond, the fit means nothing
    left = rate * n / beyond  # of the tail
    further = -math.log(left) if abs(shape) < 1e-6 else (left**-shape - 1) / shape
    return float(start + mean * (1 - shape) * further)


@dataclass(frozen=True)
class Event:
    """Alarms that belong together.

    Attributes:
        sequence: Which series they are in.
        start: Step of the first alarm.
        end: Step of the last one, inside.
        peak: Step of the highest score.
        score: The highest score.
    """

    sequence: int
    start: int
    end: int
    peak: int
    score: float


def find_events(scores: np.ndarray, threshold: float, gap: int, min_length: int, sequence: int = 0) -> list[Event]:
    """Events of one series: runs of steps that score `threshold` or more, merged over up to `gap` quiet steps; those of
    fewer than `min_length` steps from first to last are dropped."""
    alarms = np.flatnonzero(scores >= threshold)
    if not len(alarms):
        return []
    breaks = np.flatnonzero(np.diff(alarms) > gap + 1)
    starts = alarms[np.concatenate([[0], breaks + 1])]
    ends = alarms[np.concatenate([breaks, [len(alarms) - 1]])]
    events = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        if end - start + 1 >= min_length:
            peak = start + int(np.argmax(scores[start : end + 1]))
            events.append(Event(sequence, start, end, peak, float(scores[peak])))
    return events
