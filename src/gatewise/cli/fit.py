"""`gatewise fit TASK`: train a model."""

from __future__ import annotations

import inspect
import os
import shlex
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import DataError, OptionError
from ..files import only_run, size_text
from ..launch import started
from ..lifeline import listen_for_sigterm
from ..tasks import TASKS, find
from ..tasks.verdict import judgement_of
from . import frame
from . import options as derived
from .frame import Group, Json, note, refuse_models, result

if TYPE_CHECKING:
    from ..ranks import Ranks

fit = Group("task", "Train a model and save it as one file.", {task: f"gatewise.cli.fit:{task}" for task in TASKS})

_FILES = "Files"
START_FROM = Annotated[
    Path | None,
    typer.Option(
        "--from",
        help="Go on from this model, with its weights, sizes and vocabulary; see docs/transfer.md.",
        rich_help_panel=_FILES,
    ),
]
_OURS = {  # options that the command of every task has, whatever its estimator -> annotation and default
    "output": (
        Annotated[
            Path | None,
            typer.Option("--output", "-o", help="Model file to write. Default: NAME.gatewise.", rich_help_panel=_FILES),
        ],
        None,
    ),
    "force": (
        Annotated[bool, typer.Option("--force", help="Replace the model file.", rich_help_panel=_FILES)],
        False,
    ),
    "resume": (
        Annotated[
            bool,
            typer.Option(
                "--resume", help="Continue from the checkpoint beside the model file.", rich_help_panel=_FILES
            ),
        ],
        False,
    ),
    "start_from": (START_FROM, None),
    "plot": (
        Annotated[
            Path | None, typer.Option(help="Draw the loss curve to this PNG or SVG file.", rich_help_panel=_FILES)
        ],
        None,
    ),
    "watch": (
        Annotated[
            Path | None,
            typer.Option(help="Show the training, and what its layers do, in this HTML page.", rich_help_panel=_FILES),
        ],
        None,
    ),
    "quiet": (Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")], False),
    "json": (Json, False),
}
# Parameters of `fit` that this module sets itself.
ABOUT_FIT = {"output", "resume", "progress", "verbose", "watch", "start_from", "sample_length"}


def __getattr__(task: str) -> Callable[..., None]:
    """The verb of a task."""
    if task not in TASKS:
        raise AttributeError(f"module {__name__!r} has no attribute {task!r}")
    return _verb(task)


def _verb(task: str) -> Callable[..., None]:
    """`gatewise fit` of a task."""

    def run(asked: Asked) -> None:
        given = asked.given
        if started():
            _refuse_streams([*asked.paths, given.get("validation")])
        train(
            asked.estimator(**derived.read_task(asked.estimator, asked.of(asked.options))),
            asked.estimator.data_at(asked.paths),
            asked.target,
            derived.read(asked.estimator.fit, asked.of(asked.reading)),
            **{name: given[name] for name in _OURS if name != "output"},
        )

    return verb_of(
        task,
        _OURS,
        """
    Shows progress, and at the end the metrics next to simple baselines. Ctrl-C keeps the best model so far and a
    checkpoint, from which `--resume` continues.
    """,
        run,
    )


@dataclass(frozen=True)
class Asked:
    """What a command asks of a task.

    Attributes:
        paths: DATA.
        given: Values of all options, by name.
        reading, options: Parameters of the task's `fit` and options of its estimator that the command has.
    """

    estimator: type[Any]
    paths: list[str]
    given: Mapping[str, Any]
    reading: Mapping[str, inspect.Parameter]
    options: Mapping[str, inspect.Parameter]

    @property
    def target(self) -> Path:
        """The model file to write."""
        return self.given["output"] or Path(f"{stem(self.paths[0])}.gatewise")

    def of(self, names: Iterable[str]) -> dict[str, Any]:
        return {name: self.given[name] for name in names}


def verb_of(
    task: str, ours: Mapping[str, tuple[Any, Any]], about: str, run: Callable[[Asked], None]
) -> Callable[..., None]:
    """A function for typer that has DATA and the options of a task: those of its estimator and of its `fit`.

    Args:
        ours: Options of the command itself: annotation and default. They come first, and instead of a task's own.
        about: What it does, below the first line of the estimator's documentation.
        run: Does it.
    """
    estimator = find(task)
    options = {name: own for name, own in derived.of_task(estimator).items() if name not in ours}
    reading = derived.of_function(estimator.fit, _FILES, without=ABOUT_FIT)
    argument = typer.Argument(metavar="DATA", help=estimator.data_help, show_default=False)
    data = Annotated[list[str], argument]
    first = {"data": (data, inspect.Parameter.empty), **ours}
    parameters = {
        name: inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        for name, (annotation, default) in first.items()
    }

    def verb(**given: Any) -> None:
        refuse_models(given["data"])
        run(Asked(estimator, given["data"], given, reading, options))

    verb.__doc__ = f"{inspect.cleandoc(estimator.__doc__ or '').partition(chr(10))[0]}\n{about}"
    return derived.with_parameters(verb, {**parameters, **reading, **options}.values())


def train(estimator: Any, data: Any, target: Path, reading: dict[str, Any], **given: Any) -> None:
    """Train an estimator on data, save it, and print its metrics: alone, or as one of the processes of `torchrun`.

    Args:
        reading: Further arguments of its `fit`, which say how to read the data.
        given: See `_train`.
    """
    if not started():
        code = _train(estimator, data, target, reading, None, **given)
    else:
        from ..ranks import joined  # loads torch, which is not to be waited for where an option is wrong

        listen_for_sigterm()
        with joined() as ranks:
            code = _train(estimator, data, target, reading, ranks, **given)
    if code:
        raise typer.Exit(code)


def _train(
    estimator: Any,
    data: Any,
    target: Path,
    reading: dict[str, Any],
    ranks: Ranks | None,
    *,
    force: bool = False,
    resume: bool = False,
    start_from: Path | None = None,
    plot: Path | None = None,
    watch: Path | None = None,
    quiet: bool = False,
    json: bool = False,
    announcement: str = "",
) -> int:
    """The exit code."""
    from ..bundle import checkpoint_of, metrics_of

    first = ranks is None or ranks.first
    goes_on = ranks is not None and ranks.goes_on(checkpoint_of(target))
    with nullcontext() if ranks is None else ranks.agreeing():
        if first:
            _can_write(target, force or goes_on, resume, plot, watch)
        data = estimator.opened(data, reading.get("encoding", "utf-8"))
    if announcement and first:
        note(announcement)

    from ..plots.loss_curve import plot as draw
    from ..training import choose

    if not quiet and "sample_length" in inspect.signature(estimator.fit).parameters:
        reading = {**reading, "sample_length": 300}
    estimator.fit(
        data,
        output=target,
        resume=resume,
        progress=partial(choose, quiet),
        watch=watch,
        start_from=start_from,
        **reading,
    )
    outcome = estimator.outcome_
    code = 130 if outcome.reason == "interrupted" else 0
    if not first:
        return code
    if plot is not None:
        try:
            losses = estimator.provenance_["loss"]
            validated = losses["validation"] if losses["validation"] != losses["training"] else None
            draw(
                metrics_of(target),
                plot,
                loss=f"loss: {losses['training']}",
                validated=validated,
                regularised=losses["regularised"],
            )
        except DataError:  # interrupted before there was anything to draw
            note(f"'{plot}' was not drawn: there are no losses yet.")
    document = {"model": str(target), "outcome": vars(outcome), "metrics": estimator.metrics_}
    document |= judgement_of(estimator.metrics_)
    if watch is not None:
        document["advice"] = [vars(own) for own in estimator.advice_]
    network = estimator.model_
    weights = "no network" if network is None else f"{sum(w.numel() for w in network.parameters()):,} weights"
    size = f"{target} ({weights}, {size_text(target.stat().st_size)})"
    lines = [estimator.report(estimator.metrics_), "", size, estimator.verdict(estimator.metrics_)]
    result("\n".join(lines).rstrip(), document, json)
    if watch is not None and estimator.advice_:
        note(estimator.advice_[0].english)
    if outcome.reason == "interrupted":
        words = [word for word in frame.words_given if word not in ("--force", "--resume")]
        note(f"interrupted after step {outcome.step}; {target} has the best weights so far.")
        note(f"To continue: gatewise {shlex.join([*words, '--resume'])}")
    return code


def _refuse_streams(paths: Iterable[str | None]) -> None:
    """OptionError if several processes are to read what can be read but once."""
    from ..data.readers.files import is_streamed, name_of

    for path in paths:
        if path is not None and is_streamed(path):
            raise OptionError(
                f"{name_of(path)} can be read but once, and each of several processes reads all data. Write them to a "
                "file, and name that"
            )


def _can_write(target: Path, force: bool, resume: bool, plot: Path | None, watch: Path | None) -> None:
    """Report what is missing or wrong before training, and before torch is loaded."""
    from ..bundle import check_name, checkpoint_of, writable

    check_name(target)
    checkpoint = checkpoint_of(target)
    with only_run(target):  # a checkpoint of a run that goes on is not "left"
        pass
    if checkpoint.exists() and not (force or resume):
        raise OptionError(
            f"'{checkpoint}' is left from an interrupted training. --resume continues it, --force starts over"
        )
    writable(target, force or resume)
    if plot is not None:
        can_plot(plot)
    if watch is not None:
        writable(watch, force=True)


def can_plot(picture: Path, force: bool = True) -> None:
    """Make sure, before the work starts, that a plot can be written there. OptionError, ModelFileError."""
    from ..bundle import writable
    from ..plots.figure import FORMATS

    if picture.suffix.lower() not in FORMATS:
        raise OptionError(f"--plot writes {' or '.join(FORMATS)}, not '{picture}'. Give it one of these suffixes")
    writable(picture, force)
    import matplotlib  # noqa: F401 - if it is missing, say so now


def stem(path: str) -> str:
    """The name, without suffix, of a model of this data: of a pattern, that of the folder."""
    from ..data.readers.table_files import is_pattern

    while is_pattern(path):
        path = os.path.dirname(path)
    name = Path(path).resolve().name if path != "-" else "stdin"
    return name.removesuffix(".gz").rpartition(".")[0] or name
