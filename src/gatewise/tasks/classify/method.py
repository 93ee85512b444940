"""What every plain method of `classify` offers, so that they can be shown, saved and blended alike."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from ...data.sequences import Sequences
from .inputs import Inputs
from .targets import Targets


class Plain(ABC):
    """A method that has learned, and predicts with numpy alone."""

    @abstractmethod
    def outputs(self, inputs: Inputs, targets: Targets, data: Sequences, rows: np.ndarray) -> np.ndarray:
        """(len(rows), K): probabilities of classes or labels, or standardised numbers, as the networks give them."""

    @abstractmethod
    def tensors(self) -> dict[str, np.ndarray]:
        """All that it learned, for the model file."""
