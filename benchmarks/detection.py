"""What finds the anomalies of archives that are scored as they arrive: the detector, its parts, plain detectors?

    python -m benchmarks.detection [ARCHIVE ...]

The first part of each series trains, the rest is only scored. With the best threshold for the archive, "nab" is the
NAB score (standard profile) and "range_f1" the best F1 of ranges; "vus_pr" is the mean volume under the surface of
precision and recall with margins up to 100 steps, which has no threshold; "hit" is the share of series whose highest
score lies in an anomaly, or within 100 steps of it; "at_threshold" is the NAB score with the detector's own threshold.
The standard error is over series, of the difference to the detector with default options, by leaving each series out.

Archives that are named are measured anew; the table in docs/detection.md is written from all of them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.ensemble import IsolationForest

from gatewise.metrics.detection import range_scores, ranges
from gatewise.metrics.nab import nab_score
from gatewise.metrics.vus import vus_pr
from gatewise.tasks.detect.baselines import BASELINES, plain_scores
from gatewise.tasks.detect.estimator import Detector

from .archives import Watched, after_training, bleeding, mba, mgab, nab, nasa, reported, skab, ucr_135
from .record import ROOT, measured_anew, write_table

DATA = ROOT.parent / "shared" / "data"
ARCHIVES: dict[str, Callable[[Any], list[Watched]]] = {
    "nab": nab,
    "ucr_anomaly_135": ucr_135,
    "ucr_anomaly_bleeding": bleeding,
    "skab": skab,
    "nasa_smap_msl": nasa,
    "mgab": mgab,
    "mba_ecg805": mba,
}
DEFAULT = "Gatewise"
FITTED: dict[str, dict[str, Any]] = {  # options of detectors
    DEFAULT: {},
    "without network": {"only": "plain"},
    "network alone": {"share": 1.0},
    "autoencoder": {"method": "reconstruction"},
}
NEAR = 100  # steps beside an anomaly in which the highest score still is a hit
LENGTH = 32  # steps of the windows that the isolation forest reads
QUANTILES = 1 - np.geomspace(2e-5, 0.2, 60)  # of all scores: thresholds that are tried for the best F1


def isolation_forest(series: Watched) -> np.ndarray:
    """(n,) how easily the last 32 steps are told from those of training windows."""
    values = np.nan_to_num(series.values)
    padded = np.concatenate([np.repeat(values[:1], LENGTH - 1, axis=0), values])
    windows = np.lib.stride_tricks.sliding_window_view(padded, LENGTH, axis=0).reshape(len(values), -1)
    forest = IsolationForest(random_state=0).fit(windows[LENGTH : series.known])
    return -forest.score_samples(windows)


def measured(series: Sequence[Watched], scored: Sequence[np.ndarray]) -> dict[str, Any]:
    """All measures of one detector on an archive."""
    every = range(len(series))
    best = nab_of(series, scored, every)
    volumes = [
        vus_pr(one.truth()[one.known :], scores[one.known :]) for one, scores in zip(series, scored, strict=True)
    ]
    hits = [
        any(first - NEAR <= one.known + int(scores[one.known :].argmax()) <= last + NEAR for first, last in one.windows)
        for one, scores in zip(series, scored, strict=True)
        if one.windows
    ]
    return {
        "nab": best,
        "range_f1": best_range_f1(series, scored),
        "vus_pr": float(np.nanmean(volumes)),
        "hit": float(np.mean(hits)),
        "left_out": [nab_of(series, scored, [k for k in every if k != left]) for left in every if len(series) > 2],
    }


def nab_of(
    series: Sequence[Watched], scored: Sequence[np.ndarray], which: Sequence[int], threshold: float | None = None
) -> float:
    parts = [after_training(series[k], reported(scored[k])) for k in which]
    own = {} if threshold is None else {"threshold": threshold}
    return nab_score([scores for scores, _ in parts], [windows for _, windows in parts], **own).score


def best_range_f1(series: Sequence[Watched], scored: Sequence[np.ndarray]) -> float:
    """With the one threshold for all series that is best."""
    after = [scores[one.known :] for one, scores in zip(series, scored, strict=True)]
    truth = [ranges(one.truth()[one.known :]) for one in series]
    thresholds = np.unique(np.quantile(np.concatenate(after), QUANTILES))
    found = [range_scores(truth, [ranges(scores >= t) for scores in after], existence=0.5)["f1"] for t in thresholds]
    return max(found)


def archive(name: str) -> dict[str, Any]:
    """Every detector on one archive."""
    series = ARCHIVES[name](DATA)
    found: dict[str, Any] = {}
    for method, options in FITTED.items():
        started = time.monotonic()
        scored, own = [], []
        for one in series:
            detector = Detector(**options, split=(1.0, 0.0, 0.0), seed=0).fit(one.values[: one.known])
            [scores] = detector.scores(one.values)
            scored.append(scores)
            own.append(scores / min(detector.threshold_, 1e9))
        seconds = time.monotonic() - started
        at_threshold = nab_of(series, own, range(len(series)), threshold=1.0)
        found[method] = {**measured(series, scored), "at_threshold": at_threshold, "seconds": round(seconds, 1)}
        print(name, method, {k: round(v, 3) for k, v in found[method].items() if k != "left_out"}, flush=True)
    plain = {method: (lambda one, method=method: plain_scores(method, one.values)) for method in BASELINES}
    for method, detect in {**plain, "isolation forest": isolation_forest}.items():
        started = time.monotonic()
        scored = [detect(one) for one in series]
        if any(scores is None for scores in scored):
            continue  # a series is too long for it
        found[method] = {**measured(series, scored), "seconds": round(time.monotonic() - started, 1)}
        print(name, method, {k: round(v, 3) for k, v in found[method].items() if k != "left_out"}, flush=True)
    ours = np.array(found[DEFAULT]["left_out"])
    for figures in found.values():
        gains = ours - np.array(figures.pop("left_out"))
        figures["standard_error"] = float(np.sqrt((len(gains) - 1) * gains.var())) if len(gains) else None
    return {"series": len(series), "methods": found}


def table(known: dict[str, Any]) -> str:
    """Per archive, each detector's NAB score and volume, the best of each bold; then the mean rank by both."""
    methods = list(dict.fromkeys(method for found in known.values() for method in found["methods"]))
    columns = [(name, measure) for name in known for measure in ("nab", "vus_pr")]
    best = {
        (name, measure): max(figures[measure] for figures in known[name]["methods"].values())
        for name, measure in columns
    }
    lines = [
        "| detector | " + " | ".join(f"{name}: NAB, VUS-PR" for name in known) + " | mean rank |",
        "| --- |" + " --- |" * (len(known) + 1),
    ]
    for method in methods:
        cells, places = [], []
        for name, found in known.items():
            figures = found["methods"].get(method)
            if figures is None:
                cells.append("-")
                continue
            said = []
            for measure, shape in (("nab", "{:.1f}"), ("vus_pr", "{:.3f}")):
                value = figures[measure]
                places.append(1 + sum(other[measure] > value for other in found["methods"].values()))
                text = shape.format(value)
                said.append(f"**{text}**" if value == best[name, measure] else text)
            cells.append(", ".join(said))
        lines.append(f"| {method} | {' | '.join(cells)} | {np.mean(places):.1f} |")
    return "\n".join(lines)


def main(names: Sequence[str]) -> None:
    if not DATA.is_dir() or not set(names) <= ARCHIVES.keys():
        sys.exit(f"archives are {', '.join(ARCHIVES)}, in {DATA}")
    known = measured_anew("detection", (__doc__ or "").partition("\n")[0], ARCHIVES, names, archive)
    write_table("docs/detection.md", "archives", table(known))


if __name__ == "__main__":
    main(sys.argv[1:])
