"""Symbols, derivatives, stages: everything about a cell that needs no numbers. Standard library only."""

from .cell import Cell, Parameter, cell
from .expression import exp, log, maximum, mean, minimum, normalise, relu, sigmoid, softplus, sqrt, tanh

__all__ = [
    "Cell",
    "Parameter",
    "cell",
    "exp",
    "log",
    "maximum",
    "mean",
    "minimum",
    "normalise",
    "relu",
    "sigmoid",
    "softplus",
    "sqrt",
    "tanh",
]
