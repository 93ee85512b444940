"""Cells in which a value is held still: what a gate or a unit is for shows when it no longer moves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from ..errors import OptionError, suggest
from .cell import Cell, Parameter
from .expression import Node, Size
from .regularise import again, rewritten


@lru_cache(maxsize=256)
def hold(cell: Cell, name: str) -> Cell:
    """The same equations, in which a value is (1 - held) * value + held * level.

    `held` and `level` are two more weights, behind the others: a number per unit. Where held is 1 the value is the
    level, to the bit; where it is 0 the value is what it was.

    Args:
        name: What the equations call the value.

    Raises:
        OptionError: They call nothing so.
    """
    nodes = {called: node for node, called in cell.names.items()}
    if name not in nodes:
        raise OptionError(suggest("value", name, nodes))
    held, level = (Node("weight", label=f"{role}_{name}", size=Size(nodes[name].size.letter)) for role in _ROLES)

    def rule(node: Node, args: Sequence[Node]) -> Node | None:
        return (1 - held) * again(node, args) + held * level if node is nodes[name] else None

    return rewritten(cell, rule, parameters=[Parameter(block.label, (), (block,)) for block in (held, level)])


_ROLES = ("held", "level")
