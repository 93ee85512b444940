"""Metrics of labels and numbers per step: accuracy, span F1, macro F1; MAE, RMSE, R2."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..data.text.tagging_schemes import SpanScores, span_scores

Labels = Sequence[str | None]


def label_scores(gold: Labels, predicted: Labels, offsets: np.ndarray, scheme: str | None) -> dict[str, Any]:
    """Accuracy over all labelled steps; F1 of spans as conlleval counts them, or else of single labels.

    Args:
        gold: Labels of all steps; None where there is none, which is not counted.
        predicted: As many labels.
        offsets: Where sequences begin and end.
        scheme: The tagging scheme by which labels mark spans, or None.

    Returns:
        "accuracy", "steps", and with a scheme "f1", "precision", "recall", without one "macro_f1": the mean over the
        labels that occur in either. "types" has F1, precision and recall of each type of span or each label, and how
        often it occurs ("gold"). All but the counts are from 0 to 1.

    Source: Tjong Kim Sang & Buchholz (2000), "Introduction to the CoNLL-2000 shared task", for span F1.
    """
    known = [(a, b) for a, b in zip(gold, predicted, strict=True) if a is not None]
    found: dict[str, Any] = {"accuracy": sum(a == b for a, b in known) / max(1, len(known)), "steps": len(known)}
    if scheme is not None:
        truth, guess = (
            [[label or "O" for label in labels[start:stop]] for start, stop in pairwise(offsets)]
            for labels in (gold, predicted)
        )
        total, types = span_scores(truth, guess, scheme)
        found |= {"f1": total.f1, "precision": total.precision, "recall": total.recall}
    else:
        # Each label is a type of its own, and its steps are counted as spans are above.
        labels = sorted({label for pair in known for label in pair if label is not None})
        types = {label: _one_label(known, label) for label in labels}
        found["macro_f1"] = float(np.mean([one.f1 for one in types.values()])) if types else 0.0
    names = ("f1", "precision", "recall", "gold")
    return found | {"types": {kind: {name: getattr(one, name) for name in names} for kind, one in types.items()}}


def number_scores(gold: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    """Errors of one number per step, over the steps whose true value is given.

    Args:
        gold: (T,), NaN where no value is given.
        predicted: (T,).

    Returns:
        "mae" and "rmse" in the units of the data; "r2", the share of the variance explained; and "steps".
    """
    known = ~np.isnan(gold)
    truth, error = gold[known].astype(np.float64), (predicted - gold)[known].astype(np.float64)
    if not len(truth):
        return {"mae": 0.0, "rmse": 0.0, "r2": 0.0, "steps": 0}
    square, variance = float(np.mean(error**2)), float(truth.var())
    r2 = 1 - square / variance if variance else 0.0
    return {"mae": float(np.abs(error).mean()), "rmse": square**0.5, "r2": r2, "steps": len(truth)}


def _one_label(known: Sequence[tuple[Any, Any]], label: str) -> SpanScores:
    gold, predicted = sum(a == label for a, _ in known), sum(b == label for _, b in known)
    right = sum(a == b == label for a, b in known)
    f1 = 2 * right / (gold + predicted)
    return SpanScores(right / max(1, predicted), right / max(1, gold), f1, gold, predicted, right)
