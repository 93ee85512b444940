"""Batches of sequences for the training loop."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from ...data.augmentation import vary
from ...data.batches import Epochs, bucketed
from ...data.readers.strokes import holds_strokes, vary_strokes
from ...data.sequences import Sequences
from .inputs import TOGETHER, Inputs

POOL = 16  # batches whose sequences are sorted by length before they are shuffled, so that few steps are padding


class Shuffled:
    """Training batches: shuffled anew in every epoch, sequences of similar length together.

    Args:
        rows: Which of the sequences are learned from.
        targets: (len(rows),) or (len(rows), L), as the network takes them.
        augmentation: How strongly numbers are varied; 0 leaves them alone.
    """

    def __init__(
        self,
        inputs: Inputs,
        data: Sequences,
        rows: np.ndarray,
        targets: np.ndarray,
        *,
        batch_size: int,
        seed: int,
        augmentation: float,
    ):
        self.inputs, self.data, self.rows, self.targets = inputs, data, rows, targets
        self.batch_size, self.seed, self.augmentation = batch_size, seed, augmentation
        self.sizes = _sizes(data, inputs)
        self._epochs = Epochs(-(-len(rows) // batch_size), self._drawn, [seed, 0])

    def __len__(self) -> int:
        return len(self._epochs)

    def _drawn(self, random: np.random.Generator | None) -> list[np.ndarray]:
        assert random is not None
        return bucketed(self.sizes[self.rows], self.batch_size, random, POOL)

    def at(self, step: int) -> dict[str, Tensor]:
        chosen = self._epochs.at(step)
        rng = np.random.default_rng([self.seed, 1, step])
        data, augment = self.data.take(self.rows[chosen]), None
        if self.augmentation > 0 and holds_strokes(data):
            data = vary_strokes(data, rng, self.augmentation)
        elif self.augmentation > 0 and self.inputs.only_numbers:
            augment = partial(vary, rng=rng, strength=self.augmentation, channels=self.inputs.channels)
        return _tensors(self.inputs.encode(data, augment), self.targets[chosen])


class InOrder:
    """Validation batches, one after the other."""

    def __init__(self, inputs: Inputs, data: Sequences, rows: np.ndarray, targets: np.ndarray):
        self.inputs, self.data, self.rows, self.targets = inputs, data, rows, targets

    def __len__(self) -> int:
        return -(-len(self.rows) // TOGETHER)

    def at(self, step: int) -> dict[str, Tensor]:
        part = slice(step * TOGETHER, (step + 1) * TOGETHER)
        return _tensors(self.inputs.encode(self.data.take(self.rows[part])), self.targets[part])


def _tensors(arrays: dict[str, np.ndarray], targets: np.ndarray) -> dict[str, Tensor]:
    return {
        name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in {**arrays, "targets": targets}.items()
    }


def _sizes(data: Sequences, inputs: Inputs) -> np.ndarray:
    """(N,) roughly how long each sequence is; for texts, their characters."""
    if inputs.text is None or inputs.text.per_step:
        return data.lengths
    return np.sum([[len(text or "") for text in data.static[name].values] for name in inputs.text.names], axis=0)
