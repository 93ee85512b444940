"""How good a classifier is, and how its networks and its regression are blended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...data.sequences import Sequences
from ..report import Columns, Metrics, parts_and_baselines, scores_table
from .baselines import regression_name
from .predictor import Predictor
from .split import Parts

_BLEND_WEIGHTS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0)  # that are tried
_TEMPERATURES = (1.0, 0.85, 0.7, 0.6, 0.5, 1.2, 1.5, 2.0)  # that are tried; the first of equally good ones counts
_LEAST_TRAINING = 1000  # training sequences that are evaluated at least


def calibrate(predictor: Predictor, data: Sequences, rows: np.ndarray) -> tuple[float, float]:
    """The blend weight and the temperature that together give these held-out sequences the least loss: nats, or squared
    error of numbers.

    Training with smoothed labels makes networks look less sure than they are. Without a temperature, a regression that
    is sure of itself would get too large a share.
    """
    if predictor.baselines is None:
        return 1.0, 1.0
    targets, networks = predictor.targets, predictor.networks(data, rows)
    plain = predictor.baselines.regression(predictor.inputs, targets, data, rows)
    truth = targets.encode(data.take(rows))
    losses = {}
    for temperature in _TEMPERATURES if targets.kind != "number" else (1.0,):
        tempered = targets.tempered(networks, temperature)
        for weight in _BLEND_WEIGHTS:
            losses[weight, temperature] = targets.loss(truth, weight * tempered + (1 - weight) * plain)
    return min(losses, key=lambda pair: losses[pair])


@dataclass(frozen=True)
class Evaluator:
    """Evaluates a trained classifier and, where it has them, its baselines."""

    predictor: Predictor

    def metrics(self, data: Sequences, rows: np.ndarray) -> dict[str, Any]:
        """Metrics of these sequences; see `metrics.classification`."""
        targets = self.predictor.targets
        return targets.metrics(targets.encode(data.take(rows)), self.predictor.outputs(data, rows))

    def evaluate(self, data: Sequences) -> dict[str, Any]:
        """Metrics of data that it was not trained on, under "all", and of the "baselines".

        Where the regression has a share in the predictions, "blend" holds the shares and "network" the metrics of the
        networks alone.
        """
        rows = np.arange(len(data))
        return {"all": self.metrics(data, rows), **self._baselines(data, rows)}

    def evaluate_parts(self, data: Sequences, validation: Sequences | None, parts: Parts) -> dict[str, Any]:
        """Metrics by part of the training data, and of the "baselines" on the last part that was held out; see
        `evaluate`.

        Of the training part, as many sequences are evaluated as are held out, but at least a thousand.

        Args:
            validation: Validation data of its own.
        """
        held = {name: (data, rows) for name, rows in parts.held_out.items()}
        if validation is not None:
            held = {"validation": (validation, np.arange(len(validation)))}
        few = max([_LEAST_TRAINING, *(len(rows) for _, rows in held.values())])
        found = {"train": self.metrics(data, parts.train[:few])}
        found |= {name: self.metrics(*each) for name, each in held.items()}
        return found | (self._baselines(*list(held.values())[-1]) if held else {})

    def _baselines(self, data: Sequences, rows: np.ndarray) -> dict[str, Any]:
        predictor = self.predictor
        if predictor.baselines is None:
            return {}
        found = {"baselines": predictor.baselines.evaluate(predictor.inputs, predictor.targets, data, rows)}
        if predictor.blend_weight < 1:
            targets = predictor.targets
            alone = targets.predictions(targets.tempered(predictor.networks(data, rows), predictor.temperature))
            network = targets.metrics(targets.encode(data.take(rows)), alone)
            found["network"] = {name: value for name, value in network.items() if name != "confusion"}
            found["blend"] = {
                "network": predictor.blend_weight,
                regression_name(targets.kind): 1 - predictor.blend_weight,
            }
        return found


_CLASSES: Columns = {
    "accuracy": ("accuracy", "{:.4g}".format),
    "macro_f1": ("macro F1", "{:.4g}".format),
    "subset_accuracy": ("all right", "{:.4g}".format),
    "micro_f1": ("micro F1", "{:.4g}".format),
    "roc_auc": ("ROC AUC", "{:.4g}".format),
    "log_loss": ("log loss", "{:.4g}".format),
    "calibration_error": ("calib. err.", "{:.4g}".format),
    "mae": ("MAE", "{:.4g}".format),
    "rmse": ("RMSE", "{:.4g}".format),
    "r2": ("R2", "{:.4g}".format),
}


def classify_report(metrics: Metrics) -> str:
    """A row for each part, then the network alone and the baselines, on the last part."""
    blend, network = metrics.get("blend"), metrics.get("network")
    rows = parts_and_baselines({name: some for name, some in metrics.items() if name not in ("blend", "network")})
    if blend is None or network is None:
        return "\n".join(scores_table(rows, _CLASSES, left=20, width=12))
    parts = {name: scores for name, scores in rows.items() if name not in metrics["baselines"]}
    lines = scores_table({**parts, "network alone": network, **metrics["baselines"]}, _CLASSES, left=20, width=12)
    shares = " and ".join(f"{share:.0%} {name}" for name, share in blend.items())
    last = [*parts][-1]
    return "\n".join([*lines, f"The model predicts a blend: {shares}. Rows below '{last}' are measured on it."])
