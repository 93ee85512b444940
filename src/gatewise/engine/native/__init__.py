"""The native CPU engine: any cell in float32, by hand-written matrix kernels and a small pointwise machine.

In bfloat16 it multiplies pairs, where the processor can: weights and what they multiply are rounded, while sums, state,
the pointwise part, gradients of the carry and what is kept for the backward pass are float32. On other processors only
what comes out is rounded.

This side lowers programs, checks and describes tensors, divides the work among threads and keeps packed weights; what
runs is C++, in this folder's `.cpp` files, built as `gatewise.engine._native`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter
from torch.utils.weak import WeakIdKeyDictionary

from ...algebra import Cell
from ...errors import OptionError, ShapeError
from .. import reference
from ..aten import gradients_of
from . import lowering
from .library import _native

Shape = tuple[int, ...]

_ABSENT = (0, 0, 0)
_NO_MATRIX = (0, 0, 0, 0, 0)
_NO_SERIES = (0, 0, 0, False)
_NO_ROWS = (0, 0, False)

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


def fits(x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]) -> bool:
    """Whether these tensors are for this engine: plain ones on the CPU, all float32 or all bfloat16, and autograd's
    usual reverse mode."""
    return fits_mixed(x, state, weights) and all(tensor.dtype == x.dtype for tensor in (*state, *weights))


def fits_mixed(x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]) -> bool:
    """The same under autocast, where each may be either."""
    if torch._C._functorch.peek_interpreter_stack() is not None or forward_ad._current_level >= 0:
        return False
    return all(map(_plain, (x, *state, *weights)))


def _plain(tensor: Tensor) -> bool:
    return (
        type(tensor) in (Tensor, Parameter)
        and (tensor.dtype == torch.float32 or tensor.dtype == torch.bfloat16)
        and tensor.device.type == "cpu"
        and tensor.layout == torch.strided
        and not tensor.is_neg()  # whose memory holds something else
    )


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


def recurrence(
    cell: Cell,
    x: Tensor,
    state: Sequence[Tensor],
    weights: Sequence[Tensor],
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    reverse: bool = False,
    history: bool = False,
) -> tuple[list[Tensor], list[Tensor]]:
    """As `reference.recurrence`; every step's values of the first carried value alone, unless `history`."""
    if not fits(x, state, weights):
        raise OptionError(
            "the native engine takes float32 or bfloat16 tensors on the CPU. Convert them, or use engine.recurrence"
        )
    [results] = run(Layer(cell, x, state, weights, lengths, resets, reverse, history))
    shown = len(cell.carry) if history else 1
    return results[:shown], results[shown:]


def run(*layers: Layer) -> list[list[Tensor]]:
    """Layers that do not wait for one another, such as both directions of one, at the same time.

    Their tensors must fit. Returns per layer the values of every step that are shown, then the last state.
    """
    calls = _divide([_Call(layer) for layer in layers])
    inputs = [tensor for layer in layers for tensor in (layer.x, *layer.state, *layer.weights)]
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs):
        results = list(_Native.apply(calls, *inputs))
    else:
        results = _forward(calls, inputs, keep=False)
    return [[results.pop(0) for _ in range(call.results)] for call in calls]


class _Call:
    """What is asked of one layer, besides its tensors' values."""

    def __init__(self, layer: Layer):
        cell, x, state, weights = layer.cell, layer.x, layer.state, layer.weights
        self.cell, self.reverse, self.history = cell, layer.reverse, layer.history
        self.sizes = _sizes(cell, x.shape, tuple([s.shape for s in state]), tuple([w.shape for w in weights]))
        self.steps, self.rows, _ = x.shape
        self.lengths = None if layer.lengths is None else _checked_lengths(layer.lengths, x)
        self.resets = None if layer.resets is None else layer.resets.to("cpu", torch.bool)
        if self.resets is not None and self.resets.shape != x.shape[:2]:
            raise ShapeError(f"resets has shape {tuple(self.resets.shape)}, but the input has {tuple(x.shape[:2])}")
        self.carried, self.inputs = len(state), 1 + len(state) + len(weights)
        self.shown = self.carried if layer.history else 1
        self.results = self.shown + self.carried
        self.weight_count = sum([w.numel() for w in weights])
        self.dtype = layer.dtype or x.dtype
        self.work = (1, 1)  # parts that run apart, and threads in all
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
        small = _SMALL_WEIGHTS * max(1.0, min(self.rows, 128) * _SMALL_WEIGHTS_PER_ROW)
        by_rows = (2 if self.low else 4) * self.weight_count < small and self.rows >= threads * _TILE_ROWS
        per_step = 2 * self.weight_count * self.rows
        if threads == 1 or per_step * self.steps < _SHORT or not (by_rows or per_step >= _SHORT_STEP):
            self.work = (1, 1)
        else:
            self.work = (threads, threads) if by_rows else (1, threads)

    def fields(self, program: Any, x: Tensor, weights: Sequence[Tensor], vectors: Sequence[Tensor]) -> tuple[Any, ...]:
        """How the engine is told of the call, for either direction. Matrices it reads where they are packed, only."""
        lengths = 0 if self.lengths is None else self.lengths.data_ptr()
        resets = _ABSENT if self.resets is None else (self.resets.data_ptr(), *self.resets.stride())
        packed = _packed(program, self.sizes, self.work, weights, self.low)
        shape = (self.steps, self.rows, lengths, self.reverse)
        return program, packed, self.sizes, shape, self.work, _series(x), resets, [_matrix(w) for w in vectors]

    def forward(self, inputs: Sequence[Tensor], keep: bool) -> tuple[tuple[Any, ...], list[Tensor], Any]:
        """What to tell the engine, the results that it is to fill, and what must live until it has."""
        x, state, weights = self.tensors(inputs)
        x, state, vectors = _rows(x), [_rows(s) for s in state], _wide_vectors(weights)
        hoist = self.rows // self.work[0] < _TILE_ROWS and self.steps > 1
        outputs = [x.new_empty(self.steps, self.rows, s.shape[1], dtype=self.dtype) for s in state[: self.shown]]
        last = [s.new_empty(s.shape, dtype=self.dtype) for s in state]
        fields = (
            self.fields(_forward_program(self.cell, keep, hoist), x, weights, vectors),
            [_row(s) for s in state],
            [*map(_series, outputs), *[_NO_SERIES] * (self.carried - self.shown)],
            [_row(s) for s in last],
            keep,
        )
        return fields, [*outputs, *last], (x, state, vectors)

    def backward(
        self, inputs: Sequence[Tensor], gradients: Sequence[Tensor | None], needs: Sequence[bool]
    ) -> tuple[tuple[Any, ...], list[Tensor | None], Any]:
        """As `forward`, for the gradients of those inputs that need one."""
        x, state, weights = self.tensors(inputs)
        x, vectors = _rows(x), _wide_vectors(weights)
        arriving = [None if g is None else _rows(g) for g in gradients]
        douts = [_NO_SERIES if g is None else _series(g) for g in arriving[: self.shown]]
        make_dx = torch.empty if lowering.gives_dx(self.cell) else torch.zeros
        dx = make_dx(x.shape, dtype=x.dtype) if needs[0] else None
        dstate = [torch.empty(s.shape, dtype=s.dtype) if n else None for s, n in zip(state, needs[1:], strict=False)]
        dweights = [torch.empty(w.shape) if n else None for w, n in zip(weights, needs[-len(weights) :], strict=True)]
        fields = (
            self.fields(_backward_program(self.cell), x, weights, vectors),
            self.tape,
            douts + [_NO_SERIES] * (self.carried - self.shown),
            [_NO_ROWS if g is None else _row(g) for g in arriving[self.shown :]],
            _NO_SERIES if dx is None else _series(dx),
            [_NO_ROWS if d is None else _row(d) for d in dstate],
            [_NO_MATRIX if d is None else _matrix(d) for d in dweights],
        )
        return fields, [dx, *dstate, *dweights], (x, arriving, vectors)

    def differentiable(
        self, inputs: Sequence[Tensor], gradients: Sequence[Tensor | None], needs: Sequence[bool]
    ) -> list[Tensor | None]:
        """The gradients by the reference loop, which can be differentiated again."""
        # Views, for one tensor may come twice, as h and c; its gradients are told apart.
        inputs = [tensor.view_as(tensor) for tensor in inputs]
        wanted = [tensor for tensor, need in zip(inputs, needs, strict=True) if need]
        inputs = [tensor.to(torch.float32) for tensor in inputs]
        every, last = reference.recurrence(self.cell, *self.tensors(inputs), self.lengths, self.resets, self.reverse)
        outputs = [*every[: self.shown], *last]
        arriving = [None if g is None else g.to(o) for o, g in zip(outputs, gradients, strict=True)]
        found = iter(gradients_of(outputs, wanted, arriving, create_graph=True))
        return [next(found) if need else None for need in needs]


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
    results, jobs, alive = [], [], []
    for call in calls:
        own, inputs = inputs[: call.inputs], inputs[call.inputs :]
        fields, filled, needed = call.forward(own, keep)
        jobs.append(fields)
        results += filled
        alive.append(needed)
    for some in _together(calls):
        for call, tape in zip(calls[some], _native.forward(jobs[some]), strict=True):
            call.tape = tape
    return results


def _together(calls: list[_Call]) -> list[slice]:
    """Which calls run at the same time: those on one thread each, if they are long enough to be worth a second one."""
    operations = [2 * call.weight_count * call.steps * call.rows for call in calls]
    if all(call.work == (1, 1) for call in calls) and sum(operations) >= _SHORT:
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
        found, jobs, alive = [], [], []
        for call in calls:
            own, inputs = inputs[: call.inputs], inputs[call.inputs :]
            wanted, needs = needs[: call.inputs], needs[call.inputs :]
            arriving, gradients = gradients[: call.results], gradients[call.results :]
            if again:
                found += call.differentiable(own, arriving, wanted)
                continue
            fields, filled, needed = call.backward(own, arriving, wanted)
            jobs.append(fields)
            found += filled
            alive.append(needed)
        if not again:
            for some in _together(calls):
                _native.backward(jobs[some])
        if not torch._C._autograd._get_current_graph_task_keep_graph():
            for call in calls:
                call.tape = None  # or it would live as long as the loss does
        return None, *found


@lru_cache(maxsize=256)
def _forward_program(cell: Cell, keep: bool, hoist: bool) -> Any:
    return _native.Program(*lowering.lower_forward(cell, keep, hoist))


@lru_cache(maxsize=256)
def _backward_program(cell: Cell) -> Any:
    return _native.Program(*lowering.lower_backward(cell))


@lru_cache(maxsize=1024)
def _sizes(cell: Cell, x: Shape, state: tuple[Shape, ...], weights: tuple[Shape, ...]) -> list[int]:
    """A number for every size letter of the cell.

    Raises:
        ShapeError: The tensors do not fit one another.
    """
    if len(x) != 3:
        raise ShapeError(f"the input must be (steps, rows, features), but has shape {tuple(x)}")
    if (len(state), len(weights)) != (len(cell.carry), len(cell.parameters)):
        raise ShapeError(
            f"cell '{cell.name}' carries {len(cell.carry)} values and has {len(cell.parameters)} weights, "
            f"but was given {len(state)} and {len(weights)}"
        )
    if any(len(shape) != 2 for shape in state) or any(len(shape) not in (1, 2) for shape in weights):
        shapes = [tuple(shape) for shape in (*state, *weights)]
        raise ShapeError(f"states must be (rows, units) and weights matrices or vectors, but have the shapes {shapes}")
    sizes = {"D": x[2]}
    for letter, shape in zip(cell.carry_sizes, state, strict=True):
        sizes.setdefault(letter, shape[-1])
    for parameter, shape in zip(cell.parameters, weights, strict=True):
        block = parameter.blocks[0]
        sizes.setdefault(block.size.letter, shape[0] // len(parameter.blocks))
        if block.columns is not None:
            sizes.setdefault(block.columns.letter, shape[-1])
    expected: list[tuple[str, Shape]] = [
        (f"the state {c}", (x[1], sizes[s])) for c, s in zip(cell.carry, cell.carry_sizes, strict=True)
    ]
    expected += [(f"the weight {p.name}", p.shape(sizes)) for p in cell.parameters]
    for (name, wanted), shape in zip(expected, (*state, *weights), strict=True):
        if tuple(shape) != wanted:
            raise ShapeError(f"{name} of cell '{cell.name}' must have shape {wanted} here, but has {tuple(shape)}")
    return [sizes.get(letter, 0) for letter in lowering.letters(cell)]


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


# Packed weights by the first of the tensors they are made of, so that they go when it goes.
_cache: WeakIdKeyDictionary = WeakIdKeyDictionary()


def _packed(program: Any, sizes: list[int], work: tuple[int, int], weights: Sequence[Tensor], low: bool) -> Any:
    """The weight matrices as the kernels read them, made again when a value has changed."""
    matrices = [w for w in weights if w.dim() == 2]
    if not matrices or not all(w.is_contiguous() and w.nbytes % 4 == 0 for w in matrices):
        return _pack(program, sizes, work, weights, low)
    # By their values, as 32-bit words: tensors' version counters miss what is written through `.data` or numpy.
    values = _native.fingerprint([(w.data_ptr(), w.nbytes // 4) for w in matrices], work[1])
    entries = _cache.setdefault(matrices[0], {})
    key = (program, tuple(sizes), work, low)
    found = entries.get(key)
    if found is None or found[0] != values:
        large = sum([w.nbytes for w in matrices]) > _LARGE_WEIGHTS
        for other in [k for k, (packed_values, _) in entries.items() if large or packed_values != values]:
            del entries[other]
        found = entries[key] = (values, _pack(program, sizes, work, weights, low))
    return found[1]


def _pack(program: Any, sizes: list[int], work: tuple[int, int], weights: Sequence[Tensor], low: bool) -> Any:
    wide = [w.to(torch.float32) for w in weights]
    return _native.pack(program, sizes, work, [_matrix(w) for w in wide], low)


def _wide_vectors(weights: Sequence[Tensor]) -> list[Tensor]:
    return [w if w.dim() == 2 else w.to(torch.float32) for w in weights]


def _rows(tensor: Tensor) -> Tensor:
    """With its last axis in one piece, as the engine reads it."""
    return tensor if tensor.stride(-1) == 1 or tensor.shape[-1] == 1 else tensor.contiguous()


def _series(tensor: Tensor) -> tuple[int, int, int, bool]:
    return tensor.data_ptr(), tensor.stride(0), tensor.stride(1), tensor.dtype == torch.bfloat16


def _row(tensor: Tensor) -> tuple[int, int, bool]:
    return tensor.data_ptr(), tensor.stride(0), tensor.dtype == torch.bfloat16


def _matrix(tensor: Tensor) -> tuple[int, int, int, int, int]:
    if tensor.dim() == 1:
        return tensor.data_ptr(), tensor.stride(0), 0, tensor.shape[0], 1
    return tensor.data_ptr(), *tensor.stride(), *tensor.shape
