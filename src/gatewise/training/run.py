"""One training run, step by step. Knows nothing of Lightning, which drives it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..errors import ModelFileError
from ..randomness import Generators
from ..ranks import Ranks, among, current
from . import checkpoint as checkpoints
from . import race, sentences
from .counters import NORMS_KEPT, Counters
from .division import Division
from .failures import StopTraining, TrainingFailed, diverged
from .history import loss_name
from .interrupts import Interrupts
from .pace import Budget, Pace, Timekeeper, begun, corrected
from .pause import Pause, load_average
from .plan import Plan
from .progress import Progress
from .run_files import RunFiles
from .snapshot import Snapshot, difference, load, load_optimizer, weights
from .trainable import Batches, Trainable
from .watching import Watch, Watching

_MOST_STEPS_PER_LINE = 50  # of the history
# What a run can go back to: how a race began, the rate that leads it, and the last validation.
_START, _LEADER, _GOOD = "start", "leader", "good"


class Run:
    """A training run: its counters and best weights, and what happens between steps.

    The driver calls `open`, then per step `before_step`, `gradient_ready`, `after_step`, and per validation
    `begin_validation`, `validate` for each batch, `end_validation`. With a race, the run is first that of one rate,
    then from its start again that of the next, and at last it goes on from where the best rate was.

    Args: As of `train`.

    Attributes:
        whole: The plan that the user made; with a budget, as long as there was time for when it began.
        plan: What of it counts now: that of the rate which races, or of what comes after the race.

    Raises, while it runs:
        StopTraining: An interrupt was requested, or `halts` said so; the checkpoint is written.
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
        halts: Callable[[float, float], bool] | None,
        watch: Watch | None,
        regularised: bool,
        held_out: bool,
        checkpoint_seconds: float,
        interrupts: Interrupts,
        budget: Budget | None = None,
    ):
        self.module, self.training, self.validation, self._given = module, training, validation, plan
        self._ranks, self._division = current(), Division(module)
        self._division.check(training)
        self.budget, self._time = budget, Timekeeper(budget, self._ranks.clock)
        self.progress, self.on_evaluation, self.halts, self.interrupts = progress, on_evaluation, halts, interrupts
        self.files, self.checkpoint_seconds = files, checkpoint_seconds
        self.regularised, self.held_out = regularised, held_out
        self._watching = None if watch is None else Watching(watch, training, validation, plan.clip)
        pace = None if budget is None else Pace.begin(plan, budget)
        self.counters, self.generators = Counters(pace=pace), Generators(plan.seed)
        self.best: dict[str, Tensor] = {}
        self.loss: Tensor | None = None  # of the current step, a scalar
        self._network = cast(nn.Module, module)
        self._stops = False  # whether a rank was asked to stop, as all of them know
        self._due = False  # whether it is time for a checkpoint, as all of them know
        self._kept: dict[str, tuple[Snapshot, Counters]] = {}
        self._failure: TrainingFailed | None = None  # of the current step, whose gradient was dropped
        self._moved = False  # whether the rest of the batches that the driver has asked for are of no use
        self._resumed: Snapshot | None = None
        self._unproven = False  # whether the carried state comes from a checkpoint, and no step has read it yet
        self._pause: Pause | None = None
        self._follow()

    # Beginning and end

    def restore(self) -> None:
        """Restore counters and weights from the checkpoint; `open` restores the rest, once the model is on its device.

        Raises:
            ModelFileError: The checkpoint is missing, damaged, foreign, newer, or of another model or identity.
        """
        self.counters, self._resumed, kept = self.files.read(self._given)
        if (self.counters.pace is None) != (self.budget is None):
            raise checkpoints.damaged(self.files.checkpoint, "it is of a run with another budget")
        self._follow()
        best = self._resumed.best if self.counters.best_loss is not None else None
        for values in (self._resumed.model, best, *(own.model for own in self._resumed.kept.values())):
            if values is not None and (problem := difference(self._network, values)):
                raise ModelFileError(
                    f"{self.files.checkpoint} is a checkpoint of another model: {problem}. "
                    "Resume with the options it was made with."
                )
            for name, tensor in (values or {}).items():
                if not tensor.isfinite().all():
                    raise checkpoints.damaged(self.files.checkpoint, f"{name} holds values that are not finite")
        self._kept = {name: (snapshot, kept[name]) for name, snapshot in self._resumed.kept.items()}
        needed = {_START} if self.racing and (self.counters.step or self.counters.race) else set()
        needed |= {_LEADER} if self._leads else set()
        if not needed <= self._kept.keys():
            raise checkpoints.damaged(self.files.checkpoint, "it lacks the weights that the race began with")
        load(self._network, self._resumed.model)
        self.best = best or {}

    def open(self, optimizer: torch.optim.Optimizer, device: torch.device) -> None:
        """What has to wait until the weights are on their device, right before training.

        Args:
            optimizer: Fresh, over the weights on `device`.
            device: Where training runs.
        """
        self.optimizer, self._device = optimizer, device
        self.module.begin("train")
        resuming = self._resumed is not None
        if self._resumed is not None:
            for snapshot, counters in [*self._kept.values(), (self._resumed, self.counters)]:
                self._restore_dynamics(snapshot, counters)
            self._unproven = True
            self.best = {name: tensor.to(device) for name, tensor in self.best.items()}
            self._resumed = None
        begins = _START if self.racing else _GOOD
        if begins not in self._kept:  # a checkpoint holds none that is its own state
            self._keep(begins)
        if not resuming:
            self.save()  # so that a full or read-only disk shows now, not after hours
        self.files.open_history(self.counters, resuming)
        self._ranks.tick()
        self._time.open(self.counters.pace)

    def load_best(self) -> None:
        """Load the best weights (keep the current ones, or their average, if never validated), in evaluation mode."""
        if best := self.best or (self._kept[_LEADER][0].best if self._leads else {}):
            load(self._network, best)
        elif self._time.opened is not None:
            load_average(self._network, self.optimizer)
        self._network.zero_grad(set_to_none=True)
        self._network.eval()

    @property
    def racing(self) -> bool:
        """Whether rates race still."""
        return self._exponent is not None

    @property
    def _leads(self) -> bool:
        """Whether rates race, and one leads."""
        return self.racing and any(loss is not None for _, loss in self.counters.race)

    @property
    def spent(self) -> int:
        """Steps made, those of rates that lost the race among them."""
        losers = len(self.counters.race) - (0 if self.racing else 1)
        return self.counters.step + max(0, losers) * race.steps_each(self.whole)

    def _follow(self) -> None:
        """Bring the plan up to what the clock, the race and recoveries have made of it."""
        results, pace = self.counters.results, self.counters.pace
        self.whole = begun(self._given, pace)
        self._line_every = min(_MOST_STEPS_PER_LINE, max(1, self.whole.evaluate_every // 5))
        self._exponent = race.upcoming(self.whole, results)
        plan = corrected(race.plan_after(self.whole, results), pace)
        self.plan = replace(plan, learning_rate=plan.learning_rate / race.FACTOR**self.counters.recoveries)

    @property
    def validation_due(self) -> bool:
        """Whether a validation comes before the next step; so too if the last session ended between the two."""
        if self.racing:
            return self.counters.step == race.steps_each(self.whole)
        return self.plan.evaluates_at(self.counters.step) and self.counters.evaluated < self.counters.step

    @property
    def end_reason(self) -> str | None:
        """Why training is over, or None while it is not."""
        if self.racing or self.validation_due:
            return None
        if self.counters.step >= self.plan.steps:
            return "finished"
        if self.plan.patience is not None and self.counters.waited >= self.plan.patience:
            return "early stop"
        return None

    def ending(self) -> str:
        """Why a run that is over ended, and which weights are kept; a sentence for the user."""
        return sentences.ending(self.counters, self.plan, len(self.training), self.end_reason)

    @property
    def total(self) -> int:
        """What `spent` is after the last step, as far as is known."""
        if self.racing:
            return self.whole.steps
        return self.plan.steps + self.spent - self.counters.step

    @property
    def seconds(self) -> float:
        """Time spent training so far, over all sessions."""
        return self.counters.seconds + self._time.session

    # Training

    def until_validation(self) -> Iterator[Any]:
        """The training batches from the current step to the next validation."""
        self._moved = False
        step = self.counters.step
        while step < (race.steps_each(self.whole) if self.racing else self.plan.steps):
            yield self.training.at(step)
            step += 1
            if self.plan.evaluates_at(step):
                return

    @property
    def moved(self) -> bool:
        """Whether the run went somewhere else, so that the driver must ask for other batches."""
        return self._moved

    def before_step(self) -> None:
        if self.counters.step % len(self.training) == 0:
            self.module.begin("train")
        rate = self.plan.rate(self.counters.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def training_loss(self, batch: Any) -> Tensor:
        """The loss of this step, with its gradient."""
        try:
            with self._division.part(batch) as (part, counts):
                loss = self.module.training_loss(part)
                loss = loss if counts else 0.0 * loss
        except ValueError as error:  # a `ShapeError`, for one
            if self._unproven:
                raise checkpoints.damaged(self.files.checkpoint, f"its carried state: {error}") from error
            raise
        self._unproven = False
        self.loss = loss.detach()
        return loss

    def gradient_ready(self) -> None:
        """Clip the gradient. If it or the loss is not finite, fail before it can reach the weights."""
        assert self.loss is not None
        every = [p for group in self.optimizer.param_groups for p in group["params"]]
        self._division.sum_gradients(every)
        parameters = [p for p in every if p.grad is not None]
        if self.plan.clip is None:
            norm = nn.utils.get_total_norm([cast(Tensor, p.grad) for p in parameters])
        else:
            norm = nn.utils.clip_grad_norm_(parameters, self.plan.clip)
        # Both numbers in one transfer: on a GPU each .item() waits for the device.
        own_loss, norm_value = torch.stack((self.loss.double(), norm.double())).tolist()
        self._loss_value = self._agree(own_loss)
        for what, value in (("loss", self._loss_value), ("gradient norm", norm_value)):
            if not math.isfinite(value):
                self._failure = self._diverged(f"the {what} became {value} at step {self.counters.step + 1}")
                if not self._can_go_back:
                    raise self._failure
                for parameter in parameters:
                    parameter.grad = None  # the optimiser leaves it as it is
                return
        self.counters.norms = [*self.counters.norms[1 - NORMS_KEPT :], norm_value]
        if self._watching is not None and not self.racing:
            self._watching.gradient(norm_value)
            if self.plan.evaluates_at(self.counters.step + 1) and self._watching.due(self.seconds):
                self._watching.before_update(self._network.parameters())

    def after_step(self) -> None:
        if self._failure is not None:
            self._go_back()
            self._moved = True
            return
        if self._watching is not None:
            self._watching.after_update(self._network)
        counters = self.counters
        counters.step += 1
        counters.since_line.add(self._loss_value)
        counters.since_evaluation.add(self._loss_value)
        plan = None if self.racing else self.plan
        if self._time.step(counters.pace, counters.step, counters.seconds, plan, self._rehearse):
            self._follow()
            self.progress.lasts(self.total)
        self.progress.step(self.spent, self._loss_value)
        due = self.validation_due
        if not due and not self.racing and counters.step % self._line_every == 0:
            self._write_line("train", train_loss=counters.since_line.take())
        self.stop_if_requested()
        if not due and (self._due if self._ranks.size > 1 else self._old()):
            self.save()

    def _old(self) -> bool:
        """Whether it is time for a checkpoint."""
        return self.files.age >= self.checkpoint_seconds

    def _agree(self, *sums: float) -> Any:
        """Sums over the ranks, which on the way learn the time of the first, and whether to stop or to save."""
        if self._ranks.alone:
            return sums if len(sums) > 1 else sums[0]
        first = [time.monotonic(), self._old()] if self._ranks.first else [0.0, False]
        told = torch.tensor([*sums, self.interrupts.requested, *first], dtype=torch.float64)
        *found, stops, now, due = self._ranks.sum(told).tolist()
        self._ranks.tick(now)
        self._stops, self._due = stops > 0, due > 0
        return found if len(found) > 1 else found[0]

    # Validation

    def begin_validation(self) -> None:
        if self.moved:
            return
        self._suspend()
        self.module.begin("validation")
        self._sum: Tensor | float = 0.0
        self._count = 0

    def validate(self, batch: Any) -> None:
        if self.moved:
            return
        part, together = self._division.validated(batch)
        if part is not None:
            with nullcontext() if together else among(Ranks()):  # the others have other rows
                total, count = self.module.validation_sums(part)
            if self._ranks.first or not together:
                self._sum = self._sum + total.detach().double()
                self._count += int(count)
        if self._ranks.alone:
            self.stop_if_requested()

    def end_validation(self) -> None:
        if self.moved:
            return
        validated = {name: tensor.clone() for name, tensor in weights(self._network).items()}
        self._continue()
        total, count = self._agree(float(self._sum), self._count)
        self.stop_if_requested()
        if count == 0:
            raise TrainingFailed("no targets", "the validation data holds nothing to predict. Give it more data.")
        loss = total / count
        if self.racing:
            self._end_of_rate(loss, validated)
        else:
            self._end_of_stretch(loss, validated)
        self._time.validation(self.counters.pace)

    def _end_of_stretch(self, loss: float, validated: Mapping[str, Tensor]) -> None:
        counters = self.counters
        if not math.isfinite(loss):
            self._failure = self._diverged(f"the validation loss is {loss} after step {counters.step}")
        elif self._can_go_back and counters.spiked(loss):
            mean = counters.since_evaluation.total / counters.since_evaluation.count
            self._failure = self._diverged(f"the loss rose to {mean:.4g} by step {counters.step}")
        if self._failure is not None:
            if not self._can_go_back:
                raise self._failure
            self._go_back()
            return
        self._accept(loss, validated)

    def _accept(self, loss: float, validated: Mapping[str, Tensor]) -> None:
        """A validation counts: it may be the best, and the run can come back to it.

        Args:
            validated: The weights that were validated, by name.
        """
        counters = self.counters
        train_loss = counters.since_evaluation.take()
        counters.since_line.take()
        counters.evaluated = counters.step
        counters.start_loss = train_loss if counters.start_loss is None else counters.start_loss
        counters.start_validation = loss if counters.start_validation is None else counters.start_validation
        counters.lowest_loss = min(train_loss, train_loss if counters.lowest_loss is None else counters.lowest_loss)
        better = counters.best_loss is None or loss < counters.best_loss
        if better:
            counters.best_step, counters.best_loss, counters.waited = counters.step, loss, 0
            self.best = dict(validated)
        else:
            counters.waited += 1
        self._keep(_GOOD)
        self._write_line("evaluation", train_loss=train_loss, **{loss_name(self.held_out): loss})
        self.save()
        self.progress.evaluation(self.spent, train_loss, loss, better)
        if not self._network.training:  # as after a race that ended with a rate that diverged
            self._look()
        if self.on_evaluation is not None and self._ranks.first and not self._network.training:
            self._suspend()
            with among(Ranks()):
                sample = self.on_evaluation(counters.step)
            self._continue()
            if sample is not None:
                self.progress.sample(self.spent, sample)
        if not self.end_reason:
            # Before an interrupt: this validation is in the checkpoint, so whoever resumes would not be asked about it.
            loss = cast(float, counters.best_loss)
            halted = self.halts is not None and self.halts(self.spent / self.whole.steps, loss)
            self.stop_if_requested()
            if halted:
                raise StopTraining

    def _look(self) -> None:
        """Look at the network, if that is wanted and its time has come."""
        due = self._watching is not None and self._watching.due(self.seconds)
        if not self._ranks.of_first(due):
            return
        figures: dict[str, Any] = {}
        if self._watching is not None:
            self._suspend()
            with among(Ranks()):
                figures = self._watching.look(self.module, self._device)
            self._continue()
        self._write_line("look", **figures)
        with self.files.agreed(self.files.history if self._watching is None else self._watching.page):
            if self._watching is not None:
                self._watching.show(self.files.history)

    def _rehearse(self) -> bool:
        """Do what follows training with the weights of now. False if a stop was requested before that was done."""
        assert self.budget is not None
        assert self.budget.rehearse is not None
        if not self.requested:
            self._suspend()
            with self.interrupts.dropping():
                self.budget.rehearse(weights(self._network), self.plan.steps)
            self._continue()
            self._agree(0.0)
        return not self.requested

    def _suspend(self) -> None:
        """Keep what validating, sampling and looking must not disturb, and validate the weights that are to be kept."""
        self._pause = Pause.begin(self.module, self.generators, self.optimizer)

    def _continue(self) -> None:
        assert self._pause is not None
        self._pause.end(self.module, self.generators)
        self._pause = None

    # Races and recoveries

    def _keep(self, purpose: str, best: Mapping[str, Tensor] | None = None) -> None:
        """Keep this state, to come back to it."""
        if purpose == _GOOD and not self.whole.recoveries:
            return
        snapshot = replace(self._snapshot(), best=dict(best or {})).copied()
        self._kept[purpose] = snapshot, deepcopy(replace(self.counters, race=[]) if self.racing else self.counters)

    def _return_to(self, purpose: str) -> None:
        """Be there again, but for what is known of the race and recoveries."""
        snapshot, counters = self._kept[purpose]
        load(self._network, snapshot.model)
        self._restore_dynamics(snapshot, counters)
        now = self.counters
        pace = now.pace and replace(now.pace, totals=list(counters.pace.totals if counters.pace else []))
        self.counters = replace(
            deepcopy(counters), race=now.race, recoveries=now.recoveries, seconds=now.seconds, pace=pace
        )

    @property
    def _can_go_back(self) -> bool:
        if self.racing:  # a loss that is no number from the first step on is the data's fault
            return bool(self.counters.norms or self.counters.race)
        return bool(self.counters.norms) and self.counters.recoveries < self.whole.recoveries

    def _go_back(self) -> None:
        """After a failure: the rate has lost the race, or the run goes back to its last validation with a lower one."""
        failure, self._failure = self._failure, None
        if self.racing:
            self._end_of_rate(math.inf, {})
            return
        assert failure is not None
        self.counters.recoveries += 1
        self._return_to(_GOOD)
        self._follow()
        self.files.open_history(self.counters, resuming=True)
        self.save()
        what = str(failure).partition(" (learning rate")[0]
        self.progress.note(
            f"{what}: back to step {self.counters.step}, with a third of the learning rate "
            f"({self.plan.learning_rate:.3g})."
        )

    def _end_of_rate(self, loss: float, validated: Mapping[str, Tensor]) -> None:
        """A rate has made its part of the race, or has diverged: an infinite loss."""
        assert self._exponent is not None
        exponent, rate, found = self._exponent, self.plan.learning_rate, loss if math.isfinite(loss) else None
        leads = found is not None and race.winner([*self.counters.results, (exponent, loss)]) == exponent
        if leads:
            self._keep(_LEADER, validated)
        self.counters.race.append((exponent, found))
        self.files.write_line(
            kind="race",
            step=race.steps_each(self.whole),
            learning_rate=rate,
            **{loss_name(self.held_out): found},
            seconds=round(self.seconds, 3),
        )
        self._follow()
        if self.racing:
            self._return_to(_START)
            self.save()
            self.stop_if_requested()
            return
        if all(loss is None for _, loss in self.counters.race):
            raise self._diverged("the loss became no number at every learning rate that was tried")
        self._return_to(_LEADER)
        best = self._kept[_LEADER][0].best
        self._kept = {}
        self.progress.note(sentences.race(self.counters, self.whole, self.plan))
        self._accept(dict(self.counters.results)[race.winner(self.counters.results)], best)

    # Files

    def save(self) -> None:
        """Write the checkpoint, unless this very state is in it already."""
        counters = self.counters
        if self.files.has(counters):
            return
        snapshot = self._snapshot()
        for name, _ in self._network.named_parameters():
            if name in snapshot.model and not snapshot.model[name].isfinite().all():
                raise self._diverged(f"{name} holds values that are not finite after step {counters.step}")
        # A validation that the run can come back to is this very state right after it.
        kept = {name: own for name, own in self._kept.items() if own[1] != counters}
        snapshot.best, snapshot.kept = self.best, {name: own for name, (own, _) in kept.items()}
        self.files.write_checkpoint(counters, self.seconds, snapshot, {name: own for name, (_, own) in kept.items()})

    def _snapshot(self) -> Snapshot:
        """The state of now, without best weights; the tensors themselves."""
        now = self._pause or Pause(self.module.carried, self.generators.states(), {})
        optimizer = self.optimizer.state_dict()["state"]
        own = Snapshot({**weights(self._network), **now.weights}, {}, now.carried, now.generators, optimizer)
        return self._division.whole(own)

    def _restore_dynamics(self, snapshot: Snapshot, counters: Counters) -> None:
        """All of a snapshot but the weights. ModelFileError if it is none of this run."""
        try:
            load_optimizer(self.optimizer, snapshot.optimizer, self.plan.schedule, counters.step)
            if not all(tensor.is_floating_point() and tensor.isfinite().all() for tensor in snapshot.carried):
                raise ValueError("the carried state holds values that are not finite")
            own = self._division.own(snapshot.carried)
            self.module.carried = [tensor.to(self._device, copy=True) for tensor in own]
            self.generators.restore(snapshot.generators)
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            raise checkpoints.damaged(self.files.checkpoint, error) from error

    def _write_line(self, kind: str, **figures: Any) -> None:
        self.files.write_line(
            kind=kind,
            step=self.counters.step,
            epoch=self.counters.step / len(self.training),
            **figures,
            learning_rate=self.plan.rate(self.counters.step - 1),
            gradient_norm=self.counters.norms[-1],
            seconds=round(self.seconds, 3),
        )

    # Stopping early

    def stop_if_requested(self) -> None:
        """After a Ctrl-C or SIGTERM: write the checkpoint and stop. Only between steps or validation batches."""
        if self.requested:
            self.progress.note("stopping: writing the checkpoint (Ctrl-C again leaves at once)")
            self.save()
            raise StopTraining

    @property
    def requested(self) -> bool:
        """Whether a stop was requested, of this rank or another."""
        return self.interrupts.requested if self._ranks.alone else self._stops

    def _diverged(self, what: str) -> TrainingFailed:
        return diverged(what, self.plan, self.counters, self.files.last_checkpoint())
