"""A cell's equations, evaluated step by step on numpy's arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..algebra import Cell
from ..algebra.expression import Node, evaluate
from . import ops

Array = np.ndarray

OPERATIONS: dict[str, Callable[..., Any]] = {
    **ops.POINTWISE,
    "constant": float,  # which takes the dtype of what it meets
    "matmul": lambda weight, v: v @ weight.T,
    "matmul_t": lambda weight, v: v @ weight,
    "mean": lambda v: np.repeat(v.mean(-1, keepdims=True), v.shape[-1], -1),
}


def operations(heads: int, units: int) -> dict[str, Callable[..., Any]]:
    """The operations of a cell with heads: a vector H is (heads, units), a matrix M (heads, units, units)."""

    def matrices(v: Array) -> Array:
        return v.reshape(*v.shape[:-1], heads, units, units)

    def columns(v: Array) -> Array:
        rows = v.reshape(*v.shape[:-1], heads, 1, units)
        return np.repeat(rows, units, -2).reshape(*v.shape[:-1], heads * units * units)

    return OPERATIONS | {
        "spread": lambda v: np.repeat(v, units, -1),
        "head_sum": lambda v: v.reshape(*v.shape[:-1], heads, units).sum(-1),
        "rows": lambda v: np.repeat(v, units, -1),
        "row_sum": lambda v: matrices(v).sum(-1).reshape(*v.shape[:-1], heads * units),
        "columns": columns,
        "column_sum": lambda v: matrices(v).sum(-2).reshape(*v.shape[:-1], heads * units),
    }


def recurrence(
    cell: Cell,
    x: Array,
    state: Sequence[Array],
    weights: Sequence[Array],
    lengths: Array | None = None,
    reverse: bool = False,
    history: bool = False,
) -> tuple[list[Array], list[Array]]:
    """One layer of a cell in one direction, step by step, as `native.arrays.recurrence` in any precision.

    Args:
        x: (T, B, D), and the state before it (B, H) per carried name.
        weights: One array per parameter of the cell, gate blocks stacked in the cell's order.
        lengths: (B,) steps of each row that count; all if omitted.
        reverse: Run each row from its last step to its first.
        history: Return every carried value at every step, not the output alone.

    Returns:
        (T, B, H) per value shown, zero beyond a row's length; and the last state, (B, H) per carried name.
    """
    own = blocks(cell, weights)
    units = next((s.shape[-1] for s, size in zip(state, cell.carry_sizes, strict=True) if size == "H"), 0)
    table = operations(cell.heads, units // cell.heads)
    now = list(state)
    shown = [np.zeros((*x.shape[:2], s.shape[-1]), x.dtype) for s in (state if history else state[:1])]
    for t in reversed(range(len(x))) if reverse else range(len(x)):
        inside = slice(None) if lengths is None else np.flatnonzero(t < lengths)
        known = {cell.x: x[t, inside], **{node: s[inside] for node, s in zip(cell.before, now, strict=True)}, **own}
        after = evaluate(cell.after, known, table)
        for every, value in zip(shown, after, strict=False):
            every[t, inside] = value
        if lengths is None:
            now = list(after)
            continue
        for k, value in enumerate(after):
            now[k] = now[k].copy()
            now[k][inside] = value
    return shown, now


def blocks(cell: Cell, weights: Sequence[Array]) -> dict[Node, Array]:
    """Weights cut into a block per gate; a block-diagonal one gets its zeros."""
    found: dict[Node, Array] = {}
    for parameter, weight in zip(cell.parameters, weights, strict=True):
        cut = np.split(weight, len(parameter.blocks))
        if parameter.diagonal:
            cut = [_block_diagonal(block, cell.heads) for block in cut]
        found |= zip(parameter.blocks, cut, strict=True)
    return found


def _block_diagonal(block: Array, heads: int) -> Array:
    """The whole matrix of a block whose rows (H, H / heads) hold the weights for the units of their own head."""
    rows, columns = block.shape
    whole = np.zeros((heads, rows // heads, heads, columns), block.dtype)
    whole[range(heads), :, range(heads)] = block.reshape(heads, rows // heads, columns)
    return whole.reshape(rows, heads * columns)
