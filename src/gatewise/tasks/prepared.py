"""What a task hands over to be fitted, and what is fitted, as far as fitting knows it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

if TYPE_CHECKING:
    from ..algebra import Cell
    from ..training import Batches, Outcome, Plan, Trainable
    from ..watch.advice import Advice
    from .options import Columns
    from .transfer import Kept, Start
    from .vectors import Pretrained


class Fittable(Protocol):
    """What can be fitted: an `Estimator`, as far as fitting knows it."""

    task: ClassVar[str]
    threads: int | None
    minutes: float | None
    preset: str | None
    seed: int
    only: str | None
    freeze: Columns
    model_: Any
    metrics_: dict[str, Any]
    outcome_: Outcome
    provenance_: dict[str, Any]
    history_: dict[str, list[float]]
    advice_: list[Advice]
    _start: Start | None
    _settled: Mapping[str, tuple[Any, Any]]
    _kept: Kept | None

    def check(self) -> None: ...

    @property
    def sized_as(self) -> str: ...

    def choose_preset(self, preset: str | None) -> None: ...
    def find_cell(self) -> Cell: ...
    def begun(self, network: Any) -> Any: ...
    def plain_options(self) -> dict[str, Any]: ...
    def save(self, path: str | os.PathLike[str]) -> None: ...


def restoring(estimator: Fittable) -> Callable[[], None]:
    """What gives the estimator back all that it has now, and nothing else."""
    now = dict(vars(estimator))

    def restore() -> None:
        vars(estimator).clear()
        vars(estimator).update(now)

    return restore


@dataclass(frozen=True)
class Halves:
    """How validation data are halved, so that one half can judge what was chosen by the other.

    Attributes:
        blocks: (N,) a number of each item, in the order of validation; those of one number are not independent.
        first: (N,) whether an item belongs to the half that chooses. Items of one block belong to one half.
    """

    blocks: np.ndarray
    first: np.ndarray

    @classmethod
    def drawn(cls, blocks: np.ndarray, seed: int) -> Halves:
        """Half of the blocks, at random."""
        names, number = np.unique(blocks, return_inverse=True)
        order = np.random.default_rng([seed, 11]).permutation(len(names))
        return cls(blocks, order[number] < (len(names) + 1) // 2)

    @property
    def are_possible(self) -> bool:
        """Whether each half has two blocks, without which nothing tells an advantage from chance."""
        return all(len(np.unique(self.blocks[half])) >= 2 for half in (self.first, ~self.first))


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a task hands over once its data are read, split, encoded and sized.

    Attributes:
        build: Makes the network; its draws follow from the seed, see `randomness.built`.
        training, validation: What to learn from, and what chooses the weights.
        data: What the model learns from, for its file: "name", "fingerprint" and more.
        identity: What must be the same for a run to be resumed, beside options and data.
        settle: Learns what a trained model needs beside its weights, thresholds for example. Must be quick.
        measure: Gives the metrics of the trained model; with those of the baselines, if true. The second argument shows
            the user a line.
        unit, per_step: What progress counts, in the plural, and how many of it a step learns from.
        loss: What the training loss is, and its unit: "cross-entropy, nats per token".
        understood: How the data were understood, by what is told: "target", "inputs", "parts".
        validated: What validation measures, where that is not the loss.
        held_out: Whether the validation data are no training data.
        too_few: If they are training data for want of others: why, and what to do.
        on_evaluation: See `training.train`.
        again: Steps that `measure` trains for each step of training.
        pretrained: What embeddings begin as, if not as random numbers.
        halves: Of the validation data, if networks can be averaged, see `averaging`.
    """

    build: Callable[[], Trainable]
    training: Batches
    validation: Batches
    plan: Plan
    data: dict[str, Any]
    identity: dict[str, Any]
    measure: Callable[[bool, Callable[[str], None]], dict[str, Any]]
    unit: str
    per_step: float
    loss: str
    understood: Mapping[str, str]
    validated: str | None = None
    held_out: bool = True
    too_few: str = ""
    on_evaluation: Callable[[int], str | None] | None = None
    settle: Callable[[], None] = lambda: None
    again: float = 0.0
    pretrained: Pretrained | None = None
    halves: Halves | None = None
