"""Which sequences are learned from, which choose the best weights, and which tell how good they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...data.batches import split
from ...data.sequences import Sequences
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
    """The three parts, drawn at random and each class alike.

    Args:
        judged: Validation data of its own: then all of `data` is learned from.
        shares: The option `split`.
        apart: Whether the targets came apart from the data, as scikit-learn's users give them, who split it themselves:
            then the test part is learned from too.
    """
    rng = np.random.default_rng([seed, 2])
    order = rng.permutation(len(data))
    if targets.kind == "category":  # classes one after the other, then dealt out so that each is spread evenly
        kinds = targets.encode(data)[order]
        place = np.empty(len(order))
        for kind in range(len(targets.classes)):
            where = np.flatnonzero(kinds == kind)
            place[where] = (np.arange(len(where)) + rng.random()) / len(where) if len(where) else 0
        turn = np.argsort(place, kind="stable")
        order = order[turn]
    shares = shares_of(shares, apart, judged is not None)
    train, validation, test = (np.sort(order[part]) for part in split(len(order), shares))
    if len(validation) < FEWEST:
        train = np.sort(np.concatenate([train, validation]))
        validation = train
    return Parts(train, validation, test)
