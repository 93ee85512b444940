"""A trained network as it is before it learns more: training may find nothing better, and then it stays what it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from .division import Division
from .loop import Outcome
from .snapshot import load, weights
from .trainable import Batches, Trainable


@dataclass(frozen=True)
class Before:
    """Weights, and how they validate.

    Attributes:
        weights: By name; copies.
        loss: As `training.train` would measure it; None if the validation data hold nothing to predict.
    """

    weights: dict[str, Tensor]
    loss: float | None

    @classmethod
    def of(cls, module: Trainable, validation: Batches) -> Before:
        """Of a network on the CPU, whose mode and carried state are left as a new one has them."""
        network = cast(nn.Module, module)
        division = Division(module)
        network.eval()
        module.begin("validation")
        total, count = 0.0, 0
        with torch.no_grad():
            for step in range(len(validation)):
                loss, targets = division.validation_sums(division.validation(validation, step))
                total, count = total + float(loss), count + targets
        total, count = division.ranks.sum(torch.tensor([total, count], dtype=torch.float64)).tolist()
        module.begin("train")
        network.train()
        kept = {name: tensor.clone() for name, tensor in weights(network).items()}
        return cls(kept, total / count if count else None)

    def unless_better(self, module: Trainable, outcome: Outcome, tell: Callable[[str], None]) -> Outcome:
        """Load these weights again unless training found better ones. Returns how it ended, with the weights kept."""
        if self.loss is None or (outcome.best_loss is not None and outcome.best_loss < self.loss):
            return outcome
        load(cast(nn.Module, module), self.weights)
        if outcome.best_loss is not None:
            found = f"validation {outcome.best_loss:.4g} at best"
            tell(f"none was better than before the first step ({self.loss:.4g}; {found}): those weights are kept.")
        return replace(outcome, best_step=0, best_loss=self.loss)
