"""Which sequences are learned from, which choose the best weights, and which tell how good they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...data.sequences import Sequences
from ...data.split import shuffled_split
from ..options import shares_of
from .targets import Targets

FEWEST = 50  # sequences below which a validation part chooses by luck


@dataclass(frozen=True)
class Parts:
    """Rows of the data.

    Attributes:
        train: What is learned from.
        validation: What chooses the best weights; the training rows themselves, where there are too few.
        test: What is looked at when all is over; may be empty.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    @property
    def held_out(self) -> dict[str, np.ndarray]:
        """The parts, by name, that were not learned from."""
        parts = {"validation": self.validation, "test": self.test}
        return {name: rows for name, rows in parts.items() if len(rows) and rows is not self.train}


def cut(
    data: Sequences, judged: Sequences | None, targets: Targets, shares: Sequence[float], apart: bool, seed: int
) -> Parts:
    """The three parts, drawn at random, with each class spread evenly over them.

    Args:
        judged: Validation data of its own: then all of `data` is learned from.
        shares: The option `split`.
        apart: Whether the targets came apart from the data, as scikit-learn's users give them, who split it themselves:
            then the test part is learned from too.
    """
    strata = targets.encode(data) if targets.kind == "category" else None
    shares = shares_of(shares, apart, judged is not None)
    parts = shuffled_split(len(data), shares, [seed, 2], strata)
    if len(parts["validation"]) < FEWEST:
        parts["train"] = parts["validation"] = np.sort(np.concatenate([parts["train"], parts["validation"]]))
    return Parts(**parts)
