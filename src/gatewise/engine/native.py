"""The native CPU engine: any cell in float32, by hand-written matrix kernels and a small pointwise machine.

In bfloat16 it multiplies pairs, where the processor can: weights and what they multiply are rounded, while sums, state,
the pointwise part, gradients of the carry and what is kept for the backward pass are float32. On other processors only
what comes out is rounded.

This side lowers programs, checks shapes, makes results, divides the work among threads and keeps packed weights; what
runs is C++, in this folder's `.cpp` files, built as `gatewise.native._native`.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from ..algebra import Cell
from ..errors import OptionError, ShapeError
from ..native import lowering
from ..native.library import _native
from . import reference
from .aten import gradients_of

Shape = tuple[int, ...]

_native.know(Tensor, Parameter)

# A batch is cut into rows per thread if every thread gets a tile's worth of them, and if its weights are small enough
# (the unit is bytes) to stay in every core's own cache, or to be read anew at every step for as many rows as there are;
# else the threads share the units and meet at every step.
_SMALL_WEIGHTS = 900_000
_SMALL_WEIGHTS_PER_ROW = 1 / 14  # of that; at most for 128 rows
_TILE_ROWS = 6
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


runs = lowering.runs


def fits(x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]) -> bool:
    """Whether these tensors are for this engine: plain ones on the CPU, all float32 or all bfloat16, and autograd's
    usual reverse mode."""
    return _kind(x, state, weights) in (_ALL_FLOAT32, _ALL_BFLOAT16)


def fits_mixed(x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]) -> bool:
    """The same under autocast, where each may be either."""
    return _kind(x, state, weights) != _UNFIT


_UNFIT, _ALL_FLOAT32, _ALL_BFLOAT16 = range(3)


def _kind(x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]) -> int:
    if reference.transformed():
        return _UNFIT
    kind: int = _native.kind([x, *state, *weights])
    return kind


_threads: ContextVar[int | None] = ContextVar("threads", default=None)


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Inside, layers run forward on so many threads, and backward later; None: as many as torch uses."""
    before = _threads.set(count)
    try:
        yield
    finally:
        _threads.reset(before)


@dataclass
class Layer:
    """One layer in one direction, and what it runs on; arguments as of `reference.recurrence`."""

    cell: Cell
    x: Tensor
    state: Sequence[Tensor]
    weights: Sequence[Tensor]
    lengths: Tensor | None = None
    resets: Tensor | None = None
    reverse: bool = False
    history: bool = False  # return every carried value at every step, not the output alone
    dtype: torch.dtype | None = None  # of the results; that of x if None
    extras: Sequence[Tensor] = ()


def recurrence(
    cell: Cell,
    x: Tensor,
    state: Sequence[Tensor],
    weights: Sequence[Tensor],
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    reverse: bool = False,
    history: bool = False,
    extras: Sequence[Tensor] = (),
) -> tuple[list[Tensor], list[Tensor]]:
    """As `reference.recurrence`; every step's values of the first carried value alone, unless `history`."""
    if not runs(cell):
        raise OptionError(
            f"cell '{cell.name}' carries matrices, which the native engine has none of. Use engine.recurrence"
        )
    if not fits(x, state, weights):
        raise OptionError(
            "the native engine takes float32 or bfloat16 tensors on the CPU. Convert them, or use engine.recurrence"
        )
    [results] = run(Layer(cell, x, state, weights, lengths, resets, reverse, history, extras=extras))
    shown = len(cell.carry) if history else 1
    return results[:shown], results[shown:]


def run(*layers: Layer) -> list[list[Tensor]]:
    """Layers that do not wait for one another, such as both directions of one, at the same time.

    Their tensors must fit. Returns per layer the values of every step that are shown, then the last state.
    """
    inputs = [tensor for layer in layers for tensor in (layer.x, *layer.state, *layer.weights)]
    calls = _divide([_Call(layer) for layer in layers])
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs):
        results = iter(_Native.apply(calls, *inputs))
    else:
        results = iter(_forward(calls, inputs, keep=False))
    return [list(islice(results, call.results)) for call in calls]


def run_stack(layers: Sequence[Layer]) -> list[list[Tensor]]:
    """Layers of which each but the first takes the output of the one before it, whatever its `x`; several at the same
    time where that pays. Returns what `run` does."""
    threads = _threads.get() or torch.get_num_threads()
    lengths = None if layers[0].lengths is None else _checked_lengths(layers[0].lengths, layers[0].x)
    results: list[list[Tensor]] = []
    while len(results) < len(layers):
        some = layers[len(results) :]
        some[0].x = results[-1][0] if results else some[0].x
        for layer in some:
            layer.lengths = lengths  # checked once, and one tensor for all
        count = _chained(some, threads)
        results += run(some[0]) if count == 1 else _run_chain(some[:count], threads)
    return results


def _chained(layers: Sequence[Layer], threads: int) -> int:
    """How many of the layers to run at the same time, from the first on."""
    if threads == 1 or len(layers) == 1 or layers[0].x.dim() != 3:
        return 1
    steps, rows, _ = layers[0].x.shape
    weights = [sum([w.numel() for w in layer.weights]) for layer in layers]
    if rows >= threads * _TILE_ROWS or 4 * max(weights) >= _SMALL_WEIGHTS:
        return 1
    if steps * rows < _CHAIN_TILES * _TILE_ROWS or 2 * steps * rows * sum(weights) < _SHORT:
        return 1
    if len(layers) < threads and 2 * rows * max(weights) >= _SHORT_STEP:
        return 1  # all threads share the units of one layer
    return len(layers) // threads * threads or len(layers)  # what is left over runs as if alone


def _run_chain(layers: Sequence[Layer], threads: int) -> list[list[Tensor]]:
    inputs = [layers[0].x, *[tensor for layer in layers for tensor in (*layer.state, *layer.weights)]]
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs):
        results = list(_Chain.apply(layers, threads, *inputs))
    else:
        _, results = _forward_chain(layers, threads, keep=[False] * len(layers))
    each = len(results) // len(layers)
    return [results[i : i + each] for i in range(0, len(results), each)]


class _Call:
    """What is asked of one layer, besides its tensors' values."""

    def __init__(self, layer: Layer):
        cell, x, state = layer.cell, layer.x, layer.state
        self.cell, self.reverse, self.history = cell, layer.reverse, layer.history
        self.carried = len(state)
        shapes = _native.shapes([x, *state, *layer.weights])
        self.inputs = len(shapes)
        self.sizes, self.weight_count = _sizes(cell, shapes, self.carried)
        self.steps, self.rows, _ = shapes[0]
        self.lengths = None if layer.lengths is None else _checked_lengths(layer.lengths, x)
        self.resets = None if layer.resets is None else layer.resets.to("cpu", torch.bool)
        if self.resets is not None and self.resets.shape != x.shape[:2]:
            raise ShapeError(f"resets has shape {tuple(self.resets.shape)}, but the input has {tuple(x.shape[:2])}")
        self.extras = [_rows(extra) for extra in layer.extras]
        wide = [(self.steps, self.rows, self.sizes[i]) for i in lowering.extra_sizes(cell)]
        if (found := [tuple(extra.shape) for extra in self.extras]) != wide:
            raise ShapeError(f"the further inputs of cell '{cell.name}' must have the shapes {wide}, not {found}")
        self.shown = self.carried if layer.history else 1
        self.results = self.shown + self.carried
        self.dtype = layer.dtype or x.dtype
        self.work = (1, 1)  # parts that run apart, and threads in all
        self.threads = 1  # that are there for what comes before
        self.tape: Any = None

    def tensors(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor], Sequence[Tensor]]:
        """x, state, weights."""
        return inputs[0], inputs[1 : 1 + self.carried], inputs[1 + self.carried :]

    @property
    def low(self) -> bool:
        """Whether its matrix products are in bfloat16."""
        return self.dtype == torch.bfloat16 and bool(_native.rounds())

    def divide(self, threads: int) -> None:
        """Among so many threads: by rows, each with all the weights; or by units, meeting at every step."""
        self.threads = threads
        per_step = 2 * self.weight_count * self.rows
        if threads == 1 or per_step * self.steps < _SHORT:
            return
        if _by_rows(self.rows, (2 if self.low else 4) * self.weight_count, threads):
            self.work = (threads, threads)
        elif per_step >= _SHORT_STEP:
            self.work = (1, threads)

    def fields(self, program: Any, x: Tensor, weights: Sequence[Tensor]) -> tuple[Any, ...]:
        """How the engine is told of the call, for either direction."""
        plan = _plan(program, self.sizes, self.work, self.low)
        packed = _packed(plan, weights, self.threads)
        if self.dtype != torch.float32:  # of vectors the engine reads floats; of matrices what is packed, only
            weights = [w if w.dim() == 2 else w.to(torch.float32) for w in weights]
        return plan, packed, weights, [_rows(x), *self.extras], self.lengths, self.resets, self.reverse

    def forward(self, inputs: Sequence[Tensor], keep: bool) -> tuple[tuple[Any, ...], list[Tensor]]:
        """What to tell the engine, and the results that it is to fill."""
        x, state, weights = self.tensors(inputs)
        hoist = self.rows // self.work[0] < _TILE_ROWS and self.steps > 1
        like = x if x.dtype == self.dtype else x.new_empty(0, dtype=self.dtype)
        last = [like.new_empty(self.rows, s.shape[1]) for s in state]
        outputs = [like.new_empty(self.steps, self.rows, s.shape[1]) for s in state[: self.shown]]
        absent = [None] * (self.carried - self.shown)
        call = self.fields(_forward_program(self.cell, keep, hoist), x, weights)
        return (call, list(map(_rows, state)), [*outputs, *absent], last, keep), [*outputs, *last]

    def backward(
        self, inputs: Sequence[Tensor], gradients: Sequence[Tensor | None], needs: Sequence[bool]
    ) -> tuple[tuple[Any, ...], list[Tensor | None]]:
        """As `forward`, for the gradients of those inputs that need one."""
        x, state, weights = self.tensors(inputs)
        arriving = [None if g is None else _rows(g) for g in gradients]
        make_dx = torch.empty if lowering.gives_dx(self.cell) else torch.zeros
        dx = make_dx(x.shape, dtype=x.dtype) if needs[0] else None
        dstate = [torch.empty(s.shape, dtype=s.dtype) if n else None for s, n in zip(state, needs[1:], strict=False)]
        wanted = needs[1 + self.carried :]
        dweights = [
            torch.empty_like(w, dtype=torch.float32, memory_format=torch.contiguous_format) if n else None
            for w, n in zip(weights, wanted, strict=True)
        ]
        douts = [*arriving[: self.shown], *[None] * (self.carried - self.shown)]
        call = self.fields(_backward_program(self.cell), x, weights)
        return (call, self.tape, douts, arriving[self.shown :], dx, dstate, dweights), [dx, *dstate, *dweights]

    def differentiable(
        self, inputs: Sequence[Tensor], gradients: Sequence[Tensor | None], needs: Sequence[bool]
    ) -> list[Tensor | None]:
        """The gradients by the reference loop, which can be differentiated again."""
        # Views, for one tensor may come twice, as h and c; its gradients are told apart.
        inputs = [tensor.view_as(tensor) for tensor in inputs]
        wanted = [tensor for tensor, need in zip(inputs, needs, strict=True) if need]
        inputs = [tensor.to(torch.float32) for tensor in inputs]
        extras = [extra.to(torch.float32) for extra in self.extras]
        x, state, weights = self.tensors(inputs)
        options = self.lengths, self.resets, self.reverse, extras
        every, last = reference.recurrence(self.cell, x, state, weights, *options)
        outputs = [*every[: self.shown], *last]
        arriving = [None if g is None else g.to(o) for o, g in zip(outputs, gradients, strict=True)]
        found = iter(gradients_of(outputs, wanted, arriving, create_graph=True))
        return [next(found) if need else None for need in needs]


def _by_rows(rows: int, weight_bytes: int, threads: int) -> bool:
    small = _SMALL_WEIGHTS * max(1.0, min(rows, 128) * _SMALL_WEIGHTS_PER_ROW)
    return weight_bytes < small and rows >= threads * _TILE_ROWS


def _divide(calls: list[_Call]) -> list[_Call]:
    """Give each call its threads: several calls one each, if each then waits less than if all shared every step."""
    threads = _threads.get() or torch.get_num_threads()
    for call in calls:
        call.divide(threads)
    if 1 < len(calls) <= threads and not (threads > len(calls) and any(call.work[0] > 1 for call in calls)):
        for call in calls:
            call.work = (1, 1)
    return calls


def _forward(calls: list[_Call], inputs: Sequence[Tensor], keep: bool) -> list[Tensor]:
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


def _together(calls: list[_Call]) -> list[slice]:
    """Which calls run at the same time: those on one thread each, if they are long enough to be worth a second one."""
    operations = sum([2 * call.weight_count * call.steps * call.rows for call in calls])
    if operations >= _SHORT and all(call.work == (1, 1) for call in calls):
        return [slice(0, len(calls))]
    return [slice(i, i + 1) for i in range(len(calls))]


class _Native(torch.autograd.Function):
    """Differentiates once by the engine's own backward pass, and from there on by the reference loop."""

    @staticmethod
    def forward(ctx: Any, calls: list[_Call], *inputs: Tensor) -> Any:
        results = _forward(calls, inputs, keep=True)
        ctx.calls = calls
        ctx.save_for_backward(*inputs)
        ctx.set_materialize_grads(False)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        calls, inputs, needs = ctx.calls, ctx.saved_tensors, ctx.needs_input_grad[1:]
        again = torch.is_grad_enabled()
        found, jobs = [], []
        for call in calls:
            own, inputs = inputs[: call.inputs], inputs[call.inputs :]
            wanted, needs = needs[: call.inputs], needs[call.inputs :]
            arriving, gradients = gradients[: call.results], gradients[call.results :]
            if again:
                found += call.differentiable(own, arriving, wanted)
                continue
            fields, filled = call.backward(own, arriving, wanted)
            jobs.append(fields)
            found += filled
        if not again:
            for some in _together(calls):
                _native.backward(jobs[some])
        if not torch._C._autograd._get_current_graph_task_keep_graph():
            for call in calls:
                call.tape = None  # or it would live as long as the loss does
        return None, *found


def _forward_chain(layers: Sequence[Layer], threads: int, keep: Sequence[bool]) -> tuple[list[_Call], list[Tensor]]:
    calls, results, jobs = [], [], []
    x = layers[0].x
    for layer, kept in zip(layers, keep, strict=True):
        layer.x = x
        call = _Call(layer)
        call.threads = threads
        fields, filled = call.forward([x, *layer.state, *layer.weights], kept)
        calls.append(call)
        jobs.append(fields)
        results += filled
        x = filled[0]
    for call, tape in zip(calls, _native.forward(jobs, threads), strict=True):
        call.tape = tape
    return calls, results


class _Chain(torch.autograd.Function):
    """Layers that follow one another, at the same time; differentiates as if each were a `_Native`."""

    @staticmethod
    def forward(ctx: Any, layers: Sequence[Layer], threads: int, *inputs: Tensor) -> Any:
        needs, end = ctx.needs_input_grad[2:], 1
        keep = []  # of each layer, whether anything needs gradients up to it
        for layer in layers:
            end += len(layer.state) + len(layer.weights)
            keep.append(any(needs[:end]))
        ctx.calls, results = _forward_chain(layers, threads, keep)
        ctx.threads, ctx.keep, each = threads, keep, len(results) // len(layers)
        ctx.mark_non_differentiable(*results[: each * keep.index(True)])
        ctx.save_for_backward(*inputs, *results[: each * (len(layers) - 1) : each])
        ctx.set_materialize_grads(False)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        calls, needs, each = ctx.calls, ctx.needs_input_grad[2:], ctx.calls[0].results
        inputs, between = ctx.saved_tensors[: len(needs)], ctx.saved_tensors[len(needs) :]
        again = torch.is_grad_enabled()
        # To what comes from the layer above, a gradient that arrives from elsewhere is added between the two.
        apart = again or any(g is not None for g in gradients[: each * len(between) : each])
        found: list[Tensor | None] = [None] * len(needs)
        start, jobs, dx = len(needs), [], None
        for i in range(len(calls) - 1, ctx.keep.index(True) - 1, -1):
            call, end = calls[i], start
            start -= call.inputs - 1
            arriving = [*gradients[each * i : each * (i + 1)]]
            if dx is not None:
                arriving[0] = dx if arriving[0] is None else dx + arriving[0]
            if all(g is None for g in arriving):
                continue
            own = between[i - 1] if i else inputs[0], *inputs[start:end]
            wanted = ctx.keep[i - 1] if i else needs[0], *needs[start:end]
            if again:
                dx, *found[start:end] = call.differentiable(own, arriving, wanted)
                continue
            fields, (dx, *found[start:end]) = call.backward(own, arriving, wanted)
            jobs.append(fields)
            if apart:
                _native.backward([jobs.pop()])
        if jobs:
            _native.backward(jobs, ctx.threads)
        if not torch._C._autograd._get_current_graph_task_keep_graph():
            for call in calls:
                call.tape = None
        found[0] = dx
        return None, None, *found


@lru_cache(maxsize=256)
def _forward_program(cell: Cell, keep: bool, hoist: bool) -> Any:
    return _native.Program(*lowering.lower_forward(cell, keep, hoist))


@lru_cache(maxsize=256)
def _backward_program(cell: Cell) -> Any:
    return _native.Program(*lowering.lower_backward(cell))


_plan = lru_cache(maxsize=1024)(_native.Plan)


@lru_cache(maxsize=1024)
def _sizes(cell: Cell, shapes: tuple[Shape, ...], carried: int) -> tuple[tuple[int, ...], int]:
    """A number for every size letter of the cell, and how many weights there are; from the shapes of all tensors.

    Raises:
        ShapeError: The tensors do not fit one another.
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


def _checked_lengths(lengths: Tensor, x: Tensor) -> Tensor:
    if lengths.dtype == torch.bool or (lengths.is_floating_point() and bool((lengths != lengths.floor()).any())):
        raise ShapeError(f"lengths must be whole numbers, not {lengths.tolist()!r:.60}")
    lengths = lengths.to("cpu", torch.int64).contiguous()
    if lengths.shape != x.shape[1:2]:
        raise ShapeError(f"lengths has shape {tuple(lengths.shape)}, but the batch has {x.shape[1]} rows")
    if lengths.numel() and not 0 <= int(lengths.min()) <= int(lengths.max()) <= len(x):
        wrong = next(int(n) for n in lengths if not 0 <= n <= len(x))
        raise ShapeError(f"a length of {wrong} does not fit an input of {len(x)} steps")
    return lengths


# By the identity of the first tensor that they are made of, packed weights by plan; they go when it goes.
_cache: dict[int, dict[Any, tuple[int, Any]]] = {}


def _packed(plan: Any, weights: Sequence[Tensor], threads: int) -> Any:
    """The weight matrices as the kernels read them, made again when a value has changed."""
    # By their values, as 32-bit words: tensors' version counters miss what is written through `.data` or numpy.
    values = _native.fingerprint(weights, threads)
    if values is None:
        return _pack(plan, weights, threads)
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
        found = entries[plan] = (values, _pack(plan, weights, threads))
    return found[1]


def _pack(plan: Any, weights: Sequence[Tensor], threads: int) -> Any:
    return _native.pack(plan, [w.to(torch.float32) for w in weights], threads)


def _rows(tensor: Tensor) -> Tensor:
    """With its last axis in one piece, as the engine reads it."""
    last = tensor.is_contiguous() or tensor.stride(-1) == 1 or tensor.shape[-1] == 1
    return tensor if last else tensor.contiguous()
