"""Regularisers of the recurrence, for layers of any cell, and penalties on the output of layers.

Masks come from a generator that counts (`engine/masks.py`): the same seed gives the same masks on every engine and
device, and on however many threads.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..algebra import Cell
from ..algebra.regularise import drop_output, recurrent_weights, zone_out, zone_out_mean
from ..engine import masks
from ..randomness import generator
from ..ranks import of_rows, total


class Regularisers:
    """The random masks of a layer, drawn anew for every call in training.

    Args:
        cell: As it is without them.
        recurrent_dropout: Probability of hiding a unit of h from the recurrent weights, for a whole sequence (Gal &
            Ghahramani 2016).
        zoneout: Per carried value the probability that a unit keeps its value at a step (Krueger et al. 2017).
        weight_dropout: Probability that a recurrent weight is zero, for all sequences of the call (Wan et al. 2013,
            Merity et al. 2018).
    """

    def __init__(self, cell: Cell, recurrent_dropout: float, zoneout: Sequence[float], weight_dropout: float):
        self.recurrent_dropout, self.zoneout, self.weight_dropout = recurrent_dropout, tuple(zoneout), weight_dropout
        self.active = bool(recurrent_dropout or any(zoneout) or weight_dropout)
        # All that follows from the equations is found now: no graph capture can follow that.
        self._cell = drop_output(cell) if recurrent_dropout else cell
        self._settled = cell
        if any(zoneout):
            self._cell = zone_out(self._cell, tuple(rate > 0 for rate in zoneout))
            self._settled = zone_out_mean(cell, self.zoneout)
        chosen = recurrent_weights(cell)
        self._recurrent = [parameter.name in chosen for parameter in cell.parameters]

    def cell(self, training: bool) -> Cell:
        """The cell to run: with zoneout, another one in training and outside."""
        return self._cell if training else self._settled

    def extras(self, x: Tensor, widths: Sequence[int], seed: Tensor, place: int) -> list[Tensor]:
        """The further inputs of the cell in training.

        Args:
            x: (T, B, D).
            widths: Units of each carried value.
            seed: Of this call, a 64-bit integer.
            place: Number of the layer and direction.
        """
        steps, rows, _ = x.shape

        def mask(shape: Sequence[int], rate: float, value: float, kind: int) -> Tensor:
            stream = _stream(place, kind)
            return of_rows(lambda whole: masks.bernoulli(whole, rate, value, seed, stream, x.device), shape)

        found = []
        if rate := self.recurrent_dropout:
            found.append(mask((1, rows, widths[0]), rate, 1 / (1 - rate), 0).expand(steps, -1, -1))
        for number, (rate, width) in enumerate(zip(self.zoneout, widths, strict=True)):
            if rate:  # drawn is what does not stay
                found.append(1 - mask((steps, rows, width), rate, 1.0, 2 + number))
        return [own.to(x.dtype) for own in found]

    def weights(self, weights: Sequence[Tensor], seed: Tensor, place: int) -> list[Tensor]:
        """The weights to run with in training."""
        if not (rate := self.weight_dropout):
            return list(weights)
        dropped = []
        for number, (recurrent, weight) in enumerate(zip(self._recurrent, weights, strict=True)):
            if recurrent:
                stream = _stream(place, 1) + (number << 32)
                mask = masks.bernoulli(tuple(weight.shape), rate, 1 / (1 - rate), seed, stream, weight.device)
                weight = weight * mask.to(weight.dtype)
            dropped.append(weight)
        return dropped


def draw_seed() -> Tensor:
    """64 bits of what the rest of the run draws from too; outside of one, `torch.manual_seed` decides about masks."""
    return torch.randint(-(2**63), 2**63 - 1, (), generator=generator())


def _stream(place: int, kind: int) -> int:
    return place << 8 | kind


def activation_penalty(y: Tensor, rate: float) -> Tensor:
    """rate * mean(y ** 2), to be added to a loss: activation regularisation.

    Source: Merity, McCann & Socher (2017), Revisiting Activation Regularization for Language RNNs.
    """
    return rate * y.square().sum() / total(y.numel())


def temporal_activation_penalty(y: Tensor, rate: float) -> Tensor:
    """rate * mean((y[t + 1] - y[t]) ** 2) of a time-major output (T, B, H); 0 for a single step.

    Source: Merity, McCann & Socher (2017), Revisiting Activation Regularization for Language RNNs.
    """
    return rate * y.diff(dim=0).square().sum() / max(1, total(y[1:].numel()))
