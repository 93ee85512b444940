"""The body of a `Scan` as a cell: its nodes are run once on symbols, which the equations of any cell are made of.

A product of several gates at once is cut into them only where the body cuts it. So values are functions of a range of
their units, and an operation on a value is the same on any part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import TensorProto

from ...algebra import Cell
from ...algebra.cell import Parameter
from ...algebra.expression import Node, Size, as_node, mean, order, pointwise
from ...errors import CellError, ModelFileError
from .scan import POINTWISE
from .tracking import attributes_of

Array = np.ndarray

_OPERATIONS = {operator: op for op, operator in POINTWISE.items()} | {"Greater": "step"}
_PASSING = ("Identity", "Cast")


@dataclass(frozen=True)
class Part:
    """A value of a step.

    Attributes:
        width: How many units it has.
        cut: The node of its units from one place to another.
    """

    width: int
    cut: Callable[[int, int], Node]

    @property
    def whole(self) -> Node:
        return self.cut(0, self.width)


@dataclass
class Weights:
    """Weights of the cell that is made: a node for each matrix or vector that a node reads."""

    arrays: dict[str, Array] = field(default_factory=dict)
    nodes: dict[Any, Node] = field(default_factory=dict)

    def of(self, name: str, array: Array, first: int, last: int) -> Node:
        """The node of rows of a matrix (rows, columns), or of numbers of a vector."""
        key = name, first, last
        if key not in self.nodes:
            label = f"{'W' if array.ndim > 1 else 'b'}{len(self.nodes)}"
            self.nodes[key] = Node("weight", label=label, size=Size())
            self.arrays[label] = np.array(array[first:last], np.float32)
        return self.nodes[key]


@dataclass(frozen=True)
class Body:
    """A body as a cell.

    Attributes:
        weights: Of the cell, by the names under which a layer stores them.
    """

    cell: Cell
    weights: Mapping[str, Array]


def cell_of(
    nodes: Sequence[Any],
    states: Mapping[str, int],
    reads: Mapping[str, tuple[Array | None, Array | None]],
    after: Sequence[str],
    shown: str,
    known: Mapping[str, Array],
    inputs: int,
) -> Body:
    """The cell of a body.

    Args:
        nodes: Of the body, in order.
        states: Names of the states before the step, each with its size.
        reads: Names of what arrives at each step: x, or a product of x: its matrix (D, n), and a bias (n,) or None.
        after: Names of the states after it.
        shown: Name of the output.
        known: Numbers that never change.
        inputs: Features of x.

    Raises:
        ModelFileError: It is none, or computes what no cell can say.
    """
    letters = _letters(states)
    weights, x = Weights(), Node("input", label="x", size=Size("D"))
    before = [Node("carry", label=f"{_named(k)}_prev", size=Size(letter)) for k, letter in enumerate(letters)]
    values: dict[str, Part] = {name: _plain(n, node) for (name, n), node in zip(states.items(), before, strict=True)}
    for name, (matrix, bias) in reads.items():
        if matrix is None:
            values[name] = _plain(inputs, x)
        else:
            values[name] = _product(weights, name, matrix, _plain(inputs, x), bias)
    for node in nodes:
        for name, value in zip(node.output, _computed(node, values, known, weights), strict=False):
            values[name] = value
    missing = [name for name in (*after, shown) if name not in values]
    if missing:
        raise ModelFileError(f"a Scan gives {missing[0]!r}, which it does not compute from its input")
    ends = [values[name] for name in after]
    found = [end.whole for end in ends]
    if values[shown].whole is not found[0]:
        raise ModelFileError("a Scan shows something else than its first state, which Gatewise has no layer for")
    parameters = [node for node in weights.nodes.values() if node in set(order(found))]
    carry = tuple(map(_named, range(len(states))))
    try:
        made = Cell(
            name="scan",
            x=x,
            before=tuple(before),
            after=tuple(found),
            carry=carry,
            pack=(),
            parameters=tuple(Parameter(node.label, (), (node,)) for node in parameters),
            names=dict(zip(found, carry, strict=True)),
        )
    except CellError as error:
        raise ModelFileError(f"a Scan's body is no cell: {error}") from error
    stored = zip(made.stored(), parameters, strict=True)
    return Body(made, {name: weights.arrays[node.label] for names, node in stored for name in names})


def _named(place: int) -> str:
    """Of a carried value."""
    return "hcnm"[place] if place < len("hcnm") else f"s{place}"


def _letters(states: Mapping[str, int]) -> list[str]:
    """The size letter of each state: all have as many units, but the output may be projected."""
    sizes = [*states.values()]
    if len({*sizes[1:]}) > 1:
        raise ModelFileError(
            f"the states of a Scan have {', '.join(map(str, sizes))} units, where a layer has one size"
        )
    return ["P" if len(sizes) > 1 and sizes[0] != sizes[1] else "H", *["H"] * (len(sizes) - 1)]


def _plain(width: int, node: Node) -> Part:
    def cut(first: int, last: int) -> Node:
        if (first, last) != (0, width):
            raise ModelFileError("a Scan's body cuts a state or its input into pieces, which no cell does")
        return node

    return Part(width, cut)


def _product(weights: Weights, name: str, matrix: Array, operand: Part, bias: Array | None = None) -> Part:
    """Units of operand @ matrix (D, n) + bias."""
    if matrix.ndim != 2 or matrix.shape[0] != operand.width:
        raise ModelFileError(f"a matrix product of shape {matrix.shape} reads {operand.width} units in a Scan")

    def cut(first: int, last: int) -> Node:
        found: Any = weights.of(name, matrix.T, first, last) @ operand.whole
        return found if bias is None else found + weights.of(f"{name} bias", bias, first, last)

    return Part(matrix.shape[1], cut)


def _computed(node: Any, values: Mapping[str, Part], known: Mapping[str, Array], weights: Weights) -> list[Part]:
    """The values that a node gives."""

    def operand(name: str) -> Part:
        if name in values:
            return values[name]
        if name not in known:
            raise ModelFileError(f"a Scan's body reads {name!r:.60}, which nothing makes")
        array = known[name]
        if array.size == 1:
            number = float(array.ravel()[0])
            return Part(1, lambda first, last: as_node(number))
        if array.ndim != 1:
            raise ModelFileError(f"a Scan's body reads {name!r:.60} of shape {array.shape} unit by unit")
        return Part(len(array), lambda first, last: weights.of(name, array, first, last))

    kind = node.op_type
    _check_options(node, attributes_of(node), known)
    if kind in _PASSING:
        return [operand(node.input[0])]
    if kind == "MatMul":
        matrix = known.get(node.input[1])
        if matrix is None:
            raise ModelFileError("a Scan's body multiplies two values that change, which no cell does")
        return [_product(weights, node.input[1], matrix, operand(node.input[0]))]
    if kind == "Split":
        whole, sizes = operand(node.input[0]), known.get(node.input[1] if len(node.input) > 1 else "")
        if sizes is None or sizes.sum() != whole.width or (sizes <= 0).any():
            raise ModelFileError("a Scan's body splits a value into parts that do not fit it")
        starts = np.cumsum([0, *sizes.tolist()]).tolist()
        return [_shifted(whole, start, int(size)) for start, size in zip(starts, sizes, strict=False)]
    if kind == "ReduceMean":
        inner = operand(node.input[0])
        return [Part(1, lambda first, last: mean(inner.whole))]
    if kind not in _OPERATIONS:
        raise ModelFileError(f"a Scan's body computes {kind}, which no cell of Gatewise does")
    op = _OPERATIONS[kind]
    parts = [operand(name) for name in node.input[: 1 if op == "step" else None]]
    widths = {part.width for part in parts} - {1}
    if len(widths) > 1:
        raise ModelFileError(f"a Scan's body computes {kind} of values of {sorted(widths)} units")

    def cut(first: int, last: int) -> Node:
        return pointwise(op, *(part.cut(0, 1) if part.width == 1 else part.cut(first, last) for part in parts))

    return [Part(max(widths, default=1), cut)]


def _check_options(node: Any, attributes: Mapping[str, Any], known: Mapping[str, Array]) -> None:
    """ModelFileError for what an operator can do, and is not read here: rows beside one another, other thresholds."""
    kind, second = node.op_type, known.get(node.input[1]) if len(node.input) > 1 else None
    axes = attributes.get("axes", [] if second is None else second.ravel().tolist())
    along = {
        "Cast": attributes.get("to") in (TensorProto.FLOAT, TensorProto.DOUBLE),
        "Split": attributes.get("axis", 0) in (-1, 1),
        "ReduceMean": [*axes] in ([-1], [1]) and attributes.get("keepdims", 1) == 1,
        "Greater": second is not None and not second.any(),
    }
    if not along.get(kind, True):
        raise ModelFileError(f"a Scan's body computes {kind} otherwise than unit by unit, which no cell does")


def _shifted(whole: Part, start: int, width: int) -> Part:
    return Part(width, lambda first, last: whole.cut(start + first, start + last))
