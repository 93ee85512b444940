"""The network of `generate` for numbers: recurrent layers, a mixture of Gaussians for the next step."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from ....algebra import Cell
from ..network import LayerSizes, Regularisation, SequenceModel
from .batches import Batch
from .mixture import NARROWEST, Layout


class TrajectoryModel(SequenceModel):
    """Predicts the next step from all before it. T steps, B sequences.

    Args:
        cell: The recurrent cell.
        layout: Of its output.
        features: Numbers that it reads at each step.
        log_scale: Added to the loss of each step, so that it is of the values before scaling.
        sizes, regularisation: See `SequenceModel`.

    Shape:
        inputs: (T, B, features), see `Examples`.
        state: As a `Recurrent` returns it; zeros if omitted.
        returns: (T, B, layout.size), and the last state.
    """

    def __init__(
        self,
        *,
        cell: Cell,
        layout: Layout,
        features: int,
        log_scale: float,
        sizes: LayerSizes,
        regularisation: Regularisation,
    ):
        super().__init__(
            cell=cell, input_size=features, output_size=layout.size, sizes=sizes, regularisation=regularisation
        )
        self.layout, self.log_scale = layout, log_scale
        nn.init.normal_(self.output.bias[tuple(layout.parts)[1]])  # means apart, or all Gaussians would learn the same
        nn.init.zeros_(self.output.weight[tuple(layout.parts)[5]])  # ends as lengths tell

    # What the training loop asks for: `training.Trainable`.

    def training_loss(self, batch: Batch) -> Tensor:
        y, _ = self.layers(batch.inputs, lengths=batch.lengths)
        dropped = self.dropout(y)
        nats, count = self._nats(self.output(dropped), batch)
        return self.penalised(nats / max(1, count), y, dropped)

    def validation_sums(self, batch: Batch) -> tuple[Tensor, int]:
        """Long sequences come piece after piece: the state is that of the batch before, unless this one is fresh."""
        output, state = self(batch.inputs, None if batch.fresh else self.carried_state(), batch.lengths)
        self.carry(state)
        return self._nats(output, batch)

    def _nats(self, output: Tensor, batch: Batch) -> tuple[Tensor, int]:
        """Summed loss of all that is predicted, and how much that is."""
        output, (follows, ended) = output.float(), batch.marks
        real, binary = batch.targets.split((self.layout.real, self.layout.binary), -1)
        each = self.log_scale - log_density(output, self.layout, real) + binary_loss(output, self.layout, binary)
        nats, count = (each * follows).sum(), follows.sum()
        if self.layout.ends:
            nats = nats + (end_loss(output, batch.odds, ended) * (follows + ended)).sum()
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


def end_loss(output: Tensor, odds: Tensor, ended: Tensor) -> Tensor:
    """(...) nats of whether the sequence ended, (...), where the layout has ends.

    Args:
        odds: (...) what the network's logit is relative to; see `Ends`.
    """
    return binary_cross_entropy_with_logits(output[..., -1] + odds, ended, reduction="none")


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
