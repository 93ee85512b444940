"""One training run, step by step. Knows nothing of Lightning, which drives it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..errors import ModelFileError
from ..randomness import Generators
from . import checkpoint as checkpoints
from .counters import NORMS_KEPT, Counters
from .failures import StopTraining, TrainingFailed, diverged
from .interrupts import Interrupts
from .plan import Plan
from .progress import Progress
from .run_files import RunFiles
from .snapshot import Snapshot, difference, load, weights
from .trainable import Batches, Trainable

_MOST_STEPS_PER_LINE = 50  # of the history


class Run:
    """A training run: its counters and best weights, and what happens between steps.

    The driver calls `open`, then per step `before_step`, `gradient_ready`, `after_step`, and per validation
    `begin_validation`, `validate` for each batch, `end_validation`.

    Args: As of `train`.

    Raises, while it runs:
        StopTraining: An interrupt was requested; the checkpoint is written.
        TrainingFailed: The loss is not finite, or a file cannot be written.
    """

    def __init__(
        self,
        module: Trainable,
        training: Batches,
        validation: Batches,
        plan: Plan,
        *,
        files: RunFiles,
        progress: Progress,
        on_evaluation: Callable[[int], str | None] | None,
        regularised: bool,
        checkpoint_seconds: float,
        interrupts: Interrupts,
    ):
        self.module, self.training, self.validation, self.plan = module, training, validation, plan
        self.progress, self.on_evaluation, self.interrupts = progress, on_evaluation, interrupts
        self.files, self.checkpoint_seconds, self.regularised = files, checkpoint_seconds, regularised
        self.counters, self.generators = Counters(), Generators(plan.seed)
        self.best: dict[str, Tensor] = {}
        self.loss: Tensor | None = None  # of the current step, a scalar
        self._network = cast(nn.Module, module)
        self._line_every = min(_MOST_STEPS_PER_LINE, max(1, plan.evaluate_every // 5))
        self._resumed: Snapshot | None = None
        self._unproven = False  # whether the carried state comes from a checkpoint, and no step has read it yet
        self._suspended: tuple[list[Tensor], dict[str, Tensor]] | None = None
        self._opened_time: float | None = None

    # Beginning and end

    def restore(self) -> None:
        """Restore counters and weights from the checkpoint; `open` restores the rest, once the model is on its device.

        Raises:
            ModelFileError: The checkpoint is missing, damaged, foreign, newer, or of another model or identity.
        """
        self.counters, self._resumed = self.files.read(self.plan)
        best = self._resumed.best if self.counters.best_loss is not None else None
        for values in (self._resumed.model, best):
            if values is not None and (problem := difference(self._network, values)):
                raise ModelFileError(
                    f"{self.files.checkpoint} is a checkpoint of another model: {problem}. "
                    "Resume with the options it was made with."
                )
            for name, tensor in (values or {}).items():
                if not tensor.isfinite().all():
                    raise checkpoints.damaged(self.files.checkpoint, f"{name} holds values that are not finite")
        load(self._network, self._resumed.model)
        self.best = best or {}

    def open(self, optimizer: torch.optim.Optimizer, device: torch.device) -> None:
        """What has to wait until the weights are on their device, right before training.

        Args:
            optimizer: Fresh, over the weights on `device`.
            device: Where training runs.
        """
        self.optimizer = optimizer
        self.module.begin("train")
        resuming = self._resumed is not None
        if self._resumed is not None:
            self._restore_dynamics(self._resumed, device)
            self.best = {name: tensor.to(device) for name, tensor in self.best.items()}
            self._resumed = None
        else:
            self.save()  # so that a full or read-only disk shows now, not after hours
        self.files.open_history(self.counters, resuming)
        self._opened_time = time.monotonic()

    def load_best(self) -> None:
        """Load the best weights (keep the current ones, if never validated), in evaluation mode."""
        if self.best:
            load(self._network, self.best)
        self._network.zero_grad(set_to_none=True)
        self._network.eval()

    @property
    def validation_due(self) -> bool:
        """Whether a validation comes before the next step; so too if the last session ended between the two."""
        return self.plan.evaluates_at(self.counters.step) and self.counters.evaluated < self.counters.step

    @property
    def end_reason(self) -> str | None:
        """Why training is over, or None while it is not."""
        if self.validation_due:
            return None
        if self.counters.step >= self.plan.steps:
            return "finished"
        if self.plan.patience is not None and self.counters.waited >= self.plan.patience:
            return "early stop"
        return None

    def ending(self) -> str:
        """Why a run that is over ended, and which weights are kept; a sentence for the user."""
        counters, every = self.counters, len(self.training)
        end = f"step {counters.step} of {self.plan.steps} (epoch {counters.step / every:.3g})"
        kept = f"Kept are the best weights: of step {counters.best_step} (epoch {counters.best_step / every:.3g})"
        if self.end_reason == "finished":
            why = f"finished after {end}."
        else:
            more = f"none of the last {counters.waited} validations was better (patience {self.plan.patience})"
            why = f"stopped early after {end}: {more}."
        return f"{why} {kept}, validation {counters.best_loss:.4g}."

    @property
    def seconds(self) -> float:
        """Time spent training so far, over all sessions."""
        session = 0.0 if self._opened_time is None else time.monotonic() - self._opened_time
        return self.counters.seconds + session

    # Training

    def until_validation(self) -> Iterator[Any]:
        """The training batches from the current step to the next validation."""
        step = self.counters.step
        while step < self.plan.steps:
            yield self.training.at(step)
            step += 1
            if self.plan.evaluates_at(step):
                return

    def before_step(self) -> None:
        if self.counters.step % len(self.training) == 0:
            self.module.begin("train")
        rate = self.plan.rate(self.counters.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def training_loss(self, batch: Any) -> Tensor:
        """The loss of this step, with its gradient."""
        try:
            loss = self.module.training_loss(batch)
        except ValueError as error:  # a `ShapeError`, for one
            if self._unproven:
                raise checkpoints.damaged(self.files.checkpoint, f"its carried state: {error}") from error
            raise
        self._unproven = False
        self.loss = loss.detach()
        return loss

    def gradient_ready(self) -> None:
        """Clip the gradient. If it or the loss is not finite, fail before it can reach the weights."""
        parameters = [p for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
        if self.plan.clip is None:
            norm = nn.utils.get_total_norm([cast(Tensor, p.grad) for p in parameters])
        else:
            norm = nn.utils.clip_grad_norm_(parameters, self.plan.clip)
        assert self.loss is not None
        # Both numbers in one transfer: on a GPU each .item() waits for the device.
        self._loss_value, norm_value = torch.stack((self.loss.double(), norm.double())).tolist()
        for what, value in (("loss", self._loss_value), ("gradient norm", norm_value)):
            if not math.isfinite(value):
                raise self._diverged(f"the {what} became {value} at step {self.counters.step + 1}")
        self.counters.norms = [*self.counters.norms[1 - NORMS_KEPT :], norm_value]

    def after_step(self) -> None:
        counters = self.counters
        counters.step += 1
        counters.since_line.add(self._loss_value)
        counters.since_evaluation.add(self._loss_value)
        self.progress.step(counters.step, self._loss_value)
        due = self.validation_due
        if not due and counters.step % self._line_every == 0:
            self._write_line("train", train_loss=counters.since_line.take())
        self.stop_if_requested()
        if not due and self.files.age >= self.checkpoint_seconds:
            self.save()

    # Validation

    def begin_validation(self) -> None:
        self._suspend()
        self.module.begin("validation")
        self._sum: Tensor | float = 0.0
        self._count = 0

    def validate(self, batch: Any) -> None:
        total, count = self.module.validation_sums(batch)
        self._sum = self._sum + total.detach().double()
        self._count += int(count)
        self.stop_if_requested()

    def end_validation(self) -> None:
        self._continue()
        counters = self.counters
        if self._count == 0:
            raise TrainingFailed("no targets", "the validation data holds nothing to predict. Give it more data.")
        loss = float(self._sum) / self._count
        if not math.isfinite(loss):
            raise self._diverged(f"the validation loss is {loss} after step {counters.step}")
        train_loss = counters.since_evaluation.take()
        counters.since_line.take()
        counters.evaluated = counters.step
        better = counters.best_loss is None or loss < counters.best_loss
        if better:
            counters.best_step, counters.best_loss, counters.waited = counters.step, loss, 0
            self.best = {name: tensor.clone() for name, tensor in weights(self._network).items()}
        else:
            counters.waited += 1
        self._write_line("evaluation", train_loss=train_loss, validation_loss=loss)
        self.save()
        self.progress.evaluation(counters.step, train_loss, loss, better)
        if self.on_evaluation is not None:
            self._suspend()
            sample = self.on_evaluation(counters.step)
            self._continue()
            if sample is not None:
                self.progress.sample(counters.step, sample)
        if not self.end_reason:
            self.stop_if_requested()

    def _suspend(self) -> None:
        """Keep what validating and sampling must not disturb: carried state and random generators."""
        # Copies, in case `begin` clears the tensors or their list in place.
        self._suspended = ([tensor.clone() for tensor in self.module.carried], self.generators.states())

    def _continue(self) -> None:
        assert self._suspended is not None
        self.module.carried, generators = self._suspended
        self.generators.restore(generators)
        self._suspended = None

    # Files

    def save(self) -> None:
        """Write the checkpoint, unless this very state is in it already."""
        counters = self.counters
        if self.files.has(counters):
            return
        for name, parameter in self._network.named_parameters():
            if not parameter.isfinite().all():
                raise self._diverged(f"{name} holds values that are not finite after step {counters.step}")
        carried, generators = self._suspended or (self.module.carried, self.generators.states())
        optimizer = self.optimizer.state_dict()["state"]
        snapshot = Snapshot(weights(self._network), self.best, carried, generators, optimizer)
        self.files.write_checkpoint(counters, self.seconds, snapshot)

    def _restore_dynamics(self, snapshot: Snapshot, device: torch.device) -> None:
        try:
            groups = self.optimizer.state_dict()["param_groups"]
            self.optimizer.load_state_dict({"state": snapshot.optimizer, "param_groups": groups})
            for parameter, values in self.optimizer.state.items():
                shapes = {"step": torch.Size(), "exp_avg": parameter.shape, "exp_avg_sq": parameter.shape}
                if {name: tensor.shape for name, tensor in values.items()} != shapes:
                    raise ValueError("the optimiser's state does not fit the weights")
                if not all(tensor.is_floating_point() and tensor.isfinite().all() for tensor in values.values()):
                    raise ValueError("the optimiser's state holds values that are not finite")
                if not 0 <= float(values["step"]) <= self.counters.step or (values["exp_avg_sq"] < 0).any():
                    raise ValueError("the optimiser's state is of no run")
            if not all(tensor.is_floating_point() and tensor.isfinite().all() for tensor in snapshot.carried):
                raise ValueError("the carried state holds values that are not finite")
            self.module.carried = [tensor.to(device) for tensor in snapshot.carried]
            self._unproven = True
            self.generators.restore(snapshot.generators)
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            raise checkpoints.damaged(self.files.checkpoint, error) from error

    def _write_line(self, kind: str, **losses: float) -> None:
        self.files.write_line(
            kind=kind,
            step=self.counters.step,
            epoch=self.counters.step / len(self.training),
            **losses,
            learning_rate=self.plan.rate(self.counters.step - 1),
            gradient_norm=self.counters.norms[-1],
            seconds=round(self.seconds, 3),
        )

    # Stopping early

    def stop_if_requested(self) -> None:
        """After a Ctrl-C or SIGTERM: write the checkpoint and stop. Only between steps or validation batches."""
        if self.interrupts.requested:
            self.progress.note("stopping: writing the checkpoint (Ctrl-C again leaves at once)")
            self.save()
            raise StopTraining

    def _diverged(self, what: str) -> TrainingFailed:
        return diverged(what, self.plan, self.counters, self.files.last_checkpoint())
