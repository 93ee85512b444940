"""Windows of several series as batches for the training loop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ...data.batches import Epochs, in_batches
from .series import filled_forward
from .stretches import Stretch


class Windows:
    """Windows of L + 1 steps from several series, padded with missing values.

    Args:
        series: Per series, standardised values (n, D), NaN where missing; of large ones, slices are read when needed.
        window: L.
        batch_size: Windows per batch.
        seed: Places windows at random, anew in each epoch. None: side by side, in order, so that each step occurs once.
    """

    def __init__(self, series: Sequence[np.ndarray | Stretch], *, window: int, batch_size: int, seed: int | None):
        self.series = [part for part in series if len(part) > 1]
        self.window, self.batch_size = window, batch_size
        starts = [np.arange(0, len(part) - 1, window) for part in self.series]
        self._side_by_side = np.stack(
            [np.repeat(np.arange(len(starts)), [*map(len, starts)]), np.concatenate(starts)], 1
        )
        # Number of places where a window can start, summed up over the series.
        self._starts = np.cumsum([max(1, len(part) - window) for part in self.series])
        self._epochs = Epochs(-(-len(self._side_by_side) // batch_size), self._drawn, seed)

    def __len__(self) -> int:
        return len(self._epochs)

    def count(self, step: int) -> int:
        """Windows of a batch."""
        return len(self._epochs.at(step))

    def at(self, step: int, rows: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        """Values and which of them are observed, each (L + 1, B, D); of these rows, if they are given."""
        whole = self._epochs.at(step)
        chosen = whole if rows is None else [whole[row] for row in rows]
        D = self.series[0].shape[1]
        values = np.full((self.window + 1, len(chosen), D), np.nan, np.float32)
        for column, (k, start) in enumerate(chosen):
            part = self.series[k][start : start + self.window + 1]
            values[: len(part), column] = part
        filled, observed = filled_forward(values)
        return torch.from_numpy(filled), torch.from_numpy(observed)

    def _drawn(self, random: np.random.Generator | None) -> list[np.ndarray]:
        """The series and the start of each window, batch by batch, (batch_size, 2)."""
        if random is None:
            return in_batches(self._side_by_side, self.batch_size)
        drawn = random.integers(0, self._starts[-1], len(self._side_by_side))
        which = np.searchsorted(self._starts, drawn, side="right")
        starts = drawn - np.concatenate([[0], self._starts])[which]
        return in_batches(np.stack([which, starts], 1), self.batch_size)
