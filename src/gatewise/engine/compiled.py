"""The reference loop with its step compiled by `torch.compile`: what PyTorch alone makes of a cell.

The step is compiled, not the loop, which would be a graph as long as the sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from ..algebra import Cell
from ..algebra.expression import Node, order
from ..errors import OptionError
from . import reference

_compile: Callable[..., Any] = torch.compile


def missing() -> str:
    """Why nothing can be compiled here, or ""."""
    if torch.cuda.is_available():
        return ""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return "torch.compile found no C++ compiler (CXX may name one)"
    return ""


def recurrence(
    cell: Cell,
    x: Tensor,
    state: Sequence[Tensor],
    weights: Sequence[Tensor],
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    reverse: bool = False,
    extras: Sequence[Tensor] = (),
) -> tuple[list[Tensor], list[Tensor]]:
    """As `reference.recurrence`."""
    units = _units(cell, state)
    return reference.recurrence(
        cell, x, state, weights, lengths, resets, reverse, extras, compute=lambda values: _call(cell, units, values)
    )


def step(cell: Cell, x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]) -> list[Tensor]:
    """As `reference.step`."""
    values = {cell.x: x, **dict(zip(cell.before, state, strict=True)), **reference.blocks(cell, weights)}
    return _call(cell, _units(cell, state), values)


def _units(cell: Cell, state: Sequence[Tensor]) -> int:
    """Of the whole layer, where the equations have maps between heads and their units."""
    widths = (s.shape[-1] for s, letter in zip(state, cell.carry_sizes, strict=True) if letter == "H")
    return next(widths, 0) if cell.heads > 1 else 0


def _call(cell: Cell, units: int, values: Mapping[Node, Tensor]) -> list[Tensor]:
    """
    Raises:
        OptionError: PyTorch's compiler cannot do its work here, for want of one for C++ for example.
    """
    leaves, function = _function(cell, units)
    try:
        found: list[Tensor] = function(*(values[leaf] for leaf in leaves))
    except RuntimeError as error:
        from torch._dynamo.exc import BackendCompilerFailed  # at the top it would delay every start

        if not isinstance(error, BackendCompilerFailed):
            raise
        reason, _, _ = str(error.inner_exception).partition("\n")
        raise OptionError(
            f"GATEWISE_ENGINE=compiled cannot compile cell '{cell.name}' here: {reason.rstrip('.')}. Unset it, or name "
            "another engine"
        ) from error
    return found


@lru_cache(maxsize=64)
def _function(cell: Cell, units: int) -> tuple[list[Node], Any]:
    """The leaves of a cell's equations, and a compiled function from their values to the state after a step."""
    table = reference.operations(cell.heads, units // cell.heads)
    nodes = order(cell.after)
    leaves = [node for node in nodes if node.leaf and node.op != "constant"]
    constants = [node for node in nodes if node.op == "constant"]
    numbers = [table["constant"](float(node.label)) for node in constants]
    place = {node: i for i, node in enumerate([*leaves, *constants])}
    program = []
    for node in nodes:
        if not node.leaf:
            program.append((table[node.op], tuple(place[arg] for arg in node.args)))
            place[node] = len(place)
    results = [place[node] for node in cell.after]

    def compute(*given: Tensor) -> list[Tensor]:
        values = [*given, *numbers]
        for operation, args in program:
            values.append(operation(*[values[arg] for arg in args]))
        return [values[result] for result in results]

    # PyTorch counts compilations by code object, and gives up after eight: each cell gets one of its own.
    own = FunctionType(
        compute.__code__.replace(co_name=f"{cell.name}_step"), globals(), cell.name, None, compute.__closure__
    )
    return leaves, _compile(own, fullgraph=True)
