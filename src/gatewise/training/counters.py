"""The progress of a run in plain numbers: the JSON half of a checkpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from . import race as races
from .pace import Pace, begun, corrected
from .plan import Plan

NORMS_KEPT = 5  # gradient norms quoted when training diverges


@dataclass
class Mean:
    """A running mean, kept as sum and count so that it survives a checkpoint with all its bits."""

    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        self.total += value
        self.count += 1

    def take(self) -> float:
        """The mean; starts over."""
        mean = self.total / max(1, self.count)
        self.total, self.count = 0.0, 0
        return mean


@dataclass
class Counters:
    """Attributes:
    step: Finished optimiser steps.
    evaluated: What `step` was at the last validation.
    best_step: What `step` was at the best validation.
    best_loss: Its loss; None before the first.
    waited: Validations since the best one.
    seconds: Time spent training, over all sessions, when this was written.
    since_line: Training loss since the last line of the history.
    since_evaluation: Training loss since the last validation.
    norms: The last few gradient norms before clipping, newest last.
    race: Exponent and validation loss of each rate that has raced, in order; None if it diverged. See `race`.
    recoveries: How often the run went back to its last good validation.
    start_loss, lowest_loss: Mean training loss until the first validation, and the lowest between two of them.
    start_validation: Loss of the first validation.
    pace: Of a run that is given a time.
    """

    step: int = 0
    evaluated: int = 0
    best_step: int = 0
    best_loss: float | None = None
    waited: int = 0
    seconds: float = 0.0
    since_line: Mean = field(default_factory=Mean)
    since_evaluation: Mean = field(default_factory=Mean)
    norms: list[float] = field(default_factory=list)
    race: list[tuple[int, float | None]] = field(default_factory=list)
    recoveries: int = 0
    start_loss: float | None = None
    lowest_loss: float | None = None
    start_validation: float | None = None
    pace: Pace | None = None

    @property
    def results(self) -> list[races.Result]:
        return [(exponent, math.inf if loss is None else loss) for exponent, loss in self.race]

    def spiked(self, validation_loss: float) -> bool:
        """Whether training diverged since the last validation: its loss is above that of the beginning, by twice as
        much as was ever gained, and validation is worse than it was at first.

        Either alone says less: batches may hold outliers, which would be there again after going back, and validation
        also becomes worse where a network learns its training data by heart.
        """
        start, lowest = self.start_loss, self.lowest_loss
        if start is None or lowest is None:
            return False
        if self.start_validation is not None and validation_loss <= self.start_validation:
            return False
        mean = self.since_evaluation.total / max(1, self.since_evaluation.count)
        return mean > start + max(2 * (start - lowest), abs(start))

    @classmethod
    def from_json(cls, values: dict[str, Any], plan: Plan) -> Counters:
        """Undo `dataclasses.asdict`.

        Args:
            plan: Of the run, as its user made it.

        Raises:
            KeyError, TypeError, ValueError: These are not all the counters, or others, or no run of this plan has them.
        """
        means = {name: Mean(**values[name]) for name in ("since_line", "since_evaluation")}
        results = [(exponent, loss) for exponent, loss in values["race"]]
        pace = None if values["pace"] is None else Pace.from_json(values["pace"])
        self = cls(**{**values, **means, "race": results, "pace": pace})
        whole = begun(plan, pace)
        self._check_race(whole)
        after = corrected(races.plan_after(whole, self.results), pace)
        self._check(after, racing=races.upcoming(whole, self.results) is not None)
        return self

    def _check_race(self, plan: Plan) -> None:
        for place, (exponent, loss) in enumerate(self.race):
            expected = races.upcoming(plan, self.results[:place])
            if type(exponent) is not int or exponent != expected:
                raise ValueError(f"a rate of the race is {exponent!r:.30}, where {expected!r} comes next")
            if loss is not None and (type(loss) not in (int, float) or not math.isfinite(loss)):
                raise ValueError(f"a loss of the race is {loss!r:.30}, not a number")

    def _check(self, plan: Plan, racing: bool) -> None:
        def whole(name: str, value: Any, highest: int) -> None:
            if type(value) is not int or not 0 <= value <= highest:
                raise ValueError(f"{name} is {value!r:.30}, not a whole number from 0 to {highest}")

        def finite(name: str, value: Any) -> None:
            if type(value) not in (int, float) or not math.isfinite(value):
                raise ValueError(f"{name} is {value!r:.30}, not a number")

        def equal(name: str, value: Any, wanted: Any) -> None:
            if value != wanted:
                raise ValueError(f"{name} is {value!r:.30}, where the other counters say {wanted!r}")

        whole("step", self.step, races.steps_each(plan) if racing else plan.steps)
        whole("recoveries", self.recoveries, plan.recoveries)
        whole("evaluated", self.evaluated, self.step)
        whole("best_step", self.best_step, self.evaluated)
        for name, step in (("evaluated", self.evaluated), ("best_step", self.best_step)):
            if step and not plan.evaluates_at(step):
                raise ValueError(f"{name} is {step}, where the plan has no validation")
        equal("whether there is a best loss", self.best_loss is not None, self.best_step > 0)
        equal("whether there is a best step", self.best_step > 0, self.evaluated > 0)
        whole("waited", self.waited, self.evaluated)
        equal("waited", self.waited, plan.evaluations(self.evaluated) - plan.evaluations(self.best_step))
        whole("the steps since the last validation", self.since_evaluation.count, self.step)
        equal("the steps since the last validation", self.since_evaluation.count, self.step - self.evaluated)
        whole("the steps since the last line", self.since_line.count, self.since_evaluation.count)
        numbers = {"the sum of losses": self.since_evaluation.total, "the sum of a line": self.since_line.total}
        for name in ("best_loss", "start_loss", "lowest_loss", "start_validation"):
            if getattr(self, name) is not None:
                numbers[name] = getattr(self, name)
        for name, number in numbers.items():
            finite(name, number)
        equal("the number of gradient norms", len(self.norms), min(self.step, NORMS_KEPT))
        for name, number in (("seconds", self.seconds), *(("a gradient norm", norm) for norm in self.norms)):
            finite(name, number)
            if number < 0:
                raise ValueError(f"{name} is {number!r:.30}, below 0")
