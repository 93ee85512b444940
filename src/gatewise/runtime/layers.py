"""The parts of a trained network on numpy's arrays: what `runtime.network` says of their sizes, with weights.

Recurrent layers run in the native engine, which gives the bits that it gives to torch's tensors. Cells that carry
matrices, which it does not run, are evaluated a chunk of steps at a time, or step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .. import cells
from ..cells._multidimensional import multidimensional
from ..decoding.viterbi import FORBIDDEN
from ..decoding.viterbi import Chain as Neighbours
from ..native import arrays
from ..native.calls import Precision
from ..native.diagonals import Diagonals, plan_diagonals
from . import chunkwise, equations, network, ops, products
from .attention import AdditiveAttention, MultiplicativeAttention
from .convolutions import BatchNormalisation, Convolution
from .products import constant

Array = np.ndarray
Weights = Mapping[str, Array]


@dataclass(frozen=True)
class Kit:
    """What a network is made of.

    Attributes:
        layers: Of each kind of part, what makes its layer of the part and its weights.
        ops: What else is computed, see `runtime.ops`.
    """

    layers: Mapping[type, Callable[..., Any]]
    ops: Any


class Block:
    """Parts by name, as attributes.

    Attributes:
        ops: What is computed with them.
    """

    def __init__(self, parts: Mapping[str, Any], ops: Any = ops):
        self.__dict__.update(parts)
        self.ops = ops


def network_of(parts: network.Block, weights: Weights, kit: Kit | None = None) -> Any:
    """The layers of a network, over its weights by name, which are not copied: a `Block`.

    Args:
        weights: As `network.checked` gives them.
        kit: What it is made of, if not of the layers below in float32.
    """
    return _made(parts, weights, "", kit or KITS["float32"])


def _made(part: Any, weights: Weights, place: str, kit: Kit) -> Any:
    """A part whose weights' names begin with `place`; a setting as it is."""
    match part:
        case network.Block():
            own = {name: _made(one, weights, f"{place}{name}.", kit) for name, one in part.parts.items()}
            return Block(own, kit.ops)
        case network.Repeated():
            return [_made(part.part, weights, f"{place}{number}.", kit) for number in range(part.count)]
        case network.Chain():
            return Chain([_made(one, weights, f"{place}{number}.", kit) for number, one in enumerate(part.parts)])
        case list():
            return [_made(one, weights, f"{place}{number}.", kit) for number, one in enumerate(part)]
        case network.Weight():
            return _float32(weights[place.removesuffix(".")])
        case network.Constant():
            return _float32(part.values)
        case _ if type(part) in kit.layers:
            named = {name: _float32(weights[place + name]) for name, _ in part.weights()}
            return kit.layers[type(part)](part, named)
    return part


def _float32(values: Any) -> Array:
    return np.asarray(values, np.float32)


class Chain:
    """Layers that read one another's output."""

    def __init__(self, layers: Sequence[Callable[[Array], Array]]):
        self.layers = layers

    def __call__(self, x: Array) -> Array:
        for layer in self.layers:
            x = layer(x)
        return x


class Linear:
    """A matrix product."""

    def __init__(self, part: network.Linear, weights: Weights, precision: Precision = "float32"):
        self.weight, self.bias = weights["weight"], weights.get("bias")
        exact = part.exact or precision == "int8"
        self._exact = products.ExactLinear(self.weight, self.bias, precision) if exact else None

    def __call__(self, x: Array) -> Array:
        return ops.linear(x, self.weight, self.bias) if self._exact is None else self._exact(x)


class ExactLinear:
    """A matrix product by the engine, as of a cell."""

    def __init__(self, part: network.ExactLinear, weights: Weights, precision: Precision = "float32"):
        self._product = products.ExactLinear(weights["weight_ih_l0"], weights["bias_ih_l0"], precision)

    def __call__(self, x: Array) -> Array:
        return self._product(x)


class Embedding:
    """Rows of a table."""

    def __init__(self, part: network.Embedding, weights: Weights):
        self.weight = weights["weight"]

    def __call__(self, numbers: Array) -> Array:
        return self.weight[numbers]


class Recurrent:
    """Layers of any cell, as `gatewise.nn.Recurrent` outside training.

    Attributes:
        precision: Of the engine's products.

    Shape:
        x: (T, B, D).
        state: One array (layers * directions, B, H) per carried name; a tuple of them if the cell carries more than
            one. Zeros if omitted.
        lengths: (B,) steps of each row that count; all of them if omitted.
        returns: (T, B, directions * H), zero beyond a row's length; and the last state.
    """

    def __init__(self, part: network.Recurrent, weights: Weights, precision: Precision = "float32"):
        self.precision = precision
        self.cell, self.bidirectional, self.inputs = part.runs, part.bidirectional, part.input_size
        sizes = self.cell.sizes(part.input_size, part.hidden_size, part.proj_size)
        self._sizes = [sizes[letter] for letter in self.cell.carry_sizes]
        # Of each layer and direction, in the cell's order.
        self.weights = [
            [constant(*(weights[network.place_of(name, layer, way)] for name in names)) for names in self.cell.stored()]
            for layer in range(part.num_layers)
            for way in range(part.ways)
        ]
        self._native = arrays.runs(self.cell)

    def start(self, rows: int) -> tuple[Array, ...]:
        """The state before the first step, one array per carried name."""
        return tuple(np.zeros((len(self.weights), rows, size), np.float32) for size in self._sizes)

    def __call__(self, x: Array, state: Any = None, lengths: Array | None = None) -> tuple[Array, Any]:
        given = self.start(x.shape[1]) if state is None else as_tuple(state)
        y, ends = self._run(np.asarray(x, np.float32), [list(own) for own in zip(*given, strict=True)], lengths)
        return y, as_carried(tuple(np.stack(values) for values in zip(*ends, strict=True)))

    def _run(self, x: Array, states: list[list[Array]], lengths: Array | None) -> tuple[Array, list[list[Array]]]:
        """The output, and of each layer and direction the last state."""
        if not self._native:
            return self._evaluated(x, states, lengths)
        if not self.bidirectional:
            runs = arrays.stack(self.cell, x, states, self.weights, lengths, precision=self.precision)
            return runs[-1][0][0], [end for _, end in runs]
        ends = []
        for first in range(0, len(states), 2):
            two = slice(first, first + 2)
            own = states[two], self.weights[two]
            runs = arrays.both_directions(self.cell, x, *own, lengths, precision=self.precision)
            x = np.concatenate([y for [y], _ in runs], -1)
            ends += [end for _, end in runs]
        return x, ends

    def _evaluated(self, x: Array, states: list[list[Array]], lengths: Array | None) -> tuple[Array, list[list[Array]]]:
        ends = []
        ways = 2 if self.bidirectional else 1
        chunks = len(x) > 1 and cells.is_one(self.cell, "mlstm")
        run = chunkwise.recurrence if chunks else equations.recurrence
        for first in range(0, len(states), ways):
            outputs = []
            for way, place in enumerate(range(first, first + ways)):
                [y], end = run(self.cell, x, states[place], self.weights[place], lengths, reverse=way == 1)
                outputs.append(y)
                ends.append(end)
            x = ops.concatenate(outputs)
        return x, ends


def as_tuple(state: Any) -> tuple[Array, ...]:
    """A state of layers, one array per carried name."""
    return state if isinstance(state, tuple) else (state,)


def as_carried(state: tuple[Array, ...]) -> Any:
    """The same as layers take it: a lone array by itself."""
    return state if len(state) > 1 else state[0]


class MultiDimensionalLSTM:
    """A 2-D LSTM from all four corners, diagonal by diagonal in the engine.

    Attributes:
        cell: What it computes at each position.
        weights: Of each corner, in the cell's order.
    """

    cell = multidimensional

    def __init__(self, part: network.MultiDimensionalLSTM, weights: Weights):
        names = [names[0] for names in multidimensional.stored()]
        self._units = part.hidden_size
        self.weights = [[constant(weights[f"{name}_d{corner}"]) for name in names] for corner in range(network.CORNERS)]

    def __call__(self, images: Array, sizes: Array) -> tuple[Array, tuple[Array, Array]]:
        B, height, width, D = images.shape
        plan = plan_diagonals(sizes, height, width)
        outputs, ends = [], []
        for places, weights in zip(plan.places, self.weights, strict=True):
            found = self.carried(images.reshape(-1, D)[places], weights, plan)
            y = np.zeros((B * height * width, self._units), np.float32)
            y[places] = found[0, :-1]
            outputs.append(y.reshape(B, height, width, self._units))
            ends.append(found[:, plan.corners])
        h, c = np.stack(ends, 1)
        return np.concatenate(outputs, -1), (h, c)

    def carried(self, x: Array, weights: list[Array], plan: Diagonals) -> Array:
        """h and c (2, N + 1, H) at each position, in the order of the plan, and zeros."""
        found = np.zeros((2, len(x) + 1, self._units), np.float32)
        last, end = found[:, -1:], 0  # of the diagonal before, and zeros for who has no neighbour there
        for count in plan.counts:
            start, end = end, end + count
            some = slice(start, end)
            state = [*last[:, plan.above[some]], *last[:, plan.before[some]]]
            found[:, some] = arrays.step(multidimensional, x[some], state, weights)[:2]
            last = np.concatenate([found[:, some], found[:, -1:]], 1)
        return found


class CRF:
    """Scores of labels beside one another.

    Attributes:
        chain: As `decoding.viterbi` takes them.
    """

    def __init__(self, part: network.CRF, weights: Weights):
        L, allowed = part.labels, np.asarray(part.allowed, bool)
        places: dict[str, Any] = {"start": (L, slice(L)), "transitions": (slice(L), slice(L)), "end": (slice(L), L + 1)}
        self.chain = Neighbours(
            **{name: np.where(allowed[place], weights[name], np.float32(FORBIDDEN)) for name, place in places.items()}
        )


class Identity:
    """What acts in training alone."""

    def __init__(self, part: Any, weights: Weights):
        pass

    def __call__(self, x: Array) -> Array:
        return x


LAYERS: dict[type, Callable[..., Any]] = {
    network.Linear: Linear,
    network.ExactLinear: ExactLinear,
    network.Embedding: Embedding,
    network.Recurrent: Recurrent,
    network.Stack: Recurrent,
    network.MultiDimensionalLSTM: MultiDimensionalLSTM,
    network.AdditiveAttention: AdditiveAttention,
    network.MultiplicativeAttention: MultiplicativeAttention,
    network.Convolution: Convolution,
    network.BatchNormalisation: BatchNormalisation,
    network.CRF: CRF,
    network.Tanh: lambda part, weights: np.tanh,
    network.ReLU: lambda part, weights: ops.relu,
    network.Dropout: Identity,
    network.MaskDropout: Identity,
    network.TokenDropout: Identity,
}
_BY_ENGINE = {
    network.Linear: Linear,
    network.ExactLinear: ExactLinear,
    network.Recurrent: Recurrent,
    network.Stack: Recurrent,
}
KITS: dict[Precision, Kit] = {  # precision of products -> what a network is made of
    "float32": Kit(LAYERS, ops),
    "int8": Kit(LAYERS | {part: partial(layer, precision="int8") for part, layer in _BY_ENGINE.items()}, ops),
}
