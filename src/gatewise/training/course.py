"""Which plan of a run counts now, and how far it is in it.

All of it follows from the plan that the user made and from the counters, in which results of a race, recoveries and the
number of steps that the clock allowed are written down.
"""

from __future__ import annotations

from dataclasses import replace

from . import race
from .counters import Counters
from .pace import begun, corrected
from .plan import Plan

_MOST_STEPS_PER_LINE = 50  # of the history


class Course:
    """The course of a run: rates that race, each for a few steps, and then the rest with the best one.

    Args:
        given: The plan that the user made.
        counters: Of the run.

    Attributes:
        whole: The plan that the user made; with a budget, as long as there was time for when it began.
        plan: What of it counts now: that of the rate which races, or of what comes after the race.
        exponent: Of the rate that races, see `race.rate_of`; None when they do not race.
        line_every: Steps between two lines of the history.
    """

    def __init__(self, given: Plan, counters: Counters):
        self.given, self.counters = given, counters
        self.follow()

    def follow(self) -> None:
        """Bring the plan up to what the clock, the race and recoveries have made of it."""
        results, pace = self.counters.results, self.counters.pace
        self.whole = begun(self.given, pace)
        self.line_every = min(_MOST_STEPS_PER_LINE, max(1, self.whole.evaluate_every // 5))
        self.exponent = race.upcoming(self.whole, results)
        plan = corrected(race.plan_after(self.whole, results), pace)
        self.plan = replace(plan, learning_rate=plan.learning_rate / race.FACTOR**self.counters.recoveries)

    @property
    def racing(self) -> bool:
        """Whether rates race still."""
        return self.exponent is not None

    @property
    def leads(self) -> bool:
        """Whether rates race, and one leads."""
        return self.racing and any(loss is not None for _, loss in self.counters.race)

    @property
    def end(self) -> int:
        """The step that ends the part of a rate in the race, or training."""
        return race.steps_each(self.whole) if self.racing else self.plan.steps

    @property
    def spent(self) -> int:
        """Steps made, those of rates that lost the race among them."""
        losers = len(self.counters.race) - (0 if self.racing else 1)
        return self.counters.step + max(0, losers) * race.steps_each(self.whole)

    @property
    def total(self) -> int:
        """What `spent` is after the last step, as far as is known."""
        if self.racing:
            return self.whole.steps
        return self.plan.steps + self.spent - self.counters.step

    @property
    def validation_due(self) -> bool:
        """Whether a validation comes before the next step; so too if the last session ended between the two."""
        if self.racing:
            return self.counters.step == self.end
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
