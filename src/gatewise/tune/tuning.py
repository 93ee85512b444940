"""`tune`: find options of a task that validate better than `fit`'s own, within a budget."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .. import bundle
from ..bundle import checkpoint_of, metrics_of
from ..checks import number, whole
from ..errors import DataError, OptionError, extras_named, suggest
from ..files import TemporaryFolder, only_run
from ..tasks import TASKS, find
from .records import FINISHED, Record, Records
from .report import counts_text, trials_text, verdict
from .search import Limits, Search, Told
from .selection import Selection, default_of, select
from .space import Space, space_of
from .storage import Storage, opened
from .table import Row, rows
from .trials import MODEL, Fit

MINUTES = 30.0


@dataclass(frozen=True)
class Tuned:
    """What a search has found.

    Attributes:
        best_: The options that were found, by name; {} where the default of `fit` is kept.
        estimator_: Fitted with them, as `fit` would do, and measured; None where that was not asked for.
        trials: A row for each trial, see `table.rows`.
        selection: Why these were taken.
    """

    best_: dict[str, Any]
    estimator_: Any
    trials: list[Row]
    selection: Selection
    space: Space
    records: list[Record]

    def report(self) -> str:
        """The best trials and what was found, as text."""
        text = [counts_text(self.records), trials_text(self.trials, self.space), verdict(self.selection, self.space)]
        return "\n\n".join(text)


@extras_named()
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
    reading: Mapping[str, Any] | None = None,
    told: Told | None = None,
    **options: Any,
) -> Tuned:
    """Search options that validate better than those which `fit` chooses, and fit with them.

    The first trial is what `fit` would do, so what is found is no worse on validation data. The test part is read at
    the very end, to measure what was found. A study that was stopped is gone on with by the same call.

    Args:
        task: "classify", for example.
        data, y: As for `fit` of the task: what can be read again and again.
        minutes: Time for all of it, in this call and those before; 30 if neither this nor `trials` is given.
        trials: How many settings are tried. With one worker, a number of trials and a seed always give the same.
        storage: Folder or PostgreSQL URL of the study; a temporary folder, if omitted.
        search: Ranges by option: {"hidden_size": "32..512", "cell": "lstm,gru"}; see `space.space_of`.
        output: Model file to write.
        reading: Further arguments of `fit`, such as `query` and `validation`.
        told: What shows progress.
        options: Of the task's estimator. They are the same for all trials.

    Raises:
        OptionError: An option or range is impossible, the time is too short, or the study is of something else.
        DataError: The data cannot be read, or none are held out to validate on.
        KeyboardInterrupt: Ctrl-C. The study is kept; the same call goes on.
    """
    began = time.monotonic()
    limits = limits_of(minutes, trials)
    if output is not None:
        bundle.check_name(output)
    if hasattr(data, "read") or data == "-" or (isinstance(data, list) and "-" in data):
        raise OptionError("a search reads the data many times, which a stream does not allow. Name a file")
    fit = Fit(_estimator(task, options), data, y, dict(reading or {}))
    space, document = prepared(fit, search or {})
    with TemporaryFolder("tune") as folder:
        where = Path(folder, "study") if storage is None else storage
        study = opened(where if isinstance(where, Path) else os.fspath(where), document)
        records = searched(fit, space, study, limits, told or Told(), began=began)
        return finished(fit, space, study, records, output)


def limits_of(minutes: float | None, trials: int | None, workers: int = 1) -> Limits:
    """OptionError if one of these is impossible."""
    if minutes is not None:
        number("minutes", minutes, "above 0", lambda v: v > 0)
    if trials is not None:
        whole("trials", trials, 1)
    whole("workers", workers, 1, 1024)
    usual = MINUTES if trials is None else None
    given = usual if minutes is None else float(minutes)
    return Limits(None if given is None else 60 * given, trials, workers)


def prepared(fit: Fit, ranges: Mapping[str, str]) -> tuple[Space, dict[str, Any]]:
    """What is searched, and what the study is of, as plain JSON: only such a study may be gone on with."""
    looked, threads = fit.look()
    if not looked.held_out:
        raise DataError(
            "a search compares settings on validation data, and none are held out here. Give more data, or a larger "
            "validation share: --split 0.6,0.2,0.2"
        )
    space = space_of(fit.estimator, {**looked.identity, **vars(looked.plan)}, ranges)
    reading = {name: value for name, value in fit.reading.items() if isinstance(value, str | int | float | None)}
    document = {
        "task": fit.estimator.task,
        "data": looked.data["fingerprint"],
        "validation": looked.identity.get("validation"),
        "options": fit.estimator.plain_options(),
        "reading": reading,
        "search": space.to_json(),
        "threads": threads,
        "version": version("gatewise"),
    }
    return space, document


def searched(
    fit: Fit,
    space: Space,
    study: Storage,
    limits: Limits,
    told: Told,
    *,
    began: float,
    clock: Callable[[], float] = time.monotonic,
) -> Records:
    """Search until the limits are reached; see `Search`."""
    records = Records(study)
    Search(fit, space, records, limits, told, began=began, clock=clock).run()
    return records


def finished(
    fit: Fit, space: Space, study: Storage, records: Records, output: str | os.PathLike[str] | None
) -> Tuned:
    """Choose among the trials, and fit with what was chosen."""
    found = records.all()
    default = default_of(found)
    if default is None or default.state != FINISHED:
        raise OptionError("the default has not been tried to its end yet. Go on with the search: run it again")
    selection = select(found)
    options = space.options(selection.chosen.setting)
    with TemporaryFolder("tuned") as folder:
        target = Path(folder, MODEL) if output is None else Path(output)
        estimator = _fitted(fit, options, records.folder(selection.chosen.number), target)
    return Tuned(options, estimator, rows(space, found), selection, space, found)


def _fitted(fit: Fit, options: Mapping[str, Any], trial: Path, target: Path) -> Any:
    """What `fit` with these options makes; from the trial, which was such a fit, where its files are there."""
    with only_run(target):  # nobody else is writing there
        for of in (checkpoint_of, metrics_of):
            if of(trial / MODEL).exists():
                shutil.copyfile(of(trial / MODEL), of(target))
    estimator = fit.with_options(options)
    resume = checkpoint_of(trial / MODEL).exists()
    return estimator.fit(fit.data, fit.y, output=target, resume=resume, **fit.reading)


def _estimator(task: str, options: Mapping[str, Any]) -> Any:
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
