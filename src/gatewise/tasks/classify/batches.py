"""Batches of sequences for the training loop."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ...data.augmentation import vary
from ...data.batches import Epochs, bucketed
from ...data.readers.strokes import holds_strokes, vary_strokes
from ...data.sequences import Sequences
from .inputs import Inputs

POOL = 16  # batches whose sequences are sorted by length before they are shuffled, so that few steps are padding
MEASURED = 256  # sequences that are measured or predicted at once


class Shuffled:
    """Training batches: shuffled anew in every pass, sequences of similar length together.

    Args:
        rows: Which of the sequences are learned from.
        targets: (len(rows),) or (len(rows), L), as the network wants them.
        variation: How strongly numbers are varied; 0 leaves them alone.
    """

    def __init__(
        self,
        inputs: Inputs,
        data: Sequences,
        rows: np.ndarray,
        targets: np.ndarray,
        batch_size: int,
        seed: int,
        variation: float,
    ):
        self.inputs, self.data, self.rows, self.targets = inputs, data, rows, targets
        self.batch_size, self.seed, self.variation = batch_size, seed, variation
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
        data, change = self.data.take(self.rows[chosen]), None
        if self.variation > 0 and holds_strokes(data):
            data = vary_strokes(data, rng, self.variation)
        elif self.variation > 0 and self.inputs.only_numbers:
            change = partial(vary, rng=rng, strength=self.variation, channels=self.inputs.channels)
        arrays = self.inputs.encode(data, change)
        return _tensors(arrays, self.targets[chosen])


class InOrder:
    """Batches to measure on, one after the other."""

    def __init__(self, inputs: Inputs, data: Sequences, rows: np.ndarray, targets: np.ndarray):
        self.inputs, self.data, self.rows, self.targets = inputs, data, rows, targets

    def __len__(self) -> int:
        return -(-len(self.rows) // MEASURED)

    def at(self, step: int) -> dict[str, Tensor]:
        part = slice(step * MEASURED, (step + 1) * MEASURED)
        return _tensors(self.inputs.encode(self.data.take(self.rows[part])), self.targets[part])


@torch.inference_mode()
def scores(model: torch.nn.Module, inputs: Inputs, data: Sequences, rows: np.ndarray) -> Iterator[np.ndarray]:
    """What the network makes of these sequences, some (n, outputs) at a time, in their order."""
    model.eval()
    for start in range(0, len(rows), MEASURED):
        batch = _tensors(inputs.encode(data.take(rows[start : start + MEASURED])))
        yield model(batch).numpy().astype(np.float64)


def _tensors(arrays: dict[str, np.ndarray], targets: np.ndarray | None = None) -> dict[str, Tensor]:
    found = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    return found if targets is None else {**found, "targets": torch.from_numpy(targets)}


def _sizes(data: Sequences, inputs: Inputs) -> np.ndarray:
    """(N,) how long each sequence is, roughly: of texts, their characters."""
    if inputs.text is None or inputs.text.per_step:
        return data.lengths
    return np.sum([[len(text or "") for text in data.static[name].values] for name in inputs.text.names], axis=0)
