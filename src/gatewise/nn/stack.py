"""`Stack`: recurrent layers as language models and decoders train them, with a cheap dropout and open forget gates."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from ..algebra import Cell
from ..algebra.expression import evaluate
from ..engine.reference import OPERATIONS
from ..randomness import generator
from ..ranks import of_rows
from .recurrent import Recurrent


class Stack(Recurrent):
    """`Recurrent` with its own dropout between the layers, see `dropout_mask`.

    Attributes:
        rate: Probability that a value between two layers is zeroed in training.
        variational: One dropout mask for all steps of a call instead of one per step (Gal & Ghahramani 2016).
    """

    rate = 0.0
    variational = False

    def between_layers(self, y: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return y
        return y * dropout_mask(y[:1] if self.variational else y, self.rate)

    def open_forget_gates(self, by: float = 1.0) -> None:
        """Add `by` to the bias of every forget gate, if the cell has one, so that each layer starts by remembering."""
        place = forget_gate(self.cell)
        if place is None:
            return
        with torch.no_grad():
            for name, bias in self.named_parameters():
                if name.startswith("bias_ih"):
                    bias[place * self.hidden_size :][: self.hidden_size] += by


def dropout_mask(like: Tensor, rate: float) -> Tensor:
    """Zeros with probability `rate`, and 1 / (1 - rate) elsewhere, shaped as `like`.

    One random 64-bit number serves eight values: torch's own dropout draws one number per value on one CPU thread,
    which takes a tenth of a training step. The price is that the rate is rounded to a 256th.
    """
    shut = min(255, round(256 * rate))

    def draw(shape: Sequence[int]) -> Tensor:
        count = prod(shape)
        words = torch.empty(-(-count // 8), dtype=torch.int64, device=like.device)
        bits = words.random_(-(2**63), None, generator=generator(like.device))
        return bits.view(torch.uint8)[:count].view(*shape) >= shut

    return of_rows(draw, like.shape).to(like.dtype) * (256 / (256 - shut))


def forget_gate(cell: Cell) -> int | None:
    """The position of the forget gate among the blocks of the bias, or None: a gate f that keeps the state when open.

    The name alone does not tell: in `minimal_gated` f is the share that is replaced, and in a user's cell it may be
    anything. So one unit is run whose other weights are zero: a forget gate keeps more when its bias is larger.
    """
    gates = next((parameter.gates for parameter in cell.parameters if parameter.name == "b"), ())
    if "f" not in gates:
        return None
    leaves = {cell.x: 0.0, **dict.fromkeys(cell.before, 1.0)}
    leaves |= {block: 0.0 for parameter in cell.parameters for block in parameter.blocks}
    [b_f] = [block for block in leaves if block.label == "b.f"]

    def kept(bias: float) -> float:
        with torch.device("cpu"):  # where there are values: a model that is being opened is built on "meta" first
            filled = {leaf: bias if leaf is b_f else value for leaf, value in leaves.items()}
            values = {leaf: torch.full((1, 1), value, dtype=torch.float64) for leaf, value in filled.items()}
            return sum(after.item() for after in evaluate(cell.after, values, OPERATIONS))

    return gates.index("f") if kept(2.0) > kept(0.0) else None
