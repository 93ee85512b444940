"""Activations by name, as formats of other libraries call them; and cells with others than their equations have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..errors import OptionError, suggest
from .cell import Cell
from .expression import Node, Operand, exp, maximum, minimum, relu, sigmoid, softplus, tanh
from .regularise import rewritten

Activation = Callable[[Node], Node]


def _between(v: Operand, least: float, most: float) -> Node:
    return minimum(maximum(v, least), most)


def _elu(v: Node, alpha: float = 1.0) -> Node:
    return relu(v) + alpha * (exp(minimum(v, 0)) - 1)


def _gelu(v: Node) -> Node:
    """v times the share of a normal distribution below v, which the error function gives within 1.5e-7.

    Source: Abramowitz & Stegun (1964), "Handbook of mathematical functions", 7.1.26.
    """
    size = maximum(v, -v)
    t = 1 / (1 + (0.3275911 * 0.5**0.5) * size)
    polynomial = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return relu(v) - 0.5 * size * polynomial * exp(-0.5 * v * v)


ACTIVATIONS: dict[str, Activation] = {  # each a function of a unit's value alone
    "linear": lambda v: v,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "relu": relu,
    "relu6": lambda v: minimum(relu(v), 6),
    "leaky_relu": lambda v: maximum(v, 0.01 * v),  # the slope of torch and ONNX; Keras's differs, and says so
    "hard_sigmoid": lambda v: _between(0.2 * v + 0.5, 0, 1),  # of Theano, Keras 1 and 2, ONNX
    "hard_sigmoid_6": lambda v: _between(v + 3, 0, 6) * (1 / 6),  # of torch, Keras 3
    "hard_tanh": lambda v: _between(v, -1, 1),
    "softsign": lambda v: v / (1 + maximum(v, -v)),
    "softplus": softplus,
    "exponential": exp,
    "elu": _elu,
    "selu": lambda v: 1.0507009873554805 * _elu(v, 1.6732632423543772),
    "silu": lambda v: v * sigmoid(v),
    "hard_silu": lambda v: v * _between(v + 3, 0, 6) * (1 / 6),
    "gelu": _gelu,
    "mish": lambda v: v * tanh(softplus(v)),
    "log_sigmoid": lambda v: -softplus(-v),
    "tanh_shrink": lambda v: v - tanh(v),
    "soft_shrink": lambda v: relu(v - 0.5) - relu(-v - 0.5),
}


def activation(name: str) -> Activation:
    """The activation of this name. OptionError if there is none."""
    if name not in ACTIVATIONS:
        raise OptionError(suggest("activation", name, ACTIVATIONS))
    return ACTIVATIONS[name]


def with_activations(
    cell: Cell,
    gate: Activation | None = None,
    candidate: Activation | None = None,
    output: Activation | None = None,
    suffix: str = "",
) -> Cell:
    """The same equations with other functions in them; those that are omitted stay.

    Args:
        gate: In the place of sigmoids.
        candidate: In the place of the tanh that makes a new value: g of an LSTM, n of a GRU, h of a plain network.
        output: In the place of the tanh that the memory of an LSTM is read through.
        suffix: What is appended to the cell's name, if anything changed.
    """
    fresh = {node for node, name in cell.names.items() if name in ("g", "n", "h")}

    def rule(node: Node, args: Sequence[Node]) -> Node | None:
        other = gate if node.op == "sigmoid" else None
        if node.op == "tanh":
            other = candidate if node in fresh else output
        return None if other is None else other(args[0])

    made = rewritten(cell, rule)
    if made.equations == cell.equations:
        return cell
    return replace(made, name=f"{cell.name}{suffix}", text="")
