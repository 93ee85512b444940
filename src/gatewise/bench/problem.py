"""The data of one comparison: the same layer, input and upstream gradient for every contestant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .. import cells
from ..algebra import Cell
from ..errors import OptionError
from ..nn import GRU, LSTM, Recurrent
from .shapes import Shape
from .works import USERS, Work

_LAYERS: dict[str, type[Recurrent]] = {"lstm": LSTM, "lstmp": LSTM, "gru": GRU}  # other cells: `Recurrent`


@dataclass(frozen=True)
class Problem:
    """What every contestant has to compute.

    Args:
        work: The kind of work.
        shape: Its sizes. In live work B and T are always 1.
        threads: Threads that each contestant may use.
        layer: Our layer, whose `state_dict` has the weights.
        x: (T, B, D).
        upstream: (T, B, R), the gradient of the loss with respect to the output.
        lengths: (B,) length of each row, or None.
        state: The initial state, as `torch.nn.LSTM` takes it, or None for zeros.
    """

    work: Work
    shape: Shape
    threads: int
    layer: Recurrent
    x: Tensor
    upstream: Tensor
    lengths: Tensor | None
    state: tuple[Tensor, ...] | None

    @property
    def cell(self) -> Cell:
        return self.layer.cell

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """Weights by name, without gradients. They are not copies."""
        return self.layer.state_dict()


def pose(work: Work, shape: Shape, threads: int, own: Cell | None = None) -> Problem:
    """Draw the data; every call gives the same.

    Args:
        own: The user's cell, for work that needs one.

    Raises:
        OptionError: This work is impossible at this shape.
    """
    cell = cell_for(work, shape, own)
    if work.live:
        shape = Shape(1, 1, shape.D, shape.H, shape.layers)
    sizes: dict[str, Any] = {"input_size": shape.D, "hidden_size": shape.H, "num_layers": shape.layers}
    sizes["proj_size"] = shape.H // 2 if cell.projected else 0
    width = sizes["proj_size"] or shape.H
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Problem(
            work,
            shape,
            threads,
            layer=_LAYERS[cell.name](**sizes) if cell.name in _LAYERS and cell is not own else Recurrent(cell, **sizes),
            x=torch.randn(shape.T, shape.B, shape.D),
            upstream=torch.randn(shape.T, shape.B, width),
            lengths=torch.randint((shape.T + 1) // 2, shape.T + 1, (shape.B,)) if work.ragged else None,
            state=tuple(torch.randn(shape.layers, shape.B, size) for size in (width, shape.H)) if work.live else None,
        )


def cell_for(work: Work, shape: Shape, own: Cell | None) -> Cell:
    """The cell for this work.

    Raises:
        OptionError: This work is impossible at this shape.
    """
    cell = own if own is not None and work.cell == USERS else cells.find(work.cell)
    if cell.projected and shape.H < 2:
        raise OptionError(f"{work.name} work projects H units to H/2 values, so H must be 2 or more, not {shape.H}")
    return cell
