"""What the ranks of a run know together: as one of them may be asked to stop, and each has a clock of its own."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from ..ranks import Ranks
from .interrupts import Interrupts


class Agreement:
    """Sums over the ranks, with which they learn the rest.

    Args:
        ranks: Of the run.
        interrupts: What asks this rank to stop.
        old: Whether the checkpoint is so old that it is time for another, as the first rank finds.
    """

    def __init__(self, ranks: Ranks, interrupts: Interrupts, old: Callable[[], bool]):
        self._ranks, self._interrupts, self._old = ranks, interrupts, old
        self._told = False, False

    def sums(self, *own: float) -> list[float]:
        """Of each number the sum over the ranks. All ranks must call this at the same places."""
        if self._ranks.alone:
            return list(own)
        first = (time.monotonic(), self._old()) if self._ranks.first else (0.0, False)
        numbers = torch.tensor([*own, self._interrupts.requested, *first], dtype=torch.float64)
        *found, stops, now, old = self._ranks.sum(numbers).tolist()
        self._ranks.tick(now)
        self._told = stops > 0, old > 0
        return found

    @property
    def stops(self) -> bool:
        """Whether a rank was asked to stop."""
        return self._interrupts.requested if self._ranks.alone else self._told[0]

    @property
    def old(self) -> bool:
        """Whether it is time for a checkpoint."""
        return self._old() if self._ranks.alone else self._told[1]
