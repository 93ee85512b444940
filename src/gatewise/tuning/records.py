"""The trials of a study as they stand in its storage, as plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import rungs
from .rungs import Curve
from .storage import Storage

DEFAULT, SECOND, SEARCH, REPEAT = "default", "default again", "search", "repeat"
RUNNING, PAUSED, FINISHED, FAILED = "running", "paused", "finished", "failed"

_DUPLICATE = "another worker has begun it"  # why a trial failed that was never run
_PAUSED, _WHY, _FIGURES = "paused", "why", "figures"  # names of what a trial notes
_PLACES = "places"  # among the figures of the default: where the study has its rungs


@dataclass(frozen=True)
class Record:
    """A trial.

    Attributes:
        number: From 0.
        kind: "default" (what `fit` would do), "default again" and "repeat" (a setting with another seed), or "search".
        state: "running", "paused" at a rung, "finished" or "failed".
        setting: Values by knob.
        seed: Of its weights and draws.
        rungs: Best validation loss until each rung that it reached.
        share: Of its plan, what is done.
        score: Best validation loss so far; NaN before the first.
        seconds: That it ran, reading the data included.
        step: Of the best validation; known at the end.
        why: What it failed of.
        places: The rungs that it reached, as shares of its plan.
        curve: Share of its plan and best validation loss so far, after each validation.
        closing: Of the default, seconds that measuring such a model takes; None if that is not known.
    """

    number: int
    kind: str
    state: str
    setting: dict[str, Any]
    seed: int
    rungs: tuple[float, ...] = ()
    share: float = 0.0
    score: float = math.nan
    seconds: float = 0.0
    step: int = 0
    why: str = ""
    places: tuple[float, ...] = ()
    curve: Curve = ()
    closing: float | None = None

    @property
    def finished(self) -> bool:
        return self.state == FINISHED

    @property
    def was_begun(self) -> bool:
        """Whether it was run at all, rather than left to another worker that was faster."""
        return self.why != _DUPLICATE

    @property
    def counts(self) -> bool:
        """Whether it says something about its setting, in the comparison at rungs."""
        return self.kind in (DEFAULT, SEARCH) and self.state != FAILED


@dataclass
class Records:
    """The trials of a storage, to be read and added to; any number of processes may do so."""

    storage: Storage
    _trials: dict[int, Any] = field(default_factory=dict)  # Optuna's, of those that this process runs

    def all(self) -> list[Record]:
        trials = [trial for trial in self.storage.study.get_trials(deepcopy=False) if "kind" in trial.user_attrs]
        places = _places(trials)
        return [_record(trial, places) for trial in trials]

    def of(self, number: int) -> Record:
        return next(record for record in self.all() if record.number == number)

    def folder(self, number: int) -> Path:
        return self.storage.folder / "trials" / str(number)

    def add(self, kind: str, setting: Mapping[str, Any], seed: int) -> int | None:
        """Begin a trial. None if another process has begun the same one meanwhile."""
        about = {"kind": kind, "setting": dict(setting), "seed": seed}
        self.storage.study.enqueue_trial({}, user_attrs=about)
        trial = self.storage.study.ask()
        self._trials[trial.number] = trial
        *before, own = [record for record in self.all() if record.number <= trial.number]
        if any((one.setting, one.seed) == (own.setting, own.seed) and one.was_begun for one in before):
            self.fail(own.number, _DUPLICATE)
            return None
        return own.number

    def note(self, number: int, figures: Mapping[str, Any], paused: bool = False) -> None:
        """Keep how far a trial is: "share", "score", "curve", "seconds", "step" and "closing" as in `Record`."""
        trial = self._trial(number)
        trial.set_user_attr(_FIGURES, {**trial.user_attrs.get(_FIGURES, {}), **figures})
        if trial.user_attrs.get(_PAUSED, False) != paused:
            trial.set_user_attr(_PAUSED, paused)

    def finish(self, number: int, score: float) -> None:
        """Its curve was noted. That of the default decides where the study has its rungs, once and for all."""
        figures = self._trial(number).user_attrs[_FIGURES]
        if self.of(number).kind == DEFAULT and not _was_begun_before(figures):
            self.note(number, {_PLACES: list(rungs.places(figures["curve"]))})
        self.storage.study.tell(number, score)

    def fail(self, number: int, why: str) -> None:
        from optuna.trial import TrialState

        self._trial(number).set_user_attr(_WHY, why)
        self.storage.study.tell(number, state=TrialState.FAIL)

    def abandoned(self) -> list[int]:
        """Trials whose worker is dead, but for those that nobody should run."""
        running = {record.number for record in self.all() if record.state == RUNNING}
        return [number for number in self.storage.abandoned() if number in running]

    def _trial(self, number: int) -> Any:
        """Optuna's trial, to be written to."""
        from optuna.trial import Trial

        if number not in self._trials:
            study = self.storage.study
            self._trials[number] = Trial(study, study.get_trials(deepcopy=False)[number]._trial_id)
        return self._trials[number]


def _places(trials: Sequence[Any]) -> tuple[float, ...]:
    """The rungs of a study; none are known until its default has ended."""
    defaults = (trial for trial in trials if trial.user_attrs["kind"] == DEFAULT and trial.state.name != "FAIL")
    figures: Mapping[str, Any] = next((trial.user_attrs.get(_FIGURES, {}) for trial in defaults), {})
    return rungs.BEFORE if _was_begun_before(figures) else tuple(figures.get(_PLACES, ()))


def _was_begun_before(figures: Mapping[str, Any]) -> bool:
    """Whether a trial noted what trials did when all studies had the same rungs: losses there, and no curve."""
    return "rungs" in figures


def _record(trial: Any, places: Sequence[float]) -> Record:
    about = trial.user_attrs
    figures = {**about.get(_FIGURES, {})}
    states = {"COMPLETE": FINISHED, "FAIL": FAILED}
    state = states.get(trial.state.name, PAUSED if about.get(_PAUSED) else RUNNING)
    figures.pop(_PLACES, None)
    curve, known = figures.pop("curve", []), figures.pop("rungs", [])
    reached = (*known, *rungs.losses(curve, places[len(known) :]))
    return Record(
        number=trial.number,
        kind=about["kind"],
        state=state,
        setting=dict(about["setting"]),
        seed=about["seed"],
        why=about.get(_WHY, ""),
        places=tuple(places[: len(reached)]),
        rungs=reached,
        curve=curve,
        **figures,
    )
