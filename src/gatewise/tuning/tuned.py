"""`tune`: find options of a task that validate better than `fit`'s own, within a budget."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import bundle
from ..bundle import checkpoint_of, metrics_of
from ..checks import number, whole
from ..errors import DataError, OptionError, suggest
from ..files import TemporaryFolder, atomic, only_run
from ..tasks import TASKS, find
from .ensemble import Ensemble
from .ensemble import choose as choose_ensemble
from .page import Drawn
from .progress import choose
from .records import DEFAULT, Record, Records
from .report import counts_text, trials_text, verdict
from .search import Limits, Search, Told, TooShort
from .selection import Selection, select
from .space import Space, space_of
from .storage import Storage, opened
from .table import Row, rows
from .trials import MODEL, Fit, Pace, Standing, known_of, run

if TYPE_CHECKING:
    from ..tasks.averaging import Part

MINUTES = 30.0
_HOLD_OUT = "Give more data, a larger validation share (--split 0.6,0.2,0.2), or data of their own to validate on"
_DIRECT = " that forecast all steps at once (mode='direct')"
_ROUGHLY = 2.0  # times the time that there is: a default that takes more by its first steps is not begun


@dataclass(frozen=True)
class Tuned:
    """What a search has found.

    Attributes:
        best_: The options that were found, by name; {} where the default of `fit` is kept.
        estimator_: Fitted with them, as `fit` would do, and measured.
        trials: A row for each trial, see `table.rows`.
        selection: Why these were taken.
        space: What was searched.
        records: The trials.
        ensemble: With `average=True`, what was chosen; `estimator_` averages its members if it is kept.
    """

    best_: dict[str, Any]
    estimator_: Any
    trials: list[Row]
    selection: Selection
    space: Space
    records: list[Record]
    ensemble: Ensemble | None = None

    def report(self) -> str:
        """The best trials and what was found, as text."""
        text = [counts_text(self.records), trials_text(self.space, self.records), verdict(self.selection)]
        if self.ensemble is not None:
            text.append(self.ensemble.report())
        return "\n\n".join(text)


@dataclass(frozen=True)
class Tuning:
    """A search as it was asked for, its data understood, before its first trial.

    Attributes:
        document: What the study is of, as plain JSON; only such a study is gone on with.
        preparing: Seconds that reading and preparing the data took.
        average: Whether an ensemble of the trials is looked for.
    """

    fit: Fit
    space: Space
    document: dict[str, Any]
    limits: Limits
    preparing: float
    average: bool = False

    @classmethod
    def of(
        cls,
        task: str,
        data: Any,
        y: Any = None,
        *,
        limits: Limits,
        options: Mapping[str, Any],
        reading: Mapping[str, Any],
        ranges: Mapping[str, str],
        output: str | os.PathLike[str] | None = None,
        average: bool = False,
    ) -> Tuning:
        """Read the data, and find out what is searched. Raises as `tune` does."""
        from ..training import load_driver

        sources = data if isinstance(data, list) else [data]  # of which some are arrays
        if hasattr(data, "read") or any(isinstance(own, str) and own == "-" for own in sources):
            raise OptionError("a search reads the data many times, which a stream does not allow. Name a file")
        fit = Fit(_estimator(task, options), data, y, reading, measures=limits.seconds is not None)
        load_driver()
        began = time.monotonic()
        looked = fit.look(limits.seconds is not None, None if fit.reading.get("start_from") is None else output)
        preparing, prepared, needed = time.monotonic() - began, looked.prepared, looked.seconds
        if not prepared.held_out:
            raise DataError(
                "a search compares settings on validation data, and none are held out here"
                + (f": {prepared.too_few}" if prepared.too_few else f". {_HOLD_OUT}")
            )
        if average and prepared.halves is None:
            raise OptionError(
                f"average: networks of the task '{task}'{_DIRECT if task == 'forecast' else ''} are not averaged, "
                f"only those of classify and of forecast{'' if task == 'forecast' else _DIRECT}. Leave it out"
            )
        if limits.seconds is not None and needed is not None and needed > _ROUGHLY * limits.seconds:
            raise TooShort(limits.seconds, needed)
        if fixed := sorted(looked.settled.intersection(ranges)):
            raise OptionError(f"{fixed[0]} is that of the model to go on from. Leave one of them out")
        named = {name for name, value in options.items() if value is not None} | looked.settled
        space = space_of(fit.estimator, {**prepared.identity, **vars(prepared.plan)}, ranges, named)
        known = known_of(prepared, looked.start)
        document = {
            "task": task,
            **known,
            "options": fit.estimator.plain_options(),
            "search": space.to_json(),
            "threads": looked.threads,
            "version": version("gatewise"),
        }
        if average:  # by which weights are kept that other studies remove
            document["average"] = True
        return cls(replace(fit, known=known), space, document, limits, preparing, average)

    def seconds_of_default(self) -> float:
        """How long the default takes, by its first steps. Nothing is kept."""
        pace = Pace()

        def halts(standing: Standing) -> bool:
            pace.stands(standing)
            return pace.seconds is not None

        with TemporaryFolder("tune") as folder:
            records = Records(opened(Path(folder, "study"), self.document))
            number = records.add(DEFAULT, self.space.default, int(self.fit.estimator.seed))
            assert number is not None
            with records.storage.lease(number):
                run(self.fit, self.space, records, records.of(number), halts)
            found = records.of(number)
        return found.seconds if pace.seconds is None else pace.seconds

    def run(
        self,
        storage: Storage,
        output: str | os.PathLike[str] | None,
        told: Told,
        *,
        began: float,
    ) -> Tuned:
        """Search, choose among the trials, and fit with what was chosen.

        Args:
            began: When it was asked for, on the clock `time.monotonic`.
        """
        records = self.search(storage, told, began=began)
        found = records.all()
        selection = select(found)
        options = self.space.options(selection.chosen.setting)
        ensemble, parts = None, list["Part"]()
        if self.average:
            ensemble, parts = choose_ensemble(self.fit, self.space, records, selection.chosen, told.note)
        with TemporaryFolder("tuned") as folder:
            # Elsewhere than `output`, where what an interrupt leaves would keep the same command from going on.
            fitted = Path(folder, MODEL)
            if ensemble is not None and ensemble.is_kept:
                estimator = self._averaged(parts, ensemble, fitted, told)
            else:
                estimator = self._fitted(options, records.folder(selection.chosen.number) / MODEL, fitted)
            if output is not None:
                _put(fitted, Path(output))
        return Tuned(options, estimator, rows(self.space, found), selection, self.space, found, ensemble)

    def search(self, storage: Storage, told: Told, *, began: float) -> Records:
        """Run trials until the limits are reached."""
        records = Records(storage)
        try:
            with storage.failures_told():
                Search(
                    *(self.fit, self.space, records, self.limits, told, self.preparing),
                    began=began,
                    ensemble=self.average,
                ).run()
        except TooShort:
            storage.forget()
            raise
        return records

    def _fitted(self, options: Mapping[str, Any], trial: Path, target: Path) -> Any:
        """What `fit` with these options makes: from the trial, which was such a fit, where its files are there."""
        resume = checkpoint_of(trial).exists() and metrics_of(trial).exists()
        if resume:
            shutil.copyfile(metrics_of(trial), metrics_of(target))
            shutil.copyfile(checkpoint_of(trial), checkpoint_of(target))
        estimator = self.fit.with_options(options)
        estimator.fit(self.fit.data, self.fit.y, output=target, resume=resume, **self.fit.reading)
        if estimator.outcome_.reason == "interrupted":
            raise KeyboardInterrupt
        return estimator

    def _averaged(self, parts: Sequence[Part], ensemble: Ensemble, target: Path, told: Told) -> Any:
        """One model of the ensemble's members."""
        from ..tasks.averaging import keep_together

        first = parts[0].trained.estimator
        estimator = type(first)(**first.get_params())
        keep = partial(keep_together, estimator, parts=parts, output=target, tell=told.note, about=ensemble.document())
        estimator.fit_as(keep, self.fit.data, self.fit.y, **self.fit.reading)
        return estimator


def tune(
    task: str,
    data: Any,
    y: Any = None,
    *,
    minutes: float | None = None,
    trials: int | None = None,
    storage: str | os.PathLike[str] | None = None,
    search: Mapping[str, str] | None = None,
    output: str | os.PathLike[str] | None = None,
    page: str | os.PathLike[str] | None = None,
    start_from: Any = None,
    reading: Mapping[str, Any] | None = None,
    average: bool = False,
    verbose: int = 0,
    **options: Any,
) -> Tuned:
    """Search options that validate better than those which `fit` chooses, and fit with them.

    The first trial is what `fit` would do, so what is found is no worse on validation data. The test part is read at
    the very end, to measure what was found. The same call goes on with a study that was stopped.

    Args:
        task: "classify", for example.
        data, y: As for `fit` of the task; what can be read many times.
        minutes: Time for all of it, in this call and those before; 30 if neither this nor `trials` is given.
        trials: How many settings are tried. One process that has no other limit tries the same ones each time.
        storage: Folder or PostgreSQL URL of the study; a temporary folder, if omitted.
        search: Ranges by option: {"hidden_size": "32..512", "cell": "lstm,gru"}; see `space.space_of`.
        output: Model file to write.
        page: HTML file that shows the trials, drawn again after each of them.
        start_from: Model file or fitted estimator that every trial goes on from, as in `fit`; its sizes are not
            searched.
        reading: Further arguments of `fit`, such as `query` and `validation`.
        average: Whether to average the networks of several trials, where that is better on validation data that did
            not choose them; of classify and forecast.
        verbose: 1 shows progress on standard error.
        options: Of the task's estimator. They are the same for all trials.

    Raises:
        OptionError: An option or range is impossible, the time is too short, or the study is of something else.
        DataError: The data cannot be read, or none are held out to validate on.
        MissingExtra: Optuna is not installed.
        KeyboardInterrupt: Ctrl-C. A study that has a storage is kept.
    """
    began = time.monotonic()
    limits = limits_of(minutes, trials)
    if output is not None:
        bundle.check_name(output)
    if page is not None:
        bundle.writable(page, force=True)
    tuning = Tuning.of(
        task,
        data,
        y,
        limits=limits,
        options=options,
        reading={**(reading or {}), "start_from": start_from},
        ranges=search or {},
        output=output,
        average=average,
    )
    with TemporaryFolder("tune") as folder:
        name = "study" if output is None else Path(output).stem
        study = opened(Path(folder, name) if storage is None else os.fspath(storage), tuning.document, name)
        told = choose(not verbose, limits)
        if page is not None:
            told = Drawn(told, Path(page), tuning.space, Records(study), name, task, None)
        return tuning.run(study, output, told, began=began)


def _put(fitted: Path, output: Path) -> None:
    """Copy a model and its history to where they were asked for."""
    with only_run(output):  # nobody else writes there
        for source, target in ((metrics_of(fitted), metrics_of(output)), (fitted, output)):
            if not source.exists():  # an ensemble has no history of its own
                target.unlink(missing_ok=True)
                continue
            with atomic(target) as temporary:
                shutil.copyfile(source, temporary)
        checkpoint_of(output).unlink(missing_ok=True)  # of another training, which this model takes the place of


def limits_of(minutes: float | None, trials: int | None, workers: int = 1) -> Limits:
    """OptionError if one of these is impossible."""
    if minutes is not None:
        number("minutes", minutes, "above 0", lambda v: v > 0)
    if trials is not None:
        whole("trials", trials, 1)
    whole("workers", workers, 1, 1024)
    if minutes is None and trials is None:
        minutes = MINUTES
    return Limits(None if minutes is None else 60 * float(minutes), trials, int(workers))


def _estimator(task: str, options: Mapping[str, Any]) -> Any:
    """OptionError if there is no such task, or option."""
    if task not in TASKS:
        raise OptionError(suggest("task", task, TASKS))
    kind = find(task)
    known = {f.name for f in fields(kind)}
    for name in options:
        if name not in known:
            raise OptionError(suggest("option", name, known))
    estimator = kind(**options)
    if estimator.only == "plain":
        raise OptionError('only="plain" trains no network, so there is nothing to search. Leave it out')
    return estimator
