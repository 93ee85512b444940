"""How long and how fast to train, as a checked value."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..checks import number, whole
from ..errors import OptionError, suggest

PRECISIONS = ("32-true", "bf16-mixed")
SCHEDULES = ("cosine", "schedule-free")


@dataclass(frozen=True)
class Plan:
    """Everything about a training run but the model and the data.

    Args:
        steps: Optimiser steps in all.
        evaluate_every: Steps between validations; one more follows the last step.
        learning_rate: The peak rate, reached when the warm-up ends; with `race`, the one that is tried first.
        warmup: Steps of linear warm-up, 0 <= warmup <= steps.
        schedule: What follows the warm-up: "cosine", half a cosine down to `final_rate` on the last step, or
            "schedule-free": the rate stays, and the weights are averaged, see `schedule_free`.
        final_rate: Fraction of `learning_rate` that the cosine ends at; 1 keeps it constant.
        weight_decay: Decoupled (AdamW) decay per step, as a fraction of the learning rate.
        betas: Decay rates of AdamW's two moments, each in [0, 1).
        clip: Maximum norm of the whole gradient; None does not clip.
        patience: Validations without improvement before stopping early; None never stops early.
        seed: Random seed of training (dropout, sampling).
        precision: "32-true", or "bf16-mixed" for bfloat16 products with float32 weights.
        race: Whether the rate is found first, see `race`. The race's steps are among `steps`.
        recoveries: How often a run that diverges goes back to its last validation, with a third of the rate, before it
            fails.
        begun: Steps after which the first validation was, in a run that goes on from a race.
        earlier: Of a run whose number of steps was corrected on its way, see `pace`: pairs (step, total), each the
            number of steps that it was to make in all, until this step.

    Raises:
        OptionError: A value is impossible.

    Source: Loshchilov & Hutter (2019), "Decoupled weight decay regularization", ICLR (AdamW, cosine decay).
    """

    steps: int
    evaluate_every: int
    learning_rate: float = 2e-3
    warmup: int = 0
    final_rate: float = 0.1
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    clip: float | None = 1.0
    patience: int | None = None
    seed: int = 0
    precision: str = "32-true"
    schedule: str = "cosine"
    race: bool = False
    recoveries: int = 0
    begun: int = 0
    earlier: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        whole("steps", self.steps, 1)
        whole("evaluate_every", self.evaluate_every, 1)
        number("learning_rate", self.learning_rate, "above 0", lambda v: v > 0)
        whole("warmup", self.warmup, 0)
        if self.warmup > self.steps and not self.earlier:
            raise OptionError(
                f"warmup={self.warmup} is longer than steps={self.steps}: the full learning rate would never be "
                f"reached. Choose warmup <= {self.steps}."
            )
        number("final_rate", self.final_rate, "from 0 to 1", lambda v: 0 <= v <= 1)
        number("weight_decay", self.weight_decay, "0 or more", lambda v: v >= 0)
        if len(self.betas) != 2:
            raise OptionError(f"betas must be two numbers in [0, 1), but is {self.betas!r}.")
        for beta in self.betas:
            number("each of betas", beta, "in [0, 1)", lambda v: 0 <= v < 1)
        if self.clip is not None:
            number("clip", self.clip, "above 0, or None", lambda v: v > 0)
        if self.patience is not None:
            whole("patience", self.patience, 1)
        whole("seed", self.seed, 0)
        if self.precision not in PRECISIONS:
            raise OptionError(suggest("precision", self.precision, PRECISIONS))
        if self.schedule not in SCHEDULES:
            raise OptionError(suggest("schedule", self.schedule, SCHEDULES))
        whole("recoveries", self.recoveries, 0)
        whole("begun", self.begun, 0)

    def rate(self, step: int) -> float:
        """The learning rate of the step after `step` finished ones: linear warm-up, then as `schedule` says."""
        rate = self.learning_rate * (step + 1) / self.warmup if step < self.warmup else self.learning_rate
        done = 0.0 if self.schedule == "schedule-free" else self._decayed(step)
        if done == 0.0:
            return rate
        cosine = 0.5 * (1 + math.cos(math.pi * done))
        return rate * (self.final_rate + (1 - self.final_rate) * cosine)

    def _decayed(self, step: int) -> float:
        """How much of the decay is over, from 0 to 1, at the step after `step` finished ones.

        Where the number of steps was corrected, the decay goes on from where it was, evenly to the new last step. That
        one, which `steps` - 1 finished ones precede, gets exactly the final rate.
        """
        since, done = 0, 0.0
        for until, total in (*self.earlier, (self.steps, self.steps)):
            # A number of steps below the warm-up ends it.
            start = max(since, self.warmup) if total - 1 > self.warmup or not since else since
            at = min(step, until)
            share = (at - start) / max(1, total - 1 - start)
            if since and at >= total - 1:
                share = 1.0
            done += (1 - done) * min(1.0, max(0.0, share))
            since = until
            if step < until:
                break
        return done

    def evaluates_at(self, step: int) -> bool:
        """Whether a validation follows the step that makes `step` finished ones."""
        since = step - self.begun
        return step > 0 and since >= 0 and (since % self.evaluate_every == 0 or step == self.steps)

    def evaluations(self, step: int) -> int:
        """How many validations there are until `step` steps are finished, with the one that follows it."""
        since = step - self.begun
        if step < 1 or since < 0:
            return 0
        whole_ones = since // self.evaluate_every + (self.begun > 0)
        return whole_ones + (step == self.steps and since % self.evaluate_every > 0)
