"""Where trials meet to be compared: after which shares of their steps a loss says something about the end.

How early that is depends on how long a plan is for its data: in a short one, networks have learned nothing for much of
it, and what they lose there tells their seeds apart, not their settings. The default is trained in every study, and is
never paused, so its own curve says from when on there is something to compare.
"""

from __future__ import annotations

from collections.abc import Sequence

Curve = Sequence[Sequence[float]]  # share of the plan and the best loss so far, after each validation

BEFORE = (0.125, 0.25, 0.5)  # of studies that were begun when all had the same
LEARNED = 0.3  # of its whole improvement, what the default has made at the first rung; see benchmarks/rungs.py
_EARLIEST = BEFORE[0]
_LATEST = 0.75  # a trial that has come so far may as well end


def places(curve: Curve) -> tuple[float, ...]:
    """The rungs of a study, as shares of a plan, of the default's whole curve.

    The first is where the default has made `LEARNED` of all that it gained since its first validation, but not before
    an eighth; each further one is twice as far, as half of the trials go on. None where the first would come too late
    for a pause to save anything.
    """
    start, end = curve[0][1], curve[-1][1]
    first = next(share for share, loss in curve if loss <= start - LEARNED * (start - end))
    found, place = [], max(_EARLIEST, first)
    while place <= _LATEST:
        found.append(round(place, 6))
        place *= 2
    return tuple(found)


def losses(curve: Curve, rungs: Sequence[float]) -> tuple[float, ...]:
    """The best loss until each rung that a trial has reached: after its first validation there or beyond."""
    reached = [next((loss for share, loss in curve if share >= rung), None) for rung in rungs]
    return tuple(loss for loss in reached if loss is not None)


def is_at(curve: Curve, rungs: Sequence[float]) -> bool:
    """Whether the last validation is the first one at a rung."""
    before = curve[-2][0] if len(curve) > 1 else 0.0
    return any(before < rung <= curve[-1][0] for rung in rungs)
