"""Batch normalisation whose statistics are those of the whole batch, also where several processes have its rows."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn

from ..ranks import Part, Ranks, computed, current


class BatchNormalisation(nn.BatchNorm2d):
    """Of torch's own; its running means stay as they are once it is frozen.

    Shape:
        x: (F, C, height, width), frames of the own rows.
        returns: The same shape.

    Source: Ioffe & Szegedy (2015), arXiv:1502.03167.
    """

    frozen = False

    def train(self, mode: bool = True) -> Self:
        return super().train(mode and not self.frozen)

    def forward(self, input: Tensor) -> Tensor:
        part = computed()
        if part is None or not self.training:
            return super().forward(input)
        y, mean, variance, count = _Normalised.apply(input, self.weight, self.bias, self.eps, part, current())
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        return y


class _Normalised(torch.autograd.Function):
    """Also gives mean and variance (C,) of all ranks, and of how many values. A rank whose rows do not count takes no
    part in these."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, part: Part, ranks: Ranks
    ) -> tuple[Tensor, Tensor, Tensor, float]:
        wide = torch.promote_types(x.dtype, torch.float32)
        variance, mean = torch.var_mean(x.to(wide), (0, 2, 3), correction=0)
        own = torch.stack(
            [torch.ones_like(mean, dtype=torch.float64), mean.double(), variance + mean.double().square()]
        )
        own *= x.numel() // x.shape[1] * part.counts
        counts, sums, squares = ranks.sum(own)
        count, mean64 = counts[0].item(), sums / counts
        mean, variance = mean64.to(wide), (squares / counts - mean64.square()).clamp_(min=0.0).to(wide)
        ctx.save_for_backward(x, weight, mean, (variance + eps).rsqrt())
        ctx.count, ctx.part, ctx.ranks = count, part, ranks  # backward may run in another thread
        ctx.mark_non_differentiable(mean, variance)
        y = nn.functional.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps)
        return y, mean, variance, count

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse = ctx.saved_tensors
        gradient, spread = gradients[0].to(mean.dtype), (1, -1, 1, 1)
        scaled = (x.to(mean.dtype) - mean.view(spread)) * inverse.view(spread)
        own = torch.stack([gradient.sum((0, 2, 3)), (gradient * scaled).sum((0, 2, 3))])
        of_bias, of_weight = own
        by_mean, by_spread = (ctx.ranks.sum(own.clone()) / ctx.count * float(ctx.part.counts)).unbind()
        of_x = gradient - by_mean.view(spread) - scaled * by_spread.view(spread)
        of_x = of_x * (inverse * weight).view(spread)
        return of_x.to(x.dtype), of_weight, of_bias, None, None, None
