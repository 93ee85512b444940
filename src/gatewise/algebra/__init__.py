"""Symbols, derivatives, stages: everything about a cell that needs no numbers. Standard library only."""

from .cell import Cell, Parameter
from .expression import (
    columns,
    exp,
    head_sum,
    log,
    maximum,
    mean,
    minimum,
    normalise,
    relu,
    row_sum,
    rows,
    sigmoid,
    softplus,
    spread,
    sqrt,
    tanh,
)
from .tracing import cell

__all__ = [
    "Cell",
    "Parameter",
    "cell",
    "columns",
    "exp",
    "head_sum",
    "log",
    "maximum",
    "mean",
    "minimum",
    "normalise",
    "relu",
    "row_sum",
    "rows",
    "sigmoid",
    "softplus",
    "spread",
    "sqrt",
    "tanh",
]
