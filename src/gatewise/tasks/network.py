"""What the networks of all tasks have in common."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..algebra import cell
from ..nn import Recurrent


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


@cell(carry="h", pack="o", source="a matrix product and nothing else")
def _linear(x, h_prev, W, b):  # type: ignore[no-untyped-def]  # equations, run once on symbols
    h = W.o @ x + b.o
    return h


class Linear(Recurrent):
    """A product with a matrix at every step. As a cell it runs in the engine, where a row's bits depend on that row
    alone, so that a stream equals the whole sequence; a matrix library's depend on how many rows there are."""

    def __init__(self, size: int, outputs: int):
        super().__init__(_linear, size, outputs)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no state comes back
        y: Tensor = super().forward(x)[0]
        return y
