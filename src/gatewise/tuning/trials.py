"""One trial: a `fit` that is halted at rungs, and goes on from there to the same bits."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..bundle import checkpoint_of
from ..errors import DataError, OptionError, ShapeError
from .records import DEFAULT, Record, Records
from .space import Space

if TYPE_CHECKING:
    from ..tasks.estimator import Estimator
    from ..tasks.fitting import Looked, Prepared

MODEL = "model.gatewise"  # beside which a trial's checkpoint and history stand


@dataclass(frozen=True)
class Fit:
    """What is fitted, whatever the setting.

    Attributes:
        estimator: With the options that are not searched.
        data, y: Of `fit`.
        reading: Its further arguments, which say how data are read, and from which model it goes on.
        known: What the data were when the search began, see `known_of`; None: that is not known yet.
        measures: Whether to find out at the end of the default how long it takes to measure a model.
    """

    estimator: Estimator
    data: Any
    y: Any
    reading: Mapping[str, Any]
    known: Mapping[str, Any] | None = None
    measures: bool = False

    def with_options(self, options: Mapping[str, Any]) -> Estimator:
        """An estimator that has learned nothing yet."""
        return type(self.estimator)(**{**self.estimator.get_params(), **options})

    def look(self, timed: bool = False, output: str | os.PathLike[str] | None = None) -> Looked:
        """See `fitting.look`. OptionError if `output` is the model that is gone on from."""
        from ..tasks.fitting import look

        estimator = self.with_options({})
        own = partial(look, estimator, timed=timed)
        return estimator.fit_as(own, self.data, self.y, output=output, **self.reading)

    def check(self, prepared: Prepared, start: str | None) -> None:
        """DataChanged if the data, or the model that is gone on from, are others than when the search began."""
        if self.known is not None and known_of(prepared, start) != self.known:
            what = "data" if known_of(prepared, self.known.get("from")) != self.known else "model to go on from"
            raise DataChanged(
                f"the {what} changed while the search runs ({prepared.data['name']}), so its trials would not compare. "
                "The study is unharmed: restore what changed and give the same command, or begin another study"
            )


class DataChanged(DataError):  # noqa: N818 - it reads as what happened
    """The data are not those that a search began with."""


def known_of(prepared: Prepared, start: str | None) -> dict[str, Any]:
    """By what is recognised what a search is of: fingerprints of all data, of what is validated on, and the digest of
    the model that it goes on from."""
    known = {"data": prepared.data["fingerprint"], "validation": prepared.identity.get("validation")}
    return known if start is None else {**known, "from": start}


@dataclass(frozen=True)
class Standing:
    """How far a trial is when it has validated.

    Attributes:
        share: Of its plan, what is done.
        score: The best validation loss so far.
        seconds: That the trial has run, over all sessions.
    """

    share: float
    score: float
    seconds: float


class Pace:
    """How long a trial takes as a whole.

    Attributes:
        seconds: An estimate; None until about a tenth of the plan was timed after the first validation, before which
            there is much that happens only once.
    """

    def __init__(self) -> None:
        self.seconds: float | None = None
        self._first: Standing | None = None

    def stands(self, standing: Standing) -> None:
        if self._first is None:
            self._first = standing
        elif standing.share - self._first.share > 0.09:
            per_share = (standing.seconds - self._first.seconds) / (standing.share - self._first.share)
            self.seconds = standing.seconds + (1 - standing.share) * per_share


def run(
    fit: Fit,
    space: Space,
    records: Records,
    record: Record,
    halts: Callable[[Standing], bool],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Run a trial, which this process holds the lease of, until it ends or halts; go on where it was halted.

    Args:
        halts: Called after each validation but the last: whether the trial pauses here.

    Raises:
        KeyboardInterrupt: It was interrupted; its checkpoint is there.
        GatewiseError, MemoryError: The default fails, the data changed or cannot be read any more, or a file cannot be
            written; other trials note what they failed of.
    """
    from ..tasks.fitting import Trial, attempt
    from ..training import TrainingStopped

    estimator = fit.with_options(space.options(record.setting))
    began, number = clock(), record.number
    path = records.folder(number) / MODEL
    curve = [list(point) for point in record.curve]
    halted = False

    def after_validation(share: float, score: float) -> bool:
        nonlocal halted
        if not records.storage.holds(number):  # another process has taken it, while this one slept
            return True
        seconds = record.seconds + clock() - began
        curve.append([share, score])
        records.note(number, {"share": share, "score": score, "curve": curve, "seconds": seconds})
        halted = halts(Standing(share, score, seconds))
        return halted

    path.parent.mkdir(parents=True, exist_ok=True)
    resume = checkpoint_of(path).exists()
    figures: dict[str, Any] = {}
    trial = Trial(
        path=path,
        seed=record.seed,
        resume=resume,
        halts=after_validation,
        checks=fit.check,
        measured=partial(figures.__setitem__, "closing") if fit.measures and record.kind == DEFAULT else None,
    )
    try:
        outcome = estimator.fit_as(partial(attempt, estimator, trial=trial), fit.data, fit.y, **fit.reading)
    except (TrainingStopped, OptionError, DataError, ShapeError, MemoryError) as error:
        diverged = isinstance(error, TrainingStopped) and error.outcome.reason != "cannot write"
        if record.kind == DEFAULT or (record.setting == space.default and not diverged):
            raise
        if isinstance(error, DataChanged) or (isinstance(error, TrainingStopped) and not diverged):
            raise
        if isinstance(error, OptionError | DataError | ShapeError):
            looked = fit.look()
            fit.check(looked.prepared, looked.start)  # a file that is gone, or was changed, is no fault of the setting
        records.note(number, {"seconds": record.seconds + clock() - began})
        records.fail(number, " ".join(str(error).split()) or type(error).__name__)
        return
    if not records.storage.holds(number):
        return
    ended = outcome.reason in ("finished", "early stop")
    seconds = record.seconds + clock() - began
    figures |= {"seconds": seconds - figures.get("closing", 0.0), "score": outcome.best_loss, "step": outcome.best_step}
    if not ended:
        records.note(number, {"seconds": seconds}, paused=halted)  # also if it was interrupted right there
        if outcome.reason == "interrupted":
            raise KeyboardInterrupt
        return
    assert outcome.best_loss is not None  # a plan ends with a validation
    curve.append([1.0, outcome.best_loss])  # so that it has reached all rungs, also where a plan has few validations
    records.note(number, {**figures, "curve": curve, "share": 1.0})
    records.finish(number, outcome.best_loss)


def drop_checkpoint(folder: Path) -> None:
    """Of a trial that nothing will go on from."""
    checkpoint_of(folder / MODEL).unlink(missing_ok=True)
