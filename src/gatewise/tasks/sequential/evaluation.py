"""How good the answers of a model of another library are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...data.sequences import Column
from ...errors import DataError
from ...metrics.classification import class_scores, multilabel_scores, regression_scores
from ..report import NOTHING_MEASURED, scores_table

_COLUMNS = {
    "accuracy": ("accuracy", "{:.4f}".format),
    "macro_f1": ("macro F1", "{:.4f}".format),
    "subset_accuracy": ("all labels", "{:.4f}".format),
    "micro_f1": ("micro F1", "{:.4f}".format),
    "log_loss": ("log loss", "{:.4f}".format),
    "mae": ("MAE", "{:.4g}".format),
    "rmse": ("RMSE", "{:.4g}".format),
    "r2": ("R2", "{:.4f}".format),
}


def scores(target: Column, outputs: np.ndarray, classes: Sequence[str] | None, probabilities: Any) -> dict[str, Any]:
    """Figures of answers, one a row.

    Args:
        target: What they should be: names or numbers of classes, or a number.
        outputs: (N, outputs) what the model answered.
        classes: Names of classes; None where answers are numbers.
        probabilities: From outputs to shares of classes.

    Returns:
        What `metrics.class_scores` gives of classes, and `metrics.regression_scores` of numbers.

    Raises:
        DataError: The target is of another kind, or there is none at all.
    """
    if classes is None:
        if target.kind != "number" or np.asarray(target.values).reshape(len(target), -1).shape != outputs.shape:
            raise DataError(
                f"the model answers with {outputs.shape[-1]} numbers, and '{target.name}' is {target.kind}. Names of "
                "classes are given when the model is imported: --classes"
            )
        truth = np.asarray(target.values, np.float64).reshape(outputs.shape)
        known = np.isfinite(truth).sum(1) == truth.shape[1]
        _some(known, target)
        return regression_scores(truth[known].reshape(-1), outputs[known].reshape(-1))
    places = _places(target, classes)
    known = places >= 0
    _some(known, target)
    return class_scores(places[known], probabilities(outputs[known]).astype(np.float64))


def label_scores(targets: Sequence[Column], outputs: np.ndarray) -> dict[str, Any]:
    """What `metrics.multilabel_scores` gives of labels, one row of (N, outputs) each.

    Args:
        targets: Columns of zeros and ones, as many as there are labels, or one that holds all.

    Raises:
        DataError: They hold something else, other numbers of it, or nothing.
    """
    found = []
    for column in targets:
        values: Any = column.values if column.kind == "number" else [_of_zero_or_one(one) for one in column.strings()]
        found.append(np.asarray(values, np.float64).reshape(len(column), -1))
    truth = np.concatenate(found, 1)
    given = ", ".join(column.name for column in targets)
    if truth.shape != outputs.shape:
        raise DataError(f"the model has {outputs.shape[1]} labels, and the targets {given} are {truth.shape[1]}")
    known = np.isfinite(truth).all(1)
    if (strange := truth[known & ~np.isin(truth, (0, 1)).all(1)]).size or np.isinf(truth).any():
        raise DataError(f"labels are zeros and ones, but {given} hold {strange.max() if strange.size else np.inf:g}")
    if not known.any():
        raise DataError(f"{given}: there is no row to compare answers with")
    return multilabel_scores(truth[known], outputs[known].astype(np.float64))


def _of_zero_or_one(text: str | None) -> float:
    """NaN where it is missing; infinity, which no label is, where it is something else."""
    return {None: math.nan, "0": 0.0, "1": 1.0}.get(text, math.inf)


def _places(target: Column, classes: Sequence[str]) -> np.ndarray:
    """(N,) which class each is; -1 where it is missing."""
    known = {name: place for place, name in enumerate(classes)}
    if target.kind == "number":
        values = np.asarray(target.values, np.float64).tolist()
        names = [None if np.isnan(value) else f"{value:.15g}" for value in values]
    else:
        names = target.strings()
    if strange := sorted({name for name in names if name is not None} - known.keys()):
        raise DataError(f"'{target.name}' holds {strange[0]!r:.40}, which is none of the classes {', '.join(classes)}")
    return np.array([-1 if name is None else known[name] for name in names], np.int64)


def _some(known: np.ndarray, target: Column) -> None:
    if not known.any():
        raise DataError(f"'{target.name}' holds no value to compare answers with")


def sequential_report(metrics: Mapping[str, Any]) -> str:
    """A row for each part."""
    rows = {name: part for name, part in metrics.items() if isinstance(part, Mapping)}
    return "\n".join(scores_table(rows, _COLUMNS, left=12, width=11)) if rows else NOTHING_MEASURED
