"""`fit --minutes`: what a training has time for, found out by a few steps that are thrown away.

The time is that of the whole `fit`. Before training, a network makes a few steps and validates, and it is measured as
the trained one will be, beside the plain methods: so what is left for training is known, and how long steps take. In
the middle of training the network of then is measured once more, see `training.pace`. A run that is resumed has all
this in its checkpoint. Of several processes the first one's clock counts, so that all decide alike.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..errors import OptionError
from ..files import TemporaryFolder
from ..randomness import built
from ..ranks import current
from ..training import Budget, Outcome, Plan, Silent, train
from ..training.checkpoint import damaged, read
from ..training.interrupts import Interrupts
from ..training.outlook import outlook
from ..training.pace import Pace
from ..training.snapshot import load
from .prepared import restoring

if TYPE_CHECKING:
    from .prepared import Fittable, Prepared

# A preset is chosen where the default plan needs more, or less, than this share of the time that there is. As "small"
# takes at most half the time of "medium", and "large" at least two and a quarter times.
_SMALLER, _LARGER = 2.0, 1 / 3
# Times the steps of a preset's plan, which are the most that are made. What has patience may stop while the rate is
# high still: on small data four times the steps made it worse, twice as many did not (benchmarks/longer.py).
_MOST, _MOST_WITH_PATIENCE = 4.0, 2.0
_STEPS = 2  # of a network that is thrown away, of which the first warms up
_MOST_STEPS, _SHARE = 30, 0.01  # then so many more, in a share of the time


class _Stopwatch(Silent):
    """Sees how long steps and validations take."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.validated = 0.0

    def step(self, step: int, loss: float) -> None:
        self.steps.append(current().clock())

    def evaluation(self, step: int, train_loss: float, validation_loss: float, best: bool) -> None:
        self.validated = current().clock()


def begun_as(checkpoint: Path) -> tuple[str, Pace | None]:
    """The preset that was chosen for the run that this checkpoint is of, and its pace; None of one without a budget.

    Raises:
        ModelFileError: It cannot be read.
    """
    document, _ = read(checkpoint)
    try:
        pace = document["counters"]["pace"]
        return str(document["identity"].get("sized", "medium")), pace and Pace.from_json(pace)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged(checkpoint, error) from error


def fitted(
    estimator: Fittable, prepared: Prepared, sized: Callable[[], Prepared], started: float, pace: Pace | None
) -> tuple[Prepared, Budget]:
    """What to train with the time that there is.

    Args:
        prepared: With the preset that was given, or the one of the run to resume.
        sized: Prepares the same data with another preset, once that was chosen.
        started: When `fit` started, by the first rank's clock.
        pace: Of the run to resume, if it is one.

    Raises:
        OptionError: There is no time for a single step.
    """
    seconds = 60 * float(estimator.minutes or 0)
    if pace is None:
        prepared, step, validation, after = _tried(estimator, prepared, sized, started, seconds)
    else:
        step, validation, after = pace.step, pace.validation, pace.after
    return prepared, Budget(
        seconds=seconds,
        started=started,
        after=after,
        again=prepared.again,
        step=step,
        validation=validation,
        most=_most(prepared),
        rehearse=lambda weights, steps: _rehearse_with(estimator, prepared, weights, steps),
        clock=current().clock,
    )


def _most(prepared: Prepared) -> int:
    """The most steps that a training makes."""
    times = _MOST if prepared.plan.patience is None else _MOST_WITH_PATIENCE
    return max(1, int(prepared.plan.steps * times))


def _tried(
    estimator: Fittable, prepared: Prepared, sized: Callable[[], Prepared], started: float, seconds: float
) -> tuple[Prepared, float, float, float]:
    """What to train, and the seconds of a step, of a validation and of what follows training; see `fitted`."""
    ranks = current()
    step, validation = _timed(estimator, prepared, seconds)
    left = seconds - (ranks.tick() - started)
    if estimator.preset is None:
        plan = prepared.plan
        wanted = plan.steps * step * (1 + prepared.again) + plan.steps // plan.evaluate_every * validation
        preset = preset_for(wanted, left)
        if preset != estimator.sized_as:
            estimator.choose_preset(preset)
            prepared = sized()
            step, validation = _timed(estimator, prepared, seconds)
    expected = max(1, int((seconds - (ranks.tick() - started)) / step))
    with Interrupts() as interrupts, interrupts.dropping():  # or networks of folds would keep a Ctrl-C to themselves
        after = rehearsed(estimator, prepared, min(expected, _most(prepared)))
    if any(ranks.all(interrupts.requested)):
        raise KeyboardInterrupt
    least = ranks.tick() - started + after + step * (1 + prepared.again) + validation
    if least > seconds:
        raise OptionError(
            f"a budget of {estimator.minutes:g} minutes is less than it takes to read the data, to make a step and to "
            f"measure the model: at least about {math.ceil(least / 0.6) / 100:.2f}. Give it more minutes"
        )
    return prepared, step, validation, after


def used(outcome: Outcome, since: float) -> float:
    """Minutes that a fit took, over all sessions.

    Args:
        since: When training ended.
    """
    return (outcome.outside + outcome.seconds + time.monotonic() - since) / 60


def ending(estimator: Fittable, plan: Plan, minutes: float) -> Iterator[str]:
    """How much of its time a fit took, and what more would likely bring; sentences for the user.

    Args:
        plan: That of its preset, without a budget.
        minutes: That it took.
    """
    outcome, text = estimator.outcome_, f"{minutes:.2f} of {estimator.minutes:g} minutes"
    if outcome.reason == "early stop":
        yield f"Ended after {text}: no better validation."
        return
    if outcome.full:
        yield f"Ended after {text}: more passes brought nothing where that was measured, so it makes no more."
        return
    yield f"Took {text}."
    history = estimator.history_
    losses = history.get("val_loss", [])  # of training data they would say nothing
    line = outlook([int(step) for step in history["step"]], losses, outcome.planned)
    if line and 2 * outcome.planned <= plan.steps:  # of longer ones it was not measured
        yield line


def preset_for(wanted: float, left: float) -> str:
    """The preset for so much time.

    Args:
        wanted: Seconds that the plan of "medium" would take.
        left: Seconds that there are.
    """
    if wanted > _SMALLER * left:
        return "small"
    return "large" if wanted < _LARGER * left else "medium"


def _timed(estimator: Fittable, prepared: Prepared, seconds: float) -> tuple[float, float]:
    """Seconds of a step and of a validation. The network, which was trained for a few steps, is the estimator's."""
    step, validation = _few_steps(estimator, prepared, _STEPS)
    more = min(_MOST_STEPS, int(_SHARE * seconds / step))
    if more > _STEPS and validation < _SHARE * seconds:
        step, validation = _few_steps(estimator, prepared, more)
    return step, validation


def _few_steps(estimator: Fittable, prepared: Prepared, steps: int) -> tuple[float, float]:
    estimator.model_ = built(int(estimator.seed), prepared.build)
    watch = _Stopwatch()
    plan = replace(prepared.plan, steps=steps, evaluate_every=steps, warmup=0, patience=None, race=False)
    with TemporaryFolder("timing") as folder:
        outcome = train(
            estimator.model_,
            prepared.training,
            prepared.validation,
            plan,
            checkpoint=Path(folder, "checkpoint"),
            history=Path(folder, "history"),
            identity={},
            progress=watch,
        )
    if outcome.reason == "interrupted":
        raise KeyboardInterrupt
    step = (watch.steps[-1] - watch.steps[0]) / (steps - 1)
    return max(step, 1e-6), watch.validated - watch.steps[-1]


def needed(estimator: Fittable, prepared: Prepared) -> float:
    """Seconds that training by the plan takes, roughly: as a few steps and a validation did, which are thrown away."""
    step, validation = _few_steps(estimator, prepared, _STEPS)
    return prepared.plan.steps * step + prepared.plan.steps // prepared.plan.evaluate_every * validation


def rehearsed(estimator: Fittable, prepared: Prepared, steps: int) -> float:
    """Seconds that it takes to measure the network as it is.

    Args:
        steps: Of the whole training; some plain methods may take as much work as that. Networks that learn for
            measuring make few.
    """
    ranks = current()
    begun = ranks.tick()
    with ExitStack() as end:
        end.callback(restoring(estimator))
        rate = prepared.plan.learning_rate
        estimator.outcome_ = Outcome("finished", steps, steps, None, 0.0, learning_rate=rate, planned=_STEPS)
        prepared.settle()
        prepared.measure(True, _nobody)
    return ranks.tick() - begun


def _rehearse_with(estimator: Fittable, prepared: Prepared, weights: Mapping[str, Tensor], steps: int) -> None:
    """Measure a network with these weights; `steps` as of `rehearsed`."""
    with ExitStack() as end:
        end.callback(restoring(estimator))
        estimator.model_ = built(int(estimator.seed), prepared.build)
        load(estimator.model_, weights)
        estimator.model_.eval()
        rehearsed(estimator, prepared, steps)


def _nobody(_: Any) -> None:
    pass
