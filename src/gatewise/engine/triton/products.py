"""The large matrix products before and after a kernel: what needs no step before it, for all steps at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from ...algebra import Cell
from ...algebra.expression import Node
from .plan import Columns, backward_plan, forward_plan


def sums(cell: Cell, x: Tensor, weights: Mapping[Node, Tensor]) -> Tensor:
    """(T, B, width): products with x, and biases, of the accumulators that begin with them."""
    plan = forward_plan(cell)
    if not plan.sums.nodes:
        return x.new_empty(*x.shape[:2], 0)
    matrices, biases = [], []
    for accumulator in plan.accumulators():
        if accumulator.node not in plan.sums.nodes:
            continue
        of_x = [weights[product.weight] for product in accumulator.products if product.vector is cell.x]
        matrices.append(sum(of_x[1:], of_x[0]))
        own = [weights[bias] for bias in accumulator.biases]
        biases.append(sum(own[1:], own[0]) if own else matrices[-1].new_zeros(len(matrices[-1])))
    return torch.addmm(torch.cat(biases), x.flatten(0, 1), torch.cat(matrices).T).unflatten(0, x.shape[:2])


def columns(tensor: Tensor, layout: Columns, sizes: Mapping[str, int]) -> Callable[[Sequence[Node]], Tensor]:
    """A function that gives some of the vectors of a (T, B, width) tensor side by side, (T * B, width)."""
    places, flat = layout.offsets(sizes), tensor.flatten(0, 1)

    def some(nodes: Sequence[Node]) -> Tensor:
        ranges = [places[node] for node in nodes]
        if all(end == begin for (_, end), (begin, _) in pairwise(ranges)):
            return flat[:, ranges[0][0] : ranges[-1][1]]
        return torch.cat([flat[:, begin:end] for begin, end in ranges], 1)

    return some


def weight_gradients(
    cell: Cell,
    left: Callable[[Sequence[Node]], Tensor],
    streams: Mapping[Node, Tensor],
    weights: Mapping[Node, Tensor],
) -> dict[Node, Tensor]:
    """dL/d(block) of every weight that has a gradient.

    Args:
        left: What the backward kernel has left; see `columns`.
        streams: Every other value that a gradient may be an outer product with, (T * B, size).
    """
    plan = backward_plan(cell)

    def value(nodes: Sequence[Node]) -> Tensor:
        if all(node in plan.kept.nodes for node in nodes):
            return left(nodes)
        return torch.cat([left([node]) if node in plan.kept.nodes else streams[node] for node in nodes], 1)

    found: dict[Node, Tensor] = {}

    def add(weight: Node, gradient: Tensor) -> None:
        found[weight] = found[weight] + gradient if weight in found else gradient

    outer: dict[Node, list[tuple[Node, Node]]] = {}
    for gradient in plan.program.gradients:
        if gradient.value.op == "constant":
            continue  # the number 0: no output depends on it
        if gradient.vector is None:
            add(gradient.weight, value([gradient.value]).sum(0))
        else:
            outer.setdefault(gradient.vector, []).append((gradient.weight, gradient.value))
    for vector, pairs in outer.items():
        values = value([node for _, node in pairs])
        same = vector in weights  # for every row and step
        product = values.sum(0)[:, None] * weights[vector] if same else values.T @ value([vector])
        for (weight, _), part in zip(pairs, product.split([len(weights[w]) for w, _ in pairs]), strict=True):
            add(weight, part)
    return found


def input_gradient(cell: Cell, left: Callable[[Sequence[Node]], Tensor], weights: Mapping[Node, Tensor]) -> Tensor:
    """dL/dx, (T * B, D)."""
    plan = backward_plan(cell)
    if plan.after is None:
        return left([plan.program.outputs[0][1]])
    values = left([product.vector for product in plan.after.products])
    return values @ torch.cat([weights[product.weight] for product in plan.after.products])
