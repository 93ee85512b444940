"""The network of `generate` for numbers: recurrent layers, a mixture of Gaussians for the next step."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from ....algebra import Cell
from ....nn.regularisation import activation_penalty, temporal_activation_penalty
from ....nn.stack import Stack
from ...network import Network
from .batches import Batch
from .mixture import NARROWEST, Layout


class TrajectoryModel(Network):
    """Predicts the next step from all before it. T steps, B sequences.

    Args:
        cell: The recurrent cell.
        layout: Of what it puts out.
        features: Numbers that it reads at each step.
        log_scale: Added to the loss of each step, so that it is of the values as they were before scaling.
        others: As of `LanguageModel`.

    Shape:
        inputs: (T, B, features), see `Examples`.
        state: As a `Recurrent` returns it; zeros if omitted.
        returns: (T, B, layout.size), and the last state.
    """

    def __init__(
        self,
        cell: Cell,
        layout: Layout,
        features: int,
        log_scale: float,
        hidden_size: int,
        num_layers: int,
        *,
        proj_size: int = 0,
        dropout: float = 0.0,
        variational: bool = False,
        forget_bias: float = 0.0,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        weight_dropout: float = 0.0,
        activation_penalty: float = 0.0,
        temporal_activation_penalty: float = 0.0,
    ):
        super().__init__()
        self.layers = Stack(
            cell,
            features,
            hidden_size,
            num_layers,
            proj_size=proj_size,
            recurrent_dropout=recurrent_dropout,
            zoneout=zoneout,
            weight_dropout=weight_dropout,
        )
        self.layers.rate, self.layers.variational = dropout, variational
        self.output = nn.Linear(proj_size or hidden_size, layout.size)
        self.layout, self.log_scale = layout, log_scale
        nn.init.zeros_(self.output.bias)
        nn.init.normal_(self.output.bias[tuple(layout.parts)[1]])  # means apart, or all Gaussians would learn the same
        self.layers.open_forget_gates(forget_bias)
        self.activation_penalty, self.temporal_activation_penalty = activation_penalty, temporal_activation_penalty

    def forward(self, inputs: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        y, state = self.layers(inputs, state, lengths=lengths)
        return self.output(self.layers.between_layers(y)), state

    # What the training loop asks for: `training.Trainable`.

    def training_loss(self, batch: Batch) -> Tensor:
        y, _ = self.layers(batch.inputs, lengths=batch.lengths)
        dropped = self.layers.between_layers(y)
        nats, count = self._nats(self.output(dropped), batch)
        loss = nats / max(1, count)
        if self.activation_penalty:
            loss = loss + activation_penalty(dropped.float(), self.activation_penalty)
        if self.temporal_activation_penalty:
            loss = loss + temporal_activation_penalty(y.float(), self.temporal_activation_penalty)
        return loss

    def validation_sums(self, batch: Batch) -> tuple[Tensor, int]:
        """Long sequences come piece after piece: the state goes on from the batch before, unless this one is fresh."""
        state = None if batch.fresh else self.carried if len(self.carried) > 1 else self.carried[0]
        found, after = self(batch.inputs, state, batch.lengths)
        self.carried = list(after) if isinstance(after, tuple) else [after]
        return self._nats(found, batch)

    def _nats(self, found: Tensor, batch: Batch) -> tuple[Tensor, int]:
        """Summed loss of all that is predicted, and how much that is."""
        found, (follows, ended) = found.float(), batch.marks
        real, binary = batch.targets.split((self.layout.real, self.layout.binary), -1)
        each = self.log_scale - log_density(found, self.layout, real) + binary_loss(found, self.layout, binary)
        nats, count = (each * follows).sum(), follows.sum()
        if self.layout.ends:
            nats = nats + (end_loss(found, ended) * (follows + ended)).sum()
            count = count + ended.sum()
        return nats, int(count)


def log_density(output: Tensor, layout: Layout, real: Tensor) -> Tensor:
    """(...) logarithm of the mixture's density at `real`.

    Args:
        output: (..., layout.size), of the network.
        real: (..., D), scaled.
    """
    scores, means, widths, couplings, _, _ = output.split(layout.sizes, -1)
    K, D = layout.mixtures, layout.real
    width = NARROWEST + softplus(widths.unflatten(-1, (K, D)))
    apart = (real.unsqueeze(-2) - means.unflatten(-1, (K, D))) / width
    if layout.coupled:
        apart = _uncoupled(apart, couplings.unflatten(-1, (K, D * (D - 1) // 2)))
    each = -0.5 * apart.square().sum(-1) - width.log().sum(-1) - 0.5 * D * math.log(2 * math.pi)
    return (scores.log_softmax(-1) + each).logsumexp(-1)


def binary_loss(output: Tensor, layout: Layout, binary: Tensor) -> Tensor:
    """(...) nats of the binary channels (..., F)."""
    scores = output.split(layout.sizes, -1)[4]
    return binary_cross_entropy_with_logits(scores, binary, reduction="none").sum(-1)


def end_loss(output: Tensor, ended: Tensor) -> Tensor:
    """(...) nats of whether the sequence ended, (...), where the layout has ends."""
    return binary_cross_entropy_with_logits(output[..., -1], ended, reduction="none")


def _uncoupled(apart: Tensor, couplings: Tensor) -> Tensor:
    """The noise e for which (I + R) e is `apart`, (..., D), channel by channel."""
    noise: list[Tensor] = []
    place = 0
    for d in range(apart.shape[-1]):
        value = apart[..., d]
        for earlier in noise:
            value = value - couplings[..., place] * earlier
            place += 1
        noise.append(value)
    return torch.stack(noise, -1)
