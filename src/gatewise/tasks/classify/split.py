"""Training, validation and test parts of sequences with a target each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from ...data.groups import groups_of
from ...data.sequences import Sequences
from ...data.split import equal_sequences, equal_together, shuffled_split
from ..options import shares_of
from .targets import Targets

FEWEST = 50  # with fewer sequences than this, a validation part would choose by chance


@dataclass(frozen=True)
class Parts:
    """Rows of the data.

    Attributes:
        train: What is learned from.
        validation: What chooses the best weights; the training rows themselves, where there are too few.
        test: What the trained model is evaluated on; may be empty.
        groups: (N,) a number of each sequence of the data: those of one number belong together, such as the recordings
            of one speaker, or sequences that are equal. Where all that is learned from would be one group, each
            sequence is one.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    groups: np.ndarray

    @property
    def held_out(self) -> dict[str, np.ndarray]:
        """The parts, by name, that were not learned from."""
        parts = {"validation": self.validation, "test": self.test}
        return {name: rows for name, rows in parts.items() if len(rows) and rows is not self.train}


def validation_rows(data: Sequences, own: Sequences | None, parts: Parts) -> tuple[Sequences, np.ndarray, bool]:
    """What chooses the best weights: sequences, which of them, and whether they are held out of training.

    Args:
        data: What the parts are of.
        own: Validation data of its own.
    """
    if own is not None:
        return own, np.arange(len(own)), True
    return data, parts.validation, "validation" in parts.held_out


def folds_of(groups: np.ndarray, folds: int, seed: int, strata: np.ndarray | None = None) -> np.ndarray:
    """(N,) one of so many folds for each sequence, at random: whole groups, and each class spread evenly over them.

    Args:
        groups: (N,) whole numbers. If there are fewer than folds, so are the folds.
        strata: (N,) classes. A group counts as of its first sequence's.
    """
    _, first, number = np.unique(groups, return_index=True, return_inverse=True)
    order = np.random.default_rng([seed, 7]).permutation(len(first))
    if strata is not None:
        order = order[np.argsort(strata[first][order], kind="stable")]
    found = np.empty(len(first), np.int64)
    found[order] = np.arange(len(first)) % folds
    return np.asarray(found[number])


def split_sequences(
    data: Sequences,
    targets: Targets,
    shares: Sequence[float],
    *,
    seed: int,
    group: Sequence[str] = (),
    may_differ: Collection[str] | None = None,
    targets_apart: bool = False,
    validated_apart: bool = False,
) -> Parts:
    """The three parts, drawn at random, with each class spread evenly over them.

    Args:
        shares: The option `split`.
        group: Columns whose values no two parts share.
        may_differ: Sequences that are equal in all columns but these are in one part, unless groups say otherwise. If
            omitted, they are not looked for, as with models of before.
        targets_apart, validated_apart: As for `shares_of`.
    """
    strata = targets.encode(data) if targets.kind == "category" else None
    shares = shares_of(shares, targets_apart, validated_apart)
    groups = groups_of(data, group, shares)
    parts = shuffled_split(len(data), shares, [seed, 2], strata, groups)
    if may_differ is not None and groups is None:
        groups = equal_sequences(data, may_differ)
        parts = equal_together(parts, groups)
    if len(parts["validation"]) < FEWEST:
        parts["train"] = parts["validation"] = np.sort(np.concatenate([parts["train"], parts["validation"]]))
    if groups is None or len(np.unique(groups[parts["train"]])) < 2:
        groups = np.arange(len(data))
    return Parts(**parts, groups=groups)
