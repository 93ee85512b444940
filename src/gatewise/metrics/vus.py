"""Volume under the surface of precision and recall: how well scores rank anomalous ranges, whatever the threshold and
however exactly their borders are labelled."""

from __future__ import annotations

import numpy as np

from .detection import ranges

_THRESHOLDS = 250  # places in the order of the scores, as in the source


def vus_pr(truth: np.ndarray, scores: np.ndarray, window: int = 100) -> float:
    """Mean area under the curve of range-based precision and recall, over margins of 0 to `window` steps; NaN if
    nothing is true.

    With a margin of l steps, steps up to l / 2 before and after a range are part of it, with a weight that falls as
    sqrt(1 - distance / l); a recall counts as much as the share of ranges of which a step was found.

    Args:
        truth: (n,) booleans.
        scores: (n,), higher is more anomalous.
        window: The widest margin, L.

    Source: Paparrizos et al. (2022), "Volume under the surface: a new accuracy evaluation measure for time-series
    anomaly detection", PVLDB 15(11), sections 4.2 and 4.3.
    """
    truth = np.asarray(truth, bool)
    if not truth.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    places = np.linspace(0, len(scores) - 1, _THRESHOLDS).astype(np.int64)
    found = np.searchsorted(-falling, -falling[places], side="right")  # steps that score at least so much
    return float(np.mean([_area(truth, scores, order, falling[places], found, w) for w in range(window + 1)]))


def _area(
    truth: np.ndarray, scores: np.ndarray, order: np.ndarray, thresholds: np.ndarray, found: np.ndarray, margin: int
) -> float:
    weights = _with_margins(truth, margin)
    inside = ranges(weights > 0)
    highest = np.array([scores[first : last + 1].max() for first, last in inside])
    existence = (highest[None] >= thresholds[:, None]).mean(axis=1)
    hits = np.cumsum(weights[order])[found - 1]
    recall = np.concatenate([[0.0], np.minimum(hits / ((truth.sum() + weights.sum()) / 2), 1.0) * existence])
    precision = np.concatenate([[1.0], hits / found])
    return float((np.diff(recall) * (precision[1:] + precision[:-1]) / 2).sum())


def _with_margins(truth: np.ndarray, margin: int) -> np.ndarray:
    """(n,) weights: 1 in a range, less beside it."""
    weights = truth.astype(np.float64)
    for first, last in ranges(truth):
        after = np.arange(last, min(last + margin // 2, len(truth)))
        before = np.arange(max(first - margin // 2, 0), first)
        if margin:
            weights[after] += np.sqrt(1 - (after - last) / margin)
            weights[before] += np.sqrt(1 - (first - before) / margin)
    return np.minimum(weights, 1.0)
