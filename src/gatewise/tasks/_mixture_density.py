"""How likely a mixture-density network finds the next step. T steps, B sequences; see `runtime.mixture.Layout`."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from .generate.numbers.mixture import NARROWEST, Layout


def log_density(found: Tensor, layout: Layout, real: Tensor) -> Tensor:
    """(...) logarithm of the mixture's density at `real`.

    Args:
        found: (..., layout.size), what the network put out.
        real: (..., D), scaled.
    """
    scores, means, widths, couplings, _, _ = found.split(layout.sizes, -1)
    K, D = layout.mixtures, layout.real
    width = NARROWEST + softplus(widths.unflatten(-1, (K, D)))
    apart = (real.unsqueeze(-2) - means.unflatten(-1, (K, D))) / width
    if layout.coupled:
        apart = _uncoupled(apart, couplings.unflatten(-1, (K, D * (D - 1) // 2)))
    each = -0.5 * apart.square().sum(-1) - width.log().sum(-1) - 0.5 * D * math.log(2 * math.pi)
    return (scores.log_softmax(-1) + each).logsumexp(-1)


def binary_loss(found: Tensor, layout: Layout, binary: Tensor) -> Tensor:
    """(...) nats of the binary channels (..., F)."""
    scores = found.split(layout.sizes, -1)[4]
    return binary_cross_entropy_with_logits(scores, binary, reduction="none").sum(-1)


def end_loss(found: Tensor, ended: Tensor) -> Tensor:
    """(...) nats of whether the sequence ended, (...), where the layout has ends."""
    return binary_cross_entropy_with_logits(found[..., -1], ended, reduction="none")


def _uncoupled(apart: Tensor, couplings: Tensor) -> Tensor:
    """The noise e of which (I + R) e is `apart`, (..., D), channel by channel."""
    noise: list[Tensor] = []
    place = 0
    for d in range(apart.shape[-1]):
        value = apart[..., d]
        for earlier in noise:
            value = value - couplings[..., place] * earlier
            place += 1
        noise.append(value)
    return torch.stack(noise, -1)
