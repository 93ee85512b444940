"""`fit` of every task: build the network, train it into one file that can be resumed, measure it, save it."""

from __future__ import annotations

import hashlib
import math
import os
import platform
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

from .. import bundle
from ..errors import ModelFileError, OptionError
from ..files import TemporaryFolder, only_run
from ..training import Outcome, Plan, TrainingStopped, train

if TYPE_CHECKING:
    from ..algebra import Cell
    from ..training import Batches, ProgressFor, Trainable
    from .options import CommonOptions

_NOT_IDENTITY = ("preset", "threads")  # options that may change when a run is resumed


class Fittable(Protocol):
    """What can be fitted: an `Estimator`, as far as fitting knows it."""

    threads: int | None
    seed: int
    model_: Any
    metrics_: dict[str, Any]
    outcome_: Outcome
    provenance_: dict[str, Any]

    def check(self) -> None: ...
    def find_cell(self) -> Cell: ...
    def plain_options(self) -> dict[str, Any]: ...
    def save(self, path: str | os.PathLike[str]) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Run:
    """Where the model goes, and what shows progress: as `fit` of every task has them."""

    output: str | os.PathLike[str] | None
    resume: bool
    progress: ProgressFor | None

    def check(self) -> None:
        if self.resume and self.output is None:
            raise OptionError("resume goes on from the checkpoint beside the output: name that file, output='...'")


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a task hands over once its data are read, split, encoded and sized.

    Attributes:
        build: Makes the network, from PyTorch's generator as the seed leaves it.
        training, validation: What to learn from, and what chooses the weights.
        data: What the model learns from, for its file: "name", "fingerprint" and more.
        identity: What must be the same for a run to be resumed, beside options and data.
        measure: Gives the metrics of the trained model; with those of the baselines, if true.
        unit, per_step: What progress counts, in the plural, and how many of it a step learns from.
        on_evaluation: See `training.train`.
    """

    build: Callable[[], Trainable]
    training: Batches
    validation: Batches
    plan: Plan
    data: dict[str, Any]
    identity: dict[str, Any]
    measure: Callable[[bool], dict[str, Any]]
    unit: str
    per_step: float
    on_evaluation: Callable[[int], str | None] | None = None


def fit(estimator: Fittable, prepare: Callable[[], Prepared], run: Run) -> None:
    """Fit an estimator whose task says how its data are prepared.

    Raises:
        TrainingStopped: The loss became NaN, or the disk is full; the model so far was saved.
        Whatever `prepare` raises; nothing is written then.
    """
    estimator.check()
    run.check()
    if estimator.threads is not None:
        torch.set_num_threads(int(estimator.threads))
    with ExitStack() as stack:
        if run.output is None:
            path = Path(stack.enter_context(TemporaryFolder("run")), "model")
        else:
            path = Path(run.output)
            stack.enter_context(only_run(path))
        prepared = prepare()
        with torch.random.fork_rng(devices=[]):  # a caller's own draws go on as if nothing had happened
            torch.manual_seed(int(estimator.seed))
            estimator.model_ = prepared.build()
        _train(estimator, prepared, run, path)


def plan_of(
    options: CommonOptions, steps: int, learning_rate: float, evaluate_every: int | None = None, warmup: int = 20
) -> Plan:
    """How long and how fast to train, as the options say.

    Args:
        evaluate_every: Steps between validations; a twentieth of all, if omitted.
        warmup: The warm-up is one part in so many.
    """
    return Plan(
        steps=steps,
        evaluate_every=evaluate_every or math.ceil(steps / 20),
        learning_rate=learning_rate,
        warmup=min(steps // 2, max(1, steps // warmup)),
        final_rate=0.01,
        weight_decay=float(options.weight_decay),
        clip=None if options.clip is None else float(options.clip),
        patience=None if options.patience is None else int(options.patience),
        seed=int(options.seed),
    )


def _train(estimator: Fittable, prepared: Prepared, run: Run, path: Path) -> None:
    """Train, measure and save; what is left of a training that was stopped can be used.

    Args:
        path: Of the model; checkpoint and metrics stand beside it.
    """
    checkpoint = bundle.checkpoint_of(path)
    stopped: TrainingStopped | None = None
    started = time.time()
    try:
        estimator.outcome_ = train(
            estimator.model_,
            prepared.training,
            prepared.validation,
            prepared.plan,
            checkpoint=checkpoint,
            history=bundle.metrics_of(path),
            identity={**_identity(estimator), **prepared.identity, "data": prepared.data["fingerprint"]},
            resume=run.resume,
            progress=run.progress(prepared.unit, prepared.per_step) if run.progress else None,
            on_evaluation=prepared.on_evaluation,
        )
    except TrainingStopped as error:
        stopped, estimator.outcome_ = error, error.outcome
        if error.outcome.step == 0:  # nothing was learned, so there is nothing to keep
            raise
    finished = stopped is None and estimator.outcome_.reason != "interrupted"
    leaving: KeyboardInterrupt | None = None
    try:
        estimator.metrics_ = prepared.measure(finished)
    except KeyboardInterrupt as error:  # a model that nobody waits to see measured is one to keep
        estimator.metrics_, finished, leaving = {}, False, error
    estimator.provenance_ = _provenance(estimator, prepared.data, started)
    if run.output is not None:
        _save(estimator, run.output, checkpoint, stopped)
        if finished:
            checkpoint.unlink(missing_ok=True)
    if stopped is not None:
        kept = f" The best weights so far are in {os.fspath(run.output)}." if run.output is not None else ""
        raise TrainingStopped(f"{stopped}{kept}", stopped.outcome) from stopped
    if leaving is not None:
        raise leaving


def _save(
    estimator: Fittable, output: str | os.PathLike[str], checkpoint: Path, stopped: TrainingStopped | None
) -> None:
    try:
        estimator.save(output)
    except ModelFileError as error:
        if stopped is not None:  # a full disk stopped training, and is full still
            raise stopped from error
        hint = f"What was learned is kept in {checkpoint}. Make room, then resume."
        raise ModelFileError(f"{error} {hint}") from error


def _identity(estimator: Fittable) -> dict[str, Any]:
    """What must be the same for a run to be resumed, whatever the task."""
    options = {name: value for name, value in estimator.plain_options().items() if name not in _NOT_IDENTITY}
    digest = hashlib.sha256(estimator.find_cell().equations.encode()).hexdigest()  # one's own may have been edited
    return {**options, "equations": digest[:12], "threads": torch.get_num_threads()}


def _provenance(estimator: Fittable, data: dict[str, Any], started: float) -> dict[str, Any]:
    """How a model came about, for its file."""
    outcome: Outcome = estimator.outcome_
    return {
        "data": data,
        "seed": estimator.seed,
        "ended": outcome.reason,
        "steps": outcome.step,
        "best_step": outcome.best_step,
        "seconds": round(outcome.seconds, 1),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "threads": torch.get_num_threads(),
        "versions": {
            "gatewise": version("gatewise"),
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "metrics": estimator.metrics_,
    }
