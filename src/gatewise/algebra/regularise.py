"""Cells made from cells: the same equations with a regulariser of the recurrence in them, for any cell.

What is drawn at random comes in as further inputs (`Cell.extras`), so that every engine runs the same equations on the
same draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from .cell import Cell
from .expression import MAPS, Node, Size, linear, order, pointwise, product


@lru_cache(maxsize=256)
def drop_output(cell: Cell) -> Cell:
    """Recurrent dropout: matrix products see h_prev times the extra input `drop`, (B, H), one mask for all steps.

    The mask is 0 where a unit is dropped, and 1 / (1 - rate) elsewhere.
    Source: Gal & Ghahramani (2016), A Theoretically Grounded Application of Dropout in Recurrent Neural Networks.
    """
    h_prev = cell.before[0]
    mask = Node("input", label="drop", size=Size(h_prev.size.letter))
    dropped = h_prev * mask

    def rule(node: Node, args: Sequence[Node]) -> Node | None:
        return product("matmul", args[0], dropped) if node.op == "matmul" and args[1] is h_prev else None

    return rewritten(cell, rule, [mask])


@lru_cache(maxsize=256)
def zone_out(cell: Cell, carried: tuple[bool, ...]) -> Cell:
    """Zoneout in training: where the extra input `keep_<name>`, (T, B, H), is 1, a carried value stays as it was.

    Args:
        carried: Which of the carried values; each of these has its own mask, in this order.

    Source: Krueger et al. (2017), Zoneout: Regularizing RNNs by Randomly Preserving Hidden Activations.
    """
    masks = {
        k: Node("input", label=f"keep_{cell.carry[k]}", size=Size(cell.carry_sizes[k]))
        for k, chosen in enumerate(carried)
        if chosen
    }
    return _kept(cell, masks)


@lru_cache(maxsize=256)
def zone_out_mean(cell: Cell, rates: tuple[float, ...]) -> Cell:
    """Zoneout outside training: instead of a draw its mean, so much of the old value and the rest of the new one."""
    return _kept(cell, {k: rate for k, rate in enumerate(rates) if rate})


def _kept(cell: Cell, shares: Mapping[int, Node] | Mapping[int, float]) -> Cell:
    after = list(cell.after)
    for k, share in shares.items():
        after[k] = share * cell.before[k] + (1 - share) * after[k]
    # What the equations call c is what they compute; what is carried on goes by no name of theirs.
    extras = tuple(share for share in shares.values() if isinstance(share, Node))
    return replace(cell, after=tuple(after), extras=cell.extras + extras)


def rewritten(cell: Cell, rule: Callable[[Node, Sequence[Node]], Node | None], extras: Sequence[Node]) -> Cell:
    """Each node of the cell is what the rule makes of it and of its arguments, or else what it was."""
    made: dict[Node, Node] = {}
    for node in order([*cell.after, *cell.names]):
        args = [made[arg] for arg in node.args]
        ruled = rule(node, args)
        made[node] = again(node, args) if ruled is None else ruled
    names = {made[node]: name for node, name in cell.names.items()}
    return replace(cell, after=tuple(made[a] for a in cell.after), names=names, extras=(*cell.extras, *extras))


def again(node: Node, args: Sequence[Node]) -> Node:
    """The node's operation on other arguments."""
    if node.leaf:
        return node
    if node.op == "matmul":
        return product(node.op, *args)
    return linear(node.op, *args) if node.op in MAPS else pointwise(node.op, *args)


@lru_cache(maxsize=256)
def recurrent_weights(cell: Cell) -> frozenset[str]:
    """Names of the matrices through which carried values act on later ones: what they multiply is no input."""
    carried, found = set(cell.before), set()  # what depends on carried values; the matrices that multiply it
    for node in order(cell.after):
        if not carried.isdisjoint(node.args):
            carried.add(node)
            if node.op == "matmul" and node.args[1].size.letter != "D":
                found.add(node.args[0])
    return frozenset(p.name for p in cell.parameters if not found.isdisjoint(p.blocks))
