"""Calls of the compiled engine: what a layer is given, checked and divided among threads, and places for its results.

Nothing here depends on an array library. The arrays of a call are torch's tensors or numpy's arrays; how to make and
read them is told by an `Arrays`, which whoever makes the call hands in.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from math import prod
from typing import Any, Literal, Protocol

from ..algebra import Cell
from ..errors import ShapeError
from . import lowering
from .library import _native

Array = Any  # a torch.Tensor or a numpy.ndarray; all arrays of a call are of one library
Shape = tuple[int, ...]
Precision = Literal["float32", "int8"]

# A batch is cut into rows per thread if every thread gets a tile's worth of them, and if its weights are small enough
# (the unit is bytes) to stay in every core's own cache, or to be read anew at every step for as many rows as there are;
# else the threads share the units and meet at every step.
_SMALL_WEIGHTS = 900_000
_SMALL_WEIGHTS_PER_ROW = 1 / 14  # of that; at most for 128 rows
_TILE_ROWS = 6
_BYTES = {"float32": 4, "bfloat16": 2, "int8": 1}  # of a weight
# Packed weights beyond this many bytes are not kept for both directions at once: packing again costs less than memory.
_LARGE_WEIGHTS = 8_000_000
# Below this many operations in all, or in a step at whose end the threads meet, a second one costs more than it gains.
_SHORT = 2_000_000
_SHORT_STEP = 200_000
# Layers of a stack run at the same time where a batch has no tile for each thread, a layer's weights stay in a core's
# own cache and all steps have so many tiles: each begins two tiles behind the one below. Two LSTM layers on 2 threads,
# 100 steps of 1 to 8 rows, took 1.3 to 1.7 times as long in turn at H = 32 and 64, in training 1.15 to 1.7 times; at
# H = 128, where those share units, 0.95 to 1.6, the more the busier the machine. From H = 256 on sharing was as fast.
_CHAIN_TILES = 8


class Arrays(Protocol):
    """What a call has to know of its arrays."""

    float32: Any  # the dtype
    bfloat16: Any  # the dtype; None where there is none

    def maker(self, like: Array, dtype: Any) -> Callable[..., Array]:
        """A function of a shape, one argument per axis, that makes a row-major array whose values are not set."""

    def as_float32(self, array: Array) -> Array:
        """The same values in float32."""

    def rows(self, array: Array) -> Array:
        """The same values with the last axis in one piece, as the engine reads them."""

    def lengths(self, lengths: Array, x: Array) -> Array:
        """As int64 in one piece, checked by `check_lengths`."""

    def resets(self, resets: Array) -> Array:
        """As booleans."""

    def constant(self, array: Array) -> bool:
        """Whether its values cannot change."""


@dataclass
class Layer:
    """One layer in one direction, and what it runs on.

    T steps, B rows; D, H and P as the cell names its sizes.

    Attributes:
        x: (T, B, D).
        state: (B, H) or (B, P) per carried name, before the first step.
        weights: One array per parameter of the cell.
        lengths: (B,) steps of each row that count.
        resets: (T, B) True where a sequence begins anew.
        reverse: Whether rows run from their last step to their first.
        extras: (T, B, H) per further input of the cell.
    """

    cell: Cell
    x: Array
    state: Sequence[Array]
    weights: Sequence[Array]
    lengths: Array | None = None
    resets: Array | None = None
    reverse: bool = False
    history: bool = False  # return every carried value at every step, not the output alone
    dtype: Any = None  # of the results; that of x if None
    extras: Sequence[Array] = ()
    precision: Precision = "float32"  # of matrix products; int8 forward only, see `Streams`


Forward = Callable[[list["Call"], list[Array]], Sequence[Array]]
Chain = Callable[[Sequence[Layer], int], list[Array]]


class Call:
    """What is asked of one layer, apart from the values of its arrays."""

    def __init__(self, layer: Layer, arrays: Arrays):
        cell, x, state = layer.cell, layer.x, layer.state
        self.arrays = arrays
        self.cell, self.reverse, self.history = cell, layer.reverse, layer.history
        self.carried = len(state)
        shapes = _native.shapes([x, *state, *layer.weights])
        self.inputs = len(shapes)
        self.sizes, self.weight_count = sizes_of(cell, shapes, self.carried)
        self.steps, self.rows, _ = shapes[0]
        self.lengths = None if layer.lengths is None else arrays.lengths(layer.lengths, x)
        self.resets = None if layer.resets is None else arrays.resets(layer.resets)
        if self.resets is not None and tuple(self.resets.shape) != (self.steps, self.rows):
            raise ShapeError(f"resets has shape {tuple(self.resets.shape)}, but the input has {self.steps, self.rows}")
        self.extras = [arrays.rows(extra) for extra in layer.extras]
        wide = [(self.steps, self.rows, self.sizes[i]) for i in lowering.extra_sizes(cell)]
        if (found := [tuple(extra.shape) for extra in self.extras]) != wide:
            raise ShapeError(f"the further inputs of cell '{cell.name}' must have the shapes {wide}, not {found}")
        self.shown = self.carried if layer.history else 1
        self.results = self.shown + self.carried
        self.dtype = layer.dtype or x.dtype
        self.bfloat16 = self.dtype == arrays.bfloat16
        self.precision = "bfloat16" if self.bfloat16 and _native.rounds() else layer.precision
        self.work = (1, 1)  # parts that run apart, and threads in all
        self.threads = 1  # threads available to prepare the call
        self.tape: Any = None

    def split(self, inputs: Sequence[Array]) -> tuple[Array, Sequence[Array], Sequence[Array]]:
        """x, state, weights."""
        return inputs[0], inputs[1 : 1 + self.carried], inputs[1 + self.carried :]

    def divide(self, threads: int) -> None:
        """Among so many threads: by rows, each with all the weights; or by units, meeting at every step."""
        self.threads = threads
        per_step = 2 * self.weight_count * self.rows
        if threads == 1 or per_step * self.steps < _SHORT:
            return
        if _by_rows(self.rows, _BYTES[self.precision] * self.weight_count, threads):
            self.work = (threads, threads)
        elif per_step >= _SHORT_STEP:
            self.work = (1, threads)

    def fields(self, program: Any, x: Array, weights: Sequence[Array]) -> tuple[Any, ...]:
        """What the engine is given for either direction."""
        plan = plan_of(program, self.sizes, self.work, self.precision)
        packed = _packed(plan, weights, self.threads, self.arrays)
        if self.bfloat16:  # of vectors the engine reads floats; of matrices only what is packed
            weights = [w if w.ndim == 2 else self.arrays.as_float32(w) for w in weights]
        return plan, packed, weights, [self.arrays.rows(x), *self.extras], self.lengths, self.resets, self.reverse

    def forward(self, inputs: Sequence[Array], keep: bool) -> tuple[tuple[Any, ...], list[Array]]:
        """What the engine is given, and the results that it is to fill."""
        x, state, weights = self.split(inputs)
        hoist = self.rows // self.work[0] < _TILE_ROWS and self.steps > 1
        make = self.arrays.maker(x, self.dtype)
        last = [make(self.rows, s.shape[1]) for s in state]
        outputs = [make(self.steps, self.rows, s.shape[1]) for s in state[: self.shown]]
        absent = [None] * (self.carried - self.shown)
        call = self.fields(forward_program(self.cell, keep, hoist), x, weights)
        return (call, list(map(self.arrays.rows, state)), [*outputs, *absent], last, keep), [*outputs, *last]

    def backward(
        self, inputs: Sequence[Array], gradients: Sequence[Array | None], needs: Sequence[bool]
    ) -> tuple[tuple[Any, ...], list[Array | None]]:
        """As `forward`, for the gradients of those inputs that need one."""
        x, state, weights = self.split(inputs)
        maker, rows = self.arrays.maker, self.arrays.rows
        arriving = [None if g is None else rows(g) for g in gradients]
        dx = maker(x, x.dtype)(*x.shape) if needs[0] else None
        if dx is not None and not lowering.gives_dx(self.cell):
            dx[...] = 0
        dstate = [maker(s, s.dtype)(*s.shape) if need else None for s, need in zip(state, needs[1:], strict=False)]
        wanted, make = needs[1 + self.carried :], maker(x, self.arrays.float32)
        dweights = [make(*w.shape) if need else None for w, need in zip(weights, wanted, strict=True)]
        douts = [*arriving[: self.shown], *[None] * (self.carried - self.shown)]
        call = self.fields(_backward_program(self.cell), x, weights)
        return (call, self.tape, douts, arriving[self.shown :], dx, dstate, dweights), [dx, *dstate, *dweights]


def divide(calls: Sequence[Call], threads: int) -> None:
    """Give each call its threads: several calls one each, if each then waits less than if all shared every step."""
    for call in calls:
        call.divide(threads)
    if 1 < len(calls) <= threads and not (threads > len(calls) and any(call.work[0] > 1 for call in calls)):
        for call in calls:
            call.work = (1, 1)


def _by_rows(rows: int, weight_bytes: int, threads: int) -> bool:
    small = _SMALL_WEIGHTS * max(1.0, min(rows, 128) * _SMALL_WEIGHTS_PER_ROW)
    return weight_bytes < small and rows >= threads * _TILE_ROWS


def chained(layers: Sequence[Layer], threads: int) -> int:
    """How many layers of a stack to run at the same time, from the first on."""
    if threads == 1 or len(layers) == 1 or layers[0].x.ndim != 3:
        return 1
    steps, rows, _ = layers[0].x.shape
    weights = [sum([prod(w.shape) for w in layer.weights]) for layer in layers]
    if rows >= threads * _TILE_ROWS or 4 * max(weights) >= _SMALL_WEIGHTS:
        return 1
    if steps * rows < _CHAIN_TILES * _TILE_ROWS or 2 * steps * rows * sum(weights) < _SHORT:
        return 1
    if len(layers) < threads and 2 * rows * max(weights) >= _SHORT_STEP:
        return 1  # all threads share the units of one layer
    return len(layers) // threads * threads or len(layers)  # what is left over runs as if alone


def run(layers: Sequence[Layer], threads: int, arrays: Arrays, forward: Forward) -> list[list[Array]]:
    """Run layers that do not wait for one another, such as both directions of one, at the same time.

    Args:
        forward: Runs calls, given their inputs one call's after the other's; gives the results of all, as
            `run_forward`.

    Returns:
        Per layer the values of every step that are shown, then the last state.
    """
    inputs = [array for layer in layers for array in (layer.x, *layer.state, *layer.weights)]
    calls = [Call(layer, arrays) for layer in layers]
    divide(calls, threads)
    results = iter(forward(calls, inputs))
    return [list(islice(results, call.results)) for call in calls]


def run_stack(
    layers: Sequence[Layer], threads: int, arrays: Arrays, forward: Forward, chain: Chain
) -> list[list[Array]]:
    """Run layers of which each but the first takes the output of the one before it, whatever its `x`; several at the
    same time where that pays. Returns what `run` does.

    Args:
        chain: Runs layers at the same time on so many threads; gives the results of all, as `run_forward_chain`.
    """
    lengths = None if layers[0].lengths is None else arrays.lengths(layers[0].lengths, layers[0].x)
    results: list[list[Array]] = []
    while len(results) < len(layers):
        some = layers[len(results) :]
        some[0].x = results[-1][0] if results else some[0].x
        for layer in some:
            layer.lengths = lengths  # checked once, and one array for all
        count = chained(some, threads)
        if count == 1:
            results += run(some[:1], threads, arrays, forward)
            continue
        found = chain(some[:count], threads)
        each = len(found) // count
        results += [found[i : i + each] for i in range(0, len(found), each)]
    return results


def run_forward(calls: Sequence[Call], inputs: Sequence[Array], keep: bool) -> list[Array]:
    """Run calls that do not wait for one another; returns the results of all.

    Args:
        inputs: Of each call x, state and weights, one call's after the other's.
        keep: Keep a tape with each call, for `run_backward`.
    """
    results, jobs = [], []
    for call in calls:
        own, inputs = inputs[: call.inputs], inputs[call.inputs :]
        fields, filled = call.forward(own, keep)
        jobs.append(fields)
        results += filled
    for some in _together(calls):
        for call, tape in zip(calls[some], _native.forward(jobs[some]), strict=True):
            call.tape = tape
    return results


def run_backward(calls: Sequence[Call], jobs: Sequence[tuple[Any, ...]]) -> None:
    """Fill the gradients of calls that do not wait for one another; `jobs` are what `Call.backward` gave for each."""
    for some in _together(calls):
        _native.backward(jobs[some])


def _together(calls: Sequence[Call]) -> list[slice]:
    """Which calls run at the same time: those on one thread each, if they are long enough to be worth a second one."""
    operations = sum([2 * call.weight_count * call.steps * call.rows for call in calls])
    if operations >= _SHORT and all(call.work == (1, 1) for call in calls):
        return [slice(0, len(calls))]
    return [slice(i, i + 1) for i in range(len(calls))]


def run_forward_chain(
    layers: Sequence[Layer], threads: int, keep: Sequence[bool], arrays: Arrays
) -> tuple[list[Call], list[Array]]:
    """Run layers at the same time, each on the output of the one before it, whatever its `x`.

    Args:
        keep: Of each layer, whether to keep a tape.
    """
    calls, results, jobs = [], [], []
    x = layers[0].x
    for layer, kept in zip(layers, keep, strict=True):
        layer.x = x
        call = Call(layer, arrays)
        call.threads = threads
        fields, filled = call.forward([x, *layer.state, *layer.weights], kept)
        calls.append(call)
        jobs.append(fields)
        results += filled
        x = filled[0]
    for call, tape in zip(calls, _native.forward(jobs, threads), strict=True):
        call.tape = tape
    return calls, results


def run_backward_chain(jobs: Sequence[tuple[Any, ...]], threads: int) -> None:
    """Fill the gradients of layers at the same time, the last layer first."""
    _native.backward(jobs, threads)


@lru_cache(maxsize=256)
def forward_program(cell: Cell, keep: bool, hoist: bool) -> Any:
    """A cell's forward pass as the engine runs it; see `lowering.lower_forward`."""
    return _native.Program(*lowering.lower_forward(cell, keep, hoist))


@lru_cache(maxsize=256)
def _backward_program(cell: Cell) -> Any:
    return _native.Program(*lowering.lower_backward(cell))


# From a program, sizes, a division of the work and a precision to a plan.
plan_of = lru_cache(maxsize=1024)(_native.Plan)


@lru_cache(maxsize=1024)
def sizes_of(cell: Cell, shapes: tuple[Shape, ...], carried: int) -> tuple[tuple[int, ...], int]:
    """A number for every size letter of the cell, and how many weights there are; from the shapes of all arrays.

    Raises:
        ShapeError: The arrays do not fit one another.
    """
    x, state, weights = shapes[0], shapes[1 : 1 + carried], shapes[1 + carried :]
    if len(x) != 3:
        raise ShapeError(f"the input must be (steps, rows, features), but has shape {x}")
    if (len(state), len(weights)) != (len(cell.carry), len(cell.parameters)):
        raise ShapeError(
            f"cell '{cell.name}' carries {len(cell.carry)} values and has {len(cell.parameters)} weights, "
            f"but was given {len(state)} and {len(weights)}"
        )
    if any(len(shape) != 2 for shape in state) or any(len(shape) not in (1, 2) for shape in weights):
        raise ShapeError(
            f"states must be (rows, units) and weights matrices or vectors, but have the shapes {[*state, *weights]}"
        )
    sizes = {"D": x[2]}
    for letter, shape in zip(cell.carry_sizes, state, strict=True):
        sizes.setdefault(letter, shape[-1])
    for parameter, shape in zip(cell.parameters, weights, strict=True):
        block = parameter.blocks[0]
        sizes.setdefault(block.size.letter, shape[0] // len(parameter.blocks))
        if block.columns is not None and not parameter.diagonal:
            sizes.setdefault(block.columns.letter, shape[-1])
    if cell.heads > 1 and sizes["H"] % cell.heads:
        raise ShapeError(f"cell '{cell.name}' has {cell.heads} heads, and {sizes['H']} is no multiple of that")
    sizes["K"] = sizes.get("H", 0) // cell.heads
    expected: list[tuple[str, Shape]] = [
        (f"the state {c}", (x[1], sizes[s])) for c, s in zip(cell.carry, cell.carry_sizes, strict=True)
    ]
    expected += [(f"the weight {p.name}", p.shape(sizes)) for p in cell.parameters]
    for (name, wanted), shape in zip(expected, (*state, *weights), strict=True):
        if shape != wanted:
            raise ShapeError(f"{name} of cell '{cell.name}' must have shape {wanted} here, but has {shape}")
    return tuple([sizes.get(letter, 0) for letter in lowering.letters(cell)]), sum(map(prod, weights))


def check_lengths(lengths: Array, steps: int, rows: int, whole: bool, known: bool = True) -> None:
    """Check the lengths of a batch's rows.

    Args:
        whole: Whether they are whole numbers, as their dtype says.
        known: Whether their values can be read. They cannot while a graph is captured.

    Raises:
        ShapeError: They are not whole numbers in 0..steps, one per row.
    """
    if not whole:
        raise ShapeError(f"lengths must be whole numbers, not {lengths.dtype}")
    if tuple(lengths.shape) != (rows,):
        raise ShapeError(f"lengths has shape {tuple(lengths.shape)}, but the batch has {rows} rows")
    if known and rows and not 0 <= int(lengths.min()) <= int(lengths.max()) <= steps:
        wrong = next(int(n) for n in lengths if not 0 <= n <= steps)
        raise ShapeError(f"a length of {wrong} does not fit an input of {steps} steps")


# By the identity of the first array that they are made of, packed weights by plan; they go when it goes.
_cache: dict[int, dict[Any, tuple[int, Any]]] = {}


def _packed(plan: Any, weights: Sequence[Array], threads: int, arrays: Arrays) -> Any:
    """The weight matrices as the kernels read them, made again when a value has changed."""
    # By their values, as 32-bit words: tensors' version counters miss what is written through `.data` or numpy.
    values = 0 if all(map(arrays.constant, weights)) else _native.fingerprint(weights, threads)
    if values is None:
        return _pack(plan, weights, threads, arrays)
    first = weights[0]
    entries = _cache.get(id(first))
    if entries is None:
        entries = _cache[id(first)] = {}
        weakref.finalize(first, _cache.pop, id(first), None).atexit = False
    found = entries.get(plan)
    if found is None or found[0] != values:
        large = sum([w.nbytes for w in weights]) > _LARGE_WEIGHTS
        for other in [p for p, (packed_values, _) in entries.items() if large or packed_values != values]:
            del entries[other]
        found = entries[plan] = (values, _pack(plan, weights, threads, arrays))
    return found[1]


def _pack(plan: Any, weights: Sequence[Array], threads: int, arrays: Arrays) -> Any:
    return _native.pack(plan, [arrays.as_float32(w) for w in weights], threads)
