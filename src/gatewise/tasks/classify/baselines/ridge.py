"""Ridge regression in closed form, whose penalty is chosen by leaving out one group at a time, and probabilities.

Letters: N sequences, F features, K outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..targets import Targets

_PENALTIES = np.logspace(-4, 3, 15)  # times the mean square length of the sequences' features
UNSURE = 1e-3  # of a probability, for what no training sequence has shown
_SHARPNESS = np.logspace(-0.5, 1.75, 19)


@dataclass(frozen=True)
class Fit:
    """Attributes:
    dual: (N, K): a sequence with products k (N,) with the training sequences scores k @ dual.
    bias: (K,) what is added.
    sharpness: What scores are multiplied by before they become probabilities.
    left_out: (N, K) predictions of each training sequence by a model of all that are not of its group.
    loss: Mean loss of those.
    """

    dual: np.ndarray
    bias: np.ndarray
    sharpness: float
    left_out: np.ndarray
    loss: float


def fitted(products: np.ndarray, truth: np.ndarray, targets: Targets, groups: np.ndarray | None = None) -> Fit:
    """Ridge regression of classes, labels or standardised numbers on products of features, those of a kernel, say.

    The penalty is the one whose predictions of left-out sequences lose least: those follow from the fit to all of them.

    Args:
        products: (N, N) of the training sequences; of centred features, where an intercept should be exact.
        truth: As `Targets.encode` gives it, standardised.
        groups: (N,) whole numbers: sequences of one number are left out together; each alone, if omitted.

    Source: Golub, Heath & Wahba (1979), "Generalized cross-validation", Technometrics 21(2), section 2; Rifkin &
    Lippert (2007), "Notes on regularized least squares", MIT CSAIL TR 2007-025.
    """
    wanted = indicators(truth, targets)
    N, bias = len(wanted), wanted.mean(0)
    values, vectors = np.linalg.eigh(np.asarray(products, np.float64))
    values, within = np.maximum(values, 0.0), vectors.T @ (wanted - bias)
    scale = max(float(values.mean()), 1e-12)
    together = _of_several(np.arange(N) if groups is None else groups)
    best: Fit | None = None
    for penalty in _PENALTIES * scale:
        kept = values / (values + penalty)
        influence = np.minimum(np.square(vectors) @ kept + 1 / N, 1 - 1e-6)
        missed = wanted - bias - vectors @ (kept[:, None] * within)
        residuals = missed / (1 - influence)[:, None]
        for some in together:  # the same, of several sequences: their influence on each other is a matrix
            own = vectors[some]
            mutual = np.eye(len(some)) * (1 + 1e-6) - (own * kept) @ own.T - 1 / N
            residuals[some] = np.linalg.solve(mutual, missed[some])
        scores = wanted - residuals
        sharpness, loss = sharpened(scores, truth, targets)
        if best is None or loss < best.loss:
            dual = vectors @ (within / (values + penalty)[:, None])
            best = Fit(dual, bias, sharpness, probabilities(scores, sharpness, targets), loss)
    assert best is not None
    return best


def _of_several(groups: np.ndarray) -> list[np.ndarray]:
    """Places of the members of each group that has more than one."""
    order = np.argsort(groups, kind="stable")
    cuts = np.flatnonzero(np.diff(groups[order])) + 1
    return [some for some in np.split(order, cuts) if len(some) > 1]


def indicators(truth: np.ndarray, targets: Targets) -> np.ndarray:
    """(N, K) float64: ones where a class or label applies, or the standardised number."""
    if targets.kind == "category":
        return np.eye(targets.outputs)[truth]
    return np.asarray(truth, np.float64).reshape(len(truth), -1)


def sharpened(scores: np.ndarray, truth: np.ndarray, targets: Targets) -> tuple[float, float]:
    """The sharpness with which these scores, of sequences that they were not fitted to, lose least, and that loss."""
    if targets.kind == "number":
        return 1.0, float(np.square(scores[:, 0] - truth).mean())
    losses = {float(s): targets.loss(truth, probabilities(scores, s, targets)) for s in _SHARPNESS}
    best = min(losses, key=lambda sharpness: losses[sharpness])
    return best, losses[best]


def probabilities(scores: np.ndarray, sharpness: float, targets: Targets) -> np.ndarray:
    """Scores, which are near 1 where a class or label applies and else near 0, as probabilities; numbers stay."""
    if targets.kind == "number":
        return scores
    middle = 0.5 if targets.kind == "labels" else 0.0
    found = targets.activated(2 * sharpness * (scores - middle))
    return UNSURE / found.shape[1] + (1 - UNSURE) * found if targets.kind == "category" else found
