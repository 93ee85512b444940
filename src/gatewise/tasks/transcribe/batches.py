"""Batches of sequences and their texts, to train a transcriber and to validate it.

T steps, B sequences, D features of a step.
"""

from __future__ import annotations

from collections.abc import Sequence as Many

import numpy as np
import torch
from torch import Tensor

from ...data.batches import Epochs, bucketed, in_batches
from ...data.sequences import Sequences
from .frames import Frames, padded
from .variation import Variation

Batch = dict[str, Tensor]


class Utterances:
    """Sequences as batches of tensors, those of similar length together.

    Args:
        frames: How sequences are read.
        data: The sequences.
        targets: The labels of each sequence.
        batch_size: Sequences per batch.
        vary: Applied to each sequence, with new random numbers in every epoch.
        seed: Random seed of the order and the variation; None for a fixed order without variation.
    """

    def __init__(
        self,
        frames: Frames,
        data: Sequences,
        targets: Many[np.ndarray],
        batch_size: int,
        *,
        vary: Variation | None = None,
        seed: int | None = None,
    ):
        self.frames, self.data, self.targets = frames, data, targets
        self.scaled = frames.scaled(data)
        self.batch_size, self.vary, self.seed = batch_size, vary, seed
        self._epochs = Epochs(-(-(len(data)) // batch_size), self._draw, seed)

    def __len__(self) -> int:
        return len(self._epochs)

    def at(self, step: int) -> Batch:
        """The batch of a step: "x" (T, B, D), "lengths" (B,), "targets", one after the other, and "target_lengths"
        (B,)."""
        rows, epoch = self._epochs.at(step), None if self.seed is None else self._epochs.epoch_of(step)
        targets = [self.targets[row] for row in rows]
        arrays = {
            **padded([self._steps(int(row), epoch) for row in rows]),
            "targets": np.concatenate(targets),
            "target_lengths": np.array([len(own) for own in targets], np.int64),
        }
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def _draw(self, random: np.random.Generator | None) -> list[np.ndarray]:
        lengths = self.data.lengths
        if random is None:
            return in_batches(np.argsort(lengths, kind="stable"), self.batch_size)
        return bucketed(lengths, self.batch_size, random)

    def _steps(self, row: int, epoch: int | None) -> np.ndarray:
        """(T, D) of one sequence."""
        scaled = self.scaled[self.data.offsets[row] : self.data.offsets[row + 1]]
        if self.vary is None or epoch is None:
            return self.frames.read(scaled)
        random = np.random.default_rng([self.seed or 0, epoch, row])
        return self.frames.stacked(self.vary(self.data.take([row]), scaled, self.targets[row], epoch, random))
