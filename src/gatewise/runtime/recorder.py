"""Makes a recording of a network: its `forward` runs once, over parts that compute nothing.

Its arrays hold the places of numbers instead of numbers, so that indexing and reshaping are numpy's own; arithmetic and
layers add to the list of operations.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import Any

import numpy as np

from ..errors import OptionError
from . import network
from .equations import blocks
from .layers import Kit, network_of
from .recording import (
    OPERATIONS,
    Above,
    Affine,
    Around,
    Clear,
    Constant,
    Embed,
    Frame,
    Gather,
    Keep,
    Largest,
    Layer,
    Lookup,
    Nearest,
    Operation,
    Pass,
    Pointwise,
    Recording,
    Step,
    Stretch,
    Vector,
    needed,
)

Array = np.ndarray


class Symbol:
    """An array of numbers that are not there yet; it is used as numpy's arrays are.

    Attributes:
        places: Where each of its numbers will stand.
    """

    __array_ufunc__ = None  # so that numpy leaves `array * symbol` to us

    def __init__(self, recorder: Recorder, places: Array):
        self._recorder, self.places = recorder, places

    @property
    def shape(self) -> tuple[int, ...]:
        return self.places.shape

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Any) -> Symbol:
        return Symbol(self._recorder, self.places[index])

    def reshape(self, *shape: Any) -> Symbol:
        return Symbol(self._recorder, self.places.reshape(*shape))

    def mean(self, axis: int) -> Symbol:
        """Over the first axis."""
        assert axis == 0
        total = self[0]
        for place in range(1, len(self)):
            total = total + self[place]
        return total if len(self) == 1 else total * (1 / len(self))

    def swapaxes(self, one: int, other: int) -> Symbol:
        return Symbol(self._recorder, self.places.swapaxes(one, other))

    def __add__(self, other: Any) -> Symbol:
        return self._recorder.pointwise("add", self, other)

    def __radd__(self, other: Any) -> Symbol:
        return self._recorder.pointwise("add", other, self)

    def __sub__(self, other: Any) -> Symbol:
        return self._recorder.pointwise("sub", self, other)

    def __rsub__(self, other: Any) -> Symbol:
        return self._recorder.pointwise("sub", other, self)

    def __mul__(self, other: Any) -> Symbol:
        return self._recorder.pointwise("mul", self, other)

    def __rmul__(self, other: Any) -> Symbol:
        return self._recorder.pointwise("mul", other, self)

    def __truediv__(self, other: Any) -> Symbol:
        return self._recorder.pointwise("div", self, other)

    def __neg__(self) -> Symbol:
        return self._recorder.pointwise("neg", self)


CARRIED = object()  # the state of layers that remember the steps before
SEQUENCE = object()  # of layers that read a whole sequence, of which one step stands for all


@dataclass
class Recorder:
    """Writes down what a `forward` computes.

    Attributes:
        prefix: What names of layers begin with, where a model has several recordings.

    Example:
        >>> recorder = Recorder()
        >>> net = recorder.net(block, checked(block, tensors))
        >>> scores, _ = forward(net, recorder.token("token", 103, (1, 1)), CARRIED)
        >>> recording = recorder.recording(scores=scores)
    """

    prefix: str = ""
    _vectors: list[Vector] = field(default_factory=list)
    _operations: list[Operation] = field(default_factory=list)
    _layers: list[Layer] = field(default_factory=list)
    _numbers: list[Vector] = field(default_factory=list)
    _tokens: list[tuple[Vector, int]] = field(default_factory=list)
    _kept: list[Keep] = field(default_factory=list)
    _states: list[Vector] = field(default_factory=list)
    _single: list[Vector] = field(default_factory=list)
    _whole: bool = False

    def net(self, parts: network.Block, weights: Mapping[str, Array]) -> Any:
        """The parts of a network, for `forward`."""
        layers: dict[type, Callable[..., Any]] = {
            network.Linear: self._linear,
            network.ExactLinear: self._exact_linear,
            network.Embedding: self._embedding,
            network.Recurrent: self._recurrent,
            network.Stack: self._recurrent,
            network.Tanh: lambda part, weights: self.ops.tanh,
            **dict.fromkeys((network.Dropout, network.MaskDropout, network.TokenDropout), lambda *_: lambda x: x),
        }
        return network_of(parts, weights, Kit(layers, self.ops))

    @property
    def ops(self) -> Ops:
        """What stands for `runtime.ops`."""
        return Ops(self)

    def number(self, name: str, *shape: int, single: bool = False) -> Symbol:
        """An input of numbers, of each step or of a sequence."""
        vector = self._vector(int(np.prod(shape)), name)
        self._numbers.append(vector)
        self._single += [vector] if single else []
        return self._symbol(vector, shape)

    def token(self, name: str, limit: int, *shape: int, single: bool = False) -> Symbol:
        """An input that is one whole number below `limit`; of a shape like (1, 1)."""
        vector = self._vector(1, name)
        self._tokens.append((vector, limit))
        self._single += [vector] if single else []
        return self._symbol(vector, shape)

    def state(self, name: str, *shape: int) -> Symbol:
        """What a step remembers besides the states of layers; see `keep`."""
        self._states.append(self._vector(int(np.prod(shape)), name))
        return self._symbol(self._states[-1], shape)

    def keep(self, state: Symbol, value: Symbol) -> None:
        """What such a state is after the step."""
        self._kept.append(Keep(self.vector(state), self.vector(value)))

    def begin(self, way: str, stride: int = 1) -> None:
        """Begin another pass over the sequence, see `recording.Pass`."""
        self.read_whole()
        self._operations += [*self._kept, Pass(way, stride)]
        self._kept.clear()

    def read_whole(self) -> None:
        """What is recorded reads a whole sequence."""
        self._whole = True

    def framed(self, x: Symbol, stride: int) -> Symbol:
        """(1, 1, 2 * stride * D) of steps (1, 1, D) of the pass before, see `recording.Frame`."""
        source = self.vector(x)
        self.begin("forward", stride)
        out = self._vector(2 * stride * source.size)
        self._operations.append(Frame(out, source, stride))
        return self._symbol(out, (1, 1, out.size))

    def above(
        self, source: Vector, dilations: Array, kernels: Array, reads: Array, thresholds: Array, longest: int
    ) -> Symbol:
        """(1, 1, 2 * D * R * Q), see `recording.Above`."""
        out = self._vector(thresholds.size)
        self._operations.append(Above(out, source, dilations, kernels, reads, thresholds, longest))
        return self._symbol(out, (1, 1, out.size))

    def around(self, source: Vector, reach: int, ahead: bool) -> Symbol:
        """(1, 1, n) of a step and those around it, see `recording.Around`; of a vector of the pass before."""
        scales, sides = reach.bit_length() - 1, 2 if ahead else 1
        out = self._vector(source.size * (scales * (2 + sides) + sides))
        self._operations.append(Around(out, source, reach, ahead))
        return self._symbol(out, (1, 1, out.size))

    def nearest(self, source: Vector, series: Array, classes: Array, count: int, band: int) -> Symbol:
        """(1, 1, count) distances of a sequence, stretched to as many steps, to classes; see `recording.Nearest`."""
        stretched = self._vector(series.shape[1] * series.shape[2])
        out = self._vector(count)
        self._operations += [Stretch(stretched, source), Nearest(out, stretched, series, classes, band)]
        return self._symbol(out, (1, 1, count))

    @property
    def stride(self) -> int:
        """Steps from run to run, now."""
        return next((op.stride for op in reversed(self._operations) if isinstance(op, Pass)), 1)

    def mean(self, x: Symbol) -> Symbol:
        """Of the last axis, which is kept as one number."""
        n = x.shape[-1]
        return self.affine(x, np.full((1, n), 1 / n, np.float32), None)

    def total(self, x: Symbol) -> Symbol:
        """Of the last axis, which is kept as one number."""
        return self.affine(x, np.ones((1, x.shape[-1]), np.float32), None)

    def largest(self, x: Symbol) -> Symbol:
        """The same of the largest number."""
        outs = []
        for row in x.places.reshape(-1, x.shape[-1]):
            out = self._vector(1)
            self._operations.append(Largest(out, self.vector(Symbol(self, row))))
            outs.append(out.first)
        return Symbol(self, np.array(outs).reshape(*x.shape[:-1], 1))

    def embedded(self, table: Array, tokens: Symbol) -> Symbol:
        """The rows (..., size) of a table that tokens (...) name."""
        places = []
        for place in tokens.places.reshape(-1):
            [token] = [vector for vector, _ in self._tokens if vector.first == place]
            out = self._vector(table.shape[1])
            self._operations.append(Embed(out, table, token))
            places.append(np.arange(out.first, out.first + out.size))
        return Symbol(self, np.stack(places).reshape(*tokens.shape, -1))

    def lookup(self, table: Array, place: Symbol) -> Symbol:
        """A number of a table (n,) by its place, a symbol of one number."""
        out = self._vector(1)
        self._operations.append(Lookup(out, np.asarray(table, np.float32), self.vector(place)))
        return self._symbol(out, place.shape)

    def recording(self, **outputs: Symbol) -> Recording:
        """What was written down."""
        found: dict[str, Vector] = {}
        for name, symbol in outputs.items():
            vector = self.vector(symbol)
            made = {op.out for op in self._operations if not isinstance(op, Clear | Keep | Constant | Pass)}
            found[name] = vector if vector in made - set(found.values()) else self._copied(symbol)
        operations = needed([*self._operations, *self._kept], found.values())
        stepped = {op.layer for op in operations if isinstance(op, Step)}
        unused = {state for layer in self._layers if layer not in stepped for state in layer.states}
        return Recording(
            tuple(self._numbers),
            tuple(self._tokens),
            operations,
            tuple(layer for layer in self._layers if layer in stepped),
            tuple(state for state in self._states if state not in unused),
            found,
            frozenset(self._single),
            self._whole,
        )

    def pointwise(self, op: str, *args: Any) -> Symbol:
        """An operation on each number, with numpy's rules of broadcasting."""
        shape = np.broadcast_shapes(*(np.shape(arg.places if isinstance(arg, Symbol) else arg) for arg in args))
        out = self._vector(int(np.prod(shape)))
        self._operations.append(Pointwise(out, op, tuple(self._argument(arg, shape) for arg in args)))
        return self._symbol(out, shape)

    def vector(self, symbol: Symbol) -> Vector:
        """The numbers of an array behind one another."""
        places = symbol.places.reshape(-1)
        vector = self._holding(int(places[0]))
        if vector.size == len(places) and (places == np.arange(vector.first, vector.first + vector.size)).all():
            return vector
        return self._copied(symbol)

    def _copied(self, symbol: Symbol) -> Vector:
        places = symbol.places.reshape(-1)
        runs = np.split(places, np.flatnonzero(np.diff(places) != 1) + 1)
        found = []
        for run in runs:
            while len(run):
                source = self._holding(int(run[0]))
                start = int(run[0]) - source.first
                count = min(len(run), source.size - start)
                found.append((source, start, count))
                run = run[count:]
        out = self._vector(len(places))
        self._operations.append(Gather(out, tuple(found)))
        return out

    def _holding(self, place: int) -> Vector:
        """The vector that a number is in."""
        return self._vectors[bisect_right(self._vectors, place, key=lambda vector: vector.first) - 1]

    def constant(self, values: Any) -> Symbol:
        """Numbers that are known already."""
        array = np.asarray(values, np.float32)
        if not array.size:
            return Symbol(self, np.zeros(array.shape, np.int64))
        out = self._vector(array.size)
        self._operations.append(Constant(out, array.reshape(-1)))
        return self._symbol(out, array.shape)

    def affine(self, x: Symbol, weight: Array, bias: Array | None) -> Symbol:
        """x (..., columns) to (..., rows)."""
        rows = x.places.reshape(-1, x.shape[-1])
        offset = np.zeros(len(weight), np.float32) if bias is None else bias
        outs = []
        for row in rows:
            out = self._vector(len(weight))
            self._operations.append(Affine(out, weight, offset, self.vector(Symbol(self, row))))
            outs.append(np.arange(out.first, out.first + out.size))
        return Symbol(self, np.stack(outs).reshape(*x.shape[:-1], len(weight)))

    def _argument(self, arg: Any, shape: tuple[int, ...]) -> Vector | float:
        if isinstance(arg, Symbol):
            return self.vector(Symbol(self, np.broadcast_to(arg.places, shape)))
        values = np.asarray(arg, np.float32)
        if values.size == 1 or (values == values.flat[0]).all():
            return float(values.flat[0])
        return self.vector(self.constant(np.broadcast_to(values, shape)))

    def _vector(self, size: int, name: str = "") -> Vector:
        last = self._vectors[-1] if self._vectors else None
        vector = Vector(name or f"v{len(self._vectors)}", size, last.first + last.size if last else 0)
        self._vectors.append(vector)
        return vector

    def _symbol(self, vector: Vector, shape: Sequence[int]) -> Symbol:
        return Symbol(self, np.arange(vector.first, vector.first + vector.size).reshape(shape))

    # Parts of networks.

    def _linear(self, part: network.Linear, weights: Mapping[str, Array]) -> Any:
        return lambda x: self.affine(x, weights["weight"], weights.get("bias"))

    def _exact_linear(self, part: network.ExactLinear, weights: Mapping[str, Array]) -> Any:
        return lambda x: self.affine(x, weights["weight_ih_l0"], weights["bias_ih_l0"])

    def _embedding(self, part: network.Embedding, weights: Mapping[str, Array]) -> Any:
        return lambda numbers: self.embedded(weights["weight"], numbers)

    def _recurrent(self, part: network.Recurrent, weights: Mapping[str, Array]) -> Any:
        return RecordedLayers(self, part, weights)

    def layer(self, part: network.Recurrent, weights: Mapping[str, Array], number: int, way: int) -> Layer:
        """One layer in one direction, with states of its own."""
        cell, name = part.runs, f"{self.prefix}layer{len(self._layers)}"
        width = part.input_size if not number else (part.proj_size or part.hidden_size) * part.ways
        sizes = cell.sizes(width, part.hidden_size, part.proj_size)
        stored = [[weights[network.place_of(one, number, way)] for one in names] for names in cell.stored()]
        found = blocks(cell, [sum(own[1:], own[0]) for own in stored])
        states = tuple(
            self._vector(sizes[letter], f"{name}_{carried}")
            for carried, letter in zip(cell.carry, cell.carry_sizes, strict=True)
        )
        layer = Layer(name, cell, {node.label: array for node, array in found.items()}, sizes, states)
        self._layers.append(layer)
        self._states += states
        return layer

    def clear(self, layer: Layer) -> None:
        """A layer begins anew."""
        self._operations.append(Clear(layer))

    def step(self, layer: Layer, x: Symbol) -> Symbol:
        """The output (H,) of a layer at a step x (D,)."""
        out = self._vector(layer.states[0].size)
        self._operations.append(Step(out, layer, self.vector(x)))
        return self._symbol(out, (out.size,))


class RecordedLayers:
    """Recurrent layers, as `runtime.layers.Recurrent`: of one row."""

    def __init__(self, recorder: Recorder, part: network.Recurrent, weights: Mapping[str, Array]):
        self._recorder, self._part = recorder, part
        self._layers = [
            [recorder.layer(part, weights, number, way) for way in range(part.ways)]
            for number in range(part.num_layers)
        ]

    def __call__(self, x: Symbol, state: Any = None, lengths: Any = None) -> tuple[Symbol, Any]:
        if state is CARRIED and self._part.bidirectional:
            raise OptionError(
                "its layers read in both directions, so that no step has an answer before the last one is there"
            )
        if state is CARRIED and x.shape[1] > 1:
            raise OptionError("it reads several series at a step, and what is exported remembers one")
        if state is SEQUENCE:
            return self._sequence(x), SEQUENCE
        for number in range(self._part.num_layers):
            x = Symbol(self._recorder, np.stack([self._row(number, x[:, row], state) for row in range(x.shape[1])], 1))
        return x, CARRIED

    def _sequence(self, x: Symbol) -> Symbol:
        """(1, 1, ways * H) from (1, 1, D): each direction of a layer in a pass of its own."""
        recorder = self._recorder
        recorder.read_whole()
        for layers in self._layers:
            outputs = []
            for layer, way in zip(layers, ("forward", "backward"), strict=False):
                if self._part.bidirectional:
                    recorder.begin(way, recorder.stride)
                outputs.append(recorder.step(layer, x[0, 0]).places)
            x = Symbol(recorder, np.concatenate(outputs)[None, None])
        if self._part.bidirectional:
            recorder.begin("forward", recorder.stride)
        return x

    def _row(self, number: int, x: Symbol, state: Any) -> Array:
        """Places of one layer's output (T, ways * H) of one row (T, D)."""
        outputs = []
        for way, layer in enumerate(self._layers[number]):
            if state is not CARRIED:
                self._recorder.clear(layer)
            order = range(len(x)) if way == 0 else reversed(range(len(x)))
            steps = {t: self._recorder.step(layer, x[t]).places for t in order}
            outputs.append(np.stack([steps[t] for t in range(len(x))]))
        return np.concatenate(outputs, -1)


class Ops:
    """What networks compute with, on symbols: of `runtime.ops` what can be said of a step."""

    def __init__(self, recorder: Recorder):
        self._recorder = recorder

    def __getattr__(self, name: str) -> Any:
        if name in OPERATIONS:
            return lambda *args: self._recorder.pointwise(name, *args)
        raise OptionError(f"its network computes {name.replace('_', ' ')}, which is not said as operations of a step")

    def linear(self, x: Symbol, weight: Array, bias: Array | None = None) -> Symbol:
        return self._recorder.affine(x, weight, bias)

    def linear_by_row(self, x: Symbol, weight: Array) -> Symbol:
        return self._recorder.affine(x, weight, None)

    def concatenate(self, arrays: Sequence[Symbol], axis: int = -1) -> Symbol:
        return Symbol(self._recorder, np.concatenate([self._symbol(array).places for array in arrays], axis))

    def moveaxis(self, x: Symbol, source: int, destination: int) -> Symbol:
        return Symbol(self._recorder, np.moveaxis(x.places, source, destination))

    def broadcast_to(self, x: Symbol, shape: Sequence[int]) -> Symbol:
        return Symbol(self._recorder, np.broadcast_to(x.places, shape))

    def repeat(self, x: Symbol, count: int, axis: int) -> Symbol:
        return Symbol(self._recorder, np.repeat(x.places, count, axis))

    def total(self, x: Symbol) -> Symbol:
        return self._recorder.total(x)

    def arange(self, count: int, like: Any) -> Array:
        return np.arange(count)

    def stack(self, arrays: Sequence[Symbol]) -> Symbol:
        return Symbol(self._recorder, np.stack([array.places for array in arrays]))

    def softmax(self, x: Symbol, axis: int) -> Symbol:
        assert axis == -1
        powers = self._recorder.pointwise("exp", x - self._recorder.largest(x))
        return powers / self._recorder.total(powers)

    def log_softmax(self, x: Symbol, axis: int) -> Symbol:
        assert axis == -1
        shifted = x - self._recorder.largest(x)
        return shifted - self._recorder.pointwise("log", self._recorder.total(self._recorder.pointwise("exp", shifted)))

    def flipped(self, x: Symbol) -> Symbol:
        return x[::-1]

    def rows_at(self, x: Symbol, places: np.ndarray) -> Symbol:
        return x[places]

    def largest(self, x: Symbol, axis: int) -> Symbol:
        """Over the first axis."""
        assert axis == 0
        return reduce(partial(self._recorder.pointwise, "maximum"), [x[place] for place in range(len(x))])

    def pointwise(self, op: str, *args: Any) -> Symbol:
        found: Symbol = getattr(self, op)(*args)
        return found

    def zeros(self, shape: Sequence[int], like: Any) -> Symbol:
        return self._recorder.constant(np.zeros(shape, np.float32))

    def clip(self, x: Symbol, least: float, most: float) -> Symbol:
        return self._recorder.pointwise("minimum", self._recorder.pointwise("maximum", x, least), most)

    def _symbol(self, array: Any) -> Symbol:
        return array if isinstance(array, Symbol) else self._recorder.constant(array)
