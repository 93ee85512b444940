"""A trained layer stack, one step at a time, without a framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..algebra import Cell
from ..algebra.expression import Node, evaluate
from ..errors import ModelFileError

Array = np.ndarray

OPERATIONS: dict[str, Callable[..., Any]] = {
    "constant": np.float32,
    "matmul": lambda weight, v: weight @ v,
    "matmul_t": lambda weight, v: weight.T @ v,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "neg": np.negative,
    # By tanh, as exp(-v) overflows where a gate is saturated.
    "sigmoid": lambda v: 0.5 * (1 + np.tanh(0.5 * v)),
    "tanh": np.tanh,
    "relu": lambda v: np.maximum(v, 0),
    "step": lambda v: (v > 0).astype(v.dtype),
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "softplus": lambda v: np.logaddexp(v, 0),
    "maximum": np.maximum,
    "minimum": np.minimum,
    "mean": lambda v: np.full_like(v, v.mean()),
}


def operations(heads: int, units: int) -> dict[str, Callable[..., Any]]:
    """The operations of a cell with heads: a vector H is (heads, units), a matrix M (heads, units, units)."""
    shape = heads, units, units
    return OPERATIONS | {
        "spread": lambda v: np.repeat(v, units),
        "head_sum": lambda v: v.reshape(heads, units).sum(1),
        "rows": lambda v: np.repeat(v, units),
        "row_sum": lambda v: v.reshape(shape).sum(2).ravel(),
        "columns": lambda v: np.broadcast_to(v.reshape(heads, 1, units), shape).ravel(),
        "column_sum": lambda v: v.reshape(shape).sum(1).ravel(),
    }


class Layers:
    """Stacked layers of one cell, forward in time, batch of one.

    Args:
        cell: Its equations.
        tensors: Stored weights by name, `weight_ih_l0` and so on, as `gatewise.nn` and `torch.nn` name them.
        num_layers: Layers, each fed by the one below.

    Raises:
        ModelFileError: A weight is missing or has the wrong shape.
    """

    def __init__(self, cell: Cell, tensors: Mapping[str, Array], num_layers: int):
        self.cell = cell
        self._values = [_blocks(cell, tensors, layer) for layer in range(num_layers)]
        # The value of a size letter is the number of rows of a weight that has this letter.
        rows = {node.size.letter: len(array) for node, array in self._values[0].items()}
        sizes = cell.sizes(0, rows.get("H", 0), rows.get("P", 0))
        self._sizes = [sizes[letter] for letter in cell.carry_sizes]
        self._operations = operations(cell.heads, sizes["K"])

    def start(self) -> list[list[Array]]:
        """The state before the first step: per layer one vector of zeros per carried name."""
        return [[np.zeros(size, np.float32) for size in self._sizes] for _ in self._values]

    def step(self, x: Array, state: Sequence[Sequence[Array]]) -> tuple[Array, list[list[Array]]]:
        """One step: from input (D,) and state to output (H,) and next state. Changes neither argument."""
        after = []
        for values, before in zip(self._values, state, strict=True):
            known = {self.cell.x: x, **dict(zip(self.cell.before, before, strict=True)), **values}
            after.append(evaluate(self.cell.after, known, self._operations))
            x = after[-1][0]
        return x, after


def stored_weights(cell: Cell, tensors: Mapping[str, Array], layer: int) -> list[Array]:
    """One layer's weights, one per parameter of the cell in float32; biases that were not stored are zero.

    Raises:
        ModelFileError: A weight is missing, or cannot be divided among the gates.
    """
    found: list[Array] = []
    for parameter, names in zip(cell.parameters, cell.stored(), strict=True):
        parts = [tensors[f"{name}_l{layer}"] for name in names if f"{name}_l{layer}" in tensors]
        if parts:
            whole = np.asarray(sum(parts[1:], parts[0]), np.float32)
        elif names[0].startswith("bias"):
            units = len(found[0]) // len(cell.parameters[0].blocks)
            whole = np.zeros(units * len(parameter.blocks), np.float32)
        else:
            raise ModelFileError(f"the model has no {names[0]}_l{layer}, which its cell '{cell.name}' needs")
        if len(whole) % len(parameter.blocks):
            raise ModelFileError(
                f"{names[0]}_l{layer} has {len(whole)} rows, no multiple of its {len(parameter.blocks)} gates"
            )
        found.append(whole)
    return found


def _blocks(cell: Cell, tensors: Mapping[str, Array], layer: int) -> dict[Node, Array]:
    """One layer's weights, split into a block per gate."""
    found: dict[Node, Array] = {}
    for parameter, whole in zip(cell.parameters, stored_weights(cell, tensors, layer), strict=True):
        cut = np.split(whole, len(parameter.blocks))
        if parameter.diagonal:
            cut = [_block_diagonal(block, cell.heads) for block in cut]
        found |= zip(parameter.blocks, cut, strict=True)
    return found


def _block_diagonal(block: Array, heads: int) -> Array:
    """The whole matrix of a block whose rows (H, H / heads) hold the weights for the units of their own head."""
    rows, columns = block.shape
    whole = np.zeros((heads, rows // heads, heads, columns), np.float32)
    whole[range(heads), :, range(heads)] = block.reshape(heads, rows // heads, columns)
    return whole.reshape(rows, heads * columns)
