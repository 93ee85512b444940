"""Symbols: what a cell's equations become when they are run once on nothing.

An expression is a graph of `Node`s. Equal expressions are one object, so a gate that is written twice is computed once.
`OPERATIONS` lists every pointwise operation; each has one row in the derivative table (`derive.py`), one in every
engine and one for LaTeX and for MathML, and a test complains of any table that lacks a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from ..errors import CellError

Value = TypeVar("Value")

# Pointwise operations and how many arguments each takes.
OPERATIONS = {
    "add": 2,
    "sub": 2,
    "mul": 2,
    "div": 2,
    "neg": 1,
    "sigmoid": 1,
    "tanh": 1,
    "relu": 1,
    "step": 1,
    "exp": 1,
    "log": 1,
    "sqrt": 1,
    "softplus": 1,
    "maximum": 2,
    "minimum": 2,
}

# What a graph starts from. A leaf's `label` says which: "x", "h_prev", "W.i", "1.0".
LEAVES = frozenset({"input", "carry", "weight", "constant", "seed"})

# Products with a weight matrix M: `matmul` is M @ v, `matmul_t` is M.T @ v (it appears in backward programs only).
PRODUCTS = frozenset({"matmul", "matmul_t"})

# Linear maps without weights, and the sizes that each takes and gives. Like a product, one waits until the whole of its
# operand is there. Where units have heads (H = N heads of K units each), a value may also be one number per head, N, or
# one K by K matrix per head, M. The transpose of a map is its partner in `TRANSPOSE`.
MAPS = {
    "mean": ("", ""),  # over all units, for every unit
    "spread": ("N", "H"),  # a head's number, for each of its units
    "head_sum": ("H", "N"),
    "rows": ("H", "M"),  # unit i's value all along row i
    "row_sum": ("M", "H"),
    "columns": ("H", "M"),  # unit j's value all along column j
    "column_sum": ("M", "H"),
}
TRANSPOSE = {"mean": "mean", "spread": "head_sum", "rows": "row_sum", "columns": "column_sum"}
TRANSPOSE |= {there: back for back, there in TRANSPOSE.items()}


class Size:
    """How many values a vector has, by letter: D features, H units, or a letter of the cell's own.

    A weight's size follows from its use, so sizes are unknowns that become equal as expressions are built.
    """

    def __init__(self, letter: str | None = None):
        self._letter = letter
        self._same: Size | None = None

    def _root(self) -> Size:
        root = self
        while (further := root._same) is not None:
            root._same = further._same or further  # half as long next time: a long cell makes long chains
            root = further
        return root

    def __repr__(self) -> str:
        return self.letter

    @property
    def letter(self) -> str:
        return self._root()._letter or "H"  # nothing tied it down: one value per unit

    def unify(self, other: Size) -> bool:
        """Make the two sizes one; False if they are known and differ."""
        mine, theirs = self._root(), other._root()
        if mine is theirs:
            return True
        if mine._letter and theirs._letter and mine._letter != theirs._letter:
            return False
        mine._letter = mine._letter or theirs._letter
        theirs._same = mine
        return True


class Symbol:
    """What the equations are written with: values, and weights before it is known how they are used."""

    __slots__ = ()

    def __add__(self, other: object) -> Node:
        return pointwise("add", self, other)

    def __radd__(self, other: object) -> Node:
        return pointwise("add", other, self)

    def __sub__(self, other: object) -> Node:
        return pointwise("sub", self, other)

    def __rsub__(self, other: object) -> Node:
        return pointwise("sub", other, self)

    def __mul__(self, other: object) -> Node:
        return pointwise("mul", self, other)

    def __rmul__(self, other: object) -> Node:
        return pointwise("mul", other, self)

    def __truediv__(self, other: object) -> Node:
        return pointwise("div", self, other)

    def __rtruediv__(self, other: object) -> Node:
        return pointwise("div", other, self)

    def __neg__(self) -> Node:
        return pointwise("neg", self)

    def __matmul__(self, other: object) -> Node:
        return product("matmul", as_node(self), as_node(other))

    def __bool__(self) -> bool:
        raise CellError(f"the equations ask whether {self!r} is true, but it has no value yet. Use maximum or minimum")


class Node(Symbol):
    """One value of a cell's step: a vector with one entry per unit (or feature), or a weight.

    Attributes:
        op: A leaf kind, a product, or a key of `OPERATIONS`.
        args: The nodes it is computed from.
        label: What a leaf is called; empty for all others.
        size: Its length; for a weight matrix, its rows.
        columns: Columns of a weight matrix; None for everything else.
        vector: Whether it is a weight that is used unit by unit.
        diagonal: Whether it is a weight matrix of square blocks along the diagonal, one per head, and zeros.
    """

    __slots__ = ("__weakref__", "args", "columns", "diagonal", "label", "op", "size", "vector")

    def __init__(self, op: str, args: tuple[Node, ...] = (), label: str = "", size: Size | None = None):
        self.op, self.args, self.label = op, args, label
        self.size = size or Size()
        self.columns: Size | None = None
        self.vector = self.diagonal = False

    def __repr__(self) -> str:
        return self._text(depth=3)

    def _text(self, depth: int) -> str:
        inside = ", ".join(arg._text(depth - 1) for arg in self.args) if depth else "..."
        return self.label or f"{self.op}({inside})"

    @property
    def leaf(self) -> bool:
        return self.op in LEAVES


Operand = Symbol | float

_known: WeakValueDictionary[Any, Node] = WeakValueDictionary()


def _intern(op: str, args: tuple[Node, ...], size: Size) -> Node:
    key = (op, *map(id, args))
    node = _known.get(key)
    if node is None:
        node = _known[key] = Node(op, args, size=size)
    return node


def as_node(value: object) -> Node:
    """A number becomes a constant; a weight with gates that is used whole becomes its one block."""
    if isinstance(value, Node):
        return value
    whole = getattr(value, "__node__", None)
    if whole is not None:
        block: Node = whole()
        return block
    if not isinstance(value, int | float):
        raise CellError(f"the equations use {value!r}, which is neither a value of the cell nor a number")
    label = repr(float(value))  # by its text, which tells 0.0 from -0.0
    node = _known.get(label)
    if node is None:
        node = _known[label] = Node("constant", label=label)
    return node


def pointwise(op: str, *operands: object) -> Node:
    """Apply `op` unit by unit."""
    args = tuple(as_node(operand) for operand in operands)
    size = Size()
    for arg in args:
        # A number fits any size, and one constant serves many vectors: it must not tie their sizes together.
        if arg.op != "constant" and not size.unify(arg.size):
            letters = " and ".join(f"{a!r} of size {a.size.letter}" for a in args)
            raise CellError(f"{op} of vectors that differ in size: {letters}")
        _used_as_vector(arg)
    if all(arg.op == "constant" for arg in args):
        raise CellError(f"{op} of numbers alone ({', '.join(map(repr, args))}). Write its result instead")
    return _intern(op, args, size)


def product(op: str, matrix: Node, vector: Node) -> Node:
    """`matrix @ vector`, or with op="matmul_t" its transpose times vector."""
    if matrix.op != "weight":
        raise CellError(f"'@' needs a weight on its left, but it was given {matrix!r}")
    if vector.op == "constant":
        raise CellError(f"'@' needs a vector on its right, but it was given the number {vector!r}")
    if matrix.vector:
        raise _two_uses(matrix)
    _used_as_vector(vector)
    matrix.columns = matrix.columns or (matrix.size if matrix.diagonal else Size())
    rows, columns = (matrix.size, matrix.columns) if op == "matmul" else (matrix.columns, matrix.size)
    if not columns.unify(vector.size):
        raise CellError(
            f"{matrix!r} @ {vector!r}: the weight takes vectors of size {columns.letter}, but this one has size "
            f"{vector.size.letter}"
        )
    return _intern(op, (matrix, vector), rows)


def linear(op: str, v: object) -> Node:
    """Apply one of `MAPS`."""
    vector = as_node(v)
    if vector.op in ("constant", "weight"):
        raise CellError(f"{op} of {vector!r}, which is the same for every row. Take the {op} of what it is used on")
    takes, gives = (Size(letter) if letter else vector.size for letter in MAPS[op])
    if not vector.size.unify(takes):
        raise CellError(f"{op} takes a value of size {takes.letter}, but {vector!r} has size {vector.size.letter}")
    return _intern(op, (vector,), gives)


def mean(v: Operand) -> Node:
    """The mean over a vector's units, for every unit: normalisation starts from it."""
    return linear("mean", v)


def spread(v: Operand) -> Node:
    """One number per head, for each unit of that head."""
    return linear("spread", v)


def head_sum(v: Operand) -> Node:
    """The sum over each head's units."""
    return linear("head_sum", v)


def rows(v: Operand) -> Node:
    """One matrix per head, with v_i all along row i: `rows(a) * columns(b)` is their outer product."""
    return linear("rows", v)


def columns(v: Operand) -> Node:
    """One matrix per head, with v_j all along column j: `row_sum(C * columns(v))` is the matrix C times v."""
    return linear("columns", v)


def row_sum(matrix: Operand) -> Node:
    """The sum of each row of each head's matrix."""
    return linear("row_sum", matrix)


def normalise(*vectors: Operand, epsilon: float = 1e-5) -> Any:
    """Vectors shifted and scaled, all alike, to mean 0 and variance 1 over all their units together.

    Args:
        vectors: Of one size: the gates of a layer, say. A single one returns a single one.
        epsilon: Added to the variance.

    Source: Ba, Kiros & Hinton (2016), Layer Normalization, arXiv 1607.06450.
    """

    def mean_of_all(values: list[Node]) -> Node:
        return mean(sum(values[1:], values[0])) * (1 / len(values)) if len(values) > 1 else mean(values[0])

    nodes = [as_node(v) for v in vectors]
    center = mean_of_all(nodes)
    shifted = [v - center for v in nodes]
    scale = 1 / sqrt(mean_of_all([s * s for s in shifted]) + epsilon)
    result = [s * scale for s in shifted]
    return result if len(result) > 1 else result[0]


def _used_as_vector(node: Node) -> None:
    if node.op == "weight":
        if node.columns is not None:
            raise _two_uses(node)
        node.vector = True


def _two_uses(weight: Node) -> CellError:
    return CellError(f"{weight!r} is used both as a matrix, {weight!r} @ v, and unit by unit. Give each its own weight")


def sigmoid(v: Operand) -> Node:
    """1 / (1 + exp(-v)), between 0 and 1: a gate."""
    return pointwise("sigmoid", v)


def tanh(v: Operand) -> Node:
    """Hyperbolic tangent, between -1 and 1."""
    return pointwise("tanh", v)


def relu(v: Operand) -> Node:
    """max(v, 0)."""
    return pointwise("relu", v)


def exp(v: Operand) -> Node:
    """e to the power v."""
    return pointwise("exp", v)


def log(v: Operand) -> Node:
    """Natural logarithm."""
    return pointwise("log", v)


def sqrt(v: Operand) -> Node:
    """Square root."""
    return pointwise("sqrt", v)


def softplus(v: Operand) -> Node:
    """log(1 + exp(v)), a smooth max(v, 0)."""
    return pointwise("softplus", v)


def maximum(a: Operand, b: Operand) -> Node:
    """The larger of the two, unit by unit."""
    return pointwise("maximum", a, b)


def minimum(a: Operand, b: Operand) -> Node:
    """The smaller of the two, unit by unit."""
    return pointwise("minimum", a, b)


def order(roots: Iterable[Node], known: Iterable[Node] = ()) -> list[Node]:
    """All nodes that the roots need, arguments first; nothing behind a `known` node is visited."""
    seen: set[Node] = set(known)
    result: list[Node] = []
    stack = [(root, False) for root in reversed(list(roots))]
    while stack:
        node, ready = stack.pop()
        if ready:
            result.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((arg, False) for arg in reversed(node.args))
    return result


def evaluate(
    roots: Iterable[Node], values: Mapping[Node, Value], operations: Mapping[str, Callable[..., Any]]
) -> list[Value]:
    """Compute the roots, given a value for every leaf but the constants.

    Args:
        values: Value of each input, carried value and weight, in whatever type `operations` work on.
        operations: One function per operation used, and for "constant" one from float to value.
    """
    roots = list(roots)
    done: dict[Node, Any] = dict(values)
    for node in order(roots, known=values):
        if node.op == "constant":
            done[node] = operations["constant"](float(node.label))
        elif node.leaf:
            raise CellError(f"no value was given for {node!r}")
        else:
            done[node] = operations[node.op](*(done[arg] for arg in node.args))
    return [done[root] for root in roots]
