"""Batches of a text: rows that are read side by side, chunk after chunk."""

from __future__ import annotations

import torch
from torch import Tensor

from ....data.batches import Rows


class Chunks:
    """`data.Rows` as tensors for the training loop: the same chunks in every epoch."""

    def __init__(self, rows: Rows):
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets, each (T, B)."""
        inputs, targets = self.rows[step % len(self.rows)]
        return torch.from_numpy(inputs), torch.from_numpy(targets)
