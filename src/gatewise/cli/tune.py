"""`gatewise tune TASK`: find better options than the default ones, within a budget; `gatewise tune show` them."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import OptionError
from ..files import only_run
from ..tasks import TASKS
from . import fit as fitting
from . import options as derived
from .frame import Group, Json, note, result, words_given

tune = Group(
    "task",
    "Find options that validate better than the default ones, and fit with them.",
    {**{task: f"gatewise.cli.tune:{task}" for task in TASKS}, "show": "gatewise.cli.tune:show"},
)

_SEARCH, _FILES = "Search", "Files"
_TABLE = typer.Option(help="Write all trials to this .csv, .jsonl or .parquet file.", rich_help_panel=_FILES)
_PAGE = typer.Option(
    metavar="FILE.html", help="Show the trials in this page, drawn again after each of them.", rich_help_panel=_FILES
)
_OURS = {  # options that the command of every task has -> annotation and default
    "minutes": (
        Annotated[
            float | None,
            typer.Option(help="Time for all of it; 30, if no number of trials is given.", rich_help_panel=_SEARCH),
        ],
        None,
    ),
    "trials": (
        Annotated[
            int | None,
            typer.Option(
                help="How many settings to try; the same ones each time, if the time is not limited.",
                rich_help_panel=_SEARCH,
            ),
        ],
        None,
    ),
    "search": (
        Annotated[
            list[str] | None,
            typer.Option(
                metavar="NAME=RANGE",
                help="Search this option too, or in this range: hidden_size=32..512, cell=lstm,gru; may be repeated.",
                rich_help_panel=_SEARCH,
            ),
        ],
        None,
    ),
    "average": (
        Annotated[
            bool,
            typer.Option(
                "--average",
                help="Average the networks of several trials, if that is better on validation data that did not choose "
                "them (classify, forecast).",
                rich_help_panel=_SEARCH,
            ),
        ],
        False,
    ),
    "storage": (
        Annotated[
            str | None,
            typer.Option(
                help="Where the study is kept, for others to join: a folder, or postgresql://... Default: NAME.tune.",
                rich_help_panel=_SEARCH,
            ),
        ],
        None,
    ),
    "workers": (
        Annotated[
            int,
            typer.Option(
                min=1,
                max=1024,
                help="Processes of this machine that try settings at the same time, one thread each.",
                rich_help_panel=_SEARCH,
            ),
        ],
        1,
    ),
    "dry": (
        Annotated[
            bool,
            typer.Option("--dry", help="Show what would be searched and how long it takes.", rich_help_panel=_SEARCH),
        ],
        False,
    ),
    "output": (
        Annotated[
            Path | None,
            typer.Option("--output", "-o", help="Model file to write. Default: NAME.gatewise.", rich_help_panel=_FILES),
        ],
        None,
    ),
    "start_from": (fitting.START_FROM, None),
    "force": (
        Annotated[bool, typer.Option("--force", help="Replace the model file.", rich_help_panel=_FILES)],
        False,
    ),
    "table": (Annotated[Path | None, _TABLE], None),
    "page": (Annotated[Path | None, _PAGE], None),
    "quiet": (Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")], False),
    "json": (Json, False),
    "passed": (
        Annotated[
            float | None,
            typer.Option(help="Of a process that --workers begins: seconds that had passed by then.", hidden=True),
        ],
        None,
    ),
}


def __getattr__(task: str) -> Callable[..., None]:
    """The verb of a task."""
    if task not in TASKS:
        raise AttributeError(f"module {__name__!r} has no attribute {task!r}")
    return _verb(task)


def _verb(task: str) -> Callable[..., None]:
    """`gatewise tune` of a task."""

    def run(asked: fitting.Asked) -> None:
        given, known = asked.given, {**asked.reading, **asked.options}
        named, start = _named(known), given["start_from"]
        changed = {name: given[name] for name in known if name in named or given[name] != known[name].default}
        options = asked.of(name for name in asked.options if name in changed)
        reading = derived.read(asked.estimator.fit, asked.of(asked.reading))
        flags = _flags(changed if start is None else {**changed, "from": start})
        _tune(
            task,
            asked.estimator.data_at(asked.paths),
            asked.target,
            options=derived.read_task(asked.estimator, options),
            reading={**reading, "start_from": start},
            command=["gatewise", "fit", task, *asked.paths, *flags],
            **{name: given[name] for name in _OURS if name not in ("output", "start_from")},
        )

    return fitting.verb_of(
        task,
        _OURS,
        """
    Tries options within a budget of time or trials, beginning with those of `gatewise fit`, and compares them on
    validation data alone. The best are repeated with other seeds; what is no better than chance is not taken. Options
    that are given are the same for all trials. Ctrl-C keeps the study, and the same command goes on with it.
    """,
        run,
    )


def _tune(
    task: str,
    data: Any,
    target: Path,
    *,
    options: Mapping[str, Any],
    reading: Mapping[str, Any],
    command: Sequence[str],
    minutes: float | None,
    trials: int | None,
    search: Sequence[str] | None,
    average: bool,
    storage: str | None,
    workers: int,
    dry: bool,
    force: bool,
    table: Path | None,
    page: Path | None,
    quiet: bool,
    json: bool,
    passed: float | None,
) -> None:
    from ..bundle import check_name, checkpoint_of, writable
    from ..data.tables.writing import check_suffix, write_table
    from ..tuning.page import Drawn
    from ..tuning.progress import choose
    from ..tuning.records import Records
    from ..tuning.report import estimate_text, space_text
    from ..tuning.storage import opened
    from ..tuning.table import columns
    from ..tuning.tuned import Tuning, limits_of
    from ..tuning.workers import REFUSED, run_workers

    began = time.monotonic() - (passed or 0.0)
    limits, ranges = limits_of(minutes, trials, workers), _ranges(search)
    if workers > 1:
        options = {**options, "threads": 1}
        command = [*command, "--threads", "1"]
    if not dry:
        check_name(target)
        writable(target, force)
        with only_run(target):  # a checkpoint of a run that goes on is not "left"
            pass
        if checkpoint_of(target).exists() and not force:
            raise OptionError(f"'{checkpoint_of(target)}' is left from an interrupted training. --force starts over")
    if table is not None:
        check_suffix(table)
        writable(table, force)
    if page is not None:
        writable(page, force=True)

    command = [*command, "-o", str(target), "--force"]  # the model will exist
    again = partial(_fit_command, command)
    kept = [_without_password(word) for word in command]  # in the study and its pages

    tuning = Tuning.of(
        task, data, limits=limits, options=options, reading=reading, ranges=ranges, output=target, average=average
    )
    if dry:
        seconds = tuning.seconds_of_default()
        document = {"search": tuning.document["search"], "seconds_of_default": seconds}
        result(f"{space_text(tuning.space)}\n\n{estimate_text(seconds, limits.seconds)}", document, json)
        return
    told = choose(quiet, limits)
    if not quiet and passed is None:
        note(space_text(tuning.space))
    try:
        place = storage or f"{target.with_suffix('')}.tune"
        study = opened(place, tuning.document, target.with_suffix("").name, command=kept)
        if page is not None:
            told = Drawn(told, page, tuning.space, Records(study), target.stem, task, partial(_fit_command, kept))
        if passed is not None:
            tuning.search(study, told, began=began)
            return
        if workers > 1 and (code := run_workers(workers, [*words_given, f"--passed={time.monotonic() - began:.1f}"])):
            if code == REFUSED:
                study.forget()
            raise OptionError("a worker could not go on; what it said stands above")
        found = tuning.run(study, target, told, began=began)
    except KeyboardInterrupt:
        if passed is None:
            note(f"interrupted. To go on: {shlex.join(['gatewise', *words_given])}")
        raise typer.Exit(130) from None
    if table is not None:
        write_table(table, [columns(found.trials)])
    metrics = found.estimator_.metrics_
    averaged = found.ensemble is not None and found.ensemble.is_kept
    said = "The single setting" if averaged else "The same model"
    lines = [found.report(), f"{said}: {again(found.best_)}", found.estimator_.report(metrics)]
    document = {
        "model": str(target),
        "options": found.best_,
        "default_kept": found.selection.keeps_default,
        "command": again(found.best_),
        **({} if found.ensemble is None else {"ensemble": found.ensemble.document()}),
        "trials": found.trials,
        "metrics": metrics,
    }
    result("\n\n".join(lines).rstrip(), document, json)


def show(
    study: Annotated[
        str,
        typer.Argument(metavar="STUDY", help="Folder or PostgreSQL URL of a study.", show_default=False),
    ],
    name: Annotated[str, typer.Option(help="The study's name in a database.")] = "study",
    table: Annotated[Path | None, _TABLE] = None,
    page: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Show them in this page.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the files.")] = False,
    json: Json = False,
) -> None:
    """Show the trials of a study, while it runs or later."""
    from ..bundle import writable
    from ..data.tables.writing import check_suffix, write_table
    from ..tuning.page import document_of, page_of, write_page
    from ..tuning.records import Records
    from ..tuning.report import counts_text, space_text, trials_text
    from ..tuning.space import Space
    from ..tuning.storage import opened
    from ..tuning.table import columns, rows

    if table is not None:
        check_suffix(table)
        writable(table, force)
    if page is not None:
        writable(page, force)
    storage = opened(study, None, name)
    space, records = Space.from_json(storage.document["search"]), Records(storage).all()
    found = rows(space, records)
    if table is not None:
        write_table(table, [columns(found)])
    if page is not None:
        title = Path(study).stem if name == "study" else name
        command = partial(_fit_command, storage.command) if storage.command else None
        about = document_of(space, records, title=title, task=storage.document["task"], command=command)
        write_page(page_of(about), page)
    text = [space_text(space), counts_text(records), trials_text(space, records)]
    result("\n\n".join(text), {"search": storage.document["search"], "trials": found}, json)


def _ranges(search: Sequence[str] | None) -> dict[str, str]:
    """NAME=RANGE, by name as options of Python are written."""
    found: dict[str, str] = {}
    for text in search or ():
        name, sign, values = text.partition("=")
        name = name.strip().removeprefix("--").replace("-", "_")
        if not sign or not name or not values.strip():
            raise OptionError(f"--search takes NAME=RANGE such as hidden_size=32..512, not '{text}'")
        if name in found:
            raise OptionError(f"--search names {name} twice. Give it one range")
        found[name] = values
    return found


def _named(options: Iterable[str]) -> set[str]:
    """Those that stand on the command line, if only with the value that they have anyway."""
    words = {word.partition("=")[0].replace("-", "_") for word in words_given if word.startswith("--")}
    return {name for name in options if not words.isdisjoint({f"__{name}", f"__no_{name}"})}


def _without_password(word: str) -> str:
    """A word of a command, which may be the URL of a database."""
    return re.sub(r"([?&]password=)[^&]*", r"\1", re.sub(r"(://[^:/@]*):[^@]*@", r"\1@", word))


def _fit_command(command: Sequence[str], options: Mapping[str, Any]) -> str:
    """A command of `gatewise fit`, with more options, as a shell reads it."""
    return shlex.join([*command, *_flags(options)])


def _flags(options: Mapping[str, Any]) -> list[str]:
    """Options as they are written on the command line."""
    words = []
    for name, value in options.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", f"{value:.17g}" if isinstance(value, float) and value.is_integer() else str(value)]
    return words
