"""Parts of networks as nodes: what `runtime.layers` and `runtime.ops` compute on arrays, on values of a graph.

A `forward` of a task runs once, over arrays without numbers. Python wants to know how long an axis is; one whose length
is not known before is a large prime instead, which stands for its name and is found again in what shapes are made of.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...errors import OptionError
from ...runtime import network
from ...runtime.convolved import Convolution
from ...runtime.equations import blocks
from ...runtime.layers import Kit
from ...runtime.recording import Layer, Vector
from .graph import BOOL, FLOAT, INT64, Graph
from .operators import recurrence
from .scan import POINTWISE, above_zero

Array = np.ndarray

UNKNOWN = {"B": 999_983, "S": 999_979, "T": 999_961}  # name of an axis -> the prime that stands for its length
_FURTHER = (999_959, 999_953, 999_931, 999_917, 999_907)  # for lengths that come about between layers
_KINDS = {"float": np.float32, "int": np.int64, "bool": np.bool_}
_LEAST = float(np.finfo(np.float32).min)
_TINY = float(np.finfo(np.float32).tiny)


class Tensor:
    """An array that is not there yet.

    Attributes:
        name: Of the graph's value.
        shape: With primes for lengths that are not known.
        kind: "float", "int" or "bool".
    """

    __array_ufunc__ = None  # so that numpy leaves `array * tensor` to us

    def __init__(self, page: Page, name: str, shape: Sequence[int], kind: str = "float"):
        self.page, self.name, self.shape, self.kind = page, name, tuple(shape), kind

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Tensor:
        return self.page.picked(self, index)

    def reshape(self, *shape: int) -> Tensor:
        return self.page.reshaped(self, shape)

    def swapaxes(self, one: int, other: int) -> Tensor:
        axes = list(range(len(self.shape)))
        axes[one], axes[other] = axes[other], axes[one]
        return self.page.permuted(self, axes)

    def sum(self, axis: int) -> Tensor:
        return self.page.reduced(self, axis)

    def mean(self, axis: int) -> Tensor:
        shape = [size for place, size in enumerate(self.shape) if place != axis]
        return self.page.op("ReduceMean", shape, self, axes=[axis], keepdims=0)

    def max(self, axis: int) -> Tensor:
        shape = [size for place, size in enumerate(self.shape) if place != axis]
        return self.page.op("ReduceMax", shape, self, axes=[axis], keepdims=0)

    def __add__(self, other: Any) -> Tensor:
        return self.page.pointwise("Add", self, other)

    def __radd__(self, other: Any) -> Tensor:
        return self.page.pointwise("Add", other, self)

    def __sub__(self, other: Any) -> Tensor:
        return self.page.pointwise("Sub", self, other)

    def __mul__(self, other: Any) -> Tensor:
        return self.page.pointwise("Mul", self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return self.page.pointwise("Mul", other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return self.page.pointwise("Div", self, other)

    def __neg__(self) -> Tensor:
        return self.page.op("Neg", self.shape, self)


class Page:
    """Writes what is computed with tensors into a graph.

    Args:
        operator: Of recurrent layers.
    """

    def __init__(self, graph: Graph, operator: str):
        self.graph, self.operator = graph, operator
        self._lengths: dict[int, tuple[str, int]] = {}  # prime -> an input, and its axis that is so long
        self._layers = 0

    def input(self, name: str, dims: Sequence[int | str], kind: str) -> Tensor:
        """Declare an input."""
        code = {"float": FLOAT, "int": INT64, "bool": BOOL}[kind]
        value = self.graph.input(name, code, dims)
        shape = [dim if isinstance(dim, int) else UNKNOWN[dim] for dim in dims]
        for axis, size in enumerate(shape):
            if size in UNKNOWN.values():
                self._lengths.setdefault(size, (value, axis))
        return Tensor(self, value, shape, kind)

    def op(self, kind: str, shape: Sequence[int], *inputs: Any, of: str = "float", **attributes: Any) -> Tensor:
        """A node of one output."""
        return Tensor(self, self.graph.op(kind, *map(self.value, inputs), **attributes), shape, of)

    def value(self, given: Any) -> str:
        """The name of a tensor, a value, or numbers."""
        if isinstance(given, Tensor):
            return given.name
        return given if isinstance(given, str) else self.graph.constant(given)

    def pointwise(self, kind: str, *args: Any, of: str = "") -> Tensor:
        """With numpy's rules of broadcasting."""
        own = next(arg.kind for arg in args if isinstance(arg, Tensor))
        shape = np.broadcast_shapes(*(np.shape(arg) if not isinstance(arg, Tensor) else arg.shape for arg in args))
        values = [arg.name if isinstance(arg, Tensor) else self.graph.constant(arg, _KINDS[own]) for arg in args]
        return Tensor(self, self.graph.op(kind, *values), shape, of or own)

    def sizes(self, shape: Sequence[int]) -> str:
        """(n,) of a shape."""
        return self.graph.op("Concat", *(self._size(size) for size in shape), axis=0)

    def _size(self, size: int) -> str:
        for prime, (name, axis) in self._lengths.items():
            if size % prime == 0 and size:
                dim = self.graph.op("Unsqueeze", self.graph.dim(name, axis), self.graph.whole(0))
                return dim if size == prime else self.graph.op("Mul", dim, self._size(size // prime))
        return self.graph.whole(size)

    def reshaped(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        total = int(np.prod(x.shape, dtype=object))
        known = int(np.prod([size for size in shape if size != -1], dtype=object))
        full = [total // known if size == -1 else size for size in shape]
        return Tensor(self, self.graph.op("Reshape", x.name, self.sizes(full)), full, x.kind)

    def permuted(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        own = [axis % len(x.shape) for axis in axes]
        return Tensor(self, self.graph.op("Transpose", x.name, perm=own), [x.shape[axis] for axis in own], x.kind)

    def reduced(self, x: Tensor, axis: int, keepdims: int = 0) -> Tensor:
        shape = list(x.shape)
        shape[axis : axis % len(shape) + 1] = [1] * keepdims
        return self.op("ReduceSum", shape, x, self.graph.whole(axis), keepdims=keepdims)

    def picked(self, x: Tensor, index: Any) -> Tensor:
        """By whole numbers, slices, None and `...`."""
        index = index if isinstance(index, tuple) else (index,)
        if Ellipsis in index:
            at = index.index(Ellipsis)
            missing = len(x.shape) - sum(each is not None and each is not Ellipsis for each in index)
            index = (*index[:at], *[slice(None)] * missing, *index[at + 1 :])
        name, shape, axis = x.name, list(x.shape), 0
        for each in index:
            if each is None:
                name = self.graph.op("Unsqueeze", name, self.graph.whole(axis))
                shape.insert(axis, 1)
                axis += 1
            elif isinstance(each, int):
                name = self.graph.op("Gather", name, self.graph.constant(each, np.int64), axis=axis)
                del shape[axis]
            else:
                if each == slice(None, None, -1):
                    least = int(np.iinfo(np.int64).min) + 1
                    bounds = [self.graph.whole(value) for value in (-1, least, axis, -1)]
                    name = self.graph.op("Slice", name, *bounds)
                elif each != slice(None):
                    start, stop, step = each.indices(shape[axis])
                    assert step == 1, each
                    assert shape[axis] not in UNKNOWN.values(), each
                    bounds = [self.graph.whole(value) for value in (start, stop, axis)]
                    name = self.graph.op("Slice", name, *bounds)
                    shape[axis] = stop - start
                axis += 1
        return Tensor(self, name, shape, x.kind)

    def windows(self, x: Tensor, layer: Convolution) -> Tensor:
        """(T, B, length * D) what each product of a convolution reads of (T, B, D)."""
        known = x.shape[0] not in self._lengths
        if layer.padding == "same" and layer.stride > 1 and not known:
            raise OptionError("a convolution with padding='same' and a stride fills up by how many steps there are")
        before, behind = layer.edges(x.shape[0])
        edges = self.graph.constant(np.array([before, 0, 0, behind, 0, 0]), np.int64)
        padded = self.graph.op("Pad", x.name, edges)
        most = int(np.iinfo(np.int64).max)
        parts = []
        for first in range(0, layer.span, layer.dilation):
            bounds = (first, first - layer.span + 1 or most, 0, layer.stride)
            parts.append(self.graph.op("Slice", padded, *map(self.graph.whole, bounds)))
        name = self.graph.op("Concat", *parts, axis=-1)
        T = layer.given(x.shape[0]) if known else x.shape[0]
        if not known and layer.after == "alters":
            T = next(prime for prime in _FURTHER if prime not in self._lengths)
            self._lengths[T] = (name, 0)
        return Tensor(self, name, [T, x.shape[1], layer.length * x.shape[2]])

    def linear(self, x: Tensor, weight: Array, bias: Array | None = None) -> Tensor:
        found = self.op("MatMul", [*x.shape[:-1], len(weight)], x, weight.T)
        return found if bias is None else found + bias

    # Parts.

    def kit(self) -> Kit:
        """What makes the parts of a network."""
        idle = dict.fromkeys((network.Dropout, network.MaskDropout, network.TokenDropout), lambda *_: lambda x: x)
        return Kit(
            {
                network.Linear: lambda part, own: lambda x: self.linear(x, own["weight"], own.get("bias")),
                network.ExactLinear: lambda part, own: lambda x: self.linear(x, own["weight_ih_l0"], own["bias_ih_l0"]),
                network.Embedding: self._embedding,
                network.Recurrent: self._recurrent,
                network.Stack: self._recurrent,
                network.AdditiveAttention: lambda part, own: _Additive(self, own),
                network.MultiplicativeAttention: lambda part, own: _Multiplicative(self, own),
                network.Convolution: self._convolution,
                network.BatchNormalisation: self._normalisation,
                network.Tanh: lambda *_: Ops(self).tanh,
                network.ReLU: lambda *_: Ops(self).relu,
                **idle,
            },
            Ops(self),
        )

    def _embedding(self, part: network.Embedding, own: Mapping[str, Array]) -> Any:
        return lambda tokens: self.op("Gather", [*tokens.shape, part.size], own["weight"], tokens, axis=0)

    def _convolution(self, part: network.Convolution, own: Mapping[str, Array]) -> Any:
        def run(maps: Tensor) -> Tensor:
            sides = [-(-side // part.stride) for side in maps.shape[2:]]
            strides, pads = [part.stride] * 2, [1] * 4
            shape = [maps.shape[0], part.outputs, *sides]
            return self.op("Conv", shape, maps, own["weight"], strides=strides, pads=pads)

        return run

    def _normalisation(self, part: network.BatchNormalisation, own: Mapping[str, Array]) -> Any:
        scale = own["weight"] / np.sqrt(own["running_var"] + np.float32(1e-5))
        shift = own["bias"] - own["running_mean"] * scale
        return lambda maps: maps * scale[:, None, None] + shift[:, None, None]

    def _recurrent(self, part: network.Recurrent, own: Mapping[str, Array]) -> Any:
        layers = [
            [self._layer(part, own, number, way) for way in range(part.ways)] for number in range(part.num_layers)
        ]

        def run(x: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
            B, ends, y = x.shape[1], [], x
            inside = None if lengths is None else self.graph.inside(x.name, lengths.name)
            for number, each in enumerate(layers):
                outputs = []
                for way, layer in enumerate(each):
                    place = number * part.ways + way
                    before = [
                        self.op("Expand", [B, vector.size], 0.0, self.sizes([B, vector.size]))
                        if state is None
                        else (state if isinstance(state, tuple) else (state,))[k][place]
                        for k, vector in enumerate(layer.states)
                    ]
                    found, last = recurrence(
                        self.graph,
                        layer,
                        y.name,
                        [value.name for value in before],
                        operator=self.operator,
                        inside=inside,
                        lengths=None if lengths is None else lengths.name,
                        reverse=way == 1,
                    )
                    outputs.append(Tensor(self, found, [*x.shape[:2], layer.states[0].size]))
                    ends.append(last)
                y = Ops(self).concatenate(outputs)
            after = tuple(
                Ops(self).stack([Tensor(self, name, [B, vector.size]) for name in names])
                for vector, names in zip(layers[0][0].states, zip(*ends, strict=True), strict=True)
            )
            return y, after if len(after) > 1 else after[0]

        return run

    def _layer(self, part: network.Recurrent, own: Mapping[str, Array], number: int, way: int) -> Layer:
        cell = part.runs
        width = part.input_size if not number else (part.proj_size or part.hidden_size) * part.ways
        sizes = cell.sizes(width, part.hidden_size, part.proj_size)
        stored = [[own[network.place_of(one, number, way)] for one in names] for names in cell.stored()]
        found = blocks(cell, [sum(each[1:], each[0]) for each in stored])
        states = tuple(
            Vector(carried, sizes[letter], 0) for carried, letter in zip(cell.carry, cell.carry_sizes, strict=True)
        )
        return Layer("layer", cell, {node.label: array for node, array in found.items()}, sizes, states)


class Memory(NamedTuple):
    """As `runtime.attention.Memory`."""

    keys: Tensor
    values: Tensor
    inside: Tensor


class _Attention(ABC):
    """As `runtime.attention.Attention`."""

    def __init__(self, page: Page, own: Mapping[str, Array]):
        self._page, self._own = page, own

    def memory(self, keys: Tensor, *, lengths: Tensor) -> Memory:
        page, graph = self._page, self._page.graph
        S, B, _ = keys.shape
        mask = graph.inside(keys.name, lengths.name)  # (S, B, 1)
        values = page.op("Where", keys.shape, mask, keys, 0.0).swapaxes(0, 1)
        inside = Tensor(page, graph.op("Squeeze", mask, graph.whole(2)), [S, B], "bool").swapaxes(0, 1)
        return Memory(self.prepare(values), values, inside)

    def read(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        page = self._page
        scores = self.score(query.swapaxes(0, 1), memory.keys)  # (B, Q, S)
        inside = memory.inside[:, None]
        shown = page.op("Where", scores.shape, inside, scores, _LEAST)
        most = page.op("ReduceMax", [*scores.shape[:2], 1], shown, axes=[-1], keepdims=1)
        shares = page.op("Where", scores.shape, inside, page.op("Exp", scores.shape, shown - most), 0.0)
        weights = shares / page.op("Max", [*scores.shape[:2], 1], page.reduced(shares, -1, keepdims=1), _TINY)
        context = page.op("MatMul", [*scores.shape[:2], memory.values.shape[2]], weights, memory.values)
        return context.swapaxes(0, 1), weights

    @abstractmethod
    def prepare(self, keys: Tensor) -> Tensor:
        """The keys, as `score` takes them."""

    @abstractmethod
    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        """(B, Q, S): how well each key answers each query."""


class _Additive(_Attention):
    def prepare(self, keys: Tensor) -> Tensor:
        return self._page.linear(keys, self._own["U.weight"])

    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        units = self._page.linear(query, self._own["W.weight"])[:, :, None] + keys[:, None]
        squashed = self._page.op("Tanh", units.shape, units)
        return self._page.linear(squashed, self._own["v.weight"])[..., 0]


class _Multiplicative(_Attention):
    def prepare(self, keys: Tensor) -> Tensor:
        return self._page.linear(keys, self._own["W.weight"])

    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        shape = [query.shape[0], query.shape[1], keys.shape[1]]
        return self._page.op("MatMul", shape, query, keys.swapaxes(1, 2))


class Ops:
    """What networks compute with, on tensors: of `runtime.ops` what an encoder or a decoder uses."""

    def __init__(self, page: Page):
        self._page = page

    def __getattr__(self, name: str) -> Any:
        raise OptionError(f"its network computes {name.replace('_', ' ')}, which is not said in ONNX")

    def tanh(self, x: Tensor) -> Tensor:
        return self._page.op("Tanh", x.shape, x)

    def relu(self, x: Tensor) -> Tensor:
        return self._page.op("Relu", x.shape, x)

    def log(self, x: Tensor) -> Tensor:
        return self._page.op("Log", x.shape, x)

    def log_sigmoid(self, x: Tensor) -> Tensor:
        return -self._page.op("Softplus", x.shape, -x)

    def flipped(self, x: Tensor) -> Tensor:
        return x[::-1]

    def largest(self, x: Tensor, axis: int) -> Tensor:
        return x.max(axis)

    def pointwise(self, op: str, *args: Any) -> Tensor:
        """One of the operations of cells."""
        if op == "step":
            return Tensor(self._page, above_zero(self._page.graph, args[0].name), args[0].shape)
        return self._page.pointwise(POINTWISE[op], *args)

    def softmax(self, x: Tensor, axis: int) -> Tensor:
        return self._page.op("Softmax", x.shape, x, axis=axis)

    def broadcast_to(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        return self._page.op("Expand", shape, x, self._page.sizes(shape))

    def log_softmax(self, x: Tensor, axis: int) -> Tensor:
        return self._page.op("LogSoftmax", x.shape, x, axis=axis)

    def logaddexp(self, one: Tensor, other: Tensor) -> Tensor:
        most, least = (self._page.pointwise(kind, one, other) for kind in ("Max", "Min"))
        return most + self._page.op("Softplus", most.shape, least - most)

    def clip(self, x: Tensor, least: float, most: float | None) -> Tensor:
        found = self._page.pointwise("Max", x, least)
        return found if most is None else self._page.pointwise("Min", found, most)

    def concatenate(self, arrays: Sequence[Tensor], axis: int = -1) -> Tensor:
        if len(arrays) == 1:
            return arrays[0]
        shape = list(arrays[0].shape)
        shape[axis] = sum(array.shape[axis] for array in arrays)
        return self._page.op("Concat", shape, *arrays, of=arrays[0].kind, axis=axis)

    def windows(self, x: Tensor, layer: Convolution) -> Tensor:
        return self._page.windows(x, layer)

    def stack(self, arrays: Sequence[Tensor]) -> Tensor:
        return self.concatenate([array[None] for array in arrays], 0)

    def zeros(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return self._page.op("Expand", shape, 0.0, self._page.sizes(shape))

    def moveaxis(self, x: Tensor, source: int, destination: int) -> Tensor:
        order = np.moveaxis(
            np.empty(range(len(x.shape))), source, destination
        ).shape  # each axis is as long as its place
        return self._page.permuted(x, order)

    def permute(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        return self._page.permuted(x, axes)

    def contiguous(self, x: Tensor) -> Tensor:
        return x

    def as_float(self, x: Tensor) -> Tensor:
        return x if x.kind == "float" else self._page.op("Cast", x.shape, x, to=FLOAT)

    def rows_at(self, x: Tensor, places: Tensor) -> Tensor:
        return x[places]

    def summed_at(self, values: Tensor, places: Tensor, width: int) -> Tensor:
        page = self._page
        zeros = self.zeros([values.shape[0], width], values)
        return page.op("ScatterElements", zeros.shape, zeros, places, values, axis=1, reduction="add")
