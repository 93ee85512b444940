"""A cell: its equations, written once, and all that is known of them before any number is."""

from __future__ import annotations

import difflib
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, field, replace
from functools import lru_cache
from math import prod
from typing import Any

from ..errors import CellError, OptionError
from . import expression
from .expression import MAPS, OPERATIONS, Node, Size, Symbol, as_node, linear, order, pointwise

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
        for mistake in _mistakes(self):
            raise CellError(f"{place}cell '{self.name}' {mistake}")
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
        except Exception as error:  # the document may be a stranger's: whatever is wrong in it is one kind of mistake
            told = f"{error}" if isinstance(error, CellError) else f"{type(error).__name__}: {error}"
            raise CellError(f"this is not the program of a cell ({told})") from error


class Weight(Symbol):
    """A weight while equations are traced: `W.i` is its block for gate i, `P` alone is all of it."""

    def __init__(self, name: str, pack: Sequence[str], diagonal: bool = False):
        self._name, self._pack, self._diagonal = name, tuple(pack), diagonal
        self._blocks: dict[str, Node] = {}

    def __getattr__(self, gate: str) -> Node:
        if gate.startswith("__"):
            raise AttributeError(gate)
        if gate not in self._pack:
            lists = f"pack lists only the gates '{' '.join(self._pack)}'" if self._pack else "pack lists no gates"
            raise CellError(f"{self._name}.{gate} is used, but {lists}. Add {gate} to pack")
        return self._block(gate, f"{self._name}.{gate}", Size("H"))

    def __repr__(self) -> str:
        return self._name

    def __node__(self) -> Node:
        return self._block("", self._name, Size())

    def _block(self, gate: str, label: str, size: Size) -> Node:
        if self._blocks and (gate == "") != ("" in self._blocks):
            used = next(filter(None, [gate, *self._blocks]))
            raise CellError(
                f"{self._name} is used both whole and by gate ({self._name}.{used}). Give each its own weight"
            )
        if gate not in self._blocks:
            self._blocks[gate] = Node("weight", label=label, size=size)
            self._blocks[gate].diagonal = self._diagonal
        return self._blocks[gate]


def cell(
    carry: str,
    pack: str = "",
    source: str = "",
    name: str = "",
    *,
    block_diagonal: str = "",
    heads: int = 1,
    initial: Mapping[str, float] | None = None,
) -> Callable[[Callable[..., Any]], Cell]:
    """Turn a function that holds a cell's equations into a `Cell`.

    The function is run once, on symbols. Its arguments are `x` (this step's input), one `NAME_prev` per carried name,
    and weights under any other name; it returns one expression per carried name.

    Args:
        carry: What passes from step to step, in the order the layer returns it; the first is the layer's output.
            `h[P]` gives a value a size of its own: P values instead of one per unit.
        pack: Order of the gate blocks in stored weights.
        source: Where the equations were published.
        name: The function's name, unless given.
        block_diagonal: Matrices by which the units of one head see those of their own head only.
        heads: How many there are of them; the hidden size must be a multiple.
        initial: What all values of a weight begin as, by its name. Other weights begin at random.

    Raises:
        CellError: The equations do not make a cell; the message says where, and which rule they break.

    Example:
        >>> @cell(carry="h", pack="n", source="Elman (1990), Cognitive Science 14(2)")
        ... def elman(x, h_prev, W, U, b):
        ...     h = tanh(W.n @ x + U.n @ h_prev + b.n)
        ...     return h
    """

    def declare(function: Callable[..., Any]) -> Cell:
        traced = _trace(function, name or function.__name__, carry.split(), pack.split(), block_diagonal.split())
        unknown = {*block_diagonal.split(), *(initial or {})} - {p.name for p in traced.parameters}
        if unknown:
            raise CellError(f"cell '{traced.name}' has no weight {unknown.pop()!r}, which its declaration speaks of")
        parameters = tuple(replace(p, initial=(initial or {}).get(p.name)) for p in traced.parameters)
        return replace(traced, parameters=parameters, heads=heads, source=source)

    return declare


def _trace(
    function: Callable[..., Any], label: str, carried: Sequence[str], pack: Sequence[str], diagonal: Sequence[str]
) -> Cell:
    pairs = [name.removesuffix("]").split("[", 1) if name.endswith("]") else [name, "H"] for name in carried]
    carry = tuple(name for name, *_ in pairs)
    before = {f"{c}_prev": Node("carry", label=f"{c}_prev", size=Size(size)) for c, size in pairs}
    x = Node("input", label="x", size=Size("D"))

    place = _place_of(function)
    arguments = list(inspect.signature(function).parameters)
    missing = [argument for argument in ("x", *before) if argument not in arguments]
    if missing:
        raise CellError(
            f"{place}cell '{label}' carries '{' '.join(carry)}', so its function needs the argument {missing[0]}, "
            f"but has ({', '.join(arguments)})"
        )
    weights = {a: Weight(a, pack, a in diagonal) for a in arguments if a != "x" and a not in before}
    returned, local = _call_and_watch(function, label, {"x": x, **before, **weights})

    if returned is None:
        raise CellError(f"{place}cell '{label}' returns nothing. End it with: return {', '.join(carry)}")
    try:
        after = tuple(map(as_node, returned if isinstance(returned, tuple | list) else (returned,)))
    except CellError as error:
        raise CellError(f"{place}cell '{label}' returns something else: {error}") from None
    reached = set(order(after))
    # A local variable that shares an argument's or a carried value's name, but is not it, goes without.
    reserved = {**dict.fromkeys(arguments), **dict(zip(carry, after, strict=False))}
    names = {
        node: n
        for n, node in local.items()
        if isinstance(node, Node) and not node.leaf and node in reached and reserved.get(n, node) is node
    }
    names |= {node: c for c, node in zip(carry, after, strict=False) if not node.leaf}
    return Cell(
        name=label,
        x=x,
        before=tuple(before.values()),
        after=after,
        carry=carry,
        pack=tuple(pack),
        parameters=tuple(_parameter(name, weight, pack) for name, weight in weights.items()),
        names=names,
        summary=_summary(function),
        text=_text(function),
        place=place,
    )


def _parameter(name: str, weight: Weight, pack: Sequence[str]) -> Parameter:
    gates = tuple(gate for gate in pack if gate in weight._blocks)
    return Parameter(name, gates, tuple(weight._blocks[gate] for gate in gates or weight._blocks))


def _call_and_watch(
    function: Callable[..., Any], label: str, arguments: Mapping[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """Call it, and keep its local variables: they are the names by which people know the gates."""
    local: dict[str, Any] = {}

    def watch(frame: Any, event: str, _: Any) -> None:
        if event == "return" and frame.f_code is function.__code__:
            local.update(frame.f_locals)

    previous = sys.getprofile()
    sys.setprofile(watch)
    try:
        returned = function(**arguments)
    except Exception as error:
        place = _place_of(function, error)
        cause = None if isinstance(error, CellError) else error
        raise CellError(f"{place}cell '{label}': {_reason(error, function)}") from cause
    finally:
        sys.setprofile(previous)
    return returned, local


def _place_of(function: Callable[..., Any], error: BaseException | None = None) -> str:
    """ "FILE:LINE: " of a cell's function; the line that failed, also if the mistake came out further down."""
    line = function.__code__.co_firstlineno
    trace = error.__traceback__ if error is not None else None
    while trace is not None:
        if trace.tb_frame.f_code is function.__code__:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"{function.__code__.co_filename}:{line}: "


def _reason(error: Exception, function: Callable[..., Any]) -> str:
    """What was wrong with a line of equations."""
    told = " ".join(str(error).split())
    if isinstance(error, CellError):
        return told
    functions = [name for name in OPERATIONS if hasattr(expression, name)]
    if not isinstance(error, NameError):
        return f"{told} ({type(error).__name__}). The equations may use + - * / @, numbers, and {', '.join(functions)}"
    if error.name in functions:
        return f"{told}. Add: from gatewise import {error.name}"
    names = {*functions, *function.__code__.co_varnames} - {error.name}
    close = difflib.get_close_matches(error.name or "", sorted(names), n=1)
    return f"{told}. Did you mean '{close[0]}'?" if close else told


def _mistakes(cell: Cell) -> Iterator[str]:
    """What keeps this from being a cell, the most telling first."""
    carries = f"carries '{' '.join(cell.carry)}'"
    if not cell.carry:
        yield "carries nothing. Name what passes from step to step, such as carry='h'"
    arguments = ["x", *(f"{c}_prev" for c in cell.carry), *(p.name for p in cell.parameters)]
    for kind, names in (("carry", cell.carry), ("pack", cell.pack), ("arguments", arguments)):
        for name in names:
            if not name.isidentifier():
                yield f"has {name!r} among its {kind}, which is no name"
            if list(names).count(name) > 1:
                yield f"has {name!r} twice among its {kind}"
    for c, size in zip(cell.carry, cell.carry_sizes, strict=True):
        if size not in ("H", "P", "N", "M"):
            yield (
                f"gives {c} the size {size!r}. A carried value has size H, its units, P, its projected output, or N or "
                "M, a number or a matrix per head"
            )
    if cell.carry_sizes and cell.carry_sizes[0] in ("N", "M"):
        yield f"{carries}, but the output {cell.carry[0]} must have size H or P"
    if "P" in cell.carry_sizes and not cell.projected:
        yield f"{carries}, but only the output {cell.carry[0]} may begin to have size P: {cell.carry[0]}[P]"
    if len(cell.after) != len(cell.carry):
        yield (
            f"{carries} but returns {len(cell.after)} value{'s' * (len(cell.after) != 1)}. "
            "Return one expression per carried name, in that order."
        )
    for c, node, start in zip(cell.carry, cell.after, cell.before, strict=True):
        if {cell.x, *cell.before}.isdisjoint(order([node])):
            yield f"returns {node!r} as {c}, which depends on neither its input nor what it carries"
        if not node.size.unify(start.size):
            yield f"carries {c} of size {start.size.letter} but returns it with size {node.size.letter}"

    reached = set(order(cell.after))
    if cell.x not in reached:
        yield "never uses its input x"
    blocks = [block for parameter in cell.parameters for block in parameter.blocks]
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
    stored = [name for names in cell.stored() for name in names]
    for name in stored:
        if stored.count(name) > 1:
            yield f"stores two of its weights as {name!r}. Rename one of its arguments"
    for gate in cell.pack:
        if not any(gate in parameter.gates for parameter in cell.parameters):
            yield f"lists gate {gate} in its pack, but no weight has it"
        if parameter.diagonal and parameter.blocks[0].columns is None:
            yield f"calls {parameter.name} block-diagonal, but uses it unit by unit"
    if type(cell.heads) is not int or cell.heads < 1:
        yield f"has {cell.heads!r} heads, which is no number from 1 on"
    for leaf in reached - {cell.x, *cell.extras, *cell.before, *blocks}:
        if leaf.leaf and leaf.op != "constant":
            yield f"uses {leaf!r}, which is none of its arguments"


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
    carried = {f"{_told(c)}_prev": _told(size) for c, size in document["carry"]}
    extras = {_told(label): _told(size) for label, size in document.get("extras", [])}
    diagonal = tuple(map(_told, document.get("block_diagonal", [])))
    initial = {_told(name): float(value) for name, value in document.get("initial", {}).items()}
    letters = {"x": "D", **carried, **extras}
    nodes: list[Node] = []
    for op, label, *places in document["nodes"]:
        args = tuple(nodes[_place(i)] for i in places)
        nodes.append(_rebuild_node(op, _told(label), args, letters))
        nodes[-1].diagonal = op == "weight" and label.partition(".")[0] in diagonal
    leaves = {(node.op, node.label): node for node in nodes if node.leaf}
    after = tuple(nodes[_place(i)] for i in document["after"])
    reached = set(order(after))
    names = {nodes[_place(i)]: _told(name) for name, i in document["names"].items()}
    return Cell(
        name=_told(document["name"]),
        x=leaves["input", "x"],
        before=tuple(leaves["carry", name] for name in carried),
        after=after,
        carry=tuple(_told(c) for c, _ in document["carry"]),
        pack=tuple(map(_told, document["pack"])),
        parameters=tuple(
            Parameter(
                _told(p),
                tuple(map(_told, gates)),
                tuple(leaves["weight", label] for label in [f"{p}.{g}" for g in gates] or [p]),
                initial.get(p),
            )
            for p, gates in document["parameters"]
        ),
        names={node: name for node, name in names.items() if node in reached and not node.leaf and name.isidentifier()},
        heads=document.get("heads", 1),
        extras=tuple(leaves["input", label] for label in extras),
        source=_told(document["source"]),
        summary=_told(document["summary"]),
        text=_told(document.get("text", "")),
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


def _told(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} should be text")
    return value


def _place(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError(f"{value!r:.40} should be the number of a node")
    return value
