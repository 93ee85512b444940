"""The learning rate is found: rates race over the first steps, and the one that validates best goes on.

A race is a list of results, one for each rate that was tried, in order. Everything else, which rate is next, which one
has won, how many steps are left, follows from them and the plan, so that a checkpoint need hold no more of it.
"""

from __future__ import annotations

import math
from dataclasses import replace

from .plan import Plan

FACTOR = 3.0  # from one rate to the next
PART = 16  # each rate gets one part in so many of the steps
LEAST_STEPS = 6  # of one rate: fewer tell nothing
MOST_RATE = 10.0
_MOST_EXPONENT = 8  # above the plan's rate; below it, where that one diverged
_LEAST_EXPONENT = -4  # where nothing diverged: if the start validates best, ever lower rates would win

Result = tuple[int, float]  # a rate, as a power of FACTOR beside the plan's, and its validation loss; inf: it diverged


def steps_each(plan: Plan) -> int:
    """Steps that each rate gets."""
    return plan.steps // PART


def is_worth(steps: int) -> bool:
    """Whether a plan of so many steps has enough of them for a race to tell something."""
    return steps // PART >= LEAST_STEPS


def rate_of(plan: Plan, exponent: int) -> float:
    return float(plan.learning_rate * FACTOR**exponent)


def upcoming(plan: Plan, results: list[Result]) -> int | None:
    """The rate to try next, as an exponent, or None if the race is over, or the plan has none.

    The plan's own, and then those beside the best, until it lies inside; as long as the race has had less than half of
    the steps. To begin with five rates around the plan's found no better ones, and left fewer steps (`chars` and
    `vowels` of `benchmarks.sensitivity`).
    """
    if not plan.race or not is_worth(plan.steps) or len(results) >= PART // 2:
        return None
    if not results:
        return 0
    tried, best = dict(results), winner(results)
    # If all diverged, only a lower one can help.
    diverged = math.inf in tried.values()
    lowest = -_MOST_EXPONENT if diverged else _LEAST_EXPONENT
    for exponent in [best + 1, best - 1] if math.isfinite(tried[best]) else [min(tried) - 1]:
        possible = lowest <= exponent <= _MOST_EXPONENT and rate_of(plan, exponent) <= MOST_RATE
        if exponent not in tried and possible:
            return exponent
    return None


def winner(results: list[Result]) -> int:
    """The exponent with the lowest loss; of equals the lower rate."""
    return min(results, key=lambda result: (result[1], result[0]))[0]


def plan_after(plan: Plan, results: list[Result]) -> Plan:
    """The plan that counts after these results: that of the rate which races now, or of the winner.

    The winner goes on from where it is. A race has a shorter warm-up, so that half of it is at the full rate.
    """
    exponent = upcoming(plan, results)
    if exponent is None and not results:
        return replace(plan, race=False)
    each = steps_each(plan)
    changed = replace(plan, race=False, warmup=min(plan.warmup, each // 2))
    if exponent is not None:
        return replace(changed, learning_rate=rate_of(plan, exponent), evaluate_every=plan.steps)
    steps = plan.steps - (len(results) - 1) * each
    return replace(changed, learning_rate=rate_of(plan, winner(results)), steps=steps, begun=each)
