"""How the networks of `forecast` are trained: the loss of their head, over the values that are there.

Letters as in `architecture`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ...ranks import each_row, total
from ...runtime.network import Block
from ..network import Network
from .architecture import forward_direct, forward_steps, per_row, rows
from .heads import Head
from .losses import loss_of
from .windows import Batch


class ForecastNetwork(Network):
    """Forecasts all steps at once, or one step after the other.

    Args:
        block: See `architecture`.
        head: What is forecast of each value.
        linear: (steps, T) weights of the linear part, which training moves a little; zeros if omitted.
        residuals: (N, steps) of the linear part, which the head fits at first.

    Shape:
        batch: As `Batch`, of tensors.
    """

    linear: Tensor
    start: Tensor
    blend_weight: Tensor
    axes: ClassVar = dict.fromkeys((field.name for field in fields(Batch)), 0)

    def __init__(
        self,
        block: Block,
        head: Head,
        linear: np.ndarray | None = None,
        residuals: np.ndarray | None = None,
    ):
        super().__init__(block)
        self.head, self.loss = head, loss_of(head)
        for layer in [self.output, *([self.joined] if "joined" in block.parts else [])]:
            nn.init.zeros_(layer.weight)  # the network starts as its linear part
            nn.init.zeros_(layer.bias)
        self.blend_weight.fill_(1.0)
        if linear is not None:
            self.linear.copy_(torch.tensor(linear))
        if residuals is not None and len(residuals):
            # Around zero: the average error of held-out windows says little of that of others.
            self.start.copy_(torch.tensor(head.start(residuals - np.median(residuals, axis=0))))

    def predictions(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        out, target, wanted = self.outputs_and_targets(batch)
        scale = batch["scale"][..., None].expand_as(target)
        points = torch.from_numpy(self.head.point(out.float().cpu().numpy(), scale.cpu().numpy())).to(target)
        return points[wanted > 0], target[wanted > 0]

    # What the training loop asks for: `training.Trainable`.

    def training_loss(self, batch: dict[str, Tensor]) -> Tensor:
        with each_row(1 if self.shape.joint else self.shape.columns):
            nats, count = self._sums(batch)
        return nats / total(count).clamp_min(1)

    def validation_sums(self, batch: dict[str, Tensor]) -> tuple[Tensor, int]:
        nats, count = self._sums(batch)
        return nats, int(count)

    def _sums(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        losses, wanted = self._losses(*self.outputs_and_targets(batch), batch["scale"])
        return losses.sum(), wanted.sum()

    def _losses(self, out: Tensor, target: Tensor, wanted: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        losses = self.loss(out, target, scale.to(out.dtype)[..., None].expand_as(target))
        return torch.where(wanted > 0, losses, torch.zeros_like(losses)), wanted

    # What averaging several networks asks for: `averaging.Averageable`.

    judged_by = ("target", "wanted", "scale")

    def outputs(self, batch: dict[str, Tensor]) -> Tensor:
        return self.outputs_and_targets(batch)[0]

    def losses(self, outputs: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        return self._losses(outputs, *(batch[name] for name in self.judged_by))

    def outputs_and_targets(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Outputs (B, C, n, P) of the head, its targets (B, C, n), and which of them are there."""
        if self.shape.direct:
            return forward_direct(self, batch), batch["target"], batch["wanted"]
        return self._one_after_the_other(batch)

    def _one_after_the_other(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """With teacher forcing; steps of the past are learned from too, from the second on."""
        values = rows(self, torch.cat([batch["past"], batch["target"]], -1))
        seen = rows(self, torch.cat([batch["seen"], batch["wanted"]], -1))
        known = torch.cat([batch["covariates"], batch["ahead"]], 1)
        T = self.shape.context_length
        steps = {
            "before": values[..., :-1],
            "seen": seen[..., :-1],
            "ahead": per_row(self, known[:, 1:]),
            "static": per_row(self, batch["static"]),
            "windows": pad(values[..., :-1], (T - 1, 0)).unfold(-1, T, 1),
        }
        out, _ = forward_steps(self, steps)
        shape = (-1, self.shape.columns, values.shape[-1] - 1)
        return out.reshape(*shape, out.shape[-1]), values[..., 1:].reshape(shape), seen[..., 1:].reshape(shape)
