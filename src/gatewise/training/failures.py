"""How a run stops early, and the messages for the user."""

from __future__ import annotations

from pathlib import Path

from .counters import Counters
from .plan import Plan


class StopTraining(Exception):  # noqa: N818 - not an error
    """Training stops here, in good order: the checkpoint is written."""


class TrainingFailed(Exception):  # noqa: N818 - becomes a TrainingStopped, which is an error
    """Training cannot continue.

    Args:
        reason: The `Outcome.reason`.
        message: For the user.
    """

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason


def diverged(what: str, plan: Plan, counters: Counters, last_checkpoint: str) -> TrainingFailed:
    """The failure for a loss, gradient or weight that is not finite.

    Args:
        what: "the loss became nan at step 7".
        last_checkpoint: A sentence about it.
    """
    if not counters.norms:
        return TrainingFailed(
            "not a number",
            f"{what}, before anything was learned: the data or the initial weights hold values that are not finite, or "
            "far too large. Look for NaN, infinity and missing values in the data.",
        )
    norms = ", ".join(f"{norm:.3g}" for norm in counters.norms)
    clip = "" if plan.clip is not None else ", or clip the gradient (clip=1.0)"
    return TrainingFailed(
        "not a number",
        f"{what} (learning rate {plan.rate(counters.step):.3g}; last gradient norms {norms}). The learning rate is "
        f"probably too high: start again with learning_rate={plan.learning_rate / 3:.2g}{clip}. {last_checkpoint}",
    )


class Writing:
    """Turns an OSError while writing `path` into `TrainingFailed`. Errors from elsewhere, such as reading data, pass.

    Args:
        hint: What is left, and what to do.
    """

    def __init__(self, path: Path, hint: str):
        self._path, self._hint = path, hint

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            message = f"cannot write {self._path}: {error.strerror or error}. {self._hint}"
            raise TrainingFailed("cannot write", message) from error
