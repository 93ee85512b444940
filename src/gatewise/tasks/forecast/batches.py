"""Windows of series as batches for the training loop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..prepared import Halves
from .split import Part
from .windows import Series, Window

_ENOUGH = 8  # series, of which some stand for the others


class Windows:
    """Windows as batches: drawn at random, by a seed and the number of the step, or in order.

    Args:
        series: The series that windows are cut from.
        part: Which windows.
        window: How they are cut.
        batch_size: Windows per batch.
        seed: Of the draw; None: all windows, in order.
    """

    def __init__(self, series: Series, part: Part, window: Window, *, batch_size: int, seed: int | None):
        self.series, self.part, self.window = series, part, window
        self.batch_size, self.seed = batch_size, seed

    def __len__(self) -> int:
        return -(-len(self.part) // self.batch_size)

    def count(self, step: int) -> int:
        """Windows of a batch."""
        return self.batch_size if self.seed is not None else len(self._which(step))

    def at(self, step: int, rows: Sequence[int] | None = None) -> dict[str, Tensor]:
        """A `Batch` by the names of its fields, or these rows of it."""
        which = self._which(step)
        own = which if rows is None else which[list(rows)]
        return tensors(self.series.batch(*self.part[own], self.window).arrays())

    def _which(self, step: int) -> np.ndarray:
        """Numbers of a batch's windows in their part."""
        if self.seed is None:
            return np.arange(step * self.batch_size, min(len(self.part), (step + 1) * self.batch_size))
        return np.random.default_rng([self.seed, 2, step]).integers(0, len(self.part), self.batch_size)


def halves_of(part: Part, horizon: int, seed: int) -> Halves:
    """Halves of the windows of a part: some series or, where there are few, the earlier windows of each, as those that
    overlap are not independent."""
    rows, origins = part[np.arange(len(part))]
    blocks = (rows << 20) + (origins - part.first[rows]) // horizon
    if len(np.unique(rows)) >= _ENOUGH:
        return Halves(blocks, Halves.drawn(rows, seed).first)
    middle = part.first[rows] + part.stride * part.counts[rows] // 2
    # A block is a horizon long; none is divided.
    return Halves(blocks, part.first[rows] + (origins - part.first[rows]) // horizon * horizon < middle)


def tensors(arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """Arrays by name as tensors."""
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
