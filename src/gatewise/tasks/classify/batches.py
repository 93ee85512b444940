"""Batches of sequences for the training loop, and how numbers are varied in training."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ...data.batches import alike
from ...data.readers.strokes import holds_strokes, varied
from ...data.sequences import Sequences
from .inputs import Inputs, starts_of

POOL = 16  # batches whose sequences are sorted by length before they are dealt out, so that few steps are padding
MEASURED = 256  # sequences that are measured or predicted at once
SPECTRUM = 16  # channels from which on they are taken for a spectrum, whose bands may be hidden


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
        self._order: tuple[int, list[np.ndarray]] = (-1, [])

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def at(self, step: int) -> dict[str, Tensor]:
        epoch, index = divmod(step, len(self))
        if self._order[0] != epoch:
            rng = np.random.default_rng([self.seed, 0, epoch])
            self._order = epoch, alike(self.sizes[self.rows], self.batch_size, rng, POOL)
        chosen = self._order[1][index]
        rng = np.random.default_rng([self.seed, 1, step])
        data, change = self.data.take(self.rows[chosen]), None
        if self.variation > 0 and holds_strokes(data):
            data = varied(data, rng, self.variation)
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
    return np.sum([[len(text or "") for text in data.facts[name].values] for name in inputs.text.names], axis=0)


def vary(
    values: np.ndarray, lengths: np.ndarray, *, rng: np.random.Generator, strength: float, channels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Other sequences that mean the same: a little louder, noisier, cut at the ends, at another pace; of a spectrum,
    with a band and a moment hidden.

    Args:
        values: (S, D), the first `channels` of which are scaled numbers.
        lengths: (B,) steps of each sequence, adding up to S.
        strength: 1 is usual.

    Returns:
        The same for as many sequences of other lengths.

    Source: Um et al. (2017), "Data augmentation of wearable sensor data", ICMI; Park et al. (2019), "SpecAugment".
    """
    B = len(lengths)
    cut = 0.1 * strength * rng.random((B, 2)) * (lengths[:, None] >= 8)
    pace = np.exp(0.1 * strength * rng.standard_normal(B))
    bend = 0.1 * strength * rng.standard_normal(B)
    inner = (1 - cut.sum(1)) * (lengths - 1)
    counts = np.where(lengths >= 8, np.maximum(2, np.round(inner * pace + 1)), lengths).astype(np.int64)
    row = np.repeat(np.arange(B), counts)
    u = (np.arange(len(row)) - starts_of(counts)[row]) / np.maximum(counts - 1, 1)[row]
    u = np.clip(u + bend[row] * np.sin(np.pi * u) * (lengths[row] >= 8), 0, 1)
    at = (cut[:, 0] * (lengths - 1))[row] + u * inner[row]
    low = np.minimum(at.astype(np.int64), np.maximum(lengths - 2, 0)[row])
    share = (at - low).astype(np.float32)[:, None]
    first = starts_of(lengths)[row] + low
    high = np.minimum(first + 1, (starts_of(lengths) + lengths - 1)[row])
    found = values[first] * (1 - share) + values[high] * share
    louder = np.exp(0.1 * strength * rng.standard_normal((B, channels))).astype(np.float32)
    noise = 0.05 * strength * rng.standard_normal((len(row), channels), np.float32)
    found[:, :channels] = found[:, :channels] * louder[row] + noise
    if channels >= SPECTRUM:
        _hide(found, counts, rng, strength, channels)
    return found, counts


def _hide(values: np.ndarray, lengths: np.ndarray, rng: np.random.Generator, strength: float, channels: int) -> None:
    """Set a band of up to a fifth of the channels, and up to a fifth of the steps, to their mean, 0."""
    band = rng.integers(0, max(1, round(0.2 * strength * channels)) + 1, len(lengths))
    lowest = (rng.random(len(lengths)) * (channels - band + 1)).astype(np.int64)
    span = (rng.random(len(lengths)) * 0.2 * strength * lengths).astype(np.int64)
    begin = (rng.random(len(lengths)) * (lengths - span)).astype(np.int64)
    for b, start in enumerate(starts_of(lengths)):
        values[start : start + lengths[b], lowest[b] : lowest[b] + band[b]] = 0
        values[start + begin[b] : start + begin[b] + span[b], :channels] = 0
