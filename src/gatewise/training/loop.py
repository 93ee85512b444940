"""The one training loop, for every task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import DataError, TrainingError
from ..randomness import drawing
from . import checkpoint as checkpoints
from .failures import StopTraining, TrainingFailed
from .interrupts import Interrupts
from .memory import keep_freed_memory
from .pace import Budget
from .plan import Plan
from .progress import Progress, Silent
from .race import rate_of
from .run import Run
from .run_files import RunFiles
from .trainable import Batches, Trainable
from .watching import Watch


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    Attributes:
        reason: "finished" (all steps made), "early stop" (patience ran out), "interrupted" (Ctrl-C, SIGTERM, SIGHUP),
            "halted" (`halts` said so); inside a `TrainingStopped` also "not a number", "no targets" and "cannot write".
        step: Optimiser steps that led to the last weights, over all sessions; those of rates that lost a race apart.
        best_step: Step of the best validation, whose weights the module now holds; 0 if there was none.
        best_loss: Its loss in nats per target, or what validation measures in its place (1 - BLEU / 100); None if there
            was no validation, and the module holds its last weights.
        seconds: Time spent training, over all sessions.
        learning_rate: The peak rate of the weights that are kept: the plan's, unless a race found another one, or the
            run had to go back.
        race: Each rate that raced, with its validation loss, None if it diverged; in the order of the race.
        recoveries: How often the run went back to its last validation.
        planned: Steps that led to the last weights, had the run not ended early.
        full: Whether a run with a budget had the most steps that one may have, and so did not need all of its time.
        outside: Of a run with a budget, seconds that were spent before training, over all sessions.
    """

    reason: str
    step: int
    best_step: int
    best_loss: float | None
    seconds: float
    learning_rate: float = 0.0
    race: tuple[tuple[float, float | None], ...] = ()
    recoveries: int = 0
    planned: int = 0
    full: bool = False
    outside: float = 0.0


class TrainingStopped(TrainingError):  # noqa: N818 - it reads as what happened
    """Training that could not go on. The module holds the best weights so far and can be used.

    Attributes:
        outcome: Where it stopped, and why.
    """

    def __init__(self, message: str, outcome: Outcome):
        super().__init__(message)
        self.outcome = outcome


def train(
    module: Trainable,
    training: Batches,
    validation: Batches,
    plan: Plan,
    *,
    checkpoint: Path,
    history: Path,
    identity: dict[str, Any],
    resume: bool = False,
    progress: Progress | None = None,
    on_evaluation: Callable[[int], str | None] | None = None,
    halts: Callable[[float, float], bool] | None = None,
    watch: Watch | None = None,
    regularised: bool = False,
    held_out: bool = True,
    announcement: str = "",
    checkpoint_seconds: float = 120.0,
    accelerator: str = "auto",
    budget: Budget | None = None,
) -> Outcome:
    """Train a module and leave it with its best weights, in evaluation mode, on the CPU.

    Ctrl-C, SIGTERM and SIGHUP finish the current step, write the checkpoint and return. A resumed training ends with
    the same bits as one that was never interrupted, on the same machine with the same number of threads.

    Args:
        module: A `torch.nn.Module` that implements `Trainable`.
        training: Batches to learn from.
        validation: Batches that decide which weights are best.
        plan: How long and how fast.
        checkpoint: File with everything needed to resume, written before the first step, after every validation, every
            `checkpoint_seconds`, and when interrupted.
        history: JSON lines, see `History`. Started afresh, or when resuming cut back to the checkpoint.
        identity: Options and data fingerprint as plain JSON. Those of the plan are added.
        resume: Continue from `checkpoint`, which must have been made with the same identity.
        progress: What shows progress; None is silent.
        on_evaluation: Called after each validation with the step, the module in evaluation mode; a text that it
            returns is shown. It may use carried state and the run's generators: both are restored afterwards.
        halts: Called after each validation but the last, with the share of the plan's steps that are made and the best
            loss so far; if true, the run stops there, and can be resumed as if it had been interrupted.
        watch: Looks at the module after validations, and has its figures in the history; no bit of training depends on
            it.
        regularised: Whether the training loss has something in it that the validation loss has not, such as dropout.
        held_out: Whether the validation data are held out of training. What is measured on training data is not called
            validation.
        announcement: Lines for the user, shown before the first step.
        checkpoint_seconds: Maximum time between checkpoints, checked after each step.
        accelerator: "cpu", "gpu", or "auto" for a CUDA GPU if there is one.
        budget: The time that there is, which then decides how many steps are made, whatever the plan says. A resumed
            run has what is left of it. What the clock said is in the checkpoint.

    Raises:
        DataError: There is no batch to train or validate on.
        ModelFileError: The checkpoint to resume from is missing, damaged, foreign, newer or of another identity.
        TrainingStopped: The loss or gradient is not finite, or the disk is full (a `TrainingError`).
        KeyboardInterrupt: Ctrl-C a second time. No file is damaged; resume from the last checkpoint.
    """
    for name, batches in (("training", training), ("validation", validation)):
        if len(batches) < 1:
            raise DataError(f"there is no {name} batch: the {name} data is too short. Give it more data.")
    keep_freed_memory()
    interrupts = Interrupts()
    run = Run(
        module,
        training,
        validation,
        plan,
        # Another plan makes other weights, so the plan is part of a run's identity.
        files=RunFiles(Path(checkpoint), Path(history), checkpoints.plain({**asdict(plan), **identity})),
        progress=progress or Silent(),
        on_evaluation=on_evaluation,
        halts=halts,
        watch=watch,
        regularised=regularised,
        held_out=held_out,
        checkpoint_seconds=checkpoint_seconds,
        interrupts=interrupts,
        budget=budget,
    )
    if resume:
        run.restore()
    reason = run.end_reason
    if reason is None:
        if announcement:
            run.progress.note(announcement)
        with drawing(run.generators):
            reason = _drive(run, interrupts, accelerator)
    run.load_best()
    return _outcome(run, reason)


def load_driver() -> None:
    """Import what drives training, which takes seconds that a first run would be timed with."""
    from . import _lightning  # noqa: F401


def _drive(run: Run, interrupts: Interrupts, accelerator: str) -> str:
    """Train; returns why it ended."""
    from ._lightning import drive

    with interrupts:
        run.progress.start(run.spent, run.total, run.regularised, run.held_out)
        try:
            drive(run, accelerator)
            run.progress.note(run.ending())
        except StopTraining:
            return "interrupted" if run.requested else "halted"
        except TrainingFailed as failure:
            run.load_best()
            raise TrainingStopped(str(failure), _outcome(run, failure.reason)) from failure.__cause__
        finally:
            run.files.close()
            run.progress.stop()
    assert run.end_reason is not None
    return run.end_reason


def _outcome(run: Run, reason: str) -> Outcome:
    counters = run.counters
    return Outcome(
        reason,
        counters.step,
        counters.best_step,
        counters.best_loss,
        run.seconds,
        learning_rate=run.plan.learning_rate,
        race=tuple((rate_of(run.whole, exponent), loss) for exponent, loss in counters.race),
        recoveries=counters.recoveries,
        planned=run.plan.steps,
        full=run.budget is not None and run.total >= run.budget.most,
        outside=0.0 if counters.pace is None else counters.pace.outside,
    )
