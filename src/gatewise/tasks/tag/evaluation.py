"""How good a tagger's labels are, by part of the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...data.sequences import Sequences
from ...metrics.tagging import label_scores, number_scores
from .baselines import Baselines
from .features import Encoded
from .predictor import Predictor
from .targets import target_column


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
            return number_scores(truth, np.asarray(predicted))
        return label_scores(truth, list(predicted), data.offsets, targets.scheme)
