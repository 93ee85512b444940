"""Metrics of classes, sets of labels, and numbers, one prediction per sequence."""

from __future__ import annotations

from typing import Any

import numpy as np

BINS = 15  # of the expected calibration error, as in its source


def class_scores(truth: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    """Scores of one class per sequence.

    Args:
        truth: (N,) class indices, N >= 1.
        probabilities: (N, K), each row adding up to 1.

    Returns:
        "accuracy"; "macro_f1" over the classes that occur or were predicted; "roc_auc", of each class against the rest,
        averaged over the classes that have both (absent, if none has); "log_loss" in nats; "calibration_error";
        "confusion", K lists of K counts, rows being true and columns predicted classes; and "sequences".
    """
    guess = probabilities.argmax(1)
    confusion = confusion_matrix(truth, guess, probabilities.shape[1])
    found: dict[str, Any] = {
        "accuracy": float((guess == truth).mean()),
        "macro_f1": macro_f1(confusion),
        "log_loss": log_loss(truth, probabilities),
        "calibration_error": calibration_error(guess == truth, probabilities.max(1)),
    }
    areas = [roc_auc(truth == k, probabilities[:, k]) for k in range(probabilities.shape[1])]
    if areas := [area for area in areas if area is not None]:
        found["roc_auc"] = float(np.mean(areas))
    return {**found, "confusion": confusion.tolist(), "sequences": len(truth)}


def multilabel_scores(truth: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    """Scores of several labels per sequence, each predicted where its probability is above 0.5.

    Args:
        truth: (N, L) zeros and ones, N >= 1.
        probabilities: (N, L).

    Returns:
        "subset_accuracy", the share of sequences whose labels are all correct; "micro_f1" over all labels together;
        "roc_auc", averaged over the labels that have both values (absent, if none has); "log_loss" in nats per label;
        and "sequences".
    """
    truth, guess = truth.astype(bool), probabilities > 0.5
    right, given, wanted = int((truth & guess).sum()), int(guess.sum()), int(truth.sum())
    chances = np.clip(np.where(truth, probabilities, 1 - probabilities), 1e-15, 1)
    found = {
        "subset_accuracy": float((guess == truth).all(1).mean()),
        "micro_f1": 2 * right / (given + wanted) if given + wanted else 1.0,
        "log_loss": float(-np.log(chances).mean()),
    }
    areas = [roc_auc(truth[:, label], probabilities[:, label]) for label in range(truth.shape[1])]
    if areas := [area for area in areas if area is not None]:
        found["roc_auc"] = float(np.mean(areas))
    return {**found, "sequences": len(truth)}


def regression_scores(truth: np.ndarray, guess: np.ndarray) -> dict[str, Any]:
    """Errors of one number per sequence.

    Args:
        truth, guess: (N,), N >= 1.

    Returns:
        "mae" and "rmse" in the units of the data; "r2", the share of the variance explained (absent, if the truth does
        not vary); and "sequences".
    """
    error = guess.astype(np.float64) - truth
    found = {"mae": float(np.abs(error).mean()), "rmse": float(np.sqrt(np.square(error).mean()))}
    total = float(np.square(truth - truth.mean(dtype=np.float64)).sum())
    if total > 0:
        found["r2"] = 1 - float(np.square(error).sum()) / total
    return {**found, "sequences": len(truth)}


def confusion_matrix(truth: np.ndarray, guess: np.ndarray, classes: int) -> np.ndarray:
    """(K, K) counts: how often class i (row) was predicted as class j (column)."""
    return np.bincount(truth * classes + guess, minlength=classes * classes).reshape(classes, classes)


def macro_f1(confusion: np.ndarray) -> float:
    """Mean F1 of the classes that occur or were predicted."""
    both = confusion.sum(0) + confusion.sum(1)
    return float((2 * confusion.diagonal()[both > 0] / both[both > 0]).mean())


def log_loss(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean negative log-probability of the true class, in nats; a probability of zero counts as 1e-15."""
    chances = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    return float(-np.log(np.clip(chances, 1e-15, 1)).mean())


def roc_auc(positive: np.ndarray, scores: np.ndarray) -> float | None:
    """Area under the ROC curve: probability that a positive scores higher than a negative, ties counting half.

    Args:
        positive: (N,) booleans.
        scores: (N,), higher for positives.

    Returns:
        From 0 to 1; None if all are positive, or none is.

    Source: Hanley & McNeil (1982), "The meaning and use of the area under a ROC curve", Radiology 143(1).
    """
    ones = int(positive.sum())
    zeros = len(positive) - ones
    if not ones or not zeros:
        return None
    _, group, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[group]  # equal scores share their mean rank, from 1
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def calibration_error(right: np.ndarray, confidence: np.ndarray) -> float:
    """Expected calibration error: mean distance between confidence and accuracy, over 15 bins of equal width.

    Source: Guo et al. (2017), "On calibration of modern neural networks", ICML, equation 5.
    """
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, right.astype(np.float64) - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(right))
