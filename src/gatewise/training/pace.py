"""A run that is given a time: how fast its steps are decides how many it makes.

All that a run does follows from its step and from what its checkpoint holds. So what the clock said is written down: a
`Pace` holds how many steps the run was to make in all, and each time that this number was corrected, from which step
on. The learning rate follows from these numbers (`Plan.rate`), whatever the clock says when they are read again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from .plan import Plan

TOLERANCE = 0.01  # of the time, by which a plan may miss it before it is corrected
_NEVER = 2**53  # steps to the next validation, of a plan whose only one is at its end
_VALIDATING = 3  # at least so many times as long as a validation takes are the steps between two of them
_WINDOW = 20  # the mean time of a step is that of the last part in so many of the steps
_LEAST_WINDOW = 10  # steps
# What follows training is rehearsed with the network of the middle of a run, and again halfway to its end where that
# was a surprise, by so large a share of the time: a network that decodes writes other lengths when it has learned.
_MIDDLE, _SURPRISE = 0.5, 0.02
# Training must have at least so many times as long beside a rehearsal: of a whole run, and of what is left of one.
_ROOM, _ROOM_LEFT = 1.0, 0.25
_NEVER_REHEARSED = 1.0


@dataclass(frozen=True)
class Budget:
    """The time that a training is given, and what of it other things need.

    Attributes:
        seconds: In all, over all sessions.
        started: When this session started, by `clock`.
        after: Seconds that what follows training needs.
        again: Steps that are trained after training for each step of it, by networks of folds for example.
        step, validation: Seconds of a step, and of a validation with all that is done then, as first steps showed.
        most: The most steps that training may have.
        rehearse: Does what follows a training of so many steps with these weights, by name, and leaves no trace.
        clock: Gives the time in seconds.
    """

    seconds: float
    started: float
    after: float
    step: float
    validation: float
    most: int
    again: float = 0.0
    rehearse: Callable[[Mapping[str, Tensor], int], None] | None = None
    clock: Callable[[], float] = field(default_factory=lambda: time.monotonic)

    def plan(self, plan: Plan) -> Plan:
        """This plan, as long as there is time for now."""
        return begun(plan, Pace.begin(plan, self))


@dataclass
class Pace:
    """How fast a run is, and what followed from it.

    Attributes:
        totals: Pairs (step, total): from this step on, the run was to make so many steps in all. The first begins at
            step 0.
        every: Steps between validations.
        step, validation: Mean seconds of a step of late, and of the last validation.
        timed: Steps whose time is known; those before training count as one.
        first: Seconds of a step when `after` was found: what follows is as much slower as steps have become. Those few
            before training say little of it, so it is what the first steps of training took.
        after: Seconds that what follows training needs.
        rehearsal: Share of the steps after which what follows is rehearsed next; 1 if it is not.
        outside: Seconds of all sessions that were not training.
    """

    totals: list[tuple[int, int]]
    every: int
    step: float
    validation: float
    first: float
    after: float
    rehearsal: float = _NEVER_REHEARSED
    timed: int = 1
    outside: float = 0.0

    @classmethod
    def begin(cls, plan: Plan, budget: Budget) -> Pace:
        """That of a run which starts now, whose plan would be this one without a budget."""
        pace = cls(
            totals=[(0, plan.steps)],
            every=_every(plan, plan.steps, budget),
            step=budget.step,
            validation=budget.validation,
            first=budget.step,
            after=budget.after,
        )
        left = budget.seconds - (budget.clock() - budget.started)
        if budget.rehearse is not None and pace._has_room(left, _ROOM):
            pace.rehearsal = _MIDDLE
        for _ in range(3):  # the number of steps says how many validations there are, and they how many steps
            total = min(budget.most, pace.possible(0, 0, left, budget.again))
            pace.totals, pace.every = [(0, total)], _every(plan, total, budget)
        return pace

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Pace:
        """Undo `dataclasses.asdict`.

        Raises:
            KeyError, TypeError, ValueError: These are not all the values, or others, or no pace has them.
        """
        self = cls(**{**values, "totals": [(step, total) for step, total in values["totals"]]})
        before = -1
        for step, total in self.totals:
            if type(step) is not int or type(total) is not int or not before < step < total or step > 0 > before:
                raise ValueError(f"the number of steps is {total!r:.30} from step {step!r:.30} on")
            before = step
        for name in ("every", "timed"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)!r:.30}, not a whole number above 0")
        for name in ("step", "validation", "first", "after", "outside"):
            value = getattr(self, name)
            if type(value) not in (int, float) or not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} is {value!r:.30}, not seconds")
        if type(self.rehearsal) not in (int, float) or not 0 <= self.rehearsal <= 1:
            raise ValueError(f"rehearsal is {self.rehearsal!r:.30}, not a share")
        if not self.totals or not self.first:
            raise ValueError("it says no number of steps, or not how long they took")
        return self

    # Time

    def saw_step(self, seconds: float) -> None:
        """A step took so long."""
        self.timed += 1
        window = max(_LEAST_WINDOW, self.totals[-1][1] // _WINDOW)
        self.step += (seconds - self.step) / min(self.timed, window)
        if self.timed == 1 + _LEAST_WINDOW:
            self.first = self.step

    def needed(self, step: int, steps: int, begun: int, again: float) -> float:
        """Seconds of so many more steps after `step` finished ones, with the validations among and after them.

        Args:
            begun: As of the plan.
            again: As of `Budget`.
        """
        validations = math.ceil((step + steps - begun) / self.every) - (step - begun) // self.every
        return steps * (1 + again) * self.step + validations * self.validation

    def following(self, step: int, again: float) -> float:
        """Seconds that what follows training needs, for so many finished steps, and another rehearsal of it if there
        is to be one.

        Args:
            again: As of `Budget`.
        """
        times = 1 if self.rehearsal == _NEVER_REHEARSED else 2
        return times * self._after_now + again * step * self.step

    @property
    def _after_now(self) -> float:
        """Seconds that what was rehearsed takes, now that steps have become slower or faster."""
        return self.after * self.step / self.first

    def _has_room(self, left: float, training: float) -> bool:
        """Whether so many seconds are enough for a rehearsal, what follows, and so many times as long of training."""
        return left >= (2 + training) * self._after_now

    def rehearses(self, step: int, steps: int, left: float) -> bool:
        """Whether what follows training is to be rehearsed now, after `step` finished of so many steps.

        Args:
            left: Seconds until all must be over.
        """
        if step >= steps or step < self.rehearsal * steps:
            return False
        if not self._has_room(left, _ROOM_LEFT):
            self.rehearsal = _NEVER_REHEARSED
            return False
        return True

    def rehearsed(self, seconds: float, left: float, budget: Budget) -> None:
        """A rehearsal of what follows took so long. `left` as of `rehearses`, after it."""
        surprise = abs(seconds - self._after_now) > _SURPRISE * budget.seconds
        self.after, self.first = seconds, self.step
        again = surprise and self._has_room(left, _ROOM)
        self.rehearsal = (1 + self.rehearsal) / 2 if again else _NEVER_REHEARSED

    def possible(self, step: int, begun: int, left: float, again: float) -> int:
        """How many more steps there is time for: at least one.

        Args:
            left: Seconds until all must be over.
        """
        left -= self.following(step, again)
        fewest, most = 1, 2 + max(0, int(left / max(self.step, 1e-9)))
        while most - fewest > 1:
            middle = (fewest + most) // 2
            if self.needed(step, middle, begun, again) <= left:
                fewest = middle
            else:
                most = middle
        return fewest

    def correct(self, plan: Plan, step: int, used: float, budget: Budget) -> bool:
        """Change the number of steps, if the plan would miss the time.

        Args:
            plan: What counts now, see `corrected`.
            step: Finished steps.
            used: Seconds of all sessions.

        Returns:
            Whether it was changed.
        """
        if step >= plan.steps:
            return False
        left = budget.seconds - used
        needed = self.needed(step, plan.steps - step, plan.begun, budget.again)
        missed = needed + self.following(step, budget.again) - left
        if abs(missed) <= TOLERANCE * budget.seconds:
            return False
        total = min(budget.most, step + self.possible(step, plan.begun, left, budget.again))
        if total in (plan.steps, step):
            return False
        if self.totals[-1][0] == step:
            self.totals.pop()
        self.totals.append((step, total))
        return True


class Timekeeper:
    """Reads the clock for a run, and writes into its pace what it says.

    Args:
        budget: That of the run, if it has one.
        clock: What tells the time of a run that has none.

    Attributes:
        opened: When training began in this session; None before.
    """

    def __init__(self, budget: Budget | None, clock: Callable[[], float] = time.monotonic):
        self._budget, self._clock = budget, clock if budget is None else budget.clock
        self.opened: float | None = None
        self._marked = 0.0  # when the last step or validation ended

    @property
    def session(self) -> float:
        """Seconds of training in this session."""
        return 0.0 if self.opened is None else self._clock() - self.opened

    def open(self, pace: Pace | None) -> None:
        """Training begins."""
        self.opened = self._marked = self._clock()
        if pace is not None and self._budget is not None:
            pace.outside += self.opened - self._budget.started

    def step(
        self, pace: Pace | None, step: int, before: float, plan: Plan | None, rehearse: Callable[[], bool]
    ) -> bool:
        """A step is finished.

        Args:
            step: Finished steps.
            before: Seconds of training of earlier sessions.
            plan: What counts now; None if its number of steps is not to be corrected.
            rehearse: Does what follows training, and says whether it came to its end.

        Returns:
            Whether that was corrected.
        """
        budget = self._budget
        if pace is None or budget is None:
            return False
        now = self._clock()
        pace.saw_step(now - self._marked)
        self._marked = now
        if plan is None:
            return False
        used = pace.outside + before
        left = budget.seconds - used - self.session
        if budget.rehearse is not None and pace.rehearses(step, plan.steps, left) and rehearse():
            self._marked = self._clock()
            pace.rehearsed(self._marked - now, budget.seconds - used - self.session, budget)
        return pace.correct(plan, step, used + self.session, budget)

    def validation(self, pace: Pace | None) -> None:
        """A validation is finished, and all that is done then."""
        if pace is not None:
            now = self._clock()
            pace.validation, self._marked = now - self._marked, now


def begun(plan: Plan, pace: Pace | None) -> Plan:
    """The plan, made so long as it is to be at its start."""
    if pace is None:
        return plan
    total = pace.totals[0][1]
    return replace(plan, steps=total, evaluate_every=pace.every, warmup=plan.warmup * total // plan.steps)


def corrected(plan: Plan, pace: Pace | None) -> Plan:
    """The plan, with as many steps as counts now.

    Args:
        plan: As at its start, or after a race.
    """
    if pace is None or len(pace.totals) == 1:
        return plan
    steps = [plan.steps, *(total for _, total in pace.totals[1:])]
    earlier = tuple((step, total) for (step, _), total in zip(pace.totals[1:], steps, strict=False))
    return replace(plan, steps=steps[-1], earlier=earlier)


def _every(plan: Plan, total: int, budget: Budget) -> int:
    """Steps between validations of a plan that becomes so long."""
    if plan.evaluate_every >= plan.steps:
        return _NEVER
    least = math.ceil(_VALIDATING * budget.validation / max(budget.step, 1e-9))
    return max(1, math.ceil(plan.evaluate_every * total / plan.steps), least)
