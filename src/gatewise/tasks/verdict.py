"""Whether a network earned its place: its model beside the strongest plain method, in figures and in a sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Judgement = Mapping[str, Any]

KEYS = ("share", "strongest_plain", "earned")  # of metrics, beside the parts and the baselines

# Measures that a judgement may be about: key in metrics -> its name in a sentence, and whether more of it is better.
MEASURES = {
    "accuracy": ("accuracy", True),
    "subset_accuracy": ("share of sequences that are all right", True),
    "attribute_accuracy": ("attribute accuracy", True),
    "span_f1": ("span F1", True),
    "f1": ("F1", True),
    "best_f1": ("best F1", True),
    "average_precision": ("average precision", True),
    "nab_score": ("NAB score", True),
    "r2": ("R2", True),
    "bleu": ("BLEU", True),
    "exact_match": ("exact match", True),
    "mae": ("MAE", False),
    "rmse": ("RMSE", False),
    "mase": ("MASE", False),
    "mse_standardised": ("standardised MSE", False),
    "smape": ("sMAPE", False),
    "wer": ("word error rate", False),
    "cer": ("character error rate", False),
    "error_rate": ("error rate", False),
    "log_loss": ("log loss", False),
    "loss": ("loss", False),
    "bits_per_character": ("bits per character", False),
    "bits_per_token": ("bits per token", False),
    "perplexity": ("perplexity", False),
    "nats_per_step": ("nats per step", False),
}


def judged(
    *,
    measure: str,
    part: str,
    model: float,
    plain: Mapping[str, float],
    strongest: str,
    share: float,
    standard_error: float | None = None,
) -> dict[str, Any]:
    """What metrics say beside the parts: the model and the strongest plain method on one part.

    Args:
        measure: One of `MEASURES`.
        part: Where both are measured: "test", "validation" or "all".
        model: Figure of the model, the blend of network and plain methods where there is one.
        plain: Figures of the plain methods by name.
        strongest: The one that was best on validation data. Choosing it here would be choosing it by the test.
        share: Of the network in what is predicted, 0 to 1.
        standard_error: Of the difference between both figures, over the items of the part; None if it is not known.

    Returns:
        "share"; "strongest_plain" with "name", "measure", "figure", "model", "part", "standard_error"; and "earned":
        whether the network has a share, and the model is better than the strongest plain method, by more than a
        standard error where that is known.
    """
    figure = float(plain[strongest])
    gain = model - figure if MEASURES[measure][1] else figure - model
    error = None if standard_error is None or not math.isfinite(standard_error) else float(standard_error)
    return {
        "share": float(share),
        "strongest_plain": {
            "name": strongest,
            "measure": measure,
            "figure": figure,
            "model": float(model),
            "part": part,
            "standard_error": error,
        },
        "earned": bool(share > 0 and gain > (error or 0.0)),
    }


def judgement_of(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The part of metrics that `judged` gave; {} of a training that was interrupted, or an older model."""
    return {name: metrics[name] for name in KEYS if name in metrics}


def sentence(metrics: Mapping[str, Any], network: str = "network", only_plain: bool = False) -> str:
    """Whether the network earned its place, by how much, and what to do if not; "" where nothing was judged.

    Args:
        metrics: With what `judged` gave.
        network: What the network is called: "LSTM", for example.
        only_plain: Whether the model was made without one.
    """
    if not metrics.get("strongest_plain"):
        return _unjudged(metrics, network)
    share, found = metrics["share"], metrics["strongest_plain"]
    name, more_is_better = MEASURES[found["measure"]]
    where = "the data" if found["part"] == "all" else f"the {found['part']} part"
    if only_plain:
        return f"No network was trained. With {found['name']}, {name} is {found['figure']:.4g} on {where}."
    if share == 0 and not math.isclose(found["model"], found["figure"], rel_tol=1e-4):
        # Several plain methods answer together, or the network had a say in which of them does.
        return (
            f"The {network} did not earn its place: its share is 0, as no prediction is its own. {name} "
            f"{found['model']:.4g} on {where}, {found['name']} alone {found['figure']:.4g}. {_WAYS_OUT}"
        )
    if share == 0:
        return (
            f"The {network} did not earn its place: its share is 0, so predictions are those of {found['name']} "
            f"({name} {found['model']:.4g} on {where}). {_WAYS_OUT}"
        )
    figures = f"{name} {found['model']:.4g} on {where}, {found['name']} {found['figure']:.4g}"
    gain = (found["model"] - found["figure"]) * (1 if more_is_better else -1)
    blended = "" if share == 1 else f" The {network}'s share in predictions is {share:.0%}."
    if metrics["earned"]:
        return f"The {network} earned its place: {figures}{_in_errors(gain, found['standard_error'])}.{blended}"
    not_earned = "has not clearly earned" if gain > 0 else "did not earn"
    return (
        f"The {network} {not_earned} its place: {figures}{_in_errors(gain, found['standard_error'])}.{blended} "
        f"{_WAYS_OUT}"
    )


def _unjudged(metrics: Mapping[str, Any], network: str) -> str:
    """Of a detector that has no labelled anomaly to find; "" where there is not even a share."""
    if "share" not in metrics:
        return ""
    if metrics["share"] == 0:
        return "This is a plain method alone. Without labelled anomalies nothing says how good it is."
    return (
        f"Without labelled anomalies nothing says whether the {network} earned its place. Its share is "
        f"{metrics['share']:.0%}; --only plain leaves it out."
    )


_WAYS_OUT = "More data or longer training (--epochs, --preset large) may help; --only plain keeps the plain method."


def _in_errors(gain: float, error: float | None) -> str:
    """How large a difference is beside its standard error."""
    if error is None:
        return ""
    if abs(gain) < error:
        return f", which is within one standard error ({error:.2g})"
    return f", {abs(gain) / error:.2g} standard errors {'ahead' if gain > 0 else 'behind'}" if error else ""
