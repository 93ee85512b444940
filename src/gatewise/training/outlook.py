"""What twice the time would likely bring, from the validation losses of a finished run.

The curve of a single run does not say it: its last part falls because the learning rate does, and a longer run falls
there too, only later. So it was measured how much lower runs of twice the steps ended, beside what the second half of
the shorter run had gained, both as logarithms (`benchmarks.outlook`, at up to half of the default steps). Of a data set
that the quantiles were not found with, two in three runs lie between the outer ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

LEAST = 5  # validations, with fewer of which a curve says nothing
# Quantiles .1, .5 and .9 of what twice the steps gained, as a share of what the second half of a run had gained.
GAINS = (0.8, 1.5, 4.2)
_LEAST_GAIN = 0.03  # of the second half, as a share of the whole run's; less than that is noise
_FLAT = 0.6  # part of a run after which nothing became better, so that its end says nothing of a longer one
_BEGUN = 0.1  # part of a run before which the best validation says that nothing was learned


def outlook(steps: Sequence[int], losses: Sequence[float], total: int) -> str:
    """A sentence for the user; "" if the curve does not say enough.

    Args:
        steps: Of each validation, ascending.
        losses: Of each validation. Those of densities, which may be negative, have no ratio, and nothing is said.
        total: Steps of the run, all of which were made.
    """
    if len(losses) < LEAST or len(losses) != len(steps) or min(losses) <= 0:
        return ""
    best = min(losses)
    when = steps[losses.index(best)]
    if when <= _BEGUN * total:
        return ""
    if when <= _FLAT * total:
        return f"No validation was better since step {when} of {total}: more time may bring nothing."
    half = min((loss for step, loss in zip(steps, losses, strict=True) if 2 * step <= total), default=best)
    if half - best < _LEAST_GAIN * (losses[0] - best) or half == best:
        return ""
    least, likely, most = (f"{best * math.exp(-share * math.log(half / best)):.4g}" for share in GAINS)
    return (
        f"Twice the time would likely bring the validation from {best:.4g} to about {likely}; of trainings that were "
        f"measured, two in three ended between {most} and {least}."
    )
