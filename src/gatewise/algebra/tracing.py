"""From equations to a cell: a function is run once, on symbols, and what it computes with them is the graph."""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import CodeType, FrameType
from typing import Any

from ..errors import CellError
from . import expression
from .cell import Cell, Parameter
from .expression import OPERATIONS, Node, Size, Symbol, as_node, order


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
            raise CellError(f"cell '{traced.name}' has no weight {unknown.pop()!r}, which its declaration names")
        parameters = tuple(replace(p, initial=(initial or {}).get(p.name)) for p in traced.parameters)
        return replace(traced, parameters=parameters, heads=heads, source=source)

    return declare


class Weight(Symbol):
    """A weight while equations are traced: `W.i` is its block for gate i, `P` alone is all of it.

    Args:
        name: As in the equations.
        pack: The gates that it may have blocks for.
        diagonal: Whether the blocks are block-diagonal.
        run: Notified when the equations ask for a block.
    """

    def __init__(self, name: str, pack: Sequence[str], diagonal: bool, run: Run):
        self._name, self._pack, self._diagonal, self._run = name, tuple(pack), diagonal, run
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
        self._run.find_frame()
        if self._blocks and (gate == "") != ("" in self._blocks):
            used = next(filter(None, [gate, *self._blocks]))
            raise CellError(
                f"{self._name} is used both whole and by gate ({self._name}.{used}). Give each its own weight"
            )
        if gate not in self._blocks:
            self._blocks[gate] = Node("weight", label=label, size=size)
            self._blocks[gate].diagonal = self._diagonal
        return self._blocks[gate]


class Run:
    """One call of a cell's function, and what its local variables were: their names are those of the gates.

    No hook is set to find them: Python has one place for a profiler and one for a debugger or coverage tool, and both
    may be taken. Instead, whenever the equations ask for a block of a weight, the function's frame is on the stack, and
    a frame that is held keeps its variables after the function has returned. Every cell asks for a weight: its input
    has a size of its own, so that nothing else can be done with it.
    """

    def __init__(self, function: Callable[..., Any]):
        self._function, self._code = function, inspect.unwrap(function).__code__
        self._frame: FrameType | None = None
        self._caller: FrameType | None = None

    def find_frame(self) -> None:
        """Hold the function's frame; the outermost of this run, should the function call itself."""
        frame = None if self._frame else inspect.currentframe()
        while frame is not None and frame is not self._caller:
            if frame.f_code is self._code:
                self._frame = frame
            frame = frame.f_back

    def call(self, label: str, arguments: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """What the function returns, and its local variables then, in the order of its code."""
        self._caller = inspect.currentframe()  # beyond it another run may be tracing the same code
        try:
            returned = self._function(**arguments)
            # A copy, for in newer Pythons this is a view, which would keep the frame alive.
            known = dict(self._frame.f_locals) if self._frame else {}
        except Exception as error:
            cause = None if isinstance(error, CellError) else error
            raise CellError(f"{self.place(error)}cell '{label}': {_reason(error, self._code)}") from cause
        finally:
            self._frame = self._caller = None  # their variables hold the weights, and these hold this: a circle
        code = self._code
        return returned, {n: known[n] for n in (*code.co_varnames, *code.co_cellvars, *code.co_freevars) if n in known}

    def place(self, error: BaseException | None = None) -> str:
        """ "FILE:LINE: " of the function, or of its line that failed, even if the error was raised further down."""
        line = self._code.co_firstlineno
        trace = error.__traceback__ if error is not None else None
        while trace is not None:
            if trace.tb_frame.f_code is self._code:
                line = trace.tb_lineno
            trace = trace.tb_next
        return f"{self._code.co_filename}:{line}: "


def _trace(
    function: Callable[..., Any], label: str, carried: Sequence[str], pack: Sequence[str], diagonal: Sequence[str]
) -> Cell:
    pairs = [name.removesuffix("]").split("[", 1) if name.endswith("]") else [name, "H"] for name in carried]
    carry = tuple(name for name, *_ in pairs)
    before = {f"{c}_prev": Node("carry", label=f"{c}_prev", size=Size(size)) for c, size in pairs}
    x = Node("input", label="x", size=Size("D"))

    run = Run(function)
    place = run.place()
    arguments = list(inspect.signature(function).parameters)
    missing = [argument for argument in ("x", *before) if argument not in arguments]
    if missing:
        raise CellError(
            f"{place}cell '{label}' carries '{' '.join(carry)}', so its function needs the argument {missing[0]}, "
            f"but has ({', '.join(arguments)})"
        )
    weights = {a: Weight(a, pack, a in diagonal, run) for a in arguments if a != "x" and a not in before}
    returned, local = run.call(label, {"x": x, **before, **weights})

    if returned is None:
        raise CellError(f"{place}cell '{label}' returns nothing. End it with: return {', '.join(carry)}")
    try:
        after = tuple(map(as_node, returned if isinstance(returned, tuple | list) else (returned,)))
    except CellError as error:
        raise CellError(f"{place}cell '{label}' returns something else: {error}") from None
    return Cell(
        name=label,
        x=x,
        before=tuple(before.values()),
        after=after,
        carry=carry,
        pack=tuple(pack),
        parameters=tuple(_parameter(name, weight, pack) for name, weight in weights.items()),
        names=_names(local, arguments, carry, after),
        summary=_summary(function),
        text=_text(function),
        place=place,
    )


def _names(
    local: Mapping[str, Any], arguments: Sequence[str], carry: Sequence[str], after: Sequence[Node]
) -> dict[Node, str]:
    """What the equations call each value: the local variable that holds it, or the carried value that it becomes."""
    reached = set(order(after))
    # A local variable that shares an argument's or a carried value's name, but is not it, goes without.
    reserved = {**dict.fromkeys(arguments), **dict(zip(carry, after, strict=False))}
    names = {
        node: n
        for n, node in local.items()
        if isinstance(node, Node) and not node.leaf and node in reached and reserved.get(n, node) is node
    }
    return names | {node: c for c, node in zip(carry, after, strict=False) if not node.leaf}


def _parameter(name: str, weight: Weight, pack: Sequence[str]) -> Parameter:
    gates = tuple(gate for gate in pack if gate in weight._blocks)
    return Parameter(name, gates, tuple(weight._blocks[gate] for gate in gates or weight._blocks))


def _reason(error: Exception, code: CodeType) -> str:
    """What was wrong with a line of equations."""
    text = " ".join(str(error).split())
    if isinstance(error, CellError):
        return text
    functions = [name for name in OPERATIONS if hasattr(expression, name)]
    if not isinstance(error, NameError):
        return f"{text} ({type(error).__name__}). The equations may use + - * / @, numbers, and {', '.join(functions)}"
    if error.name in functions:
        return f"{text}. Add: from gatewise import {error.name}"
    names = {*functions, *code.co_varnames} - {error.name}
    close = difflib.get_close_matches(error.name or "", sorted(names), n=1)
    return f"{text}. Did you mean '{close[0]}'?" if close else text


def _summary(function: Callable[..., Any]) -> str:
    module = sys.modules.get(function.__module__)
    text = inspect.getdoc(function) or (module and inspect.getdoc(module)) or ""
    return text.strip().partition("\n")[0]


def _text(function: Callable[..., Any]) -> str:
    try:
        return inspect.cleandoc("\n".join(inspect.getsource(function).splitlines()))
    except (OSError, TypeError):
        return ""
