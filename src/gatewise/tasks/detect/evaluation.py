"""How often a detector alarms, and how correctly, beside plain baselines whose thresholds are set in the same way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...launch import each
from ...metrics.detection import average_precision, pointwise_scores, range_scores, ranges
from ..report import Columns, Metrics, parts_and_baselines, scores_table
from ..verdict import judged
from .baselines import BASELINES, plain_scores
from .predictor import Predictor
from .scoring import threshold_of, with_wake
from .series import Series
from .surprise import Surprises

Parts = Sequence[Mapping[str, slice]]  # of each series

ENOUGH_ANOMALIES = 5  # labelled ones, from which a share is chosen by them
SHARES = (0.5, 0.25, 0.75, 0.0, 1.0)  # to choose from; of equals, the first
_MEASURE = "average_precision"


def evaluate(
    predictor: Predictor,
    series: Series,
    parts: Parts,
    baseline_thresholds: Mapping[str, float],
    strongest: str,
    share: float | None,
) -> dict[str, Any]:
    """Figures by part, and of the baselines on the last one; see `Detector.evaluate`.

    Args:
        baseline_thresholds: Of the baselines to evaluate, by name.
        strongest: Of them, the one to judge the detector by.
        share: Of the network in the scores; None in models of before, which are not judged.
    """

    def found_in(number: int) -> tuple[np.ndarray, np.ndarray]:
        surprises, mean = predictor.surprises_and_errors(series.values[number])
        return surprises.scores, mean  # and not the channels, which would take as much memory as the values

    both = each(found_in, range(len(series.values)))
    scores, errors = [own for own, _ in both], [mean for _, mean in both]
    metrics: dict[str, Any] = {}
    last = ""
    for part in parts[0]:
        places = [own[part] for own in parts]
        found = _figures(predictor, series, places, scores, predictor.threshold)
        if found is None:
            continue
        nats = np.concatenate([own[place] for own, place in zip(errors, places, strict=True)])
        known = nats[~np.isnan(nats)]
        metrics[part] = {"loss": float(known.mean()) if len(known) else None, **found}
        last = part
    if baseline_thresholds:
        metrics["baselines"] = _of_baselines(predictor, series, parts, baseline_thresholds)
    if share is not None:
        metrics |= _judged(metrics, last, share, strongest)
    return metrics


def _judged(metrics: Mapping[str, Any], part: str, share: float, strongest: str) -> dict[str, Any]:
    """The verdict; the share alone, where no anomaly is labelled and nothing can be said of either."""
    plain = {name: found[_MEASURE] for name, found in metrics.get("baselines", {}).items() if _MEASURE in found}
    if strongest not in plain or _MEASURE not in metrics[part]:
        return {"share": share}
    return judged(
        measure=_MEASURE, part=part, model=metrics[part][_MEASURE], plain=plain, strongest=strongest, share=share
    )


def baseline_thresholds(
    series: Series, normal: Sequence[np.ndarray], rate: float, steps: Sequence[np.ndarray] | None
) -> tuple[dict[str, float], str | None]:
    """The threshold of each baseline that a share `rate` of normal steps exceeds, without those that take too long;
    and the one with the best average precision.

    Args:
        normal: Per series, (n,) which steps are normal.
        steps: The same of the labelled steps to tell the best one by, or None: there is no best one.
    """

    def of_one(name: str) -> tuple[float, float | None] | None:
        scores = _plain_scores(name, series)
        if scores is None:
            return None
        precision = None
        if steps is not None and series.labels is not None:
            precision = precision_of(scores, series.labels, steps)
        return threshold_of(scores, normal, rate), precision

    names = [*BASELINES]
    found = {name: own for name, own in zip(names, each(of_one, names), strict=True) if own is not None}
    precision = {name: own for name, (_, own) in found.items() if own is not None}
    thresholds = {name: threshold for name, (threshold, _) in found.items()}
    return thresholds, max(precision, key=lambda name: precision[name]) if precision else None


def _plain_scores(name: str, series: Series) -> list[np.ndarray] | None:
    """Per series, (n,) scores of a baseline; None where one is too long for it."""
    scores = []
    for values in series.values:
        found = plain_scores(name, values[:])
        if found is None:
            return None
        scores.append(found)
    return scores


def precision_of(scores: Sequence[np.ndarray], labels: Sequence[np.ndarray], steps: Sequence[np.ndarray]) -> float:
    """Average precision of the steps that are judged, over all series."""
    truth, score = (
        np.concatenate([one[mask] for one, mask in zip(ones, steps, strict=True)]) for ones in (labels, scores)
    )
    return average_precision(truth, score)


def enough_anomalies(series: Series, steps: Sequence[np.ndarray]) -> bool:
    """Whether so many anomalies are labelled in these steps that something can be chosen by them."""
    if series.labels is None:
        return False
    found = [ranges(labels & mask) for labels, mask in zip(series.labels, steps, strict=True)]
    normal = any((mask & ~labels).any() for labels, mask in zip(series.labels, steps, strict=True))
    return normal and sum(map(len, found)) >= ENOUGH_ANOMALIES


@dataclass(frozen=True)
class Chosen:
    """How parts of a score are put together, chosen by labels.

    Attributes:
        share: Of the network.
        history: Steps that define what is normal.
        wake: Whether scores fade: where anomalies are single steps, what follows them is normal.
        precision: Average precision on the labelled steps.
    """

    share: float
    history: int
    wake: bool
    precision: float


def choose(
    network: Sequence[np.ndarray],
    plain: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    steps: Sequence[np.ndarray],
    *,
    threshold: Callable[[Sequence[np.ndarray]], float],
    shares: Sequence[float],
    history: int,
) -> Chosen:
    """What has the best average precision on labelled steps.

    Args:
        network, plain: Per series, (n,) scores of the one alone and of the other, both of this history.
        labels, steps: Per series, (n,) which are anomalies, and which are judged.
        threshold: Of scores by series.
        shares: To choose from; of equals, the first.
    """
    found = []
    for share in shares:
        larger = max(share, 1 - share)
        own = [np.maximum(share * n, (1 - share) * p) / larger for n, p in zip(network, plain, strict=True)]
        fading = [with_wake(scores[:, None], [0.0], threshold(own))[0][:, 0] for scores in own]
        found += [
            Chosen(share, history, wake, precision_of(scores, labels, steps))
            for wake, scores in ((True, fading), (False, own))
        ]
    return max(found, key=lambda one: one.precision)


def _of_baselines(
    predictor: Predictor, series: Series, parts: Parts, thresholds: Mapping[str, float]
) -> dict[str, Any]:

    def of_one(name: str) -> dict[str, Any] | None:
        scores = _plain_scores(name, series)
        if scores is None:
            return None
        for part in reversed(list(parts[0])):
            places = [own[part] for own in parts]
            found = _figures(predictor, series, places, scores, thresholds[name])
            if found is not None:
                return found
        return None

    names = [*thresholds]
    return {name: own for name, own in zip(names, each(of_one, names), strict=True) if own is not None}


def _figures(
    predictor: Predictor, series: Series, places: Sequence[slice], scores: Sequence[np.ndarray], threshold: float
) -> dict[str, Any] | None:
    """Figures of one part, which lies at these places of the series; None if it has no step."""
    own = [score[place] for score, place in zip(scores, places, strict=True)]
    events = [predictor.events_of(Surprises(score), threshold=threshold) for score in own]
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
