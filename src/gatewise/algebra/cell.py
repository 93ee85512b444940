"""A cell: its equations as a graph, and all that follows from them before there are numbers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from functools import lru_cache
from math import prod
from typing import Any

from ..errors import CellError, OptionError
from .expression import MAPS, OPERATIONS, Node, Size, as_node, linear, order, pointwise

# Values of a cell, and entries of each list in its document, which may be a stranger's: far above any known cell.
MOST = 4000

# What two cells that compute the same may differ in.
_FOR_PEOPLE = frozenset({"name", "source", "summary", "text", "names", "initial"})

# Weights of the equations -> names under which PyTorch stores them. Others are stored as `weight_<name>`.
_STORED = {"W": "weight_ih", "U": "weight_hh", "b": "bias_ih", "b_h": "bias_hh", "P": "weight_hr"}


@dataclass(frozen=True)
class Parameter:
    """A weight of a cell, as it is stored: one block of rows per gate.

    Attributes:
        name: As in the equations: "W", "U", "b".
        gates: Gates it has a block for, in the cell's order; empty if it is used whole.
        blocks: One weight node per gate, or the single one.
        initial: What all its values begin as; None: at random.
    """

    name: str
    gates: tuple[str, ...]
    blocks: tuple[Node, ...]
    initial: float | None = None

    @property
    def diagonal(self) -> bool:
        """Whether each block is block-diagonal: a head's rows hold weights for that head's units alone, H / heads."""
        return any(block.diagonal for block in self.blocks)

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Stored shape, given a number for every size letter."""
        rows = sum(sizes[block.size.letter] for block in self.blocks)
        columns = self.blocks[0].columns
        return (rows,) if columns is None else (rows, sizes["K" if self.diagonal else columns.letter])

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
        heads: Blocks of every block-diagonal weight.
        extras: Inputs besides x, such as masks: no gradient is taken with respect to them.
        source: Where they were published.
        summary: First line of the function's or file's docstring.
        text: The function as written, for people; "" if it is not at hand.
        place: "FILE:LINE: " of the function, to begin messages with.
    """

    name: str
    x: Node
    before: tuple[Node, ...]
    after: tuple[Node, ...]
    carry: tuple[str, ...]
    pack: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    names: Mapping[Node, str] = field(repr=False)
    heads: int = 1
    extras: tuple[Node, ...] = ()
    source: str = ""
    summary: str = ""
    text: str = field(default="", repr=False)
    place: InitVar[str] = ""
    key: str = field(init=False, repr=False)  # the cell as one line of text; `Cell.from_key` reads it back
    equations: str = field(init=False, repr=False)  # the same without names: equal for cells that compute the same

    def __post_init__(self, place: str) -> None:
        for error in _errors(self):
            raise CellError(f"{place}cell '{self.name}' {error}")
        document = self.to_json()
        del document["text"]
        object.__setattr__(self, "key", json.dumps(document, separators=(",", ":")))
        graph = {part: document[part] for part in document if part not in _FOR_PEOPLE}
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
        return self.carry_sizes[0] == "P"

    def sizes(self, input_size: int, hidden_size: int, proj_size: int = 0) -> dict[str, int]:
        """A number for every size letter of this cell.

        Raises:
            OptionError: The hidden size is no multiple of the cell's heads.
        """
        if hidden_size % self.heads:
            raise OptionError(f"cell '{self.name}' has {self.heads} heads, and {hidden_size} is no multiple of that")
        units = hidden_size // self.heads
        of_heads = {"N": self.heads, "K": units, "M": hidden_size * units}
        return {"D": input_size, "H": hidden_size, "P": proj_size, **of_heads}

    def count(self, input_size: int, hidden_size: int, proj_size: int = 0) -> int:
        """Number of weights of one layer, each bias of the equations counted once."""
        sizes = self.sizes(input_size, hidden_size, proj_size)
        return sum(prod(parameter.shape(sizes)) for parameter in self.parameters)

    def stored_count(self, input_size: int, hidden_size: int, proj_size: int = 0) -> int:
        """Number of weights that a layer stores; see `stored`."""
        sizes = self.sizes(input_size, hidden_size, proj_size)
        pairs = zip(self.parameters, self.stored(), strict=True)
        return sum(len(names) * prod(parameter.shape(sizes)) for parameter, names in pairs)

    def stored(self) -> list[tuple[str, ...]]:
        """Per parameter the names of the tensors that a layer stores for it; their sum is the parameter.

        The equations of an LSTM have one bias; PyTorch stores two, one per product, and adds them. So do we, for the
        `state_dict`, where there are these two products.
        """
        names = [_STORED.get(parameter.name, f"weight_{parameter.name}") for parameter in self.parameters]
        twice = "bias_hh" not in names and "weight_hh" in names
        return [(name, "bias_hh") if name == "bias_ih" and twice else (name,) for name in names]

    @staticmethod
    @lru_cache(maxsize=256)
    def from_key(key: str) -> Cell:
        """The cell whose `key` this is.

        Raises:
            CellError: It is no cell's key.
        """
        try:
            document = json.loads(key)
        except (ValueError, RecursionError) as error:
            raise CellError(f"this is not the key of a cell ({error})") from error
        return Cell.from_json(document)

    def to_json(self) -> dict[str, Any]:
        """The cell as a document that a model file can hold. It contains no code, only the graph."""
        leaves = [self.x, *self.extras, *self.before, *(block for p in self.parameters for block in p.blocks)]
        nodes = list(dict.fromkeys([*leaves, *order(self.after)]))
        index = {node: i for i, node in enumerate(nodes)}
        special: dict[str, Any] = {  # what few cells have
            "heads": self.heads if self.heads > 1 else None,
            "block_diagonal": [p.name for p in self.parameters if p.diagonal],
            "initial": {p.name: p.initial for p in self.parameters if p.initial is not None},
            "extras": [[node.label, node.size.letter] for node in self.extras],
        }
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
            **{part: value for part, value in special.items() if value},
        }

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> Cell:
        """Build the cell that `to_json` wrote. Nothing in the document is executed.

        Raises:
            CellError: The document does not describe a cell.
        """
        try:
            return _rebuild(document)
        except Exception as error:  # the document may be a stranger's: whatever is wrong in it is one kind of error
            reason = f"{error}" if isinstance(error, CellError) else f"{type(error).__name__}: {error}"
            raise CellError(f"this is not the program of a cell ({reason:.300})") from error


def _errors(cell: Cell) -> Iterator[str]:
    """What keeps this from being a cell, the most telling first. Each step relies on those before it."""
    if (count := len(order(cell.after))) > MOST:
        yield f"has {count:,} values. More than {MOST:,} are not possible"
    yield from _errors_of_names(cell)
    yield from _errors_of_sizes(cell)
    yield from _errors_of_results(cell)
    yield from _errors_of_weights(cell)
    for gate in cell.pack:
        if not any(gate in parameter.gates for parameter in cell.parameters):
            yield f"lists gate {gate} in its pack, but no weight has it"
    if type(cell.heads) is not int or cell.heads < 1:
        yield f"has {cell.heads!r} heads. It must be a whole number, at least 1"
    blocks = [block for parameter in cell.parameters for block in parameter.blocks]
    for leaf in set(order(cell.after)) - {cell.x, *cell.extras, *cell.before, *blocks}:
        if leaf.leaf and leaf.op != "constant":
            yield f"uses {leaf!r}, which is none of its arguments"


def _errors_of_names(cell: Cell) -> Iterator[str]:
    if not cell.carry:
        yield "carries nothing. Name what passes from step to step, such as carry='h'"
    arguments = ["x", *(f"{c}_prev" for c in cell.carry), *(p.name for p in cell.parameters)]
    for kind, names in (("carry", cell.carry), ("pack", cell.pack), ("arguments", arguments)):
        for name in names:
            if not name.isidentifier():
                yield f"has {name!r} among its {kind}, which is not a valid name"
        if len(set(names)) < len(names):
            yield f"has {_twice(names)!r} twice among its {kind}"


def _errors_of_sizes(cell: Cell) -> Iterator[str]:
    """Of the sizes that the carried values are declared with."""
    output, carries = cell.carry[0], f"carries '{' '.join(cell.carry)}'"
    for c, size in zip(cell.carry, cell.carry_sizes, strict=True):
        if size not in ("H", "P", "N", "M"):
            yield (
                f"gives {c} the size {size!r}. A carried value has size H, its units, P, its projected output, or N or "
                "M, a number or a matrix per head"
            )
    if cell.carry_sizes[0] in ("N", "M"):
        yield f"{carries}, but the output {output} must have size H or P"
    if "P" in cell.carry_sizes and not cell.projected:
        yield f"{carries}, but only the output {output} may begin to have size P: {output}[P]"


def _errors_of_results(cell: Cell) -> Iterator[str]:
    """Of the expressions that the equations return."""
    if len(cell.after) != len(cell.carry):
        yield (
            f"carries '{' '.join(cell.carry)}' but returns {len(cell.after)} value{'s' * (len(cell.after) != 1)}. "
            "Return one expression per carried name, in that order."
        )
    for c, node, start in zip(cell.carry, cell.after, cell.before, strict=True):
        if {cell.x, *cell.before}.isdisjoint(order([node])):
            yield f"returns {node!r} as {c}, which depends on neither its input nor what it carries"
        if not node.size.unify(start.size):
            yield f"carries {c} of size {start.size.letter} but returns it with size {node.size.letter}"
    if cell.x not in order(cell.after):
        yield "never uses its input x"


def _errors_of_weights(cell: Cell) -> Iterator[str]:
    reached = set(order(cell.after))
    for parameter in cell.parameters:
        if not parameter.blocks:
            yield f"never uses its argument {parameter.name}"
        for block in parameter.blocks:
            if block not in reached:
                yield f"uses {block!r} only for values that never reach what it returns"
        shapes = [f"taking vectors of size {b.columns}" if b.columns else "a vector itself" for b in parameter.blocks]
        for block, shape in zip(parameter.blocks, shapes, strict=True):
            if shape != shapes[0]:
                yield (
                    f"stores {parameter.blocks[0]!r}, {shapes[0]}, and {block!r}, {shape}, as one weight. "
                    "Give each its own"
                )
        if parameter.diagonal and parameter.blocks[0].columns is None:
            yield f"calls {parameter.name} block-diagonal, but uses it unit by unit"
    stored = [name for names in cell.stored() for name in names]
    if len(set(stored)) < len(stored):
        yield f"stores two of its weights as {_twice(stored)!r}. Rename one of its arguments"


def _twice(names: Sequence[str]) -> str:
    """The most frequent of these names."""
    return Counter(names).most_common(1)[0][0]


def _rebuild(document: Mapping[str, Any]) -> Cell:
    lists = {part: document.get(part, ()) for part in ("carry", "pack", "extras", "parameters", "nodes", "names")}
    lists["gates"] = [gate for _, gates in lists["parameters"] for gate in gates]
    for part, entries in lists.items():
        if len(entries) > MOST:
            raise CellError(f"its {part} are {len(entries):,}. More than {MOST:,} are not possible")
    carried = {f"{_string(c)}_prev": _string(size) for c, size in document["carry"]}
    extras = {_string(label): _string(size) for label, size in document.get("extras", [])}
    diagonal = tuple(map(_string, document.get("block_diagonal", [])))
    initial = {_string(name): float(value) for name, value in document.get("initial", {}).items()}
    letters = {"x": "D", **carried, **extras}
    nodes: list[Node] = []
    for op, label, *places in document["nodes"]:
        args = tuple(nodes[_index(i)] for i in places)
        nodes.append(_rebuild_node(op, _string(label), args, letters))
        nodes[-1].diagonal = op == "weight" and label.partition(".")[0] in diagonal
    leaves = {(node.op, node.label): node for node in nodes if node.leaf}
    after = tuple(nodes[_index(i)] for i in document["after"])
    reached = set(order(after))
    names = {nodes[_index(i)]: _string(name) for name, i in document["names"].items()}
    return Cell(
        name=_string(document["name"]),
        x=leaves["input", "x"],
        before=tuple(leaves["carry", name] for name in carried),
        after=after,
        carry=tuple(_string(c) for c, _ in document["carry"]),
        pack=tuple(map(_string, document["pack"])),
        parameters=tuple(
            Parameter(
                _string(p),
                tuple(map(_string, gates)),
                tuple(leaves["weight", label] for label in [f"{p}.{g}" for g in gates] or [p]),
                initial.get(p),
            )
            for p, gates in document["parameters"]
        ),
        names={node: name for node, name in names.items() if node in reached and not node.leaf and name.isidentifier()},
        heads=document.get("heads", 1),
        extras=tuple(leaves["input", label] for label in extras),
        source=_string(document["source"]),
        summary=_string(document["summary"]),
        text=_string(document.get("text", "")),
    )


def _rebuild_node(op: str, label: str, args: tuple[Node, ...], letters: Mapping[str, str]) -> Node:
    leaves = {  # size letter of each kind of leaf, None where its use will tell
        "input": lambda: letters[label],
        "carry": lambda: letters[label],
        "weight": lambda: "H" if "." in label else None,
    }
    takes = {**OPERATIONS, **dict.fromkeys(MAPS, 1), "matmul": 2, "constant": 0, **dict.fromkeys(leaves, 0)}
    if len(args) != takes[op]:
        raise ValueError(f"operation {op} with {len(args)} arguments")
    if op in leaves:
        return Node(op, label=label, size=Size(leaves[op]()))
    if op == "constant":
        return as_node(float(label))
    if op in MAPS:
        return linear(op, *args)
    return args[0] @ args[1] if op == "matmul" else pointwise(op, *args)


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} should be text")
    return value


def _index(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError(f"{value!r:.40} should be the number of a node")
    return value
