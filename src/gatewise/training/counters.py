"""The progress of a run in plain numbers: the JSON half of a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Mean:
    """A running mean, kept as sum and count so that it survives a checkpoint with all its bits."""

    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        self.total += value
        self.count += 1

    def take(self) -> float:
        """The mean; starts over."""
        mean = self.total / max(1, self.count)
        self.total, self.count = 0.0, 0
        return mean


@dataclass
class Counters:
    """Attributes:
    step: Finished optimiser steps.
    evaluated: What `step` was at the last validation.
    best_step: What `step` was at the best validation.
    best_loss: Its loss; None before the first.
    waited: Validations since the best one.
    seconds: Time spent training, over all sessions, when this was written.
    since_line: Training loss since the last line of the history.
    since_evaluation: Training loss since the last validation.
    norms: The last few gradient norms before clipping, newest last.
    """

    step: int = 0
    evaluated: int = 0
    best_step: int = 0
    best_loss: float | None = None
    waited: int = 0
    seconds: float = 0.0
    since_line: Mean = field(default_factory=Mean)
    since_evaluation: Mean = field(default_factory=Mean)
    norms: list[float] = field(default_factory=list)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Counters:
        """Undo `dataclasses.asdict`.

        Raises:
            KeyError, TypeError: These are not all the counters, or others.
        """
        means = {name: Mean(**values[name]) for name in ("since_line", "since_evaluation")}
        return cls(**{**values, **means})
