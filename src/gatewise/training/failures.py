"""Ways out of a run before its time, and what the user is told."""

from __future__ import annotations

from pathlib import Path

from .counters import Counters
from .plan import Plan


class Leave(Exception):  # noqa: N818 - not an error
    """Training stops here, in good order."""


class Failed(Exception):  # noqa: N818 - becomes a TrainingStopped, which is one
    """Training cannot go on.

    Args:
        reason: The `Outcome.reason`.
        message: For the user.
    """

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason


def diverged(what: str, plan: Plan, counters: Counters, last_good: str) -> Failed:
    """A loss, gradient or weight is no number.

    Args:
        what: "the loss became nan at step 7".
        last_good: Sentence about the last checkpoint.
    """
    if not counters.norms:
        return Failed(
            "not a number",
            f"{what}, before anything was learned: the data or the first weights hold values that are no numbers, or "
            "far too large. Look for NaN, infinity and missing values in the data.",
        )
    norms = ", ".join(f"{norm:.3g}" for norm in counters.norms)
    clip = "" if plan.clip is not None else ", or clip the gradient (clip=1.0)"
    return Failed(
        "not a number",
        f"{what} (learning rate {plan.rate(counters.step):.3g}; last gradient norms {norms}). The learning rate is "
        f"probably too high: start again with learning_rate={plan.learning_rate / 3:.2g}{clip}. {last_good}",
    )


class Writing:
    """Turns an OSError while writing `path` into `Failed`. One from elsewhere (reading data) is not ours to explain.

    Args:
        way_out: What is left, and what to do.
    """

    def __init__(self, path: Path, way_out: str):
        self._path, self._way_out = path, way_out

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            message = f"cannot write {self._path}: {error.strerror or error}. {self._way_out}"
            raise Failed("cannot write", message) from error
