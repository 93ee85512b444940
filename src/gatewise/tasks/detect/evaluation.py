"""How often a detector alarms, and how correctly, beside plain baselines whose thresholds are set in the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...metrics.detection import average_precision, pointwise_scores, range_scores, ranges
from ..report import Columns, Metrics, parts_and_baselines, scores_table
from .baselines import BASELINES
from .predictor import Predictor
from .scoring import Event, threshold_of
from .series import Series

Parts = Sequence[Mapping[str, slice]]  # of each series


def evaluate(
    predictor: Predictor, series: Series, parts: Parts, baseline_thresholds: Mapping[str, float]
) -> dict[str, Any]:
    """Figures by part, and of the baselines on the last one; see `Detector.evaluate`.

    Args:
        baseline_thresholds: Of the baselines to evaluate, by name.
    """
    scoring = predictor.scoring
    errors = [predictor.reader.errors(values) for values in series.values]
    scores = [scoring.scores(e) for e in errors]
    metrics: dict[str, Any] = {}
    for part in parts[0]:
        places = [own[part] for own in parts]
        events = [scoring.events(score[place]) for score, place in zip(scores, places, strict=True)]
        found = _figures(series, places, scores, scoring.threshold, events)
        if found is None:
            continue
        nats = np.concatenate([error[place] for error, place in zip(errors, places, strict=True)])
        known = nats[~np.isnan(nats)]
        metrics[part] = {"loss": float(known.mean()) if len(known) else None, **found}
    if baseline_thresholds:
        metrics["baselines"] = _of_baselines(predictor, series, parts, baseline_thresholds)
    return metrics


def baseline_thresholds(series: Series, normal: Sequence[np.ndarray], rate: float) -> dict[str, float]:
    """The threshold of each baseline that a share `rate` of normal steps exceeds."""
    return {
        name: threshold_of([detect(values[:]) for values in series.values], normal, rate)
        for name, detect in BASELINES.items()
    }


def _of_baselines(
    predictor: Predictor, series: Series, parts: Parts, thresholds: Mapping[str, float]
) -> dict[str, Any]:
    metrics = {}
    for name, threshold in thresholds.items():
        scores = [BASELINES[name](values[:]) for values in series.values]
        for part in reversed(list(parts[0])):
            places = [own[part] for own in parts]
            events = [
                predictor.scoring.events(score[place], threshold=threshold)
                for score, place in zip(scores, places, strict=True)
            ]
            found = _figures(series, places, scores, threshold, events)
            if found is not None:
                metrics[name] = found
                break
    return metrics


def _figures(
    series: Series, places: Sequence[slice], scores: list[np.ndarray], threshold: float, events: list[list[Event]]
) -> dict[str, Any] | None:
    """Figures of one part, which lies at these places of the series; None if it has no step."""
    own = [score[place] for score, place in zip(scores, places, strict=True)]
    steps = sum(map(len, own))
    if steps == 0:
        return None
    alarms = [score >= threshold for score in own]
    figures: dict[str, Any] = {
        "steps": steps,
        "alarm_rate": float(np.concatenate(alarms).mean()),
        "events": sum(map(len, events)),
    }
    if series.labels is None:
        return figures
    truths = [labels[place] for labels, place in zip(series.labels, places, strict=True)]
    truth = np.concatenate(truths)
    anomalies = [ranges(flags) for flags in truths]
    figures["anomalies"] = sum(map(len, anomalies))
    if truth.any():  # precision and recall need at least one anomaly
        by_range = range_scores(anomalies, [[(event.start, event.end) for event in found] for found in events])
        figures |= pointwise_scores(truth, np.concatenate(alarms))
        figures |= {f"range_{name}": value for name, value in by_range.items()}
        figures["average_precision"] = average_precision(truth, np.concatenate(own))
    return figures


_ALARMS: Columns = {
    "steps": ("steps", "{:,}".format),
    "alarm_rate": ("alarms", "{:.3%}".format),
    "events": ("events", "{:,}".format),
    "anomalies": ("true", "{:,}".format),
    "f1": ("F1", "{:.3f}".format),
    "range_f1": ("range F1", "{:.3f}".format),
    "average_precision": ("AP", "{:.3f}".format),
}


def detect_report(metrics: Metrics) -> str:
    """A row for each part, then the baselines."""
    return "\n".join(scores_table(parts_and_baselines(metrics), _ALARMS, left=17, width=9, missing="-"))
