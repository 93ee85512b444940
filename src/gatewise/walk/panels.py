"""What the panels of a step show, read off any cell's graph: its doors, its shelves, and the order of its gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import exp, inf

from ..algebra import Cell
from ..algebra.derive import Backward, backward
from ..algebra.expression import OPERATIONS, Node, as_node, order, pointwise
from ..algebra.pinning import Pin, pinnable

Range = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Shelf:
    """A carried value that is kept in part and added to: after = keep * before + write.

    Attributes:
        carried: Its place among the carried values.
        keep: The share that stays, per unit.
        write: What is added.
    """

    carried: int
    keep: Node
    write: Node


@dataclass(frozen=True, eq=False)
class Panels:
    """A cell as it is drawn.

    Attributes:
        cell: The cell in which every named value can be held; see `algebra.pinning`.
        pins: For each name its pin, in the order in which the values are computed.
        back: Its derivatives.
        doors: Names of values between 0 and 1 by which others are multiplied.
        notes: Names of all other values on the way.
        shelves: The memories.
        sums: Name of a gate -> what its function is taken of.
        gradients: The values whose gradients are shown, in the order in which one is derived from another: `h` first.
    """

    cell: Cell
    pins: Mapping[str, Pin]
    back: Backward
    doors: tuple[str, ...]
    notes: tuple[str, ...]
    shelves: tuple[Shelf, ...]
    sums: Mapping[str, Node]
    gradients: tuple[str, ...]


@lru_cache(maxsize=64)
def panels(cell: Cell) -> Panels:
    """Draw up the panels of a cell."""
    named = _with_names_for_doors(cell)
    made, pins = pinnable(named)
    back = backward(made)
    by_name = {name: node for node, name in named.names.items()}
    steps = {node: i for i, node in enumerate(order(named.after))}
    packed = {gate: i for i, gate in enumerate(cell.pack)}
    reading = sorted(pins, key=lambda name: (packed.get(name, len(packed)), steps[by_name[name]]))
    doors = [name for name in reading if _door(by_name[name])]
    carried = [name for name in reading if by_name[name] in named.after]
    sums = {name: pin.computed.args[0] for name, pin in pins.items() if _function_of_a_sum(pin.computed, made)}
    far = _distance(made)
    return Panels(
        cell=made,
        pins={name: pins[name] for name in sorted(pins, key=lambda name: steps[by_name[name]])},
        back=back,
        doors=tuple(doors),
        notes=tuple(name for name in reading if name not in doors and name not in carried),
        shelves=tuple(_shelves(made)),
        sums=sums,
        gradients=tuple(
            sorted((name for name in reading if pins[name].value in back.gradients), key=lambda n: far[pins[n].value])
        ),
    )


def _with_names_for_doors(cell: Cell) -> Cell:
    """A sigmoid that the equations give no name gets one after the value that it is a part of: `gate_x1`."""
    names = dict(cell.names)
    inside: dict[Node, str] = {}
    for node in reversed(order(cell.after)):
        name = cell.names.get(node, inside.get(node, ""))
        if node.op == "sigmoid" and node not in names and name:
            names[node] = next(n for n in (f"gate_{name}", f"gate_{name}_") if n not in names.values())
        for arg in node.args:
            inside[arg] = name
    return replace(cell, names=names)


def _function_of_a_sum(node: Node, cell: Cell) -> bool:
    one = OPERATIONS.get(node.op) == 1 and node.op != "neg"
    return one and not node.args[0].leaf and node.args[0] not in cell.names


def _distance(cell: Cell) -> dict[Node, int]:
    """How many operations lie between a value and the output, on the longest way: gradients follow in this order."""
    far = dict.fromkeys(cell.after, 0)
    for node in reversed(order(cell.after)):
        for arg in node.args:
            far[arg] = max(far.get(arg, 0), far[node] + 1)
    return far


# Between which numbers the result of an operation lies, given those of its arguments. What is not here may be anything.
RANGES: dict[str, Callable[..., Range]] = {
    "sigmoid": lambda a: (0.0, 1.0),
    "tanh": lambda a: (-1.0, 1.0),
    "relu": lambda a: (max(a[0], 0.0), max(a[1], 0.0)),
    "step": lambda a: (0.0, 1.0),
    "softplus": lambda a: (0.0, inf),
    "exp": lambda a: (_exp(a[0]), _exp(a[1])),
    "add": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "sub": lambda a, b: (a[0] - b[1], a[1] - b[0]),
    "neg": lambda a: (-a[1], -a[0]),
    "spread": lambda a: a,
}


def _exp(v: float) -> float:
    return exp(v) if v < 700 else inf


def _door(node: Node) -> bool:
    """Whether a value always lies between 0 and 1."""
    found: dict[Node, Range] = {}
    for each in order([node]):
        if each.op == "constant":
            found[each] = (float(each.label),) * 2
        elif each.op == "sub" and each.args[1].op == "maximum" and each.args[0] in each.args[1].args:
            found[each] = (-inf, 0.0)  # a - max(a, b), as exponential gates have it
        else:
            rule = RANGES.get(each.op)
            found[each] = rule(*(found[arg] for arg in each.args)) if rule else (-inf, inf)
    return found[node][0] >= 0.0 and found[node][1] <= 1.0


def _shelves(cell: Cell) -> list[Shelf]:
    found = []
    for k, (before, after) in enumerate(zip(cell.before, cell.after, strict=True)):
        keep, write = _kept(after, before)
        if keep is not None:
            found.append(Shelf(k, keep, as_node(0.0) if write is None else write))
    return found


Part = tuple[Node | None, Node | None]


def _kept(node: Node, before: Node) -> Part:
    """(keep, write) with node = keep * before + write; None stands for 0.

    Only sums and products on the way are looked through: a gate that depends on `before` is taken as it is.
    """
    if node is before:
        return as_node(1.0), None
    parts = [_kept(arg, before) for arg in node.args] if node.op in LINEAR else []
    if all(keep is None for keep, _ in parts):
        return None, node
    found = LINEAR[node.op](node, *parts)
    return (None, node) if found is None else found


def _product(y: Node, a: Part, b: Part) -> Part | None:
    if a[0] is not None and b[0] is not None:
        return None
    (keep, write), other = (a, y.args[1]) if b[0] is None else (b, y.args[0])
    return _times(keep, other), _times(write, other)


# (keep, write) of a value, given its node and those of its arguments; None where it is not linear in what was before.
LINEAR: dict[str, Callable[..., Part | None]] = {
    "add": lambda y, a, b: (_plus(a[0], b[0]), _plus(a[1], b[1])),
    "sub": lambda y, a, b: (_plus(a[0], _minus(b[0])), _plus(a[1], _minus(b[1]))),
    "neg": lambda y, a: (_minus(a[0]), _minus(a[1])),
    "mul": _product,
    "div": lambda y, a, b: None if b[0] is not None else (_over(a[0], y.args[1]), _over(a[1], y.args[1])),
}


def _plus(a: Node | None, b: Node | None) -> Node | None:
    return b if a is None else a if b is None else _folded("add", a, b)


def _minus(a: Node | None) -> Node | None:
    return a if a is None else _folded("mul", a, as_node(-1.0))


def _times(a: Node | None, b: Node) -> Node | None:
    return a if a is None else _folded("mul", a, b)


def _over(a: Node | None, b: Node) -> Node | None:
    return a if a is None else a / b


def _folded(op: str, a: Node, b: Node) -> Node:
    """A sum or product, without that of two numbers, or that with 1."""
    if a.op == b.op == "constant":
        x, y = float(a.label), float(b.label)
        return as_node(x + y if op == "add" else x * y)
    one = as_node(1.0)
    if op == "mul" and one in (a, b):
        return b if a is one else a
    return pointwise(op, a, b)
