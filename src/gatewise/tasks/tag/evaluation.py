"""How good a tagger's labels are, by part of the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...data.sequences import Sequences
from ...metrics.tagging import label_scores, number_scores
from ..report import NOTHING_MEASURED, Metrics, parts_and_baselines, table
from .baselines import Baselines
from .features import Encoded
from .predictor import Predictor
from .targets import Targets, target_column


@dataclass(frozen=True)
class Evaluator:
    """Evaluates a trained tagger and its baselines."""

    predictor: Predictor
    baselines: Baselines

    def evaluate(
        self, parts: Mapping[str, Sequences], encoded: Mapping[str, Encoded], with_baselines: bool = True
    ) -> dict[str, Any]:
        """Metrics of each part, and those of the "baselines" on the last one.

        Args:
            encoded: What `Features.encode` makes of the parts.
        """
        found = {name: self._scores(part, self.predictor.labels(encoded[name])) for name, part in parts.items()}
        if with_baselines:
            last = list(parts)[-1]
            predicted = self.baselines.predictions(parts[last], encoded[last])
            found["baselines"] = {name: self._scores(parts[last], values) for name, values in predicted.items()}
        return found

    def _scores(self, data: Sequences, predicted: Any) -> dict[str, Any]:
        targets = self.predictor.targets
        truth = targets.truth(target_column(data, self.predictor.options.target), data)
        if not targets.classes:
            return _number_scores(truth, np.asarray(predicted), targets)
        return label_scores(truth, list(predicted), data.offsets, targets.scheme)


def _number_scores(truth: np.ndarray, predicted: np.ndarray, targets: Targets) -> dict[str, Any]:
    """See `number_scores`; of several numbers of all of them, standardised, and of each under "targets"."""
    if not targets.columns:
        return number_scores(truth, predicted)
    each = {name: number_scores(truth[:, k], predicted[:, k]) for k, name in enumerate(targets.columns)}
    together = number_scores(targets.encode(truth).ravel(), targets.encode(predicted).ravel())
    return {**together, "targets": each}


_TAGS = ("f1", "precision", "recall", "accuracy", "macro_f1", "mae", "rmse", "r2")
_TYPES = 30  # types that are listed, the most frequent first


def tag_report(metrics: Metrics) -> str:
    """A row for each part, then the baselines; below, a row for each type of the last part."""
    rows = parts_and_baselines(metrics, " (baseline)")
    if not rows:
        return NOTHING_MEASURED
    heads = [name for name in _TAGS if name in next(iter(rows.values()))][:4]
    cells = ((row[:34], [f"{scores[name]:.4f}" for name in heads]) for row, scores in rows.items())
    lines = table(heads, cells, left=34, widths=[11] * 4)
    last = next((name for name in reversed(list(metrics)) if name != "baselines"), None)
    if last and (several := metrics[last].get("targets")):
        cells = ((name[:34], [f"{scores[tag]:.4f}" for tag in heads]) for name, scores in several.items())
        lines += ["", *table(heads, cells, left=34, widths=[11] * 4, corner=f"{last}, by target")]
    if last and (types := metrics[last].get("types")):
        ranked = sorted(types.items(), key=lambda item: -item[1]["gold"])[:_TYPES]
        heads = ["f1", "precision", "recall"]
        cells = ((kind[:34], [*(f"{some[name]:.4f}" for name in heads), f"{some['gold']:,}"]) for kind, some in ranked)
        lines += ["", *table([*heads, "count"], cells, left=34, widths=[11] * 4, corner=f"{last}, by type")]
    return "\n".join(lines)
