"""Linear forms: a value as slope * carried + offset, propagated through a cell's graph.

Exact where an operation is linear in the carried value. Where one is not, there is no form; or, with `frozen`, the
value is taken as it is at this step, a part of the offset. Then every carried value has a form: how much of it is kept
from the step before, and what is written.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from operator import add, mul, neg, sub, truediv

from .expression import MAPS, PRODUCTS, Node, as_node, order, pointwise

Part = Node | None  # None is zero
Form = tuple[Part, Part]  # slope and offset


@dataclass(frozen=True)
class Line:
    """How one carried value follows from itself: after = slope * before + offset.

    Attributes:
        place: Which of the carried values.
        slope, offset: Expressions; None is zero.
        one: A leaf of theirs that stands for 1.
    """

    place: int
    slope: Part
    offset: Part
    one: Node


def line_of(
    after: Node, place: int, carried: Node, *, unknown: Collection[Node] = (), frozen: bool = False
) -> Line | None:
    """The form of `after` in `carried`; None if it has none.

    Args:
        place: Which of the carried values that is.
        unknown: What the slope and the offset must be free of, besides `carried`.
        frozen: Whether what is not linear in `carried` is taken as it is, so that the offset may depend on it.
    """
    one = Node("one", label="1", size=carried.size)
    forms: dict[Node, Form] = {}
    for node in order([after]):
        if node is carried:
            forms[node] = one, None
        elif node in unknown:
            return None
        elif node.op == "constant":
            forms[node] = None, one * node  # not a number, for those are not combined with one another
        elif all(forms[arg][0] is None for arg in node.args):
            forms[node] = None, node
        elif form := LINEAR[node.op](*(forms[arg] for arg in node.args)):
            forms[node] = form
        elif frozen:
            forms[node] = None, node
        else:
            return None
    return Line(place, *forms[after], one)


def in_numbers(line: Line) -> tuple[Node, Node]:
    """The slope and the offset with the numbers 1 and 0 for what stands for them, so that whatever evaluates a cell can
    evaluate them."""
    made: dict[Node, Node] = {line.one: as_node(1.0)}
    parts = [as_node(0.0) if part is None else part for part in (line.slope, line.offset)]
    for node in order(parts, known=[line.one]):
        args = [made[arg] for arg in node.args]
        made[node] = node if all(a is b for a, b in zip(args, node.args, strict=True)) else _folded(node.op, args)
    return made[parts[0]], made[parts[1]]


def _folded(op: str, args: Sequence[Node]) -> Node:
    """An operation of forms; of numbers alone its result."""
    if all(arg.op == "constant" for arg in args):
        return as_node(float(_OF_NUMBERS[op](*(float(arg.label) for arg in args))))
    return pointwise(op, *args)


_OF_NUMBERS: dict[str, Callable[..., float]] = {"add": add, "sub": sub, "mul": mul, "div": truediv, "neg": neg}


def _plus(p: Part, q: Part) -> Part:
    return q if p is None else p if q is None else p + q


def _minus(p: Part) -> Part:
    return None if p is None else -p


def _times(p: Part, q: Part) -> Part:
    if p is None or q is None:
        return None
    return q if p.op == "one" else p if q.op == "one" else p * q


def _over(p: Part, q: Part) -> Part:
    return None if p is None or q is None else p / q


def _product(p: Form, q: Form) -> Form | None:
    """Of two forms, one of which has no slope."""
    if p[0] is not None and q[0] is not None:
        return None
    return _plus(_times(p[0], q[1]), _times(p[1], q[0])), _times(p[1], q[1])


def _curved(*forms: Form) -> None:
    return None


# What an operation makes of forms, at least one of which has a slope; None where the result has none.
LINEAR: dict[str, Callable[..., Form | None]] = {
    "add": lambda p, q: (_plus(p[0], q[0]), _plus(p[1], q[1])),
    "sub": lambda p, q: (_plus(p[0], _minus(q[0])), _plus(p[1], _minus(q[1]))),
    "neg": lambda p: (_minus(p[0]), _minus(p[1])),
    "mul": _product,
    "div": lambda p, q: (_over(p[0], q[1]), _over(p[1], q[1])) if q[0] is None else None,
    **dict.fromkeys(("sigmoid", "tanh", "relu", "step", "exp", "log", "sqrt", "softplus"), _curved),
    **dict.fromkeys(("maximum", "minimum"), _curved),
    **dict.fromkeys((*PRODUCTS, *MAPS), _curved),  # linear, but not unit by unit: their slope would be a matrix
}
