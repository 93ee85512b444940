"""LSTM over images: each position has two neighbours for a past, and all positions of a diagonal run as one step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .. import engine
from ..algebra import Cell
from ..cells._multidimensional import multidimensional
from ..errors import OptionError, ShapeError
from ..native.diagonals import plan_diagonals
from ._checks import check_options, check_tensor, found_cell


class MultiDimensionalLSTM(nn.Module):
    """LSTM that reads an image from its corners.

    Each position takes the states of the neighbour before it in its row and of the one above it, with a forget gate for
    each, so that its output depends on the whole rectangle between it and the corner. Four directions, one from
    every corner, together see all of the image at every position. The positions of a diagonal do not wait for one
    another: they are one batch, over all images, of a single step of the engine, and an image of any size costs no
    more than its own positions.

    Args:
        input_size: Features per position, D.
        hidden_size: Units per direction, H.
        directions: 1, from the top left corner alone; or 4, also from the top right, bottom left and bottom right.
        bias: Whether the equations' biases exist.
        cell: Any cell that carries its values twice, those of the neighbour above first, by name or as a `Cell`.

    Shape:
        input: (B, height, width, D).
        sizes: (B, 2) integers, height and width of each image, which lies in the top left of its part of the input.
            What is beyond is never read, and its output is zero. Directions start in the image's own corners.
        returns: the output (B, height, width, directions * H); and (h, c) of the corner that each direction reaches
            last, each (directions, B, H), zeros for an image without a position.

    Raises:
        ShapeError: Sizes do not fit.
        OptionError: An option is impossible.

    Example:
        >>> layer = MultiDimensionalLSTM(1, 20)
        >>> y, (h, c) = layer(images)  # (B, height, width, 1)

    Source: Graves, Fernández & Schmidhuber (2007), arXiv:0705.2011. Equations: cells/_multidimensional.py.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        directions: int = 4,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        cell: Cell | str = multidimensional,
    ):
        super().__init__()
        check_options(input_size=input_size, hidden_size=hidden_size, bias=bias)
        if isinstance(directions, bool) or directions not in (1, 4):
            raise OptionError(f"directions must be 1 or 4, not {directions!r}")
        self.cell = found_cell(cell)
        half = len(self.cell.carry) // 2
        if not half or self.cell.projected or self.cell.after[:half] != self.cell.after[half:]:
            raise OptionError(
                f"cell '{self.cell.name}' carries '{' '.join(self.cell.carry)}'. It should carry its values twice, for "
                "the neighbour above and for the one before, and return them twice"
            )
        self.input_size, self.hidden_size, self.directions, self.bias = input_size, hidden_size, directions, bias

        sizes = self.cell.sizes(input_size, hidden_size)
        self._shapes = [parameter.shape(sizes) for parameter in self.cell.parameters]
        self._names = [
            "" if names[0].startswith("bias") and not bias else names[0]  # one tensor, also where torch.nn adds up two
            for names in self.cell.stored()
        ]
        for direction in range(directions):
            for name, shape in zip(self._names, self._shapes, strict=True):
                if name:
                    weight = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
                    self.register_parameter(f"{name}_d{direction}", weight)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every weight uniformly from -1/sqrt(H) to 1/sqrt(H)."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            nn.init.uniform_(weight, -bound, bound)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}, directions={self.directions}, cell={self.cell.name}"

    def forward(self, input: Tensor, sizes: Tensor | Sequence[Sequence[int]] | None = None) -> tuple[Tensor, Any]:
        self._check_input(input)
        batch, height, width = map(int, input.shape[:3])  # which a record fixes, for the steps follow from them
        plan = plan_diagonals(_checked_sizes(sizes, input), height, width)
        above, before, corners = (torch.from_numpy(a).to(input.device) for a in (plan.above, plan.before, plan.corners))
        neighbours = list(zip(above.split(plan.counts), before.split(plan.counts), strict=True))
        outputs, ends = [], []
        for direction, order in enumerate(plan.places[: self.directions]):
            places = torch.from_numpy(order).to(input.device)
            diagonals = input.flatten(0, 2)[places].split(plan.counts)
            first, *rest = self._run(diagonals, self._weights(direction), neighbours)
            y = input.new_zeros(batch * height * width, self.hidden_size, dtype=first.dtype)
            outputs.append(y.index_copy(0, places, first).view(batch, height, width, self.hidden_size))
            ends.append([nn.functional.pad(value, (0, 0, 0, 1))[corners] for value in (first, *rest)])
        last = [torch.stack(values) for values in zip(*ends, strict=True)]
        return torch.cat(outputs, -1), last[0] if len(last) == 1 else tuple(last)

    def _run(
        self, diagonals: Sequence[Tensor], weights: list[Tensor], neighbours: Sequence[tuple[Tensor, Tensor]]
    ) -> list[Tensor]:
        """Diagonal by diagonal; returns what each position carries, in the order of the plan.

        Args:
            neighbours: Per diagonal, see `Diagonals`.
        """
        half = len(self.cell.carry) // 2
        start = [self._any_weight().new_zeros(0, self.hidden_size) for _ in range(half)]
        history = [start]
        for x, (above, before) in zip(diagonals, neighbours, strict=True):
            known = [nn.functional.pad(value, (0, 0, 0, 1)) for value in history[-1]]  # zeros, for who has no neighbour
            state = [value.index_select(0, index) for index in (above, before) for value in known]
            history.append(engine.step(self.cell, x, state, weights)[half:])
        return [torch.cat(values) for values in zip(*(history[1:] or history), strict=True)]

    def _weights(self, direction: int) -> list[Tensor]:
        pairs = zip(self._names, self._shapes, strict=True)
        return [
            getattr(self, f"{name}_d{direction}") if name else self._any_weight().new_zeros(shape)
            for name, shape in pairs
        ]

    def _any_weight(self) -> Tensor:
        """One that there always is: where the module is, and in which dtype."""
        return next(self.parameters())

    def _check_input(self, input: Any) -> None:
        check_tensor("MultiDimensionalLSTM", input, self._any_weight())
        if input.dim() != 4:
            raise ShapeError(
                f"MultiDimensionalLSTM takes (batch, height, width, features), but got {input.dim()}-D of shape "
                f"{tuple(input.shape)}"
            )
        if input.shape[-1] != self.input_size:
            raise ShapeError(
                f"MultiDimensionalLSTM was built for input_size={self.input_size} but the input has {input.shape[-1]} "
                f"features (shape {tuple(input.shape)}). Features come last: input.movedim(1, -1)"
            )


def _checked_sizes(sizes: Any, input: Tensor) -> np.ndarray:
    batch, height, width = map(int, input.shape[:3])
    if sizes is None:
        return np.full((batch, 2), [height, width])
    if isinstance(sizes, Tensor):
        if sizes.is_meta or engine.recorded(sizes) or torch._is_functional_tensor(sizes):
            raise OptionError(
                "MultiDimensionalLSTM's steps follow from the values of sizes, so it takes no recorded ones"
            )
        sizes = sizes.cpu()
    try:
        found = np.asarray(sizes)
    except (TypeError, ValueError, RuntimeError):
        raise ShapeError(f"sizes must be whole numbers, two per image, not {sizes!r:.60}") from None
    if found.size == 0:
        found = found.astype(np.int64).reshape(-1, 2)  # an empty list has no type of its own
    if found.dtype.kind not in "iu":
        raise ShapeError(f"sizes must be whole numbers, not {found.dtype}")
    if found.shape != (batch, 2):
        raise ShapeError(f"sizes has shape {found.shape}, but should have ({batch}, 2): height, width per image")
    wrong = ((found < 0) | (found > [height, width])).any(1)
    if wrong.any():
        shown = tuple(found[wrong][0].tolist())
        raise ShapeError(f"an image of size {shown} does not fit an input of {height} by {width} positions")
    return found.astype(np.int64)
