"""What every plain method of `classify` learns from, and offers, so that they can be shown, saved and blended alike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from ....data.sequences import Sequences
from ..inputs import Inputs, pieces
from ..targets import Targets

Shapes = dict[str, tuple[int | None, ...]]  # of tensors by name; None is any size


@dataclass(frozen=True)
class Examples:
    """Training sequences, and how they are read.

    Attributes:
        rows: Of the data, those that are learned from.
        groups: (len(data),) a number for each sequence: those of one number are left out together.
    """

    inputs: Inputs
    targets: Targets
    data: Sequences
    rows: np.ndarray
    groups: np.ndarray

    @property
    def own_groups(self) -> np.ndarray:
        """(N,) of those that are learned from."""
        return self.groups[self.rows]

    def of(self, rows: np.ndarray) -> Self:
        """Those in other rows."""
        return replace(self, rows=rows)

    def some(self, most: int, random: np.random.Generator) -> Self:
        """So many of them at most, drawn at random."""
        rows = self.rows
        return self if len(rows) <= most else self.of(np.sort(random.choice(rows, most, replace=False)))

    def truth(self) -> np.ndarray:
        """As `Targets.encode` gives it, standardised."""
        encoded = [self.targets.encode(piece) for piece in pieces(self.data, self.rows)]
        return self.targets.standardised(np.concatenate(encoded))


class Method(ABC):
    """A method that has learned, and predicts with numpy alone."""

    @abstractmethod
    def outputs(self, inputs: Inputs, targets: Targets, data: Sequences, rows: np.ndarray) -> np.ndarray:
        """(len(rows), K): probabilities of classes or labels, or standardised numbers, as the networks give them."""

    @abstractmethod
    def tensors(self) -> dict[str, np.ndarray]:
        """All that it learned, for the model file."""

    @staticmethod
    @abstractmethod
    def shapes(inputs: Inputs, targets: Targets) -> Shapes:
        """Of what `tensors` gives."""

    @classmethod
    @abstractmethod
    def from_tensors(cls, key: str, tensors: Mapping[str, np.ndarray], targets: Targets) -> Self:
        """What `tensors` gave. ValueError if it cannot be that.

        Args:
            key: What the model file calls the method.
        """


Learned = tuple[Method, np.ndarray]  # and predictions (N, K) of each sequence by a model that did not learn from it
