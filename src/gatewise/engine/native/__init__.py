"""The native CPU engine: any cell in float32, by hand-written matrix kernels and a small pointwise machine.

This side lowers programs, checks and describes tensors, divides the work among threads and keeps packed weights; what
runs is C++, in this folder's `.cpp` files, built as `gatewise.engine._native`.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from . import lowering
from .library import _native

Shape = tuple[int, ...]

_ABSENT = (0, 0, 0)

# A batch is cut into rows per thread if its weights are small enough to stay in every core's own cache (the unit is
# bytes), and if every thread gets a tile's worth of rows; else the threads share the units and meet at every step.
_SMALL_WEIGHTS = 900_000
_TILE_ROWS = 6
# Below this many operations a second thread costs more than it gains.
_SHORT = 2_000_000


def fits(x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]) -> bool:
    """Whether these tensors are for this engine: plain float32 on the CPU, and autograd's usual reverse mode."""
    if torch._C._functorch.peek_interpreter_stack() is not None or forward_ad._current_level >= 0:
        return False
    return all(map(_plain, (x, *state, *weights)))


def _plain(tensor: Tensor) -> bool:
    return (
        tensor.dtype == torch.float32
        and tensor.device.type == "cpu"
        and type(tensor) in (Tensor, Parameter)
        and tensor.layout == torch.strided
        and not tensor.is_neg()  # whose memory holds something else
    )


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
        raise OptionError("the native engine takes float32 tensors on the CPU. Convert them, or use engine.recurrence")
    results = run(cell, x, state, weights, lengths, resets, reverse, history)
    shown = len(cell.carry) if history else 1
    return results[:shown], results[shown:]


def run(
    cell: Cell,
    x: Tensor,
    state: Sequence[Tensor],
    weights: Sequence[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    reverse: bool,
    history: bool,
) -> list[Tensor]:
    """The results of `recurrence` in one list, for tensors that are known to fit."""
    call = _Call(cell, x, state, weights, lengths, resets, reverse, history)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (x, *state, *weights)):
        return list(_Native.apply(call, x, *state, *weights))
    results, _ = call.forward(x, state, weights, keep=False)
    return results


class _Call:
    """What is asked of one layer, besides its tensors' values."""

    def __init__(
        self,
        cell: Cell,
        x: Tensor,
        state: Sequence[Tensor],
        weights: Sequence[Tensor],
        lengths: Tensor | None,
        resets: Tensor | None,
        reverse: bool,
        history: bool,
    ):
        self.cell, self.reverse, self.history = cell, reverse, history
        self.sizes = _sizes(cell, x.shape, tuple([s.shape for s in state]), tuple([w.shape for w in weights]))
        self.steps, self.rows, _ = x.shape
        self.lengths = None if lengths is None else _checked_lengths(lengths, x)
        self.resets = None if resets is None else resets.to("cpu", torch.bool)
        if self.resets is not None and self.resets.shape != x.shape[:2]:
            raise ShapeError(f"resets has shape {tuple(self.resets.shape)}, but the input has {tuple(x.shape[:2])}")

    def forward(
        self, x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor], keep: bool
    ) -> tuple[list[Tensor], Any]:
        cell, sizes = self.cell, self.sizes
        work = self.divide(weights)
        hoist = self.rows // work[0] < _TILE_ROWS and self.steps > 1
        program = _forward_program(cell, keep, hoist)
        packed = _packed(program, sizes, work, weights)
        x, state = _rows(x), [_rows(s) for s in state]
        shown = state if self.history else state[:1]
        outputs = [x.new_empty(self.steps, self.rows, s.shape[1]) for s in shown]
        last = [torch.empty_like(s, memory_format=torch.contiguous_format) for s in state]
        tape = _native.forward(
            program,
            packed,
            sizes,
            self.shape(),
            work,
            _series(x),
            self.restarts(),
            [_matrix(w) for w in weights],
            [_row(s) for s in state],
            [*map(_series, outputs), *[_ABSENT] * (len(state) - len(outputs))],
            [_row(s) for s in last],
            keep,
        )
        return [*outputs, *last], (tape, work)

    def backward(
        self,
        kept: Any,
        x: Tensor,
        state: Sequence[Tensor],
        weights: Sequence[Tensor],
        gradients: Sequence[Tensor | None],
        needs: Sequence[bool],
    ) -> list[Tensor | None]:
        cell, sizes = self.cell, self.sizes
        tape, work = kept
        program = _backward_program(cell)
        packed = _packed(program, sizes, work, weights)
        x = _rows(x)
        gradients = [None if g is None else _rows(g) for g in gradients]
        shown = len(state) if self.history else 1
        douts: list[Any] = [_ABSENT if g is None else _series(g) for g in gradients[:shown]]
        douts += [_ABSENT] * (len(state) - shown)
        make_dx = torch.empty if lowering.gives_dx(cell) else torch.zeros
        dx = make_dx(x.shape, dtype=x.dtype) if needs[0] else None
        dstate = [torch.empty(s.shape) if need else None for s, need in zip(state, needs[1:], strict=False)]
        dweights = [torch.zeros(w.shape) if n else None for w, n in zip(weights, needs[1 + len(state) :], strict=True)]
        _native.backward(
            program,
            packed,
            sizes,
            self.shape(),
            work,
            _series(x),
            self.restarts(),
            [_matrix(w) for w in weights],
            tape,
            douts,
            [(0, 0) if g is None else _row(g) for g in gradients[shown:]],
            _ABSENT if dx is None else _series(dx),
            [(0, 0) if d is None else _row(d) for d in dstate],
            [_ABSENT if d is None else _matrix(d) for d in dweights],
        )
        return [dx, *dstate, *dweights]

    def shape(self) -> tuple[int, int, int, bool]:
        return self.steps, self.rows, 0 if self.lengths is None else self.lengths.data_ptr(), self.reverse

    def restarts(self) -> tuple[int, int, int]:
        if self.resets is None:
            return _ABSENT
        return self.resets.data_ptr(), self.resets.stride(0), self.resets.stride(1)

    def divide(self, weights: Sequence[Tensor]) -> tuple[int, int]:
        """Parts that run apart, and threads in all."""
        threads = torch.get_num_threads()
        count = sum(w.numel() for w in weights)
        if threads == 1 or 2 * count * self.steps * self.rows < _SHORT:
            return 1, 1
        if 4 * count < _SMALL_WEIGHTS and self.rows >= threads * _TILE_ROWS:
            return threads, threads
        return 1, threads


class _Native(torch.autograd.Function):
    """Differentiates once by the engine's own backward pass, and from there on by the reference loop."""

    @staticmethod
    def forward(ctx: Any, call: _Call, *inputs: Tensor) -> Any:
        carried = len(call.cell.carry)
        x, state, weights = inputs[0], inputs[1 : 1 + carried], inputs[1 + carried :]
        results, kept = call.forward(x, state, weights, keep=True)
        ctx.call, ctx.kept = call, kept
        ctx.save_for_backward(*inputs)
        ctx.set_materialize_grads(False)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        call, carried = ctx.call, len(ctx.call.cell.carry)
        inputs, needs = ctx.saved_tensors, ctx.needs_input_grad[1:]
        if torch.is_grad_enabled():
            return None, *_differentiable(call, inputs, gradients, needs)
        x, state, weights = inputs[0], inputs[1 : 1 + carried], inputs[1 + carried :]
        found = call.backward(ctx.kept, x, state, weights, gradients, needs)
        if not torch._C._autograd._get_current_graph_task_keep_graph():
            ctx.kept = None  # or it would live as long as the loss does
        return None, *found


def _differentiable(
    call: _Call, inputs: Sequence[Tensor], gradients: Sequence[Tensor | None], needs: Sequence[bool]
) -> list[Tensor | None]:
    # Views, for one tensor may come twice, as h and c; its gradients are told apart.
    inputs = [tensor.view_as(tensor) for tensor in inputs]
    carried = len(call.cell.carry)
    every, last = reference.recurrence(
        call.cell, inputs[0], inputs[1 : 1 + carried], inputs[1 + carried :], call.lengths, call.resets, call.reverse
    )
    outputs = [*(every if call.history else every[:1]), *last]
    pairs = [(o, g) for o, g in zip(outputs, gradients, strict=True) if o.requires_grad and g is not None]
    wanted = [tensor for tensor, need in zip(inputs, needs, strict=True) if need]
    sources, arriving = zip(*pairs, strict=True) if pairs else ((), ())
    found = iter(
        torch.autograd.grad(sources, wanted, arriving, allow_unused=True, create_graph=True, materialize_grads=True)
        if pairs
        else [torch.zeros_like(w) for w in wanted]
    )
    return [next(found) if need else None for need in needs]


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
    lengths = lengths.to("cpu", torch.int64).contiguous()
    if lengths.shape != x.shape[1:2]:
        raise ShapeError(f"lengths has shape {tuple(lengths.shape)}, but the batch has {x.shape[1]} rows")
    if lengths.numel() and not 0 <= int(lengths.min()) <= int(lengths.max()) <= len(x):
        wrong = next(int(n) for n in lengths if not 0 <= n <= len(x))
        raise ShapeError(f"a length of {wrong} does not fit an input of {len(x)} steps")
    return lengths


# Packed weights by the first of the tensors they are made of, so that they go when it goes.
_cache: WeakIdKeyDictionary = WeakIdKeyDictionary()


def _packed(program: Any, sizes: list[int], work: tuple[int, int], weights: Sequence[Tensor]) -> Any:
    """The weight matrices as the kernels read them, made once per version of the weights."""
    matrices = [w for w in weights if w.dim() == 2]
    if not matrices or any(w.is_inference() for w in matrices):  # nothing to pack, or nothing that tells of changes
        return _native.pack(program, sizes, work, [_matrix(w) for w in weights])
    state = [(w.data_ptr(), w._version, w.stride()) for w in matrices]
    # A write through `.data` leaves no trace in the version, but rarely leaves a sample of values as it was.
    state.append(_native.sample([(w.data_ptr(), w.numel()) for w in matrices if w.is_contiguous()]))
    entries = _cache.setdefault(matrices[0], {})
    key = (id(program), tuple(sizes), work)
    found = entries.get(key)
    if found is None or found[0] != state:
        found = entries[key] = (state, _native.pack(program, sizes, work, [_matrix(w) for w in weights]))
    return found[1]


def _rows(tensor: Tensor) -> Tensor:
    """With its last axis in one piece, as the engine reads it."""
    return tensor if tensor.stride(-1) == 1 or tensor.shape[-1] == 1 else tensor.contiguous()


def _series(tensor: Tensor) -> tuple[int, int, int]:
    return tensor.data_ptr(), tensor.stride(0), tensor.stride(1)


def _row(tensor: Tensor) -> tuple[int, int]:
    return tensor.data_ptr(), tensor.stride(0)


def _matrix(tensor: Tensor) -> tuple[int, int, int]:
    return tensor.data_ptr(), tensor.stride(0), tensor.stride(1) if tensor.dim() == 2 else 0
