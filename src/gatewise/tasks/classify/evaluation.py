"""How good a classifier is, and in which shares its networks and plain methods are blended."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...data.sequences import Sequences
from ..report import Columns, Metrics, parts_and_baselines, scores_table
from ..verdict import judged
from .baselines.blend import mixture, network_share, plain_shares
from .baselines.plain import TOGETHER
from .predictor import Predictor
from .split import Parts
from .targets import Targets

CROSS_VALIDATION = "cross-validation"  # the part that stands for held-out ones where there are too few sequences
_LEAST_TRAINING = 1000  # training sequences that are evaluated at least
_MEASURES = {"category": "accuracy", "labels": "subset_accuracy", "number": "mae"}


@dataclass(frozen=True)
class HeldOut:
    """Predictions of sequences by methods that did not learn from them.

    Attributes:
        truth: (N,) or (N, L), as `Targets.encode` gives it.
        plain: (N, outputs) by name.
        networks: (N, outputs); None where there is no network, or every one learned from all of the sequences.
    """

    truth: np.ndarray
    plain: dict[str, np.ndarray]
    networks: np.ndarray | None


def held_out(predictor: Predictor, data: Sequences, rows: np.ndarray) -> HeldOut:
    """Of sequences that are no part of training."""
    assert predictor.baselines is not None
    plain = predictor.baselines.outputs(predictor.inputs, predictor.targets, data, rows)
    networks = None if predictor.net is None else predictor.networks(data, rows)
    return HeldOut(predictor.targets.encode(data.take(rows)), plain, networks)


def left_out(predictor: Predictor, data: Sequences, rows: np.ndarray, folds: np.ndarray | None) -> HeldOut:
    """Of training sequences, each by methods that left it out, as far as all did.

    Args:
        folds: (len(rows),) which network did; None if none did.
    """
    assert predictor.baselines is not None
    found = predictor.baselines.left_out
    known = np.all([np.isfinite(values).all(1) for values in found.values()], 0)
    if not known.any():  # those that were drawn for one method are not those of another
        found = dict([*found.items()][:1])
        known = np.isfinite(next(iter(found.values()))).all(1)
    plain = {name: predictor.baselines.reweighted(values[known]) for name, values in found.items()}
    networks = None if folds is None else predictor.left_out(data, rows[known], folds[known])
    return HeldOut(predictor.targets.encode(data.take(rows[known])), plain, networks)


def calibrate(predictor: Predictor, seen: HeldOut, share: float | None) -> tuple[dict[str, float], str, float, float]:
    """The shares of the plain methods among themselves, the strongest of them, the networks' share and their
    temperature, with which these sequences have the least loss: nats, or squared error of numbers.

    Args:
        share: Of the networks, if the user gave it.
    """
    assert predictor.baselines is not None
    targets, weights = predictor.targets, predictor.baselines.class_weights
    of_each = None if weights is None else weights[seen.truth]
    shares = plain_shares(targets, seen.truth, seen.plain, of_each)
    strongest = next(iter(shares)) if len(shares) == 1 else TOGETHER
    if predictor.net is None:
        return shares, strongest, 0.0, 1.0
    if seen.networks is None:  # nothing says which is better, so neither is trusted alone
        return shares, strongest, 0.5 if share is None else share, 1.0
    plain = mixture(seen.plain, shares)
    return shares, strongest, *network_share(targets, seen.truth, seen.networks, plain, share=share, weights=of_each)


@dataclass(frozen=True)
class Evaluator:
    """Evaluates a trained classifier and, where it has them, its baselines."""

    predictor: Predictor

    def metrics(self, data: Sequences, rows: np.ndarray) -> dict[str, Any]:
        """Metrics of these sequences; see `metrics.classification`."""
        targets = self.predictor.targets
        return targets.metrics(targets.encode(data.take(rows)), self.predictor.outputs(data, rows))

    def evaluate(self, data: Sequences) -> dict[str, Any]:
        """Metrics of data that it was not trained on, under "all", of the "baselines", and what `verdict.judged` says.

        Where plain methods have a share in the predictions, "blend" holds the shares and "network" the metrics of the
        networks alone.
        """
        return self._with_baselines("all", data, np.arange(len(data)))

    def evaluate_parts(
        self, data: Sequences, validation: Sequences | None, parts: Parts, seen: HeldOut | None = None
    ) -> dict[str, Any]:
        """Metrics by part of the training data, and of the "baselines" on the last part that was held out; see
        `evaluate`.

        Of the training part, as many sequences are evaluated as are held out, but at least a thousand.

        Args:
            validation: Validation data of its own.
            seen: Predictions of training sequences by methods that left them out: what is measured, as
                "cross-validation", where no part was held out.
        """
        held = {name: (data, rows) for name, rows in parts.held_out.items()}
        if validation is not None:
            held = {"validation": (validation, np.arange(len(validation)))}
        few = max([_LEAST_TRAINING, *(len(rows) for _, rows in held.values())])
        found = {"train": self.metrics(data, parts.train[:few])}
        if held:
            *others, last = held
            found |= {name: self.metrics(*held[name]) for name in others}
            return found | self._with_baselines(last, *held[last])
        if seen is None or self.predictor.baselines is None:
            return found
        plain = self.predictor.baselines.with_prior(self.predictor.targets, seen.plain, len(seen.truth))
        return found | self._compared(CROSS_VALIDATION, seen.truth, seen.networks, plain)

    def _with_baselines(self, part: str, data: Sequences, rows: np.ndarray) -> dict[str, Any]:
        predictor = self.predictor
        if predictor.baselines is None:
            return {part: self.metrics(data, rows)}
        targets, baselines = predictor.targets, predictor.baselines
        plain = baselines.outputs(predictor.inputs, targets, data, rows)
        networks = None if predictor.net is None else predictor.networks(data, rows)
        plain = baselines.with_prior(targets, plain, len(rows))
        return self._compared(part, targets.encode(data.take(rows)), networks, plain)

    def _compared(
        self, part: str, truth: np.ndarray, networks: np.ndarray | None, plain: Mapping[str, np.ndarray]
    ) -> dict[str, Any]:
        """Metrics of the blend, of the networks alone, and of each plain method, from their outputs."""
        predictor, baselines = self.predictor, self.predictor.baselines
        assert baselines is not None
        targets, share = predictor.targets, predictor.blend_weight
        tempered = None if networks is None else targets.tempered(networks, predictor.temperature)
        together = mixture(plain, baselines.shares_of(targets))
        blended = predictor.blended(
            tempered if share > 0 else None, together if share < 1 or tempered is None else None
        )
        found: dict[str, Any] = {part: targets.metrics(truth, blended)}
        found["baselines"] = {
            name: _without_confusion(targets.metrics(truth, targets.predictions(values)))
            for name, values in plain.items()
        }
        if share < 1 and tempered is not None:
            found["network"] = _without_confusion(targets.metrics(truth, targets.predictions(tempered)))
        if share < 1:
            shares = {name: (1 - share) * own for name, own in baselines.shares_of(targets).items()}
            found["blend"] = ({} if predictor.net is None else {"network": share}) | shares
        if not baselines.strongest:
            return found
        measure = _MEASURES[targets.kind]
        own, theirs = (
            _successes(targets, truth, v) for v in (blended, targets.predictions(plain[baselines.strongest]))
        )
        error = float((own - theirs).std() / np.sqrt(len(truth)))
        figures = {name: scores[measure] for name, scores in found["baselines"].items()}
        return found | judged(
            measure=measure,
            part=part,
            model=found[part][measure],
            plain=figures,
            strongest=baselines.strongest,
            share=share,
            standard_error=error,
        )


def _without_confusion(metrics: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metrics.items() if name != "confusion"}


def _successes(targets: Targets, truth: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """(N,) what each sequence adds to the measure: 1 if it is right, or how far a number is off."""
    if targets.kind == "category":
        return (predictions.argmax(1) == truth).astype(np.float64)
    if targets.kind == "labels":
        return ((predictions > 0.5) == (truth > 0)).all(1).astype(np.float64)
    return np.abs(predictions - truth)


_CLASSES: Columns = {
    "accuracy": ("accuracy", "{:.4g}".format),
    "macro_f1": ("macro F1", "{:.4g}".format),
    "subset_accuracy": ("all right", "{:.4g}".format),
    "micro_f1": ("micro F1", "{:.4g}".format),
    "roc_auc": ("ROC AUC", "{:.4g}".format),
    "log_loss": ("log loss", "{:.4g}".format),
    "calibration_error": ("ECE", "{:.4g}".format),
    "mae": ("MAE", "{:.4g}".format),
    "rmse": ("RMSE", "{:.4g}".format),
    "r2": ("R2", "{:.4g}".format),
}


def classify_report(metrics: Metrics) -> str:
    """A row for each part, then the network alone and the baselines, on the last part."""
    blend, network = metrics.get("blend"), metrics.get("network")
    rows = parts_and_baselines({name: some for name, some in metrics.items() if name not in ("blend", "network")})
    if blend is None or network is None:
        return "\n".join(scores_table(rows, _CLASSES, left=24, width=11))
    parts = {name: scores for name, scores in rows.items() if name not in metrics["baselines"]}
    lines = scores_table({**parts, "network alone": network, **metrics["baselines"]}, _CLASSES, left=24, width=11)
    shares = ", ".join(f"{share:.0%} {name}" for name, share in blend.items())
    last = [*parts][-1]
    said = f"The model predicts a blend: {shares}. Rows below '{last}' are measured on it."
    return "\n".join([*lines, *textwrap.wrap(said, 80)])
