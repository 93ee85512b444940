"""Convolutional LSTM: sequences of maps, such as the frames of a video, whose gates see a neighbourhood each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .. import engine
from ..algebra import Cell
from ..algebra.expression import Node
from ..algebra.stages import forward_program
from ..errors import CellError, OptionError, ShapeError
from ._checks import check_options, check_tensor, checked_lengths, found_cell

_CONVOLUTION = {1: nn.functional.conv1d, 2: nn.functional.conv2d, 3: nn.functional.conv3d}
# In which conv2d and conv3d give their channels last, where the pointwise part wants them; conv1d has no such way.
_CHANNELS_LAST = {1: torch.contiguous_format, 2: torch.channels_last, 3: torch.channels_last_3d}


class ConvLSTM(nn.Module):
    """LSTM in which every product with a weight matrix is a convolution, and states are maps.

    The maps keep their size: beyond their border are zeros. Convolutions of the input are taken for all steps at once.

    Args:
        input_size: Channels of the input, D.
        hidden_size: Channels of each state, H.
        kernel_size: Width of the neighbourhood that a gate sees, odd, so that it has a middle; one number, or one per
            dimension.
        num_layers: Layers, each fed by the one below.
        bias: Whether the equations' biases exist.
        batch_first: Input and output are (B, T, ...) instead of (T, B, ...). States never are.
        dimensions: Of a map: 1, 2 or 3.
        cell: Any cell whose products are all of its input and of what it carries, by name or as a `Cell`. Weights that
            it uses unit by unit, such as peepholes, are one number per channel, where Shi et al. have one per place.

    Shape:
        input: (T, B, D, *space), with as many axes in space as there are dimensions.
        hx: One tensor (num_layers, B, H, *space) per carried name; a tuple of them if the cell carries more than one.
            Zeros if omitted.
        lengths: (B,) integers in 0..T, in any order, on any device. The output of steps beyond is zero, and the
            returned state is the one after the last step that counts.
        returns: the output (T, B, H, *space), and the last state, shaped as hx.

    Raises:
        ShapeError: Sizes do not fit.
        CellError: The cell has other products, or uses its input unit by unit.
        OptionError: An option is impossible.

    Example:
        >>> layer = ConvLSTM(1, 32, kernel_size=5)
        >>> y, (h, c) = layer(frames)  # (T, B, 1, height, width)

    Source: Shi et al. (2015), arXiv:1506.04214. Equations: cells/lstm.py, with convolutions for products.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        kernel_size: int | Sequence[int] = 3,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        dimensions: int = 2,
        cell: Cell | str = "lstm",
    ):
        super().__init__()
        check_options(
            input_size=input_size, hidden_size=hidden_size, num_layers=num_layers, bias=bias, batch_first=batch_first
        )
        if isinstance(dimensions, bool) or dimensions not in _CONVOLUTION:
            raise OptionError(f"dimensions must be 1, 2 or 3, not {dimensions!r}")
        kernel = (kernel_size,) * dimensions if isinstance(kernel_size, int) else tuple(kernel_size)
        if len(kernel) != dimensions or not all(isinstance(k, int) and k > 0 and k % 2 for k in kernel):
            raise OptionError(
                f"kernel_size must be an odd number, or one for each of {dimensions} dimensions, not {kernel_size!r}"
            )
        self.cell = found_cell(cell)
        self._sums = _sums(self.cell)
        self.input_size, self.hidden_size, self.kernel_size = input_size, hidden_size, kernel
        self.num_layers, self.bias, self.batch_first, self.dimensions = num_layers, bias, batch_first, dimensions

        self._names = [
            "" if names[0].startswith("bias") and not bias else names[0]  # one tensor, also where torch.nn adds up two
            for names in self.cell.stored()
        ]
        self._shapes = [self._shapes_of(hidden_size if layer else input_size) for layer in range(num_layers)]
        for layer, shapes in enumerate(self._shapes):
            for name, shape in zip(self._names, shapes, strict=True):
                if name:
                    weight = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
                    self.register_parameter(f"{name}_l{layer}", weight)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every weight uniformly from -1/sqrt(n) to 1/sqrt(n), where n is how many values of h a gate sees."""
        bound = 1.0 / math.sqrt(self.hidden_size * math.prod(self.kernel_size))
        for weight in self.parameters():
            nn.init.uniform_(weight, -bound, bound)

    def extra_repr(self) -> str:
        shown = f"{self.input_size}, {self.hidden_size}, kernel_size={self.kernel_size}, cell={self.cell.name}"
        return (
            shown + f", num_layers={self.num_layers}" * (self.num_layers > 1) + ", batch_first=True" * self.batch_first
        )

    def forward(
        self,
        input: Tensor,
        hx: Tensor | Sequence[Tensor] | None = None,
        lengths: Tensor | Sequence[int] | None = None,
    ) -> tuple[Tensor, Any]:
        self._check_input(input)
        x = input.transpose(0, 1) if self.batch_first else input
        state = self._state(x, hx)
        inside = None
        if lengths is not None:
            lengths = checked_lengths(lengths, x).to(x.device)
            inside = torch.arange(len(x), device=x.device)[:, None] < lengths
            # Mask what goes in as well as what comes out: a NaN in the padding would survive the product rule.
            x = torch.where(inside.view(*inside.shape, *[1] * (x.dim() - 2)), x, 0.0)
        ends = []
        for layer in range(self.num_layers):
            x, end = self._run(layer, x, [s[layer] for s in state], inside)
            ends.append(end)
        last = [torch.stack(values) for values in zip(*ends, strict=True)]
        y = x.transpose(0, 1) if self.batch_first else x
        return y, last[0] if len(last) == 1 else tuple(last)

    def _run(self, layer: int, x: Tensor, state: list[Tensor], inside: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """One layer, time-major. Within, a place of a map is a row: (B * places, H)."""
        steps, batch, space = len(x), x.shape[1], x.shape[3:]
        weights = self._weights(layer)
        blocks = [weight.chunk(gates) for weight, gates in zip(weights, self._sums.gates, strict=True)]
        alone = [weights[parameter] for parameter in self._sums.alone]

        def rows(maps: Tensor) -> Tensor:
            return maps.movedim(1, -1).flatten(0, -2)

        def maps(rows: Tensor) -> Tensor:
            return rows.view(batch, *space, self.hidden_size).movedim(-1, 1)

        kernel_x, kernel = (self._kernel(products, blocks) for products in (self._sums.of_x, self._sums.of_state))
        from_x = rows(self._convolve(x.flatten(0, 1), kernel_x, self._bias(blocks))).view(steps, -1, len(kernel_x))
        now = [rows(s) for s in state]
        places = None if inside is None else inside.repeat_interleave(math.prod(space), 1)[..., None]
        outputs = []
        for t in range(steps):
            carried = [maps(now[source]) for source in self._sums.of_state]
            sums = from_x[t] + rows(self._convolve(torch.cat(carried, 1), kernel)) if carried else from_x[t]
            after = engine.pointwise(self.cell, sums, now, alone)
            shown = after[0]
            if places is not None:
                shown = torch.where(places[t], shown, 0.0)
                after = [torch.where(places[t], a, s) for a, s in zip(after, now, strict=True)]
            outputs.append(shown)
            now = after
        y = torch.stack(outputs).view(steps, batch, *space, self.hidden_size).movedim(-1, 2)
        return y, [maps(s) for s in now]

    def _convolve(self, maps: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
        # vmap does not support such layouts.
        layout = torch.contiguous_format if engine.transformed() else _CHANNELS_LAST[self.dimensions]
        padding = [size // 2 for size in self.kernel_size]
        return _CONVOLUTION[self.dimensions](maps.contiguous(memory_format=layout), kernel, bias, padding=padding)

    def _kernel(self, products: Products, blocks: Blocks) -> Tensor:
        """From the channels of these vectors to those of every sum, with zeros where a sum has no such product."""
        columns = []
        for rows in products.values():
            found = [[blocks[parameter][gate] for parameter, gate in row] for row in rows]
            zeros = torch.zeros_like(next(block for row in found for block in row))
            columns.append(torch.cat([sum(row[1:], row[0]) if row else zeros for row in found]))
        return torch.cat(columns, 1) if columns else self._any_weight().new_zeros(0)

    def _bias(self, blocks: Blocks) -> Tensor:
        zeros = self._any_weight().new_zeros(self.hidden_size)
        return torch.cat(
            [sum((blocks[parameter][gate] for parameter, gate in row), zeros) for row in self._sums.biases]
        )

    def _shapes_of(self, input_size: int) -> list[tuple[int, ...]]:
        """Of a layer's weights, in the cell's order: matrices have a kernel for every entry."""
        sizes = self.cell.sizes(input_size, self.hidden_size)
        shapes = [parameter.shape(sizes) for parameter in self.cell.parameters]
        return [(*shape, *self.kernel_size) if len(shape) == 2 else shape for shape in shapes]

    def _weights(self, layer: int) -> list[Tensor]:
        pairs = zip(self._names, self._shapes[layer], strict=True)
        return [
            getattr(self, f"{name}_l{layer}") if name else self._any_weight().new_zeros(shape) for name, shape in pairs
        ]

    def _any_weight(self) -> Tensor:
        """One that there always is: where the module is, and in which dtype."""
        return next(self.parameters())

    def _check_input(self, input: Any) -> None:
        check_tensor("ConvLSTM", input, self._any_weight())
        axes = 3 + self.dimensions
        if input.dim() != axes:
            raise ShapeError(
                f"ConvLSTM of {self.dimensions} dimensions takes {axes}-D input, but got {input.dim()}-D of shape "
                f"{tuple(input.shape)}"
            )
        if input.shape[2] != self.input_size:
            raise ShapeError(
                f"ConvLSTM was built for input_size={self.input_size} but the input has {input.shape[2]} channels "
                f"(shape {tuple(input.shape)}). Check the order of the axes"
            )
        if 0 in (input.shape[1 if self.batch_first else 0], *input.shape[3:]):
            raise ShapeError(f"ConvLSTM needs at least one step and one place, but the input is {tuple(input.shape)}")

    def _state(self, x: Tensor, hx: Any) -> list[Tensor]:
        carry = self.cell.carry
        expected = (self.num_layers, x.shape[1], self.hidden_size, *x.shape[3:])
        if hx is None:
            return [x.new_zeros(expected) for _ in carry]
        given = [hx] if isinstance(hx, Tensor) else list(hx)
        if len(given) != len(carry):
            raise ShapeError(f"ConvLSTM carries {' and '.join(carry)}, so hx must hold {len(carry)}, not {len(given)}")
        for name, tensor in zip(carry, given, strict=True):
            if tuple(tensor.shape) != expected:
                raise ShapeError(f"the initial {name} must have shape {expected}, but has {tuple(tensor.shape)}")
        return given


# A block of a stored weight: which parameter of the cell, and which of its gates.
Place = tuple[int, int]
# Of a carried value (or of x, number 0 of its own dictionary), the products that each sum has with it.
Products = dict[int, list[list[Place]]]
Blocks = Sequence[Sequence[Tensor]]


@dataclass(frozen=True)
class _Sums:
    """The sums that a cell's pointwise part starts from, in plain numbers, which graph capture can follow.

    Attributes:
        of_x, of_state: Products of the input and of carried values, a row per sum.
        biases: What else is added, a row per sum.
        alone: Parameters that the pointwise part reads itself.
        gates: Blocks in each parameter.
    """

    of_x: Products
    of_state: Products
    biases: list[list[Place]]
    alone: list[int]
    gates: list[int]


def _sums(cell: Cell) -> _Sums:
    if any(parameter.diagonal for parameter in cell.parameters):
        raise CellError(f"cell '{cell.name}' has block-diagonal weights, which ConvLSTM cannot convolve with")
    if cell.projected:
        raise CellError(f"cell '{cell.name}' projects its output, which ConvLSTM cannot")
    accumulators = forward_program(cell).stages[0].accumulators
    alone = engine.pointwise_parameters(cell)
    # Run once, on nothing: the engine says what keeps a cell from having a pointwise part.
    nothing = [torch.zeros(1, 1) for _ in cell.carry]
    engine.pointwise(cell, torch.zeros(1, len(accumulators)), nothing, [torch.zeros(len(p.blocks)) for p in alone])
    place = {block: (i, gate) for i, p in enumerate(cell.parameters) for gate, block in enumerate(p.blocks)}
    for product in (product for a in accumulators for product in a.products):
        if product.vector not in (cell.x, *cell.before):
            raise CellError(
                f"cell '{cell.name}' has a product of weights alone, {product.weight!r} @ {product.vector!r}"
            )

    def products(vectors: Sequence[Node]) -> Products:
        rows = {
            i: [[place[p.weight] for p in a.products if p.vector is v] for a in accumulators]
            for i, v in enumerate(vectors)
        }
        return {i: row for i, row in rows.items() if any(row)}

    return _Sums(
        products([cell.x]),
        products(cell.before),
        [[place[bias] for bias in a.biases] for a in accumulators],
        [cell.parameters.index(parameter) for parameter in alone],
        [len(parameter.blocks) for parameter in cell.parameters],
    )
