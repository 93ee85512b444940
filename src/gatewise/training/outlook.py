"""What twice the time would likely bring, from the validation losses of a finished run.

The curve of a single run does not say it: its last part falls because the learning rate does, and a longer run falls
there too, only later. So what was measured is how much lower runs of twice the steps ended, beside what the second half
of the run had gained: on nine data sets of five tasks, at up to half of the default steps (see docs/tasks.md). A power
law through the losses foretold it worse.
"""

from __future__ import annotations

from collections.abc import Sequence

LEAST = 5  # validations, with fewer of which a curve says nothing
# Quantiles .1, .5 and .9 of what twice the steps gained, as a share of what the second half of a run had gained.
GAINS = (0.3, 1.4, 3.4)
_FLAT = 0.6  # part of a run after which nothing may become better for it to be called flat
_BEGUN = 0.1  # part of a run before which the best validation says that nothing was learned


def outlook(steps: Sequence[int], losses: Sequence[float], total: int) -> str:
    """A sentence for the user; "" if the curve does not say enough.

    Args:
        steps: Of each validation, ascending.
        losses: Of each validation.
        total: Steps of the run, all of which were made.
    """
    if len(losses) < LEAST or len(losses) != len(steps):
        return ""
    best = min(losses)
    when = steps[losses.index(best)]
    if when <= _BEGUN * total:
        return ""
    if when <= _FLAT * total:
        return f"More time would likely bring little: no validation was better since step {when} of {total}."
    half = [loss for step, loss in zip(steps, losses, strict=True) if 2 * step <= total]
    gained = min(half, default=best) - best
    if gained <= 0:
        return ""
    least, likely, most = (f"{best - share * gained:.4g}" for share in GAINS)
    return (
        f"Twice the time would likely bring the validation from {best:.4g} to about {likely}; four of five trainings "
        f"that were measured ended between {most} and {least}."
    )
