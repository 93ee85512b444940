"""Matrix products whose result for a row has the same bits whatever rows are beside it.

A matrix library chooses by the number of rows in which order it sums. The engine does not: to it, a product is a cell.
"""

from __future__ import annotations

import numpy as np

from ..algebra.linear import linear
from ..native import arrays
from ..native.calls import Precision

Array = np.ndarray


def constant(array: Array, *others: Array) -> Array:
    """The sum of arrays as one of its own that cannot be written to: so the engine need not look whether it changed."""
    found = sum(others, np.array(array, np.float32, order="C"))
    found.flags.writeable = False
    return found


def exact_linear(x: Array, weight: Array, bias: Array, precision: Precision = "float32") -> Array:
    """x (..., D) times the transposed weight (E, D), plus the bias (E,).

    Args:
        weight, bias: `constant`.
        precision: Of the product, see `native.streams.Streams`.
    """
    rows = x.reshape(1, -1, x.shape[-1])
    start = [np.zeros((rows.shape[1], len(weight)), np.float32)]
    [y], _ = arrays.recurrence(linear, rows, start, [weight, bias], threads=None, precision=precision)
    return y.reshape(*x.shape[:-1], len(weight))
