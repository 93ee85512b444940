"""What a user is told of a run."""

from __future__ import annotations

from . import race as races
from .counters import Counters
from .plan import Plan


def ending(counters: Counters, plan: Plan, every: int, reason: str | None) -> str:
    """Why a run that is over ended, and which weights are kept.

    Args:
        every: Steps of an epoch.
        reason: "finished" or "early stop".
    """
    end = f"step {counters.step} of {plan.steps} (epoch {counters.step / every:.3g})"
    kept = f"Kept are the best weights: of step {counters.best_step} (epoch {counters.best_step / every:.3g})"
    if reason == "finished":
        why = f"finished after {end}."
    else:
        more = f"none of the last {counters.waited} validations was better (patience {plan.patience})"
        why = f"stopped early after {end}: {more}."
    return f"{why} {kept}, validation {counters.best_loss:.4g}."


def race(counters: Counters, whole: Plan, plan: Plan) -> str:
    """How a race of learning rates that is over went.

    Args:
        whole: As the user made it.
        plan: With the rate that won.
    """
    tried = ", ".join(
        f"{races.rate_of(whole, exponent):.2g} ({'diverged' if loss is None else f'{loss:.4g}'})"
        for exponent, loss in sorted(counters.race)
    )
    best, each = f"{plan.learning_rate:.2g}", races.steps_each(whole)
    return f"learning rate {best}: the best after {each} steps of each, by their validation: {tried}."


def other_ranks(before: int, now: int) -> str:
    """That a run goes on with another number of processes than it was begun with; empty if it does not."""
    if before == now:
        return ""
    return (
        f"begun with {before} process{'es' * (before > 1)}, goes on with {now}: the same training but for rounding, so "
        "its last bits are those of neither number alone."
    )
