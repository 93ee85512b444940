"""The engine's work as torch operators, so that graph capture sees one node per layer instead of a loop.

`torch.compile`, `torch.export` and ONNX translation work through these. In eager mode the functions of `engine`
call the backends themselves: PyTorch's kernels then keep what their backward needs, where a captured graph, which can
only pass tensors of known shape from forward to backward, computes the forward pass of a layer a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Any

import torch
from torch import Tensor

from ..algebra import Cell
from . import aten, backends, reference

_library = torch.library.Library("gatewise", "FRAGMENT")


def run_recurrence(cell: str, *arguments: Any) -> list[Tensor]:
    return backends.run(Cell.from_key(cell), *arguments)


def _plain_recurrence(cell: str, *arguments: Any) -> list[Tensor]:
    return backends.BACKENDS["reference"].run(Cell.from_key(cell), *arguments)


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
    return backends.step(Cell.from_key(cell), x, state, weights)


def _plain_step(cell: str, x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]) -> list[Tensor]:
    return reference.step(Cell.from_key(cell), x, state, weights)


def run_pointwise(cell: str, sums: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]) -> list[Tensor]:
    return reference.pointwise(Cell.from_key(cell), sums, state, weights)


def _shape_state(cell: str, x: Tensor, state: Sequence[Tensor], *_: Any) -> list[Tensor]:
    return [torch.empty_like(s) for s in state]


class _Definition:
    """How an operator runs, and its rules for shapes and gradients.

    Args:
        name: Of the operator.
        signature: Arguments; those of type `Tensor` and `Tensor[]` are differentiable, but not `Tensor?` and `extras`.
        run: Computes it, differentiably.
        plain: Computes it by operations that autograd can differentiate any number of times.
        shapes: Makes empty results of the right shape.
    """

    def __init__(
        self,
        name: str,
        signature: str,
        run: Callable[..., list[Tensor]],
        plain: Callable[..., list[Tensor]],
        shapes: Callable[..., list[Tensor]],
    ):
        self.name, self.run, self.plain, self.shapes = name, run, plain, shapes
        _library.define(f"{name}({signature}) -> Tensor[]")
        _library.define(f"{name}_backward({signature}, Tensor[] gradients) -> Tensor[]")
        self.operator = getattr(torch.ops.gatewise, name).default
        self.backward_operator = getattr(torch.ops.gatewise, f"{name}_backward").default
        self.differentiable = [
            str(argument.type) in ("Tensor", "List[Tensor]") and argument.name != "extras"
            for argument in self.operator._schema.arguments
        ]

    def register(self) -> Any:
        """Give the operator and its backward operator to torch; returns the operator."""
        _library.impl(self.name, self.forward, "CompositeExplicitAutograd")
        _library.impl(f"{self.name}_backward", self.backward, "CompositeExplicitAutograd")
        torch.library.register_fake(self.operator, self.shapes, lib=_library)
        torch.library.register_fake(self.backward_operator, self.backward_shapes, lib=_library)
        torch.library.register_autograd(self.operator, self.chain, setup_context=self.remember, lib=_library)
        return self.operator

    def forward(self, *arguments: Any) -> list[Tensor]:
        with torch.no_grad():
            return _unaliased(self.run(*arguments), self.tensors(arguments))

    def backward(self, *arguments: Any) -> list[Tensor]:
        *inputs, gradients = arguments
        leaves = self.filled(inputs, (tensor.detach().requires_grad_() for tensor in self.tensors(inputs)))
        found = self.differentiate(self.run, leaves, gradients, again=False)
        return _unaliased(found, self.tensors(inputs))

    def backward_shapes(self, *arguments: Any) -> list[Tensor]:
        return [torch.empty_like(tensor) for tensor in self.tensors(arguments[:-1])]

    def remember(self, ctx: Any, inputs: Any, output: Any) -> None:
        """Save the arguments for `chain`: the differentiable tensors as autograd wants it, the rest as it is."""
        saved = list(self.tensors(inputs))
        ctx.save_for_backward(*saved)
        ctx.rest = self.filled(inputs, repeat(None))

    def chain(self, ctx: Any, gradients: Sequence[Tensor]) -> Any:
        """The chain rule: from the gradients of the results to a gradient, or None, for every argument."""
        arguments = self.filled(ctx.rest, iter(ctx.saved_tensors))
        if torch.is_grad_enabled():  # someone wants second derivatives
            # Views, for one tensor may come twice, as h and c; its gradients are told apart.
            apart = self.filled(arguments, (tensor.view_as(tensor) for tensor in self.tensors(arguments)))
            found = self.differentiate(self.plain, apart, gradients, again=True)
        else:
            found = self.backward_operator(*arguments, gradients)
        nothing = [[None] * len(a) if isinstance(a, list) else None for a in arguments]
        filled = self.filled(arguments, iter(found))
        return tuple(f if counts else n for f, n, counts in zip(filled, nothing, self.differentiable, strict=True))

    def differentiate(
        self, compute: Callable[..., list[Tensor]], arguments: Sequence[Any], gradients: Sequence[Tensor], again: bool
    ) -> list[Tensor]:
        with torch.enable_grad():
            outputs = compute(*arguments)
        return aten.gradients_of(outputs, list(self.tensors(arguments)), gradients, create_graph=again)

    def tensors(self, arguments: Sequence[Any]) -> Iterator[Tensor]:
        """The differentiable tensors, in order."""
        for argument, counts in zip(arguments, self.differentiable, strict=True):
            if counts:
                yield from argument if isinstance(argument, list | tuple) else [argument]

    def filled(self, arguments: Sequence[Any], values: Iterator[Any]) -> list[Any]:
        """The arguments with these values in the places of the differentiable tensors, in order."""

        def fill(argument: Any) -> Any:
            return [next(values) for _ in argument] if isinstance(argument, list | tuple) else next(values)

        pairs = zip(arguments, self.differentiable, strict=True)
        return [fill(argument) if counts else argument for argument, counts in pairs]


def _unaliased(outputs: Sequence[Tensor], inputs: Iterator[Tensor]) -> list[Tensor]:
    """An operator may not return its own input, as a state is that no step has touched, nor the same memory twice."""
    taken = {tensor.untyped_storage().data_ptr() for tensor in inputs if tensor.numel()}
    results = []
    for output in outputs:
        memory = output.untyped_storage().data_ptr()
        results.append(output.clone() if memory in taken else output.contiguous())
        taken.update([memory] if output.numel() else [])
    return results


recurrence = _Definition(
    "recurrence",
    "str cell, Tensor x, Tensor[] state, Tensor[] weights, Tensor? lengths, Tensor? resets, bool reverse, "
    "bool history, Tensor[] extras",
    run_recurrence,
    _plain_recurrence,
    _shape_recurrence,
).register()
step = _Definition(
    "step",
    "str cell, Tensor x, Tensor[] state, Tensor[] weights",
    run_step,
    _plain_step,
    _shape_state,
).register()
pointwise = _Definition(
    "pointwise",
    "str cell, Tensor sums, Tensor[] state, Tensor[] weights",
    run_pointwise,
    run_pointwise,
    _shape_state,
).register()
