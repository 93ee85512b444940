"""Whether what the loss still wants of a network depends on what the network read some steps before.

Letters: T steps, B sequences, D features, H units, n points.
"""

from __future__ import annotations

import torch
from torch import Tensor

POINTS, FEWEST = 96, 8  # of a batch: pairs of a step and a row


def dependence_by_lag(x: Tensor, wish: Tensor, longest: int) -> dict[int, float]:
    """For each lag how strongly `wish` at a step goes with `x` so many steps before, in standard deviations from what
    chance gives.

    Measured by the Hilbert-Schmidt independence criterion with linear kernels: the sum over all pairs of points of the
    products of their similarities. Points are steps at which the loss wants anything, of all rows.

    Args:
        x: (T, B, D), what was read.
        wish: (T, B, H), the gradient of the loss by the output.
        longest: The longest lag.

    Source: Gretton, Bousquet, Smola & Schölkopf (2005), "Measuring statistical dependence with Hilbert-Schmidt norms";
    Gretton et al. (2008), "A kernel statistical test of independence", theorem 4: mean and variance by chance.
    """
    steps, rows = torch.nonzero(wish.abs().sum(-1) > 0, as_tuple=True)
    chosen = torch.randperm(len(steps), generator=torch.Generator().manual_seed(0))[: 4 * POINTS].to(steps.device)
    steps, rows = steps[chosen], rows[chosen]
    found = {}
    for lag in range(1, min(len(x) - 1, longest) + 1):
        there = torch.nonzero(steps >= lag)[:POINTS, 0]
        if len(there) < FEWEST:
            break
        t, b = steps[there], rows[there]
        found[lag] = _deviations(_similarities(x[t - lag, b]), _similarities(wish[t, b]))
    return found


def _similarities(points: Tensor) -> Tensor:
    """(n, n) between different points, centred; of directions, so that a few large points do not decide."""
    centred = points.double() - points.double().mean(0)
    centred = centred / centred.norm(dim=1, keepdim=True).clamp_min(1e-30)
    centred = centred - centred.mean(0)
    return (centred @ centred.T).fill_diagonal_(0.0)


def _deviations(a: Tensor, b: Tensor) -> float:
    pairs = len(a) * (len(a) - 1)
    mean = a.sum() * b.sum() / pairs
    variance = 2 * a.square().sum() * b.square().sum() / pairs
    return ((a * b).sum() - mean).div(variance.sqrt().clamp_min(1e-30)).item()
