"""What each head of a forecaster is learned by.

A loss gives (...), of outputs (..., P), targets (...) in normalised units, and the window's scale (...).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import softplus

from .heads import LEAST, SHARPNESS, Gaussian, Head, NegativeBinomial, Quantiles, StudentT

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def loss_of(head: Head) -> Loss:
    """The loss of a head."""
    if isinstance(head, Quantiles):
        return partial(_pinball, torch.tensor(head.levels))
    return _LIKELIHOODS[type(head)]


def _pinball(levels: Tensor, out: Tensor, target: Tensor, scale: Tensor) -> Tensor:
    """Twice the pinball loss: for the median alone, the absolute error.

    Source: Koenker & Bassett (1978), "Regression quantiles", Econometrica 46.
    """
    above = target[..., None] - out
    levels = levels.to(out.device)
    return 2 * torch.maximum(levels * above, (levels - 1) * above).mean(-1)


def _gaussian(out: Tensor, target: Tensor, scale: Tensor) -> Tensor:
    sigma = softplus(out[..., 1]) + LEAST
    return 0.5 * ((target - out[..., 0]) / sigma) ** 2 + sigma.log() + 0.5 * math.log(2 * math.pi)


def _student_t(out: Tensor, target: Tensor, scale: Tensor) -> Tensor:
    sigma, df = softplus(out[..., 1]) + LEAST, 2 + softplus(out[..., 2])
    z = (target - out[..., 0]) / sigma
    norm = torch.lgamma(df / 2) - torch.lgamma((df + 1) / 2) + 0.5 * (df * math.pi).log() + sigma.log()
    return norm + (df + 1) / 2 * torch.log1p(z**2 / df)


def _negative_binomial(out: Tensor, target: Tensor, scale: Tensor) -> Tensor:
    mu, alpha = (softplus(out[..., 0], beta=SHARPNESS) + LEAST) * scale, softplus(out[..., 1]) + LEAST
    count, size = target * scale, 1 / alpha
    chosen = torch.lgamma(count + size) - torch.lgamma(count + 1) - torch.lgamma(size)
    return -(chosen - size * torch.log1p(alpha * mu) + count * (alpha * mu / (1 + alpha * mu)).log())


_LIKELIHOODS: dict[type, Loss] = {
    Gaussian: _gaussian,
    StudentT: _student_t,
    NegativeBinomial: _negative_binomial,
}
