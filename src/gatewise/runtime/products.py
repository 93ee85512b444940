"""Matrix products whose result for a row has the same bits whatever rows are beside it.

A matrix library chooses by the number of rows in which order it sums. The engine does not: to it, a product is a cell.
Where a product is not float32, or its weights are new at each call, the library is given the same sizes each time.
"""

from __future__ import annotations

import numpy as np

from ..algebra.linear import linear
from ..native import arrays
from ..native.calls import Precision
from ..native.streams import Product

Array = np.ndarray

_COLUMNS = 512  # of a block
_FEW = 1 << 24  # multiplications, below which one thread is done before several have begun: it takes half a millisecond


def constant(array: Array, *others: Array) -> Array:
    """The sum of arrays as one of its own that cannot be written to: so the engine need not look whether it changed."""
    found = sum(others, np.array(array, np.float32, order="C"))
    found.flags.writeable = False
    return found


def by_row(x: Array, weights: Array) -> Array:
    """x (..., D) times weights (D, E), row by row: some three times as long as all rows at once."""
    found: Array = np.matmul(x[..., None, :], weights)[..., 0, :]
    return found


def by_block(weights: Array, columns: Array) -> Array:
    """weights (E, D) times columns (D, n), so many columns at a time."""
    count = columns.shape[1]
    blocks = -(-count // _COLUMNS)
    padded = np.zeros((len(columns), blocks * _COLUMNS), columns.dtype)
    padded[:, :count] = columns
    found = weights @ padded.reshape(len(columns), blocks, _COLUMNS).swapaxes(0, 1)
    return found.swapaxes(0, 1).reshape(len(weights), -1)[:, :count]


class ExactLinear:
    """x (..., D) times the transposed weight (E, D), plus the bias (E,); x in float32.

    Args:
        bias: Zeros if omitted.
        precision: Of the product, see `native.streams.Streams`.
    """

    def __init__(self, weight: Array, bias: Array | None = None, precision: Precision = "float32"):
        self._weights = constant(weight), constant(np.zeros(len(weight), np.float32) if bias is None else bias)
        self._precision = precision
        self._alone: Product | None = None  # packed when it is first asked for

    def __call__(self, x: Array) -> Array:
        weight, bias = self._weights
        rows = x.reshape(-1, x.shape[-1])
        if len(rows) * weight.size < _FEW:
            self._alone = self._alone or Product(weight, bias, self._precision)
            y = self._alone(rows)
        else:
            start = [np.zeros((len(rows), len(weight)), np.float32)]
            [y], _ = arrays.recurrence(
                linear, rows[None], start, self._weights, threads=None, precision=self._precision
            )
        return y.reshape(*x.shape[:-1], len(weight))
