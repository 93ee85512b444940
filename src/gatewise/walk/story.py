"""What is walked through: a short sequence, a cell with weights, and what its answers are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..algebra import Cell
from ..errors import ShapeError

Array = np.ndarray

MOST_NUMBERS = 400_000  # weights and inputs of a page: about 2 MB


@dataclass(frozen=True, eq=False)
class Head:
    """What is made of the output at each step, and its loss.

    Attributes:
        weight: (K, H), or (K, P) for a projected output.
        bias: (K,).
        symbols: K names of classes, whose probabilities are softmax's and whose loss is the cross-entropy. Without
            any, K is 1, the answer is a number y, and its loss (y - target)^2 / 2.
        targets: Per step the number of the right class, or the right number; None where nothing is asked.
    """

    weight: Array
    bias: Array
    symbols: tuple[str, ...]
    targets: tuple[float | None, ...]


@dataclass(frozen=True, eq=False)
class Story:
    """One sequence through one layer of a cell, in float64.

    Attributes:
        name: Of the page's own examples "hello" or "numbers"; a title of your own for other stories.
        cell: Its equations.
        x: (T, D).
        start: The carried values before the first step, one array per name.
        weights: One array per parameter of the cell, stored as layers do: gate blocks stacked.
        steps: T names of the steps: letters, words, times.
        head: What the answers are; None where the story is a part of a larger network.
        arriving: Gradient of the loss that each step's carried values get from outside, (T, size) per name, from
            what reads the layer and, at the last step, from steps after it; None: no other than the head's.
        assumed: Whether what arrives is not known, and each output of the last step counts 1 instead.
        features: D names of the inputs; x1, x2, ... if empty.
        units: Which units to show, if not all: a layer of hundreds is computed whole and shown in part.

    Raises:
        ShapeError: An array has another shape than the cell wants.
    """

    name: str
    cell: Cell
    x: Array
    start: tuple[Array, ...]
    weights: tuple[Array, ...]
    steps: tuple[str, ...]
    head: Head | None = None
    arriving: tuple[Array, ...] | None = None
    assumed: bool = False
    features: tuple[str, ...] = ()
    units: tuple[int, ...] = ()
    sizes: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        letters = self.cell.carry_sizes
        _agree("x", self.x, (len(self.steps), np.shape(self.x)[-1]))
        if len(self.start) != len(letters):
            raise ShapeError(f"a story of cell '{self.cell.name}' starts from {len(letters)} values")
        output = self.start[0].shape[-1]
        hidden = next((s.shape[-1] for s, letter in zip(self.start, letters, strict=True) if letter == "H"), output)
        sizes = self.cell.sizes(self.x.shape[-1], hidden, output if letters[0] == "P" else 0)
        object.__setattr__(self, "sizes", sizes)
        T = len(self.steps)
        for name, value, letter in zip(self.cell.carry, self.start, letters, strict=True):
            _agree(f"the first {name}", value, (sizes[letter],))
        for parameter, weight in zip(self.cell.parameters, self.weights, strict=True):
            _agree(parameter.name, weight, parameter.shape(sizes))
        for name, value, letter in zip(self.cell.carry, self.arriving or (), letters, strict=self.arriving is not None):
            _agree(f"the gradient that arrives at {name}", value, (T, sizes[letter]))
        if self.head is not None:
            K = len(self.head.symbols) or 1
            _agree("the head's weight", self.head.weight, (K, output))
            _agree("the head's bias", self.head.bias, (K,))
        numbers = self.x.size + sum(weight.size for weight in self.weights)
        if numbers > MOST_NUMBERS:
            raise ShapeError(
                f"this walk would hold {numbers:,} weights and inputs, more than a page of {MOST_NUMBERS:,} should. "
                "Walk through a layer with fewer units"
            )


def zeros(cell: Cell, input_size: int, hidden_size: int, proj_size: int = 0) -> tuple[Array, ...]:
    """Carried values of zeros, to start from."""
    sizes = cell.sizes(input_size, hidden_size, proj_size)
    return tuple(np.zeros(sizes[letter]) for letter in cell.carry_sizes)


def _agree(name: str, array: Array, shape: Sequence[int]) -> None:
    if np.shape(array) != tuple(shape):
        raise ShapeError(f"{name} has shape {np.shape(array)}, where this story needs {tuple(shape)}")
