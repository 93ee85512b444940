"""Batches of sequences for the training loop."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ...data.batches import Epochs, bucketed, in_batches
from .features import Encoded, piece_steps

Batch = Mapping[str, Tensor]


class Pieces:
    """Sequences as batches of tensors. Those of similar length are in one batch; long ones are cut into pieces.

    Args:
        data: What the network reads.
        targets: (n,) label indices, -1 where missing; or numbers, (n,) or (n, K), NaN where missing.
        batch_size: Sequences, or pieces of them, side by side.
        chunk_length: The most steps of a piece; each epoch cuts at other places. Nothing is cut if omitted.
        seed: Of the order and the cuts; if omitted, sequences keep their order and are cut at fixed places.
    """

    def __init__(
        self,
        data: Encoded,
        targets: np.ndarray,
        *,
        batch_size: int,
        chunk_length: int | None = None,
        seed: int | None = None,
    ):
        self.data, self.targets, self.batch_size = data, targets, batch_size
        lengths = np.diff(data.offsets)
        self._starts, self._lengths = data.offsets[:-1][lengths > 0], lengths[lengths > 0]
        self._longest = chunk_length or int(lengths.max(initial=1))
        self._pieces = -(-self._lengths // self._longest)
        self._epochs = Epochs(-(-int(self._pieces.sum()) // batch_size), self._drawn, seed)

    def __len__(self) -> int:
        return len(self._epochs)

    def at(self, step: int) -> Batch:
        """What `Encoded.batch` gives, as tensors, and "targets" (T, B) or (T, B, K), missing behind the ends of
        sequences."""
        starts, lengths = self._epochs.at(step)
        arrays = self.data.batch(starts, lengths)
        steps, inside = piece_steps(starts, lengths)
        missing = np.nan if self.targets.dtype.kind == "f" else -1
        inside = inside.reshape(*inside.shape, *[1] * (self.targets.ndim - 1))
        arrays["targets"] = np.where(inside, self.targets[steps], missing).astype(self.targets.dtype)
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def _drawn(self, random: np.random.Generator | None) -> list[tuple[np.ndarray, np.ndarray]]:
        """Starts and lengths of the pieces of each batch."""
        starts, rooms = np.repeat(self._starts, self._pieces), np.repeat(self._lengths, self._pieces)
        lengths = np.minimum(rooms, self._longest)
        if random is None:
            batches = in_batches(np.arange(len(starts)), self.batch_size)
        else:
            starts = starts + random.integers(0, rooms - lengths + 1)
            batches = bucketed(lengths, self.batch_size, random)
        return [(starts[places], lengths[places]) for places in batches]
