"""Sequences of numbers as batches for the training loop."""

from __future__ import annotations

import numpy as np
import torch

from ....data.batches import Epochs, bucketed
from .examples import Batch, Examples

POOL = 16  # batches whose windows are sorted by length before they are shuffled, so that few steps are padding


class Windows:
    """Training batches: every sequence once per epoch, shuffled; one that is longer than a window as several windows at
    random places.

    Args:
        longest: Steps of a window.
    """

    def __init__(self, examples: Examples, *, batch_size: int, longest: int, seed: int):
        self.examples, self.batch_size, self.longest = examples, batch_size, longest
        self._rows = np.repeat(np.arange(len(examples.lengths)), -(-examples.lengths // longest))
        self._epochs = Epochs(-(-len(self._rows) // batch_size), self._draw, [seed, 0])

    def __len__(self) -> int:
        return len(self._epochs)

    def at(self, step: int) -> Batch:
        return _tensors(self.examples.batch(*self._epochs.at(step), np.array(self.longest)))

    def _draw(self, random: np.random.Generator | None) -> list[tuple[np.ndarray, np.ndarray]]:
        """The sequence and the start of each window, batch by batch."""
        assert random is not None
        spare = np.maximum(self.examples.lengths[self._rows] - self.longest, 0)
        starts = (random.random(len(spare)) * (spare + 1)).astype(np.int64)
        lengths = np.minimum(self.examples.lengths, self.longest)[self._rows]
        batches = bucketed(lengths, self.batch_size, random, POOL)
        return [(self._rows[chosen], starts[chosen]) for chosen in batches]


class InOrder:
    """Batches for validation; see `Examples.side_by_side`."""

    def __init__(self, examples: Examples):
        self.examples, self._pieces = examples, [piece for pieces in examples.side_by_side() for piece in pieces]

    def __len__(self) -> int:
        return len(self._pieces)

    def at(self, step: int) -> Batch:
        return _tensors(self.examples.piece(*self._pieces[step]))


def _tensors(batch: Batch) -> Batch:
    *arrays, fresh = batch
    return Batch._make([*map(torch.from_numpy, arrays), fresh])
