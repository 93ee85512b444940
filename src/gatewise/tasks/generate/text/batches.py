"""Batches of a text: rows that are read side by side, chunk after chunk."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ....data.batches import Rows


class Chunks:
    """`data.Rows` as tensors for the training loop: the same chunks in every epoch."""

    def __init__(self, rows: Rows):
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def count(self, step: int) -> int:
        """Rows of a batch: the same in all of them."""
        return self.rows.batch_size

    def at(self, step: int, rows: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        """Inputs and targets, each (T, B), of these rows, if they are given."""
        inputs, targets = self.rows.chunk(step % len(self.rows), rows)
        return torch.from_numpy(inputs), torch.from_numpy(targets)
