"""The engine's work as torch operators, so that graph capture sees one node per layer instead of a loop.

`torch.compile`, `torch.export` and ONNX translation work through these. In eager mode the functions of `engine`
call the backends themselves: PyTorch's kernels then keep what their backward needs, where a captured graph, which can
only pass tensors of known shape from forward to backward, computes the forward pass of a layer a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ..algebra import Cell
from . import aten, chunkwise, native, reference, scan

_library = torch.library.Library("gatewise", "FRAGMENT")


def run_recurrence(
    cell: str,
    x: Tensor,
    state: Sequence[Tensor],
    weights: Sequence[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    reverse: bool,
    history: bool,
    extras: Sequence[Tensor],
) -> list[Tensor]:
    """Choose a backend and run a layer: first the carried values of every step (the output alone unless `history`),
    then the last state."""
    equations = Cell.from_key(cell)
    if native.runs(equations) and native.fits(x, state, weights):
        layer = native.Layer(equations, x, state, weights, lengths, resets, reverse, history, extras=extras)
        [results] = native.run(layer)
        return results
    fused: Any
    for fused in (aten, chunkwise):
        if fused.fits(equations, resets, history):
            y, last = fused.recurrence(equations, x, state, weights, lengths, reverse)
            return [y, *last]
    if scan.fits(equations):
        every, last = scan.recurrence(equations, x, state, weights, lengths, resets, reverse, extras)
        return [*(every if history else every[:1]), *last]
    return _plain_recurrence(cell, x, state, weights, lengths, resets, reverse, history, extras)


def _plain_recurrence(
    cell: str,
    x: Tensor,
    state: Sequence[Tensor],
    weights: Sequence[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    reverse: bool,
    history: bool,
    extras: Sequence[Tensor],
) -> list[Tensor]:
    every, last = reference.recurrence(Cell.from_key(cell), x, state, weights, lengths, resets, reverse, extras)
    return [*(every if history else every[:1]), *last]


def _shape_recurrence(
    cell: str,
    x: Tensor,
    state: Sequence[Tensor],
    weights: Any,
    lengths: Any,
    resets: Any,
    reverse: bool,
    history: bool,
    extras: Any,
) -> list[Tensor]:
    shown = state if history else state[:1]
    every = [x.new_empty(x.shape[0], x.shape[1], s.shape[1]) for s in shown]
    return [*every, *(x.new_empty(x.shape[1], s.shape[1]) for s in state)]


def run_step(cell: str, x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]) -> list[Tensor]:
    equations = Cell.from_key(cell)
    if not native.runs(equations) or not native.fits(x, state, weights):
        return _plain_step(cell, x, state, weights)
    [[_, *after]] = native.run(native.Layer(equations, x.unsqueeze(0), state, weights))
    return after


def _plain_step(cell: str, x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]) -> list[Tensor]:
    return reference.step(Cell.from_key(cell), x, state, weights)


def run_pointwise(cell: str, sums: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]) -> list[Tensor]:
    return reference.pointwise(Cell.from_key(cell), sums, state, weights)


def _shape_state(cell: str, x: Tensor, state: Sequence[Tensor], *_: Any) -> list[Tensor]:
    return [torch.empty_like(s) for s in state]


def _define(
    name: str,
    signature: str,
    run: Callable[..., list[Tensor]],
    plain: Callable[..., list[Tensor]],
    shapes: Callable[..., list[Tensor]],
) -> Any:
    """Register an operator with its shape rule and its backward operator.

    Args:
        signature: Arguments; those of type `Tensor` and `Tensor[]` are differentiable, but not `Tensor?` and `extras`.
        run: Computes it, differentiably.
        plain: Computes it by operations that autograd can differentiate any number of times.
        shapes: Makes empty results of the right shape.
    """
    _library.define(f"{name}({signature}) -> Tensor[]")
    _library.define(f"{name}_backward({signature}, Tensor[] gradients) -> Tensor[]")
    operator = getattr(torch.ops.gatewise, name).default
    backward_operator = getattr(torch.ops.gatewise, f"{name}_backward").default
    differentiable = [
        str(argument.type) in ("Tensor", "List[Tensor]") and argument.name != "extras"
        for argument in operator._schema.arguments
    ]

    def tensors(arguments: Sequence[Any]) -> Iterator[Tensor]:
        for argument, counts in zip(arguments, differentiable, strict=True):
            if counts:
                yield from [argument] if isinstance(argument, Tensor) else argument

    def filled(arguments: Sequence[Any], values: Iterator[Any]) -> list[Any]:
        """The arguments with their differentiable tensors replaced, in order."""
        return [
            argument
            if not counts
            else next(values)
            if isinstance(argument, Tensor)
            else [next(values) for _ in argument]
            for argument, counts in zip(arguments, differentiable, strict=True)
        ]

    def differentiate(
        compute: Callable[..., list[Tensor]], arguments: Sequence[Any], gradients: Sequence[Tensor], again: bool
    ) -> list[Tensor]:
        with torch.enable_grad():
            outputs = compute(*arguments)
        return aten.gradients_of(outputs, list(tensors(arguments)), gradients, create_graph=again)

    def forward(*arguments: Any) -> list[Tensor]:
        with torch.no_grad():
            return _unaliased(run(*arguments), tensors(arguments))

    def backward(*arguments: Any) -> list[Tensor]:
        *inputs, gradients = arguments
        leaves = filled(inputs, (tensor.detach().requires_grad_() for tensor in tensors(inputs)))
        return _unaliased(differentiate(run, leaves, gradients, again=False), tensors(inputs))

    def remember(ctx: Any, inputs: Any, output: Any) -> None:
        saved = list(tensors(inputs))
        ctx.save_for_backward(*saved)
        ctx.places = filled(inputs, iter(range(len(saved))))

    def chain(ctx: Any, gradients: Sequence[Tensor]) -> Any:
        arguments = [
            place
            if not counts
            else [ctx.saved_tensors[i] for i in place]
            if isinstance(place, list)
            else ctx.saved_tensors[place]
            for place, counts in zip(ctx.places, differentiable, strict=True)
        ]
        if torch.is_grad_enabled():  # someone wants second derivatives
            # Views, for one tensor may come twice, as h and c; its gradients are told apart.
            apart = filled(arguments, (tensor.view_as(tensor) for tensor in tensors(arguments)))
            found = differentiate(plain, apart, gradients, again=True)
        else:
            found = backward_operator(*arguments, gradients)
        nothing = ([None] * len(a) if isinstance(a, list) else None for a in arguments)
        places = [a if c else n for a, c, n in zip(arguments, differentiable, nothing, strict=True)]
        return tuple(filled(places, iter(found)))

    def backward_shapes(*arguments: Any) -> list[Tensor]:
        return [torch.empty_like(tensor) for tensor in tensors(arguments[:-1])]

    _library.impl(name, forward, "CompositeExplicitAutograd")
    _library.impl(f"{name}_backward", backward, "CompositeExplicitAutograd")
    torch.library.register_fake(operator, shapes, lib=_library)
    torch.library.register_fake(backward_operator, backward_shapes, lib=_library)
    torch.library.register_autograd(operator, chain, setup_context=remember, lib=_library)
    return operator


def _unaliased(outputs: Sequence[Tensor], inputs: Iterator[Tensor]) -> list[Tensor]:
    """An operator may not return its own input, as a state is that no step has touched, nor the same memory twice."""
    taken = {tensor.untyped_storage().data_ptr() for tensor in inputs if tensor.numel()}
    results = []
    for output in outputs:
        memory = output.untyped_storage().data_ptr()
        results.append(output.clone() if memory in taken else output.contiguous())
        taken.update([memory] if output.numel() else [])
    return results


recurrence = _define(
    "recurrence",
    "str cell, Tensor x, Tensor[] state, Tensor[] weights, Tensor? lengths, Tensor? resets, bool reverse, "
    "bool history, Tensor[] extras",
    run_recurrence,
    _plain_recurrence,
    _shape_recurrence,
)
step = _define("step", "str cell, Tensor x, Tensor[] state, Tensor[] weights", run_step, _plain_step, _shape_state)
pointwise = _define(
    "pointwise",
    "str cell, Tensor sums, Tensor[] state, Tensor[] weights",
    run_pointwise,
    run_pointwise,
    _shape_state,
)
