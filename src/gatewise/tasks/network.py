"""What the networks of all tasks have in common."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class Network(nn.Module):
    """The part of `training.Trainable` that does not depend on the task: nothing passes from batch to batch, and
    biases do not decay."""

    def __init__(self) -> None:
        super().__init__()
        self.carried: list[Tensor] = []

    def begin(self, split: str) -> None:
        """A pass starts: forget what was carried."""
        self.carried = []

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        weights = [p for p in self.parameters() if p.dim() > 1]
        biases = [p for p in self.parameters() if p.dim() < 2]
        return [{"params": weights, "weight_decay": weight_decay}, {"params": biases, "weight_decay": 0.0}]
