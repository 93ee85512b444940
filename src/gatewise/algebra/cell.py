"""A cell: its equations, written once, and all that is known of them before any number is."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ..errors import CellError
from .expression import LEAVES, OPERATIONS, PRODUCTS, Node, Size, as_node, order, pointwise


# Weights of the equations -> names under which PyTorch stores them. Others are stored as `weight_<name>`.
_STORED = {"W": "weight_ih", "U": "weight_hh", "b": "bias_ih", "b_h": "bias_hh", "P": "weight_hr"}


@dataclass(frozen=True)
class Parameter:
    """A weight of a cell, as it is stored: one block of rows per gate.

    Attributes:
        name: As in the equations: "W", "U", "b".
        gates: Gates it has a block for, in the cell's order; empty if it is used whole.
        blocks: One weight node per gate, or the single one.
    """

    name: str
    gates: tuple[str, ...]
    blocks: tuple[Node, ...]

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Stored shape, given a number for every size letter."""
        rows = sum(sizes[block.size.letter] for block in self.blocks)
        columns = self.blocks[0].columns
        return (rows,) if columns is None else (rows, sizes[columns.letter])

    def rows(self, sizes: Mapping[str, int]) -> list[int]:
        """How many rows each block takes, in order."""
        return [sizes[block.size.letter] for block in self.blocks]


@dataclass(frozen=True, eq=False)
class Cell:
    """Equations of one time step.

    Attributes:
        name: What it is called on the command line.
        x: The input of this step, a vector of D features.
        before: Carried values that the step starts from, one per name in `carry`.
        after: The same values at its end.
        carry: Names of what passes from step to step; the first is the layer's output.
        pack: Order of the gate blocks in stored weights.
        parameters: Weights, in the order of the function's arguments.
        names: What the equations call each value.
        source: Where they were published.
        summary: First line of the function's or file's docstring.
        text: The function as written, for people; "" if it is not at hand.
    """

    name: str
    x: Node
    before: tuple[Node, ...]
    after: tuple[Node, ...]
    carry: tuple[str, ...]
    pack: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    names: Mapping[Node, str] = field(repr=False)
    source: str = ""
    summary: str = ""
    text: str = field(default="", repr=False)
    key: str = field(init=False, repr=False)  # the cell as one line of text; `Cell.from_key` reads it back
    equations: str = field(init=False, repr=False)  # the same without names: equal for cells that compute the same

    def __post_init__(self) -> None:
        document = self.to_json()
        del document["text"]
        object.__setattr__(self, "key", json.dumps(document, separators=(",", ":")))
        graph = {part: document[part] for part in ("carry", "pack", "parameters", "nodes", "after")}
        object.__setattr__(self, "equations", json.dumps(graph, separators=(",", ":")))

    def __reduce__(self) -> Any:
        return Cell.from_json, (self.to_json(),)

    def __deepcopy__(self, memo: Any) -> Cell:
        return self  # never changes, so one is enough

    @property
    def carry_sizes(self) -> tuple[str, ...]:
        """Size letter of each carried value."""
        return tuple(node.size.letter for node in self.before)

    @property
    def projected(self) -> bool:
        """Whether the output has a size of its own, P."""
        return self.carry_sizes[0] != "H"

    def sizes(self, input_size: int, hidden_size: int, proj_size: int = 0) -> dict[str, int]:
        """A number for every size letter of this cell."""
        return {"D": input_size, "H": hidden_size, "P": proj_size}

    def count(self, input_size: int, hidden_size: int, proj_size: int = 0) -> int:
        """Number of weights of one layer, each bias of the equations counted once."""
        sizes = self.sizes(input_size, hidden_size, proj_size)
        total = 0
        for parameter in self.parameters:
            rows, *columns = parameter.shape(sizes)
            total += rows * (columns[0] if columns else 1)
        return total

    def stored(self) -> list[tuple[str, ...]]:
        """Per parameter the names of the tensors that a layer stores for it; their sum is the parameter.

        The equations of an LSTM have one bias; PyTorch stores two and adds them, and so do we, for the `state_dict`.
        """
        names = [_STORED.get(parameter.name, f"weight_{parameter.name}") for parameter in self.parameters]
        twice = "bias_hh" not in names
        return [(name, "bias_hh") if name == "bias_ih" and twice else (name,) for name in names]

    @staticmethod
    @lru_cache(maxsize=256)
    def from_key(key: str) -> Cell:
        """The cell whose `key` this is."""
        return Cell.from_json(json.loads(key))

    def to_json(self) -> dict[str, Any]:
        """The cell as a document that a model file can hold. It contains no code, only the graph."""
        leaves = [self.x, *self.before, *(block for p in self.parameters for block in p.blocks)]
        nodes = list(dict.fromkeys([*leaves, *order(self.after)]))
        index = {node: i for i, node in enumerate(nodes)}
        return {
            "name": self.name,
            "source": self.source,
            "summary": self.summary,
            "text": self.text,
            "carry": [[name, size] for name, size in zip(self.carry, self.carry_sizes, strict=True)],
            "pack": list(self.pack),
            "parameters": [[p.name, list(p.gates)] for p in self.parameters],
            "nodes": [[node.op, node.label, *(index[arg] for arg in node.args)] for node in nodes],
            "after": [index[node] for node in self.after],
            "names": {name: index[node] for node, name in self.names.items() if node in index},
        }

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> Cell:
        """Build the cell that `to_json` wrote. Nothing in the document is executed.

        Raises:
            CellError: The document does not describe a cell.
        """
        try:
            return _rebuild(document)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise CellError(f"this is not the program of a cell ({type(error).__name__}: {error})") from error


class Weight:
    """A weight while equations are traced: `W.i` is its block for gate i, `P` alone is all of it."""

    def __init__(self, name: str, pack: Sequence[str]):
        self._name, self._pack = name, tuple(pack)
        self._blocks: dict[str, Node] = {}

    def __getattr__(self, gate: str) -> Node:
        if gate.startswith("__"):
            raise AttributeError(gate)
        if gate not in self._pack:
            raise CellError(f"{self._name}.{gate} is used, but pack lists the gates '{' '.join(self._pack)}'")
        if gate not in self._blocks:
            self._blocks[gate] = Node("weight", label=f"{self._name}.{gate}", size=Size("H"))
        return self._blocks[gate]

    def __node__(self) -> Node:
        if "" not in self._blocks:
            self._blocks[""] = Node("weight", label=self._name)
        return self._blocks[""]

    def __matmul__(self, other: Any) -> Node:
        return self.__node__() @ other

    def __add__(self, other: Any) -> Node:
        return self.__node__() + other

    def __radd__(self, other: Any) -> Node:
        return other + self.__node__()

    def __mul__(self, other: Any) -> Node:
        return self.__node__() * other

    def __rmul__(self, other: Any) -> Node:
        return other * self.__node__()

    def parameter(self) -> Parameter:
        gates = tuple(gate for gate in self._pack if gate in self._blocks)
        if "" in self._blocks and gates:
            raise CellError(f"{self._name} is used both whole and by gate ({self._name}.{gates[0]})")
        blocks = tuple(self._blocks[gate] for gate in gates or self._blocks)
        if not blocks:
            raise CellError(f"the argument {self._name} is never used")
        return Parameter(self._name, gates, blocks)


def cell(carry: str, pack: str = "", source: str = "", name: str = "") -> Callable[[Callable[..., Any]], Cell]:
    """Turn a function that holds a cell's equations into a `Cell`.

    The function is run once, on symbols. Its arguments are `x` (this step's input), one `NAME_prev` per carried name,
    and weights under any other name; it returns one expression per carried name.

    Args:
        carry: What passes from step to step, in the order the layer returns it; the first is the layer's output.
            `h[P]` gives a value a size of its own: P values instead of one per unit.
        pack: Order of the gate blocks in stored weights.
        source: Where the equations were published.
        name: The function's name, unless given.

    Raises:
        CellError: The equations do not make a cell; the message says which rule they break.

    Example:
        >>> @cell(carry="h", pack="n", source="Elman (1990), Cognitive Science 14(2)")
        ... def elman(x, h_prev, W, U, b):
        ...     h = tanh(W.n @ x + U.n @ h_prev + b.n)
        ...     return h
    """

    def declare(function: Callable[..., Any]) -> Cell:
        label = name or function.__name__
        try:
            return _trace(function, label, carry.split(), tuple(pack.split()), source)
        except CellError as error:
            raise CellError(f"cell '{label}': {error}") from None

    return declare


def _trace(
    function: Callable[..., Any], label: str, carried: Sequence[str], pack: tuple[str, ...], source: str
) -> Cell:
    carry, sizes = _carried(carried)
    arguments = list(inspect.signature(function).parameters)
    missing = [argument for argument in ("x", *(f"{c}_prev" for c in carry)) if argument not in arguments]
    if missing:
        raise CellError(f"carries '{' '.join(carry)}', so its function needs the argument {missing[0]}")

    x = Node("input", label="x", size=Size("D"))
    before = {f"{c}_prev": Node("carry", label=f"{c}_prev", size=Size(s)) for c, s in zip(carry, sizes, strict=True)}
    weights = {a: Weight(a, pack) for a in arguments if a != "x" and a not in before}
    returned, local = _call_and_watch(function, {"x": x, **before, **weights})

    values = returned if isinstance(returned, tuple) else (returned,)
    if len(values) != len(carry):
        raise CellError(
            f"carries '{' '.join(carry)}' but returns {len(values)} value{'s' * (len(values) != 1)}. "
            "Return one expression per carried name, in that order."
        )
    after = tuple(as_node(value) for value in values)
    for c, node, start in zip(carry, after, before.values(), strict=True):
        if node.op != "constant" and not node.size.unify(start.size):
            raise CellError(f"carries {c} of size {start.size.letter} but returns it with size {node.size.letter}")

    reached = set(order(after))
    if x not in reached:
        raise CellError("the input x never reaches the carried values")
    names = {node: n for n, node in local.items() if isinstance(node, Node) and not node.leaf and node in reached}
    names |= {node: c for c, node in zip(carry, after, strict=True) if not node.leaf}
    return Cell(
        name=label,
        x=x,
        before=tuple(before.values()),
        after=after,
        carry=tuple(carry),
        pack=pack,
        parameters=tuple(weight.parameter() for weight in weights.values()),
        names=names,
        source=source,
        summary=_summary(function),
        text=_text(function),
    )


def _carried(carried: Sequence[str]) -> tuple[list[str], list[str]]:
    if not carried:
        raise CellError("carries nothing. Name what passes from step to step, such as carry='h'")
    pairs = [name.removesuffix("]").split("[") if name.endswith("]") else [name, "H"] for name in carried]
    return [name for name, _ in pairs], [size for _, size in pairs]


def _call_and_watch(function: Callable[..., Any], arguments: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Call it, and keep its local variables: they are the names by which people know the gates."""
    local: dict[str, Any] = {}

    def watch(frame: Any, event: str, _: Any) -> None:
        if event == "return" and frame.f_code is function.__code__:
            local.update(frame.f_locals)

    previous = sys.getprofile()
    sys.setprofile(watch)
    try:
        returned = function(**arguments)
    except UnboundLocalError as error:
        raise CellError(f"{error}") from None
    finally:
        sys.setprofile(previous)
    return returned, local


def _summary(function: Callable[..., Any]) -> str:
    module = sys.modules.get(function.__module__)
    text = inspect.getdoc(function) or (module and inspect.getdoc(module)) or ""
    return text.strip().partition("\n")[0]


def _text(function: Callable[..., Any]) -> str:
    try:
        return inspect.cleandoc("\n".join(inspect.getsource(function).splitlines()))
    except (OSError, TypeError):
        return ""


def _rebuild(document: Mapping[str, Any]) -> Cell:
    arity = {**OPERATIONS, **dict.fromkeys(PRODUCTS, 2), **dict.fromkeys(LEAVES, 0)}
    carry = [str(name) for name, _ in document["carry"]]
    size_of = {f"{name}_prev": str(size) for name, size in document["carry"]}
    nodes: list[Node] = []
    for op, label, *args in document["nodes"]:
        if len(args) != arity[op] or not all(0 <= i < len(nodes) for i in args):
            raise ValueError(f"operation {op} with arguments {args}")
        operands = tuple(nodes[i] for i in args)
        if op == "constant":
            nodes.append(as_node(float(label)))
        elif op in LEAVES:
            letter = "D" if op == "input" else size_of[label] if op == "carry" else "H" if "." in label else None
            nodes.append(Node(op, label=str(label), size=Size(letter)))
        elif op == "matmul":
            nodes.append(operands[0] @ operands[1])
        else:
            nodes.append(pointwise(op, *operands))
    weights = {node.label: node for node in nodes if node.op == "weight"}
    after = tuple(nodes[i] for i in document["after"])
    before = tuple(next(n for n in nodes if n.op == "carry" and n.label == f"{c}_prev") for c in carry)
    for start, end in zip(before, after, strict=True):
        if end.op != "constant" and not end.size.unify(start.size):
            raise ValueError(f"carried value {start!r} changes its size")
    return Cell(
        name=str(document["name"]),
        x=next(node for node in nodes if node.op == "input"),
        before=before,
        after=after,
        carry=tuple(carry),
        pack=tuple(map(str, document["pack"])),
        parameters=tuple(
            Parameter(str(p), tuple(gates), tuple(weights[f"{p}.{g}"] for g in gates) or (weights[p],))
            for p, gates in document["parameters"]
        ),
        names={nodes[i]: str(name) for name, i in document["names"].items()},
        source=str(document["source"]),
        summary=str(document["summary"]),
        text=str(document.get("text", "")),
    )
