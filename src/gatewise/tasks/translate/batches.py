"""Pairs of texts as batches for the training loop."""

from __future__ import annotations

from typing import Any

import torch

from .examples import PairBatches


class ScheduledSampling:
    """Batches of tensors, with the probability of scheduled sampling at their step: it grows linearly from 0, and
    reaches `most` after so many steps, one after the last of the default plan.

    Source: Bengio et al. (2015), arXiv:1506.03099, section 2.4: linear decay.
    """

    def __init__(self, batches: PairBatches, most: float = 0.0, steps: int = 1):
        self.batches, self.most, self.steps = batches, most, steps

    def __len__(self) -> int:
        return len(self.batches)

    def at(self, step: int) -> dict[str, Any]:
        tensors = {name: torch.from_numpy(array) for name, array in self.batches.at(step).items()}
        return {**tensors, "sampling": self.most * min(1.0, step / self.steps)}
