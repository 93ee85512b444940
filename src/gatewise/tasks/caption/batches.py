"""Images and their captions as batches for the training loop."""

from __future__ import annotations

import torch
from torch import Tensor

from .examples import CaptionedBatches


class ImageBatches:
    """The same as tensors."""

    def __init__(self, batches: CaptionedBatches):
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def at(self, step: int) -> dict[str, Tensor]:
        return {name: torch.from_numpy(array) for name, array in self.batches.at(step).items()}
