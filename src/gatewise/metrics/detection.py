"""Metrics of alarms against labelled anomalies: pointwise, and range-based."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Range = tuple[int, int]  # first and last step, both included

# Weight of a step by its position (from 0) in a range of a given length: the bias of Tatbul et al., figure 2.
BIASES: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "flat": lambda position, length: np.ones(len(position)),
    "front": lambda position, length: (length - position).astype(np.float64),
    "back": lambda position, length: (position + 1).astype(np.float64),
    "middle": lambda position, length: np.minimum(position + 1, length - position).astype(np.float64),
}


def ranges(flags: np.ndarray) -> list[Range]:
    """Runs of true among (n,) booleans."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(flags, np.int8), [0]])))
    return [(int(start), int(end) - 1) for start, end in edges.reshape(-1, 2)]


def pointwise_scores(truth: np.ndarray, alarms: np.ndarray) -> dict[str, float]:
    """Precision, recall and F1 over steps, from 0 to 1; 0 where they are undefined.

    Args:
        truth, alarms: (n,) booleans.
    """
    both = float((truth & alarms).sum())
    return _with_f1(both / max(alarms.sum(), 1), both / max(truth.sum(), 1))


def range_scores(
    real: Sequence[Sequence[Range]],
    predicted: Sequence[Sequence[Range]],
    *,
    existence: float = 0.0,
    bias: str = "flat",
    cardinality: str = "reciprocal",
) -> dict[str, float]:
    """Precision, recall and F1 of ranges: an anomaly counts once however long it is.

    Recall is the mean over real ranges of existence * [any overlap] + (1 - existence) * cardinality * overlap, where
    overlap is the share of the range, weighted by the bias, that predicted ranges cover; precision is the mean over
    predicted ranges of cardinality * overlap with real ones.

    Args:
        real: Per series, the ranges of its anomalies.
        predicted: Per series, the ranges of its alarms.
        existence: From 0 to 1, the share of a range's recall that any overlap earns (the paper's alpha).
        bias: "flat", "front" (early steps count more), "back" or "middle" (delta), in recall; precision is flat, as a
            position within an alarm has no meaning.
        cardinality: "reciprocal" divides by the number of ranges that overlap one range, which penalises fragments;
            "one" does not (gamma).

    Returns:
        "precision", "recall" and "f1", from 0 to 1.

    Source: Tatbul et al. (2018), "Precision and recall for time series", NeurIPS 31, section 4.
    """
    recalls = [
        existence * (overlap > 0) + (1 - existence) * _factor(count, cardinality) * overlap
        for overlap, count in _overlaps(real, predicted, bias)
    ]
    precisions = [_factor(count, cardinality) * overlap for overlap, count in _overlaps(predicted, real, "flat")]
    return _with_f1(_mean(precisions), _mean(recalls))


def average_precision(truth: np.ndarray, scores: np.ndarray) -> float:
    """Average precision: the precision at each threshold, weighted by the gain in recall; NaN if nothing is true.

    Args:
        truth: (n,) booleans.
        scores: (n,), higher is more anomalous; equal ones are one threshold.
    """
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(truth[order])
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    if not hits[-1]:
        return float("nan")
    gains = np.diff(hits[last], prepend=0) / hits[-1]
    return float((gains * hits[last] / (last + 1)).sum())


def _overlaps(
    ranges: Sequence[Sequence[Range]], others: Sequence[Sequence[Range]], bias: str
) -> list[tuple[float, int]]:
    """For each range, the weighted share that the others of its series cover, and how many of them overlap it."""
    found = []
    for mine, theirs in zip(ranges, others, strict=True):
        starts, ends = (np.array([other[side] for other in theirs], np.int64) for side in (0, 1))
        for first, last in mine:
            length = last - first + 1
            weights = BIASES[bias](np.arange(length), length)
            met = np.flatnonzero((starts <= last) & (ends >= first))
            covered = np.zeros(length, bool)
            for k in met:
                covered[max(int(starts[k]) - first, 0) : int(ends[k]) - first + 1] = True
            found.append((float(weights[covered].sum() / weights.sum()), len(met)))
    return found


def _factor(count: int, cardinality: str) -> float:
    return 1.0 if count <= 1 or cardinality == "one" else 1 / count


def _mean(values: list[Any]) -> float:
    return float(np.mean(values)) if values else 0.0


def _with_f1(precision: Any, recall: Any) -> dict[str, float]:
    both = precision + recall
    return {
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(2 * precision * recall / both) if both else 0.0,
    }
