"""The files of a training run: its checkpoint and its history."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..errors import ModelFileError
from ..ranks import current
from . import checkpoint as checkpoints
from .counters import Counters
from .failures import TrainingFailed, Writing
from .history import History, lines_until
from .plan import Plan
from .snapshot import Snapshot, difference


class RunFiles:
    """Reads and writes both, and knows which state the checkpoint holds. Of several processes the first does so.

    Args:
        checkpoint, history: Their paths.
        identity: What must be the same for a run to be resumed.
    """

    def __init__(self, checkpoint: Path, history: Path, identity: dict[str, Any]):
        self.checkpoint, self.history, self.identity = checkpoint, history, identity
        self._ranks = current()
        self.ranks_before = self._ranks.size  # of the run that wrote the checkpoint
        self._open_history: History | None = None
        self._saved: tuple[int, ...] | None = None  # what is in the checkpoint, see `_state`
        self._saved_time = 0.0

    def read(self, plan: Plan, network: nn.Module) -> tuple[Counters, Snapshot, dict[str, Counters]]:
        """What the checkpoint of a run of this plan holds; the last are the counters of what its snapshot keeps.

        Raises:
            ModelFileError: It is missing, damaged, foreign, newer, or of another network or identity.
        """
        found = None
        with self._ranks.agreeing():
            if self._ranks.first:
                found = checkpoints.read(self.checkpoint)
        document, tensors = cast(tuple[dict[str, Any], dict[str, Tensor]], self._ranks.of_first(found))
        try:
            self.ranks_before = int(document.get("ranks", 1))
            stored, given = dict(document["identity"]), self.identity
            if self.ranks_before != self._ranks.size:  # sums are rounded otherwise, whatever the threads
                stored, given = ({**values, "threads": None} for values in (stored, given))
            checkpoints.require_same(self.checkpoint, stored, given)
            counters = Counters.from_json(document["counters"], plan)
            snapshot = Snapshot.from_named(tensors)
            kept = {name: Counters.from_json(values, plan) for name, values in document["kept"].items()}
            if kept.keys() != snapshot.kept.keys():
                raise ValueError("what it keeps lacks counters or weights")
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, ModelFileError):
                raise
            raise checkpoints.damaged(self.checkpoint, f"{type(error).__name__}: {error}") from error
        self._require_weights_of(network, snapshot, counters)
        self._saved = _state(counters)
        return counters, snapshot, kept

    def _require_weights_of(self, network: nn.Module, snapshot: Snapshot, counters: Counters) -> None:
        best = snapshot.best if counters.best_loss is not None else None
        for values in (snapshot.model, best, *(own.model for own in snapshot.kept.values())):
            if values is not None and (problem := difference(network, values)):
                raise ModelFileError(
                    f"{self.checkpoint} is a checkpoint of another model: {problem}. "
                    "Resume with the options it was made with."
                )
            for name, tensor in (values or {}).items():
                if not tensor.isfinite().all():
                    raise checkpoints.damaged(self.checkpoint, f"{name} holds values that are not finite")

    def open_history(self, counters: Counters, resuming: bool) -> None:
        """Start the history, or when resuming cut it back to what the checkpoint knows of."""
        self.close()
        raced = len(counters.race)
        with self.agreed(self.history) as mine:
            if mine:
                known = lines_until(self.history, counters.step, counters.evaluated, raced) if resuming else []
                self._open_history = History(self.history, known)
        self._saved_time = time.monotonic()

    def close(self) -> None:
        if self._open_history is not None:
            self._open_history.close()

    def has(self, counters: Counters) -> bool:
        """Whether the checkpoint holds this very state."""
        return self._saved == _state(counters)

    @property
    def age(self) -> float:
        """Seconds since the checkpoint was written, or training started."""
        return time.monotonic() - self._saved_time

    def write_checkpoint(
        self, counters: Counters, seconds: float, snapshot: Snapshot, kept: Mapping[str, Counters]
    ) -> None:
        """TrainingFailed if it cannot be written.

        Args:
            kept: The counters of what the snapshot keeps.
        """
        document = {
            "counters": {**asdict(counters), "seconds": seconds},
            "kept": {name: asdict(own) for name, own in kept.items()},
            "identity": self.identity,
            "ranks": self._ranks.size,
            "torch": torch.__version__,
        }
        with self.agreed(self.checkpoint) as mine:
            if mine:
                checkpoints.write(self.checkpoint, document, snapshot.named())
                self._ranks.wrote(self.checkpoint)
        self._saved, self._saved_time = _state(counters), time.monotonic()

    def write_line(self, **values: Any) -> None:
        """Append to the history. TrainingFailed if it cannot be written."""
        with self.agreed(self.history) as mine:
            if mine:
                assert self._open_history is not None
                self._open_history.write(**values)

    @contextmanager
    def agreed(self, path: Path) -> Iterator[bool]:
        """As `writing`, and whether this process is the one that writes; if it cannot, the others stop as it does."""
        problem: TrainingFailed | None = None
        try:
            with self.writing(path):
                yield self._ranks.first
        except TrainingFailed as error:
            problem = error
        told = self._ranks.of_first(None if problem is None else (problem.reason, str(problem)))
        if told is not None:
            raise problem or TrainingFailed(*told)

    def last_checkpoint(self) -> str:
        """A sentence for the user."""
        if self._saved is None:
            return "No checkpoint was written yet."
        return f"The last good checkpoint is {self.checkpoint} (step {self._saved[-2]})."

    def writing(self, path: Path) -> Writing:
        """What is written inside is one of the run's files: TrainingFailed if it cannot be."""
        if self._saved is None:
            return Writing(path, "Nothing was learned yet. Make room there, or choose another folder.")
        return Writing(
            path, f"Training stopped with its best weights in memory. {self.last_checkpoint()} Make room, then resume."
        )


def _state(counters: Counters) -> tuple[int, ...]:
    """What tells one state of a run from any other."""
    return len(counters.race), counters.recoveries, counters.step, counters.evaluated
