"""Weights of the regression and of linear models of runs, by L-BFGS.

Letters: N sequences, V runs, K outputs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, embedding_bag, mse_loss

from ..targets import Targets
from .ngrams import Entries, linear
from .regression import regression_name
from .ridge import indicators

PENALTY = 1e-4  # of the regression: times half the squared weights, added to the mean loss
STRENGTHS = (1.0, 4.0, 16.0, 64.0)  # over the number of texts: one over the penalties that are tried
TELL_EVERY = 10.0  # seconds
_STEPS, _LEAST_STEPS = 100, 10  # of the regression
_HISTORY, _LEAST_HISTORY = 100, 5  # of its steps that it keeps, as far as there is room:
_ROOM = 1 << 26  # numbers in that history
_STEPS_OF_ONE = 25  # of linear models of runs, for each penalty


def regression_weights(
    features: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    truth: np.ndarray,
    targets: Targets,
    buckets: int,
    effort: float,
    tell: Callable[[str], None] | None,
) -> tuple[np.ndarray, ...]:
    """Weights of the buckets and of the other features, and the bias, by up to a hundred steps of L-BFGS."""
    places, counts, weights, rest = features
    dense, index, wanted = torch.from_numpy(rest), torch.from_numpy(places), torch.from_numpy(truth)
    ends, weight = torch.from_numpy(np.concatenate([[0], np.cumsum(counts)])), torch.from_numpy(weights)
    K = targets.outputs
    count = (buckets + dense.shape[1] + 1) * K
    history = min(_HISTORY, max(_LEAST_HISTORY, _ROOM // (2 * count)))
    multiplications = (len(places) + dense.numel()) * K + history * count  # of a step
    steps = int(min(_STEPS, max(_LEAST_STEPS, effort / multiplications)))
    parameters = [torch.zeros(buckets, K), torch.zeros(dense.shape[1], K), torch.zeros(K)]
    for parameter in parameters:
        parameter.requires_grad_()
    loss_of: Any = {"number": mse_loss, "labels": binary_cross_entropy_with_logits, "category": cross_entropy}
    optimizer = torch.optim.LBFGS(parameters, max_iter=steps, history_size=history, line_search_fn="strong_wolfe")
    started = told = time.monotonic()

    def loss() -> Tensor:
        nonlocal told
        if tell is not None and time.monotonic() - told > TELL_EVERY:
            told = time.monotonic()
            at = optimizer.state[parameters[0]].get("n_iter", 0)
            tell(f"{regression_name(targets.kind)}: step {at} of at most {steps}, {told - started:.0f} s")
        optimizer.zero_grad()
        words, others, bias = parameters
        scores = dense @ others + bias
        if buckets:
            scores = scores + embedding_bag(
                index, words, ends, mode="sum", per_sample_weights=weight, include_last_offset=True
            )
        total = loss_of[targets.kind](scores, wanted)
        total = total + PENALTY / 2 * (words.square().sum() + others.square().sum())
        total.backward()
        return total

    optimizer.step(loss)
    return tuple(parameter.detach().numpy() for parameter in parameters)


class Minimum(NamedTuple):
    """A linear model of runs. Without held-out texts, their loss is not a number, and there are no predictions."""

    weights: np.ndarray  # (V, K)
    bias: np.ndarray  # (K,)
    loss: float = math.nan  # of held-out texts
    predicted: np.ndarray = np.zeros(0)  # (M, K), of them


def along_penalties(
    known: Entries,
    truth: np.ndarray,
    targets: Targets,
    runs: int,
    *,
    held: tuple[Entries, np.ndarray] | None,
    steps: int = len(STRENGTHS),
) -> Iterator[Minimum]:
    """With ever weaker penalties, so many of them, or until the loss of held-out texts rises.

    Each minimisation starts from the last one's weights.
    """
    K, N = targets.outputs, len(truth)
    places, counts, weights = known
    ends = torch.from_numpy(np.concatenate([[0], np.cumsum(counts)]))
    order = np.argsort(places, kind="stable")
    row = torch.from_numpy(np.repeat(np.arange(N), counts)[order])
    column_ends = torch.from_numpy(np.concatenate([[0], np.cumsum(np.bincount(places, minlength=runs))]))
    by_row: dict[str, Any] = {"offsets": ends, "per_sample_weights": torch.from_numpy(weights)}
    by_run: dict[str, Any] = {"offsets": column_ends, "per_sample_weights": torch.from_numpy(weights[order])}
    shared: dict[str, Any] = {"mode": "sum", "include_last_offset": True}
    index, wanted = torch.from_numpy(places), torch.from_numpy(indicators(truth, targets).astype(np.float32))
    W, b = torch.zeros(runs, K), torch.zeros(K)
    W.grad, b.grad = torch.zeros_like(W), torch.zeros_like(b)
    lowest = np.inf
    for strength in STRENGTHS[:steps]:
        penalty = 1 / (strength * N)
        optimizer = torch.optim.LBFGS(
            [W, b], max_iter=_STEPS_OF_ONE, history_size=8, tolerance_change=1e-7, line_search_fn="strong_wolfe"
        )

        def loss(penalty: float = penalty) -> Tensor:
            scores = embedding_bag(index, W, **by_row, **shared) + b
            total, slope = _loss_and_slope(scores, wanted, targets.kind)
            slope = slope / N
            W.grad = torch.add(embedding_bag(row, slope, **by_run, **shared), W, alpha=penalty)
            b.grad = slope.sum(0)
            return total / N + penalty / 2 * W.square().sum()

        optimizer.step(loss)
        found = W.numpy().copy(), b.numpy().copy()
        if held is None:
            yield Minimum(*found)
            continue
        others, truth_of_others = held
        predicted = targets.activated(linear(others, *found))
        own = targets.loss_standardised(truth_of_others, predicted)
        yield Minimum(*found, own, predicted)
        if own > lowest:
            return
        lowest = own


def _loss_and_slope(scores: Tensor, wanted: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """The loss of all texts together, and its slope by each score."""
    if kind == "number":
        return (scores - wanted).square().sum() / 2, scores - wanted
    if kind == "labels":
        return (scores.clamp_min(0) - scores * wanted + (-scores.abs()).exp().log1p()).sum(), scores.sigmoid() - wanted
    logs = scores.log_softmax(1)
    return -(logs * wanted).sum(), logs.exp() - wanted
