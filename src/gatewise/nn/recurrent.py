"""Recurrent layers: any cell, stacked and in both directions, with the interface of `torch.nn.LSTM`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from inspect import signature
from typing import Any, TypedDict

import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import get_proxy_mode
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from .. import engine
from ..algebra import Cell
from ..checks import number, whole
from ..errors import OptionError, OptionTypeError, ShapeError
from ..randomness import dropout
from ._checks import check_options, check_tensor, checked_lengths, found_cell
from .regularisation import Regularisers, draw_seed

# Of what is checked here a trace keeps nothing. As torch does for its own modules: warn of the user's lines alone.
warnings.filterwarnings(
    "ignore", category=torch.jit.TracerWarning, module=r"gatewise\.(nn\.(recurrent|_checks)|native\.calls)$"
)


class Options(TypedDict, total=False):
    """What all layers take besides the options of torch.nn; see `Recurrent`."""

    recurrent_dropout: float
    zoneout: float | Sequence[float]
    weight_dropout: float
    threads: int | None


class Recurrent(nn.Module):
    """Layers of any cell. `LSTM` and `GRU` are this with a cell chosen (`nn/lstm.py`).

    Args:
        cell: A `Cell`, or the name of one of the family.
        input_size: Features per step, D.
        hidden_size: Units per layer and direction, H.
        num_layers: Layers, each fed by the one below.
        bias: Whether the equations' biases exist.
        batch_first: Input and output are (B, T, ...) instead of (T, B, ...). States never are.
        dropout: Probability that a value between two layers is zeroed in training, 0 <= dropout <= 1.
        bidirectional: Run each layer forward and backward in time; outputs are joined, 2 * H wide.
        proj_size: Size P of the output if the cell projects it, else 0.
        recurrent_dropout: Probability of hiding a unit of h from the recurrent weights, in training: one mask per
            sequence.
        zoneout: Probability that a unit keeps its carried value from one step to the next, in training; one for all
            carried values, or one for each. Outside training the expected value is used.
        weight_dropout: Probability that a recurrent weight is zeroed, in training: one mask per call.
        threads: How many threads the layers use on a CPU; as many as torch does if omitted.

    Shape:
        input: (T, B, D), or (T, D) for one sequence, or a PackedSequence.
        hx: One tensor (num_layers * directions, B, H) per carried name, or (num_layers * directions, H) for one
            sequence; a tuple of them if the cell carries more than one. Zeros if omitted.
        lengths: (B,) integers in 0..T, in any order, on any device. Steps beyond are never computed on: their output
            is zero, and the returned state is the one after the last step that counts.
        resets: (T, B) booleans ((B, T) with batch_first): where True, a new sequence begins at this step, and the
            state starts again from zeros.
        returns: the output (T, B, directions * H); the last state, shaped as hx; and with return_cell_states=True
            the second carried value of every layer and step, (num_layers, T, B, directions * H).

    Raises:
        ShapeError: Sizes do not fit: a ValueError and a RuntimeError, as torch raises the one or the other.
        ValueError, TypeError: Options are impossible; the same types as from torch.nn.
    """

    def __init__(
        self,
        cell: Cell | str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        recurrent_dropout: float = 0.0,
        zoneout: float | Sequence[float] = 0.0,
        weight_dropout: float = 0.0,
        threads: int | None = None,
    ):
        super().__init__()
        check_options(
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            proj_size=proj_size,
        )
        if threads is not None:
            threads = whole("threads", threads, 1)
        self.cell = found_cell(cell)
        engine.check(self.cell)
        if self.cell.projected != (proj_size > 0):
            wants = "projects its output: give it a proj_size" if self.cell.projected else "has no projection"
            raise OptionError(f"proj_size is {proj_size}, but the cell '{self.cell.name}' {wants}")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size, self.threads = bidirectional, proj_size, threads
        self.recurrent_dropout, self.zoneout, self.weight_dropout = recurrent_dropout, zoneout, weight_dropout
        self.regularisers = Regularisers(
            self.cell,
            _rate("recurrent_dropout", recurrent_dropout),
            _rates("zoneout", zoneout, self.cell.carry),
            _rate("weight_dropout", weight_dropout),
        )

        stored = [() if names[0].startswith("bias") and not bias else names for names in self.cell.stored()]
        self._names = {  # of each layer and direction, the tensors that each of the equations' weights is the sum of
            (layer, direction): [tuple(f"{name}{_suffix(layer, direction)}" for name in names) for names in stored]
            for layer, direction in self._places()
        }
        self._first = next(names[0] for names in stored if names) + _suffix(0, 0)
        for (layer, _), weights in self._names.items():
            sizes = self.cell.sizes(self._width(layer), hidden_size, proj_size)
            for names, parameter in zip(weights, self.cell.parameters, strict=True):
                for name in names:
                    weight = torch.empty(parameter.shape(sizes), device=device, dtype=dtype)
                    self.register_parameter(name, nn.Parameter(weight))
        letters = self.cell.sizes(input_size, hidden_size, proj_size)
        self._carried = [letters[letter] for letter in self.cell.carry_sizes]
        self.reset_parameters()

    _default_cells: tuple[str, ...] = ()  # which `repr` leaves out

    def reset_parameters(self) -> None:
        """Draw every weight uniformly from -1/sqrt(H) to 1/sqrt(H), as torch.nn does and in its order; or set it to the
        value that its cell begins with."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for weights in self._names.values():
            for names, parameter in zip(weights, self.cell.parameters, strict=True):
                for place, name in enumerate(names):  # whose sum is the parameter
                    if parameter.initial is None:
                        nn.init.uniform_(getattr(self, name), -bound, bound)
                    else:
                        nn.init.constant_(getattr(self, name), parameter.initial if place == 0 else 0.0)

    def flatten_parameters(self) -> None:
        """Nothing to do; here so that code written for torch.nn runs."""

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """Stored weights of each layer and direction."""
        return [[self._stored(name) for names in weights for name in names] for weights in self._names.values()]

    def extra_repr(self) -> str:
        shown = [f"{self.input_size}, {self.hidden_size}"]
        if self.cell.name not in self._default_cells:
            shown.append(f"cell={self.cell.name!r}")
        for option, default in _DEFAULTS.items():
            if (value := getattr(self, option)) != default:
                shown.append(f"{option}={value}")
        return ", ".join(shown)

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Tensor | Sequence[Tensor] | None = None,
        lengths: Tensor | Sequence[int] | None = None,
        resets: Tensor | None = None,
        return_cell_states: bool = False,
    ) -> Any:
        if isinstance(input, PackedSequence):
            if lengths is not None or resets is not None or return_cell_states:
                raise OptionError("a PackedSequence has its own lengths. Pad it to use lengths, resets or cell states")
            return self._forward_packed(input, hx)
        if not isinstance(input, Tensor):
            raise OptionTypeError(
                f"{self._title} takes a tensor or a PackedSequence, not {type(input).__name__}. "
                "Convert it: torch.as_tensor(input)"
            )
        if input.dim() not in (2, 3):
            raise ShapeError(
                f"{self._title} takes 3-D input, or 2-D for one sequence, but got {input.dim()}-D of shape "
                f"{tuple(input.shape)}"
            )
        self._check_input(input)
        if resets is not None:
            _check_resets(resets, input)
        single = input.dim() == 2
        if single:
            input = input.unsqueeze(1)
            resets = None if resets is None else resets.unsqueeze(1)
        elif self.batch_first:
            input = input.transpose(0, 1)
            resets = None if resets is None else resets.transpose(0, 1)
        starts = self._starts(input, hx, single)
        if lengths is not None:
            lengths = checked_lengths(lengths, input)

        y, last, histories = self._run(input, starts, lengths, resets, return_cell_states)
        if single:
            y, last, histories = y.squeeze(1), [s.squeeze(1) for s in last], [h.squeeze(1) for h in histories]
        elif self.batch_first:
            y, histories = y.transpose(0, 1), [h.transpose(0, 1) for h in histories]
        final = last[0] if len(last) == 1 else tuple(last)
        return (y, final, torch.stack(histories)) if return_cell_states else (y, final)

    def _run(self, *arguments: Any) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """`_run_layers` on the threads asked for; but a captured graph runs on as many as torch uses."""
        if self.threads is None or engine.recorded(arguments[0]):
            return self._run_layers(*arguments)
        with engine.threads(self.threads):
            return self._run_layers(*arguments)

    def _run_layers(
        self, x: Tensor, starts: list[list[Tensor]], lengths: Tensor | None, resets: Tensor | None, history: bool
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Time-major. Returns the output, the last state, and per layer the cell states."""
        cell, owns, extras = self._drawn(x)
        if self._joined():
            layers = engine.stack(cell, x, starts, owns, lengths, resets, history, extras)
            last = [torch.stack(values) for values in zip(*[end for _, end in layers], strict=True)]
            return layers[-1][0][0], last, [every[:2][-1] for every, _ in layers] if history else []
        ends: list[list[Tensor]] = []
        histories = []
        for layer in range(self.num_layers):
            if self.bidirectional:
                pair = slice(2 * layer, 2 * layer + 2)
                two = starts[pair], owns[pair], lengths, resets, history, extras[pair]
                runs = engine.both_directions(cell, x, *two)
            else:
                one = starts[layer], owns[layer], lengths, resets, False, history, extras[layer]
                runs = [engine.recurrence(cell, x, *one)]
            ends += [end for _, end in runs]
            x = torch.cat([every[0] for every, _ in runs], -1) if self.bidirectional else runs[0][0][0]
            if history:  # the second carried value, or the only one
                histories.append(torch.cat([every[:2][-1] for every, _ in runs], -1))
            if layer < self.num_layers - 1:
                x = self.between_layers(x)
        if len(ends) == 1:
            return x, [end[None] for end in ends[0]], histories
        return x, [torch.stack(values) for values in zip(*ends, strict=True)], histories

    def _drawn(self, x: Tensor) -> tuple[Cell, list[list[Tensor]], list[list[Tensor]]]:
        """The cell as it is regularised, and of each layer and direction the weights and the cell's further inputs."""
        owns = [self._weights(layer, way) for layer, way in self._names]
        if not self.regularisers.active:
            return self.cell, owns, [[]] * len(owns)
        cell = self.regularisers.cell(self.training)
        if not self.training:
            return cell, owns, [[]] * len(owns)
        seed = draw_seed()
        extras = [self.regularisers.extras(x, self._carried, seed, place) for place in range(len(owns))]
        return cell, [self.regularisers.weights(own, seed, i) for i, own in enumerate(owns)], extras

    def equations(self) -> list[tuple[Cell, list[Tensor]]]:
        """Of each layer and direction the cell that runs outside training, and its weights in the cell's order."""
        cell = self.regularisers.cell(training=False)
        return [(cell, self._weights(layer, way)) for layer, way in self._names]

    def starts(self, x: Tensor, hx: Any = None) -> list[list[Tensor]]:
        """Of each layer and direction the state that an input (T, B, D) begins with, one tensor per carried value."""
        return self._starts(x, hx, single=False)

    def _joined(self) -> bool:
        """Whether nothing but layers is between the input and the output, so that these may be run together."""
        if self.num_layers == 1 or self.bidirectional or (self.dropout > 0 and self.training):
            return False
        return getattr(self.between_layers, "__func__", None) is Recurrent.between_layers

    def between_layers(self, y: Tensor) -> Tensor:
        """What happens to a layer's output (T, B, H) on its way to the next: dropout."""
        return dropout(y, self.dropout, self.training)

    def _forward_packed(self, packed: PackedSequence, hx: Any) -> Any:
        if packed.data.dim() != 2:
            raise ShapeError(f"a PackedSequence must hold (steps, features), but its data is {packed.data.dim()}-D")
        self._check_input(packed.data)
        if not torch.compiler.is_compiling() and get_proxy_mode() is not None:
            # `pad_packed_sequence` would record the lengths of today, and memory that is not set in place of its own.
            raise OptionError("make_fx cannot record a PackedSequence. Pad it, and give the layer its lengths")
        x, lengths = pad_packed_sequence(packed)
        y, last, _ = self._run(x, self._starts(x, hx, single=False), lengths, None, False)
        if packed.sorted_indices is not None:
            y, lengths = y.index_select(1, packed.sorted_indices), lengths[packed.sorted_indices.cpu()]
        data = pack_padded_sequence(y, lengths).data
        output = PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
        return output, last[0] if len(last) == 1 else tuple(last)

    @property
    def _title(self) -> str:
        return type(self).__name__

    def _places(self) -> list[tuple[int, int]]:
        return [(layer, way) for layer in range(self.num_layers) for way in range(2 if self.bidirectional else 1)]

    def _width(self, layer: int) -> int:
        if layer == 0:
            return self.input_size
        return (self.proj_size or self.hidden_size) * (2 if self.bidirectional else 1)

    def _weights(self, layer: int, direction: int) -> list[Tensor]:
        """Weights of the equations, in the cell's order."""
        weights: list[Tensor] = []
        for names, parameter in zip(self._names[layer, direction], self.cell.parameters, strict=True):
            if not names:
                sizes = self.cell.sizes(self._width(layer), self.hidden_size, self.proj_size)
                weights.append(self._any_weight().new_zeros(parameter.shape(sizes)))
                continue
            weight = self._stored(names[0])
            weights.append(weight if len(names) == 1 else weight + self._stored(names[1]))
        return weights

    def _stored(self, name: str) -> Tensor:
        """The attribute: a parameter, found faster than by Module's `__getattr__`, or what now stands for one."""
        found: Tensor | None = self._parameters.get(name)
        return getattr(self, name) if found is None else found

    def _any_weight(self) -> Tensor:
        """One that every layer has: where the module is, and in which dtype."""
        # Where the first is parametrised, what it is made of tells as much: to make it costs, and may count, as a step
        # of a spectral norm's power iteration does.
        found = self._parameters.get(self._first)
        found = next(self.parameters(), None) if found is None else found
        return self._stored(self._first) if found is None else found

    def _check_input(self, input: Tensor) -> None:
        if input.shape[-1] != self.input_size:
            raise ShapeError(
                f"{self._title} was built for input_size={self.input_size} but the input has {input.shape[-1]} "
                f"features (shape {tuple(input.shape)}). Build it with input_size={input.shape[-1]}, or check the "
                "order of the axes"
            )
        check_tensor(self._title, input, self._any_weight())
        # While compiling, the number of steps is a symbol that should stay free.
        steps_first = input.dim() == 2 or not self.batch_first
        if not torch.compiler.is_compiling() and input.shape[0 if steps_first else 1] == 0:
            raise ShapeError(f"{self._title} needs at least one step, but the input has 0 (shape {tuple(input.shape)})")

    def _starts(self, x: Tensor, hx: Any, single: bool) -> list[list[Tensor]]:
        """Of each layer and direction, one tensor (B, H) per carried name."""
        rows, sizes = len(self._names), self._carried
        if hx is None:
            zeros = {size: x.new_zeros(x.shape[1], size) for size in set(sizes)}
            return [[zeros[size] for size in sizes]] * rows
        given = [hx] if isinstance(hx, Tensor) else list(hx) if isinstance(hx, tuple | list) else []
        if len(given) != len(sizes):
            what = f"{len(given)}" if given else type(hx).__name__
            raise ShapeError(
                f"{self._title} carries {' and '.join(self.cell.carry)}, so hx must hold {len(sizes)} "
                f"tensor{'s' * (len(sizes) != 1)}, not {what}"
            )
        for name, tensor, size in zip(self.cell.carry, given, sizes, strict=True):
            if not isinstance(tensor, Tensor):
                raise OptionTypeError(f"the initial {name} must be a tensor, not {type(tensor).__name__}")
            if (tensor.dtype, tensor.device) != (x.dtype, x.device) and not engine.autocasts(x.device):
                raise ShapeError(
                    f"the initial {name} is {tensor.dtype} on {tensor.device}, but the input is {x.dtype} on "
                    f"{x.device}. Convert it: {name}.to(input)"
                )
            expected = (rows, size) if single else (rows, x.shape[1], size)
            if tuple(tensor.shape) != expected:
                raise ShapeError(f"the initial {name} must have shape {expected}, but has {tuple(tensor.shape)}")
        states = [(tensor.unsqueeze(1) if single else tensor).unbind() for tensor in given]
        return [list(state) for state in zip(*states, strict=True)]


_DEFAULTS = {
    name: option.default
    for name, option in signature(Recurrent.__init__).parameters.items()
    if option.default is not option.empty and name not in ("device", "dtype")
}


def _suffix(layer: int, direction: int) -> str:
    return f"_l{layer}{'_reverse' * direction}"


def _rate(name: str, value: Any) -> float:
    return number(name, value, "from 0 to below 1", lambda v: 0 <= v < 1)


def _rates(name: str, value: Any, carry: Sequence[str]) -> tuple[float, ...]:
    """One for all carried values, or one for each."""
    values = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value] * len(carry)
    if len(values) != len(carry):
        raise OptionError(f"{name} takes one probability, or one for each of {' '.join(carry)}, not {value!r:.60}")
    return tuple(_rate(name, one) for one in values)


def _check_resets(resets: Any, input: Tensor) -> None:
    if not isinstance(resets, Tensor) or resets.dtype != torch.bool:
        what = resets.dtype if isinstance(resets, Tensor) else type(resets).__name__
        raise OptionTypeError(f"resets must be a tensor of torch.bool, not {what}. Convert it: resets.bool()")
    if resets.shape != input.shape[:-1]:
        raise ShapeError(f"resets has shape {tuple(resets.shape)}, but the input has {tuple(input.shape[:-1])}")
