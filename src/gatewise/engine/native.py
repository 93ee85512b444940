"""The native CPU engine: any cell in float32, by hand-written matrix kernels and a small pointwise machine.

In bfloat16 it multiplies pairs, where the processor can: weights and what they multiply are rounded, while sums, state,
the pointwise part, gradients of the carry and what is kept for the backward pass are float32. On other processors only
what comes out is rounded.

The engine itself, `gatewise.native`, knows nothing of torch: it is C++ and the Python code that lowers programs to it,
checks shapes, divides the work among threads and keeps packed weights. This side gives it tensors and differentiates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from ..algebra import Cell
from ..errors import OptionError, ShapeError
from ..native import calls, lowering
from ..native.calls import (
    Call,
    Layer,
    check_lengths,
    run_backward,
    run_backward_chain,
    run_forward,
    run_forward_chain,
)
from ..native.library import _native
from . import reference
from .aten import gradients_of

_native.register_types(Tensor, Parameter)

runs = lowering.runs


def fits(x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]) -> bool:
    """Whether this engine can take these tensors: plain ones on the CPU, all float32 or all bfloat16, of which at most
    derivatives in reverse mode are wanted."""
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


def _thread_count() -> int:
    return _threads.get() or torch.get_num_threads()


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Inside, layers run forward on so many threads, and backward later; None: as many as torch uses."""
    before = _threads.set(count)
    try:
        yield
    finally:
        _threads.reset(before)


class Tensors:
    """What the engine has to know of torch's tensors."""

    float32, bfloat16 = torch.float32, torch.bfloat16

    @staticmethod
    def maker(like: Tensor, dtype: torch.dtype) -> Callable[..., Tensor]:
        return (like if like.dtype == dtype else like.new_empty(0, dtype=dtype)).new_empty

    @staticmethod
    def as_float32(tensor: Tensor) -> Tensor:
        return tensor.to(torch.float32)

    @staticmethod
    def rows(tensor: Tensor) -> Tensor:
        last = tensor.is_contiguous() or tensor.stride(-1) == 1 or tensor.shape[-1] == 1
        return tensor if last else tensor.contiguous()

    @staticmethod
    def lengths(lengths: Tensor, x: Tensor) -> Tensor:
        whole = not (lengths.is_complex() or lengths.dtype == torch.bool)
        if whole and lengths.is_floating_point():
            whole = bool((lengths.isfinite() & (lengths == lengths.floor())).all())
        if not whole:
            raise ShapeError(f"lengths must be whole numbers, not {lengths.tolist()!r:.60}")
        lengths = lengths.to("cpu", torch.int64).contiguous()
        check_lengths(lengths, len(x), x.shape[1], whole=True)
        return lengths

    @staticmethod
    def constant(tensor: Tensor) -> bool:
        return False

    @staticmethod
    def resets(resets: Tensor) -> Tensor:
        return resets.to("cpu", torch.bool)


TENSORS = Tensors()


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
    """See `calls.run`. The layers' tensors must fit."""
    return calls.run(layers, _thread_count(), TENSORS, _forward)


def run_stack(layers: Sequence[Layer]) -> list[list[Tensor]]:
    """See `calls.run_stack`. The layers' tensors must fit."""
    return calls.run_stack(layers, _thread_count(), TENSORS, _forward, _chain)


def _forward(some: list[Call], inputs: list[Tensor]) -> Sequence[Tensor]:
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs):
        found: Sequence[Tensor] = _Native.apply(some, *inputs)
        return found
    return run_forward(some, inputs, keep=False)


def _chain(layers: Sequence[Layer], threads: int) -> list[Tensor]:
    inputs = [layers[0].x, *[tensor for layer in layers for tensor in (*layer.state, *layer.weights)]]
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs):
        return list(_Chain.apply(layers, threads, *inputs))
    _, results = run_forward_chain(layers, threads, [False] * len(layers), TENSORS)
    return results


def _differentiable(
    call: Call, inputs: Sequence[Tensor], gradients: Sequence[Tensor | None], needs: Sequence[bool]
) -> list[Tensor | None]:
    """The gradients of a call by the reference loop, which can be differentiated again."""
    # Views, for one tensor may come twice, as h and c; its gradients are told apart.
    inputs = [tensor.view_as(tensor) for tensor in inputs]
    wanted = [tensor for tensor, need in zip(inputs, needs, strict=True) if need]
    inputs = [tensor.to(torch.float32) for tensor in inputs]
    extras = [extra.to(torch.float32) for extra in call.extras]
    x, state, weights = call.split(inputs)
    options = call.lengths, call.resets, call.reverse, extras
    every, last = reference.recurrence(call.cell, x, state, weights, *options)
    outputs = [*every[: call.shown], *last]
    arriving = [None if g is None else g.to(o) for o, g in zip(outputs, gradients, strict=True)]
    found = iter(gradients_of(outputs, wanted, arriving, create_graph=True))
    return [next(found) if need else None for need in needs]


class _Native(torch.autograd.Function):
    """Differentiates once by the engine's own backward pass, and from there on by the reference loop."""

    @staticmethod
    def forward(ctx: Any, calls: list[Call], *inputs: Tensor) -> Any:
        results = run_forward(calls, inputs, keep=True)
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
                found += _differentiable(call, own, arriving, wanted)
                continue
            fields, filled = call.backward(own, arriving, wanted)
            jobs.append(fields)
            found += filled
        if not again:
            run_backward(calls, jobs)
        if not torch._C._autograd._get_current_graph_task_keep_graph():
            for call in calls:
                call.tape = None  # or it would live as long as the loss does
        return None, *found


class _Chain(torch.autograd.Function):
    """Layers that follow one another, at the same time; differentiates as if each were a `_Native`."""

    @staticmethod
    def forward(ctx: Any, layers: Sequence[Layer], threads: int, *inputs: Tensor) -> Any:
        needs, end = ctx.needs_input_grad[2:], 1
        keep = []  # of each layer, whether anything needs gradients up to it
        for layer in layers:
            end += len(layer.state) + len(layer.weights)
            keep.append(any(needs[:end]))
        ctx.calls, results = run_forward_chain(layers, threads, keep, TENSORS)
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
                dx, *found[start:end] = _differentiable(call, own, arriving, wanted)
                continue
            fields, (dx, *found[start:end]) = call.backward(own, arriving, wanted)
            if apart:
                run_backward([call], [fields])
            else:
                jobs.append(fields)
        if jobs:
            run_backward_chain(jobs, ctx.threads)
        if not torch._C._autograd._get_current_graph_task_keep_graph():
            for call in calls:
                call.tape = None
        found[0] = dx
        return None, None, *found
