"""How often a detector alarms, and how rightly, beside plain ones with thresholds set in the same way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...metrics.detection import average_precision, pointwise_scores, range_scores, ranges
from .baselines import rolling_z, windowed_gaussian
from .scoring import Event
from .series import Series

BASELINES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "rolling z-score": rolling_z,
    "windowed Gaussian": windowed_gaussian,
}
Parts = Sequence[Mapping[str, slice]]  # of each series
Finder = Callable[[np.ndarray, float], list[Event]]  # events of scores by a threshold


def measure(
    series: Series, parts: Parts, scores: list[np.ndarray], errors: list[np.ndarray], threshold: float, find: Finder
) -> dict[str, Any]:
    """Figures by part; see `Detector.evaluate`."""
    metrics: dict[str, Any] = {}
    for part in parts[0]:
        where = [places[part] for places in parts]
        found = _figures(series, where, scores, threshold, find)
        if found is None:
            continue
        nats = np.concatenate([error[place] for error, place in zip(errors, where, strict=True)])
        seen = nats[~np.isnan(nats)]
        metrics[part] = {"loss": float(seen.mean()) if len(seen) else None, **found}
    return metrics


def measure_baselines(series: Series, parts: Parts, thresholds: Mapping[str, float], find: Finder) -> dict[str, Any]:
    """The same of the baselines, on the last part that there is."""
    metrics = {}
    for name, threshold in thresholds.items():
        scores = [BASELINES[name](values[:]) for values in series.values]
        for part in reversed(list(parts[0])):
            found = _figures(series, [places[part] for places in parts], scores, threshold, find)
            if found is not None:
                metrics[name] = found
                break
    return metrics


def _figures(
    series: Series, where: Sequence[slice], scores: list[np.ndarray], threshold: float, find: Finder
) -> dict[str, Any] | None:
    cut = [score[place] for score, place in zip(scores, where, strict=True)]
    steps = sum(map(len, cut))
    if steps == 0:
        return None
    alarms = [score >= threshold for score in cut]
    events = [find(score, threshold) for score in cut]
    figures: dict[str, Any] = {
        "steps": steps,
        "alarm_rate": float(np.concatenate(alarms).mean()),
        "events": sum(map(len, events)),
    }
    if series.labels is None:
        return figures
    truths = [labels[place] for labels, place in zip(series.labels, where, strict=True)]
    truth = np.concatenate(truths)
    real = [ranges(flags) for flags in truths]
    figures["anomalies"] = sum(map(len, real))
    if truth.any():  # without one there is nothing to be right about
        by_range = range_scores(real, [[(event.start, event.end) for event in found] for found in events])
        figures |= pointwise_scores(truth, np.concatenate(alarms))
        figures |= {f"range_{name}": value for name, value in by_range.items()}
        figures["average_precision"] = average_precision(truth, np.concatenate(cut))
    return figures
