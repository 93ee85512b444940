"""Does the detector find what plain ones miss? The rows of `detect`, all with default options.

Each archive is scored online: of each series the first part trains, and all later steps are only scored, each from what
came before. `benchmarks/detection.py` has more measures and the detector's parts, and says what was chosen by what.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.metrics.detection import average_precision
from gatewise.metrics.nab import PROFILES, nab_score
from gatewise.tasks.detect.baselines import BASELINES, WINDOWS, plain_scores, z_name
from gatewise.tasks.detect.estimator import Detector
from gatewise.tasks.verdict import judged

from ..archives import Watched, after_training, bleeding, mba, mgab, nab, nasa, reported, skab, ucr_part
from .row import Row


def online(archive: Callable[[Path], list[Watched]], root: Path, seed: int) -> dict[str, Any]:
    """The NAB score of each detector, its threshold the best on these series, as the benchmark defines it.

    A detector reports a step when it scores higher than all of the last 200, so that what lasts is reported once; "as
    scored" are the same detectors without that. "at_threshold" is the score with the detector's own threshold.
    """
    series = archive(root)
    scores: dict[str, list[np.ndarray]] = {}
    own = []
    shares = []
    for one in series:
        detector = Detector(split=(1.0, 0.0, 0.0), seed=seed).fit(one.values[: one.known])
        [found] = detector.scores(one.values)
        scores.setdefault("Detector", []).append(found)
        own.append(found / min(detector.threshold_, 1e9))
        shares.append(detector.metrics_["share"])
    for name in BASELINES:
        plain = [plain_scores(name, one.values) for one in series]
        if all(found is not None for found in plain):
            scores[name] = [found for found in plain if found is not None]
    every = range(len(series))

    def score(found: Sequence[np.ndarray], which: Sequence[int], **more: Any) -> float:
        parts = [after_training(series[k], found[k]) for k in which]
        return nab_score([part for part, _ in parts], [windows for _, windows in parts], **more).score

    as_scored = {name: score(found, every) for name, found in scores.items()}
    precision = {name: _precision(series, found) for name, found in scores.items()}
    scores = {name: [reported(one) for one in found] for name, found in scores.items()}
    figures = {name: score(found, every) for name, found in scores.items()}
    strongest = z_name(WINDOWS[-1])
    apart = [[k for k in every if k != left] for left in every] if len(series) > 2 else []
    gains = np.array([score(scores["Detector"], rest) - score(scores[strongest], rest) for rest in apart])
    return {
        "nab_score": figures.pop("Detector"),
        "baselines": figures,
        "options": {},
        "at_threshold": score([reported(one) for one in own], every, threshold=1.0),
        "average_precision": precision,
        "as_scored": as_scored,
        **{
            profile: {name: score(found, every, profile=PROFILES[profile]) for name, found in scores.items()}
            for profile in ("low_false_positives", "low_false_negatives")
        },
        **judged(
            measure="nab_score",
            part="test",
            model=score(scores["Detector"], every),
            plain=figures,
            strongest=strongest,  # nothing is labelled where detectors learn, so it is the one that is blended
            share=float(np.mean(shares)),
            # By leaving each series out.
            standard_error=float(np.sqrt((len(gains) - 1) * gains.var())) if len(gains) else None,
        ),
    }


def _precision(series: Sequence[Watched], scores: Sequence[np.ndarray]) -> float:
    """Mean average precision of the steps of each series that has an anomaly."""
    found = [
        average_precision(one.truth()[one.known :], score[one.known :])
        for one, score in zip(series, scores, strict=True)
    ]
    return float(np.nanmean(found))


def ucr_anomaly(root: Path, seed: int) -> dict[str, Any]:
    """Whether the highest score of the test part lies in its one anomaly (1) or not (0)."""
    train, test = (ucr_part(root, part) for part in ("TRAIN", "TEST"))
    detector = Detector(seed=seed).fit(train[:, 0])
    [scores] = detector.scores(test[:, 0])
    inside = test[:, 1] == 1
    events = detector.events(test[:, 0])
    plain = {name: plain_scores(name, test[:, 0]) for name in BASELINES}
    hits = {name: float(inside[np.argmax(found)]) for name, found in plain.items() if found is not None}
    return {
        "hit": float(inside[np.argmax(scores)]),
        "baselines": hits,
        "options": {},
        "highest_inside": float(scores[inside].max()),
        "highest_outside": float(scores[~inside].max()),
        "threshold": detector.threshold_,
        "events": [[event.start, event.end] for event in events],
        "anomaly": np.flatnonzero(inside)[[0, -1]].tolist(),
    }


_NAB = "published: windowed Gaussian 22.0 on these 30 series, 39.6 on all 58; Numenta HTM 70.1 on all 58"


def _row(name: str, data: str, archive: Callable[[Path], list[Watched]], **more: Any) -> Row:
    return Row(name, "detect", data, "nab_score", "more", partial(online, archive), **more)


_ONLINE = "each online after its first 15 % (at most 750 steps)"

ROWS = (
    _row("nab", f"nab: 30 series, {_ONLINE}", nab, seeds=(0, 1, 2), yardstick=_NAB),
    _row("skab", "skab: 34 series of 8 channels, each online after 400 steps", skab),
    _row("nasa_smap_msl", "nasa_smap_msl: 12 channels, as split, online", nasa),
    _row("ucr_anomaly_bleeding", "ucr_anomaly_bleeding: 2 series, as split, online", bleeding, seeds=(0, 1, 2)),
    _row("mgab", "mgab: series 1, online after 5,000 of 100,000 steps", mgab),
    _row("mba_ecg805", "mba_ecg805: online after 5,000 of 230,400 steps", mba),
    Row(
        *("ucr_anomaly_135", "detect", "ucr_anomaly_135: as split, 1,200 and 7,501 steps", "hit", "more", ucr_anomaly),
        seeds=(0, 1, 2),
    ),
)
