"""Batches of sequences for the training loop."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...data.augmentation import vary, vary_recordings
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
        recordings: Whether the numbers are log-mel spectra.
        folds: (len(rows),) which network does not learn from each; None if all learn from all.
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
        recordings: bool = False,
        folds: np.ndarray | None = None,
    ):
        self.inputs, self.data, self.rows, self.targets, self.folds = inputs, data, rows, targets, folds
        self.batch_size, self.seed, self.augmentation = batch_size, seed, augmentation
        self.recordings = recordings
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
        elif self.augmentation > 0 and self.recordings:
            [column] = [column for column in self.inputs.numbers if column.per_step]
            mean, scale = np.array(column.mean, np.float32), np.array(column.scale, np.float32)
            augment = partial(vary_recordings, rng=rng, strength=self.augmentation, mean=mean, scale=scale)
        elif self.augmentation > 0 and self.inputs.only_numbers:
            augment = partial(vary, rng=rng, strength=self.augmentation, channels=self.inputs.channels)
        return _tensors(self.inputs.encode(data, augment), self.targets[chosen], _some(self.folds, chosen))


class InOrder:
    """Validation batches, one after the other."""

    def __init__(
        self,
        inputs: Inputs,
        data: Sequences,
        rows: np.ndarray,
        targets: np.ndarray,
        folds: np.ndarray | None = None,
    ):
        self.inputs, self.data, self.rows, self.targets, self.folds = inputs, data, rows, targets, folds

    def __len__(self) -> int:
        return -(-len(self.rows) // TOGETHER)

    def at(self, step: int) -> dict[str, Tensor]:
        part = slice(step * TOGETHER, (step + 1) * TOGETHER)
        arrays = self.inputs.encode(self.data.take(self.rows[part]))
        return _tensors(arrays, self.targets[part], _some(self.folds, part))


def _some(folds: np.ndarray | None, which: Any) -> dict[str, np.ndarray]:
    return {} if folds is None else {"fold": folds[which]}


def _tensors(arrays: dict[str, np.ndarray], targets: np.ndarray, more: dict[str, np.ndarray]) -> dict[str, Tensor]:
    arrays = {**arrays, "targets": targets, **more}
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}


def _sizes(data: Sequences, inputs: Inputs) -> np.ndarray:
    """(N,) roughly how long each sequence is; for texts, their characters."""
    if inputs.text is None or inputs.text.per_step:
        return data.lengths
    return np.sum([[len(text or "") for text in data.static[name].values] for name in inputs.text.names], axis=0)
