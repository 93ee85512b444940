"""A cell whose values can be held at numbers that somebody chooses, unit by unit: "what if this gate stayed open?"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from .cell import Cell
from .expression import Node, Size
from .regularise import again, rewritten


@dataclass(frozen=True, eq=False)
class Pin:
    """One value that can be held.

    Attributes:
        value: What the equations read: `free * computed + held`.
        computed: What they compute.
        free: Extra input, 1 for a unit that is as computed, 0 for one that is held.
        held: Extra input, what a unit is held at, 0 for one that is not.
    """

    value: Node
    computed: Node
    free: Node
    held: Node


@lru_cache(maxsize=64)
def pinnable(cell: Cell) -> tuple[Cell, dict[str, Pin]]:
    """The cell in which every value that has a name can be held, and a `Pin` for each of these names.

    With `free` of ones and `held` of zeros it computes what the cell does, to the last bit. Its derivatives follow from
    its equations as any cell's: no gradient passes through a unit that is held.
    """
    pins: dict[str, Pin] = {}
    extras: list[Node] = []

    def rule(node: Node, args: Sequence[Node]) -> Node | None:
        name = cell.names.get(node)
        if name is None:
            return None
        free, held = (Node("input", label=f"{part}_{name}", size=Size(node.size.letter)) for part in ("free", "held"))
        extras.extend((free, held))
        computed = again(node, args)
        pins[name] = Pin(free * computed + held, computed, free, held)
        return pins[name].value

    return rewritten(cell, rule, extras), pins
