"""The backward program of a cell, derived from its equations: reverse-mode differentiation of one step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

from .cell import Cell
from .expression import MAPS, OPERATIONS, TRANSPOSE, Node, as_node, linear, order, pointwise, product

Rule = Callable[[Node, Node], tuple[Node | None, ...]]


# dL/d(args), given node y and g = dL/dy. None where the derivative is zero everywhere that it exists.
DERIVATIVE: dict[str, Rule] = {
    "add": lambda y, g: (g, g),
    "sub": lambda y, g: (g, -g),
    "mul": lambda y, g: (g * y.args[1], g * y.args[0]),
    "div": lambda y, g: (g / y.args[1], -(g * y / y.args[1])),
    "neg": lambda y, g: (-g,),
    "sigmoid": lambda y, g: (g * y * (1 - y),),
    "tanh": lambda y, g: (g * (1 - y * y),),
    "relu": lambda y, g: (g * pointwise("step", y.args[0]),),
    "step": lambda y, g: (None,),
    "exp": lambda y, g: (g * y,),
    "log": lambda y, g: (g / y.args[0],),
    "sqrt": lambda y, g: (0.5 * g / y,),
    "softplus": lambda y, g: (g * pointwise("sigmoid", y.args[0]),),
    "maximum": lambda y, g: (g * _above(y), g * (1 - _above(y))),
    "minimum": lambda y, g: (g * (1 - _above(y)), g * _above(y)),
    **{name: lambda y, g: (linear(TRANSPOSE[y.op], g),) for name in MAPS},
}


def _above(y: Node) -> Node:
    """1 where the first argument is the larger. At a tie the second is taken; the derivative does not exist there."""
    return pointwise("step", y.args[0] - y.args[1])


@dataclass(frozen=True, eq=False)
class Backward:
    """Gradients of one step, as expressions of the forward values and of the gradients that arrive.

    Attributes:
        seeds: dL/d(after), one leaf per carried name: what arrives from the output and from the step after.
        x: dL/dx, or None if x needs none.
        before: dL/d(before), per carried name; what is handed to the step before.
        vectors: dL/d(weight) per weight that is used pointwise; to be summed over rows and steps.
        matrices: per weight matrix M the pairs (g, v) whose outer products g v^T, summed, are dL/dM.
        saves: Forward values that the forward pass must keep. Carried values are kept anyway.
        names: What to call the gradients: "dc" for the gradient of c, "dzi" for that of what gate i is taken of.
        gradients: dL/d(value) of every value of the step that has one, leaves included.
    """

    seeds: tuple[Node, ...]
    x: Node
    before: tuple[Node, ...]
    vectors: dict[Node, Node]
    matrices: dict[Node, list[tuple[Node, Node]]]
    saves: tuple[Node, ...]
    names: dict[Node, str]
    gradients: dict[Node, Node]


@lru_cache(maxsize=256)
def backward(cell: Cell) -> Backward:
    """Differentiate one step of a cell."""
    seeds = tuple(
        Node("seed", label=f"d{name}_in", size=node.size) for name, node in zip(cell.carry, cell.before, strict=True)
    )
    gradient: dict[Node, Node] = {}
    matrices: dict[Node, list[tuple[Node, Node]]] = {}

    def add(node: Node, contribution: Node) -> None:
        gradient[node] = gradient[node] + contribution if node in gradient else contribution

    for node, seed in zip(cell.after, seeds, strict=True):
        add(node, seed)
    nodes = order(cell.after)
    for node in reversed(nodes):
        if node.leaf or node not in gradient:
            continue
        arrived = gradient[node]
        if node.op == "matmul":
            matrix, vector = node.args
            matrices.setdefault(matrix, []).append((arrived, vector))
            add(vector, product("matmul_t", matrix, arrived))
            continue
        for arg, contribution in zip(node.args, DERIVATIVE[node.op](node, arrived), strict=True):
            if contribution is not None and arg.op != "constant":
                add(arg, contribution)

    zero = as_node(0.0)
    found = Backward(
        seeds=seeds,
        x=gradient.get(cell.x, zero),
        before=tuple(gradient.get(node, zero) for node in cell.before),
        vectors={n: gradient[n] for n in gradient if n.op == "weight"},
        matrices=matrices,
        saves=(),
        names=_names(cell, nodes, gradient),
        gradients=gradient,
    )
    return replace(found, saves=_saves(cell, nodes, found))


def results(found: Backward) -> list[Node]:
    """Every expression that a backward program must compute."""
    outer = [node for pairs in found.matrices.values() for node, _ in pairs]
    operands = [vector for pairs in found.matrices.values() for _, vector in pairs]  # not all of them are saved
    return [*outer, *found.vectors.values(), found.x, *found.before, *operands]


def _saves(cell: Cell, forward: list[Node], found: Backward) -> tuple[Node, ...]:
    """Forward values that the gradients read, less those one cheap operation away from values that are kept anyway."""
    inside = {node for node in forward if not node.leaf}
    roots = results(found)
    read = {arg for node in order(roots, known=inside) for arg in node.args} | set(roots)
    kept = {node for node in forward if node.leaf} | set(cell.after)
    saves: list[Node] = []
    for node in forward:
        if (
            node in inside
            and node in read
            and node not in kept
            and not (node.op in OPERATIONS and kept.issuperset(node.args))
        ):
            saves.append(node)
            kept.add(node)
    return tuple(saves)


def _names(cell: Cell, forward: list[Node], gradient: dict[Node, Node]) -> dict[Node, str]:
    called: dict[Node, str] = {}
    for node in forward:
        name = cell.names.get(node)
        if name is None or node not in gradient:
            continue
        called.setdefault(gradient[node], f"d{name}")
        if len(node.args) == 1 and node.args[0] in gradient and node.args[0] not in cell.names:
            called.setdefault(gradient[node.args[0]], f"dz{name}")
    for leaf in (cell.x, *cell.before):
        if leaf in gradient:
            called.setdefault(gradient[leaf], f"d{leaf.label}")
    return {node: name for node, name in called.items() if not node.leaf}
