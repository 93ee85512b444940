"""The trials of a study as they stand in its storage, as plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .storage import Storage

RUNGS = (0.125, 0.25, 0.5)  # shares of its plan after which a trial has to be among the better half to go on

DEFAULT, SECOND, SEARCH, REPEAT = "default", "default again", "search", "repeat"
RUNNING, PAUSED, FINISHED, FAILED = "running", "paused", "finished", "failed"

_DUPLICATE = "another worker has begun it"  # why a trial failed that was never run
_PAUSED, _WHY, _FIGURES = "paused", "why", "figures"  # names of what a trial notes


@dataclass(frozen=True)
class Record:
    """A trial.

    Attributes:
        number: From 0.
        kind: "default" (what `fit` would do), "default again" and "repeat" (a setting with another seed), or "search".
        state: "running", "paused" at a rung, "finished" or "failed".
        setting: Values by knob.
        seed: Of its weights and draws.
        rungs: Best validation loss until each rung that it reached, in the order of `RUNGS`.
        share: Of its plan, what is done.
        score: Best validation loss so far; NaN before the first.
        seconds: That it ran, reading the data included.
        step: Of the best validation; known at the end.
        why: What it failed of.
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
        return [_record(trial) for trial in self.storage.study.get_trials(deepcopy=False) if "kind" in trial.user_attrs]

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
        """Keep how far a trial is; see `Record`."""
        trial = self._trial(number)
        trial.set_user_attr(_FIGURES, {**trial.user_attrs.get(_FIGURES, {}), **figures})
        if trial.user_attrs.get(_PAUSED, False) != paused:
            trial.set_user_attr(_PAUSED, paused)

    def finish(self, number: int, score: float) -> None:
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


def _record(trial: Any) -> Record:
    about = trial.user_attrs
    figures = {**about.get(_FIGURES, {})}
    states = {"COMPLETE": FINISHED, "FAIL": FAILED}
    state = states.get(trial.state.name, PAUSED if about.get(_PAUSED) else RUNNING)
    figures["rungs"] = tuple(figures.get("rungs", ()))
    return Record(
        number=trial.number,
        kind=about["kind"],
        state=state,
        setting=dict(about["setting"]),
        seed=about["seed"],
        why=about.get(_WHY, ""),
        **figures,
    )
