"""Cells whose values can be held at numbers that somebody chooses, unit by unit: "what if this gate stayed open?", and
what a gate or a unit is for, which shows when it no longer moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from ..errors import OptionError, suggest
from .cell import Cell, Parameter
from .expression import Node, Size
from .regularise import again, rewritten


@dataclass(frozen=True, eq=False)
class Pin:
    """One value that can be held.

    Attributes:
        value: What the equations read: `free * computed + held`.
        computed: What they compute.
        free: 1 for a unit that is as computed, 0 for one that is held.
        held: What a unit is held at, 0 for one that is not.
    """

    value: Node
    computed: Node
    free: Node
    held: Node


@lru_cache(maxsize=256)
def pinned(
    cell: Cell, names: tuple[str, ...] | None = None, by: Literal["input", "weight"] = "input"
) -> tuple[Cell, dict[str, Pin]]:
    """The cell in which these values can be held, and a `Pin` for each of the names.

    With `free` of ones and `held` of zeros it computes what the cell does, to the last bit. Its derivatives follow from
    its equations as any cell's: no gradient passes through a unit that is held.

    Args:
        names: What the equations call the values; None: all that have a name.
        by: Whether `free` and `held` are extra inputs, of each step its own, or further weights, behind the others and
            in the order of the names.

    Raises:
        OptionError: The equations call nothing so.
    """
    known = {name: node for node, name in cell.names.items()}
    for name in names or ():
        if name not in known:
            raise OptionError(suggest("value", name, known))
    chosen = {known[name]: name for name in names or known}
    leaves = {name: _leaves(node, name, by) for node, name in chosen.items()}
    pins: dict[str, Pin] = {}

    def rule(node: Node, args: Sequence[Node]) -> Node | None:
        name = chosen.get(node)
        if name is None:
            return None
        (free, held), computed = leaves[name], again(node, args)
        pins[name] = Pin(free * computed + held, computed, free, held)
        return pins[name].value

    added = [leaf for both in leaves.values() for leaf in both]
    if by == "input":
        return rewritten(cell, rule, added), pins
    return rewritten(cell, rule, parameters=[Parameter(leaf.label, (), (leaf,)) for leaf in added]), pins


def _leaves(node: Node, name: str, by: str) -> tuple[Node, Node]:
    free, held = (Node(by, label=f"{part}_{name}", size=Size(node.size.letter)) for part in ("free", "held"))
    return free, held
