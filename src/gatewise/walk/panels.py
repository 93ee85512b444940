"""What the panels of a step show, read off any cell's graph: its doors, its shelves, and the order of its gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import exp, inf

from ..algebra import Cell
from ..algebra.derive import Backward, backward
from ..algebra.expression import OPERATIONS, Node, order
from ..algebra.forms import in_numbers, line_of
from ..algebra.pinning import Pin, pinned

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
    made, pins = pinned(named)
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
    """The carried values that keep some of themselves, with what is not linear in them taken as it is."""
    found = []
    for k, (before, after) in enumerate(zip(cell.before, cell.after, strict=True)):
        line = line_of(after, k, before, frozen=True)
        if line is not None and line.slope is not None:
            found.append(Shelf(k, *in_numbers(line)))
    return found
