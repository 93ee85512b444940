"""Triton kernels for any cell, written from its program: on a GPU, or in Triton's interpreter, which needs none.

A layer whose recurrent matrices fit on one multiprocessor runs in one launch (`launch.py`); a larger one step by step,
with torch's matrix products and a kernel for the pointwise part of each stage (`steps.py`). Either way the products
that wait for no step are torch's, for all steps at once (`products.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from ...algebra import Cell, Parameter
from ...algebra.expression import Node
from .. import reference
from ..aten import gradients_of
from . import launch, products, steps
from .launch import Layer
from .plan import backward_plan, forward_plan

_RUN_ON = "its kernels run on a CUDA GPU, or with TRITON_INTERPRET=1 in Triton's interpreter"
_DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


def missing() -> str:
    """Why these kernels can run nothing here, or ""."""
    if not find_spec("triton"):
        return "Triton is not installed (pip install triton)"
    return "" if _interprets() or torch.cuda.is_available() else f"{_RUN_ON}, and here is neither"


def refusal(cell: Cell, x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]) -> str:
    """Why these kernels cannot run this layer, or ""."""
    if reason := missing():
        return reason
    if reference.transformed():
        return "torch.func and forward derivatives pass through plain operations alone"
    kinds = {(t.dtype, t.device) for t in (x, *state, *weights)}
    if len(kinds) > 1:
        return "its tensors differ in dtype or device"
    if x.dtype not in _DTYPES:
        return f"it has no kernels for {str(x.dtype).removeprefix('torch.')}"
    if not _interprets():
        return "" if x.device.type == "cuda" else f"{_RUN_ON}, not on {x.device.type}"
    # Triton 3.9 keeps them as whole numbers there, and multiplies those.
    return "Triton's interpreter has no products of bfloat16" if x.dtype == torch.bfloat16 else ""


def _interprets() -> bool:
    import triton

    return bool(triton.knobs.runtime.interpret)


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
    on_chip: bool | None = None,
) -> tuple[list[Tensor], list[Tensor]]:
    """As `reference.recurrence`, for a layer without a `refusal`; the output alone at every step unless `history`.

    Args:
        on_chip: Whether to run it in one launch; None: if that is possible.
    """
    if x.shape[1] == 0:  # no rows, no launch
        every, last = reference.recurrence(cell, x, state, weights, lengths, resets, reverse, extras)
        return every if history else every[:1], last
    inside = fresh = None
    if lengths is not None:
        inside = torch.arange(len(x), device=x.device)[:, None] < lengths.to(x.device)
        x = torch.where(inside[:, :, None], x, 0.0)  # not even a NaN in the padding may reach a sum
    if resets is not None:
        fresh = resets.to(x.device)
        fresh = fresh if inside is None else fresh & inside
        if reverse:  # run backwards, what begins at t + 1 must not reach t
            fresh = torch.cat([fresh[1:], torch.zeros_like(fresh[:1])])
    extras = [extra.contiguous() for extra in extras]
    sizes = _sizes(cell, x, state, weights)
    layer = Layer(cell, len(x), x.shape[1], sizes, x.dtype, x.device, reverse, extras, inside, fresh)
    run = launch if (launch.stays_on_chip(layer) if on_chip is None else on_chip) else steps
    shown = len(cell.carry) if history else 1
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (x, *state, *weights))
    results = _Layer.apply(layer, run, shown, keep, (lengths, resets), x.contiguous(), *state, *weights)
    return list(results[:shown]), list(results[shown:])


def _sizes(cell: Cell, x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]) -> dict[str, int]:
    """A number for every size letter, as the tensors have them."""
    found = {letter: s.shape[-1] for letter, s in zip(cell.carry_sizes, state, strict=True)}
    for parameter, weight in zip(cell.parameters, weights, strict=True):
        found.setdefault(parameter.blocks[0].size.letter, len(weight) // len(parameter.blocks))
    every = cell.sizes(x.shape[2], found["H"], found.get("P", 0))
    return {letter: size for letter, size in every.items() if size}


class _Layer(torch.autograd.Function):
    """Differentiates once by the backward kernel, and from there on by the reference loop."""

    @staticmethod
    def forward(
        ctx: Any, layer: Layer, run: Any, shown: int, keep: bool, options: Any, x: Tensor, *rest: Tensor
    ) -> Any:
        cell, carried = layer.cell, len(layer.cell.carry)
        state, weights = rest[:carried], _blocks(cell, rest[carried:])
        plan = forward_plan(cell)
        history = {}
        for c, start in zip(cell.carry, state, strict=True):
            history[c] = layer.empty(layer.T + 1, layer.B, start.shape[-1])
            history[c][layer.T if layer.reverse else 0] = start
        saved = layer.empty(layer.T, layer.B, plan.kept.width(layer.sizes)) if keep else None
        streams = {cell.x: x, **dict(zip(cell.extras, layer.extras, strict=True)), **weights}
        run.forward(layer, history, products.sums(cell, x, weights), streams, saved)

        ctx.layer, ctx.run, ctx.shown, ctx.options = layer, run, shown, options
        ctx.save_for_backward(x, *rest, *history.values(), *([] if saved is None else [saved]))
        ctx.set_materialize_grads(False)
        every = [whole[:-1] if layer.reverse else whole[1:] for whole in history.values()]
        last = [whole[0 if layer.reverse else layer.T].clone() for whole in history.values()]
        every = every[:shown]
        if layer.inside is not None:
            every = [torch.where(layer.inside[:, :, None], value, 0.0) for value in every]
        return (*every, *last)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        layer, cell = ctx.layer, ctx.layer.cell
        carried, needs = len(cell.carry), ctx.needs_input_grad[5:]
        x, *rest = ctx.saved_tensors
        state, rest = rest[:carried], rest[carried:]
        whole, rest = rest[: len(cell.parameters)], rest[len(cell.parameters) :]
        if torch.is_grad_enabled():
            return (None,) * 5 + tuple(_again(ctx, [x, *state, *whole], gradients, needs))
        weights = _blocks(cell, whole)
        history, saved = dict(zip(cell.carry, rest[:carried], strict=True)), rest[carried]
        plan = backward_plan(cell)
        every = [None if g is None else g.contiguous() for g in gradients[: ctx.shown]]
        arriving = dict(zip(cell.carry, [*every, *[None] * (carried - ctx.shown)], strict=True))
        last = {
            c: torch.zeros_like(s) if g is None else g.clone(memory_format=torch.contiguous_format)
            for c, s, g in zip(cell.carry, state, gradients[ctx.shown :], strict=True)
        }
        left = layer.empty(layer.T, layer.B, plan.kept.width(layer.sizes))
        streams = {cell.x: x, **dict(zip(cell.extras, layer.extras, strict=True)), **weights}
        ctx.run.backward(layer, history, saved, streams, arriving, last, left)

        some = products.columns(left, plan.kept, layer.sizes)
        dx = products.input_gradient(cell, some, weights).unflatten(0, x.shape[:2]) if needs[0] else None
        found: dict[Node, Tensor] = {}
        if any(needs[1 + carried :]):
            found = products.weight_gradients(cell, some, _streams(layer, x, history, saved), weights)
        dweights = [
            _whole(cell, parameter, weight, found) if need else None
            for parameter, weight, need in zip(cell.parameters, whole, needs[1 + carried :], strict=True)
        ]
        return (*(None,) * 5, dx, *last.values(), *dweights)


def _blocks(cell: Cell, weights: Sequence[Tensor]) -> dict[Node, Tensor]:
    return {node: block.contiguous() for node, block in reference.blocks(cell, weights).items()}


def _whole(cell: Cell, parameter: Parameter, weight: Tensor, found: dict[Node, Tensor]) -> Tensor:
    """The gradient of a weight as it is stored, of those of its blocks."""
    gradient = torch.zeros_like(weight)
    for block, part in zip(parameter.blocks, gradient.chunk(len(parameter.blocks)), strict=True):
        if block not in found:
            continue  # no output depends on it
        if not parameter.diagonal:
            part.copy_(found[block])
            continue
        corners = zip(found[block].chunk(cell.heads), part.chunk(cell.heads), strict=True)
        for head, (rows, own) in enumerate(corners):
            own.copy_(rows.chunk(cell.heads, 1)[head])
    return gradient


def _streams(layer: Layer, x: Tensor, history: dict[str, Tensor], saved: Tensor) -> dict[Node, Tensor]:
    """Every value of all steps that the forward pass has left, (T * B, size)."""
    cell, kept = layer.cell, forward_plan(layer.cell).kept
    found = {
        cell.x: x.flatten(0, 1),
        **{e: value.flatten(0, 1) for e, value in zip(cell.extras, layer.extras, strict=True)},
    }
    for start, end, whole in zip(cell.before, cell.after, history.values(), strict=True):
        before, after = (whole[1:], whole[:-1]) if layer.reverse else (whole[:-1], whole[1:])
        if layer.fresh is not None:
            before = torch.where(layer.fresh[:, :, None], 0.0, before)
        found.setdefault(end, after.flatten(0, 1))
        found[start] = before.flatten(0, 1)
    some = products.columns(saved, kept, layer.sizes)
    return found | {node: some([value]) for node, value in backward_plan(cell).saved}


def _again(
    ctx: Any, inputs: Sequence[Tensor], gradients: Sequence[Tensor | None], needs: Sequence[bool]
) -> list[Tensor | None]:
    """The same gradients by the reference loop, which can be differentiated again."""
    layer, (lengths, resets) = ctx.layer, ctx.options
    # Views, for one tensor may come twice, as h and c; its gradients are told apart.
    x, *rest = inputs = [tensor.view_as(tensor) for tensor in inputs]
    state, weights = rest[: len(layer.cell.carry)], rest[len(layer.cell.carry) :]
    options = lengths, resets, layer.reverse, layer.extras
    every, last = reference.recurrence(layer.cell, x, state, weights, *options)
    wanted = [tensor for tensor, need in zip(inputs, needs, strict=True) if need]
    found = iter(gradients_of([*every[: ctx.shown], *last], wanted, gradients, create_graph=True))
    return [next(found) if need else None for need in needs]
