"""`gatewise fit TASK`: train a model."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import DataError, OptionError
from ..tasks import TASKS, find
from . import frame
from . import options as derived
from .frame import Group, Json, note, result

fit = Group("task", "Train a model and save it as one file.", {task: f"gatewise.cli.fit:{task}" for task in TASKS})

_FILES = "Files"
_ONE = "A file, folder or database's URL."
_OURS = {  # what every task's command has, whatever its estimator
    "output": Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Model file to write; NAME.gatewise if omitted.", rich_help_panel=_FILES),
    ],
    "force": Annotated[bool, typer.Option("--force", help="Replace the model file.", rich_help_panel=_FILES)],
    "resume": Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint beside the model file.", rich_help_panel=_FILES)
    ],
    "plot": Annotated[
        Path | None, typer.Option(help="Draw the loss curve into this PNG or SVG.", rich_help_panel=_FILES)
    ],
    "quiet": Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")],
    "json": Json,
}
_ABOUT_FIT = {"output", "resume", "progress", "sample_length"}  # of `fit`, what is ours to give


def __getattr__(task: str) -> Callable[..., None]:
    """The verb of a task."""
    if task not in TASKS:
        raise AttributeError(f"module {__name__!r} has no attribute {task!r}")
    return _verb(task)


def _verb(task: str) -> Callable[..., None]:
    """A function for typer whose options are those of the task's estimator and of its `fit`."""
    estimator = find(task)
    several = bool(estimator.several_files)
    argument = typer.Argument(metavar="DATA", help=estimator.several_files or _ONE, show_default=False)
    data: Any = Annotated[list[str], argument] if several else Annotated[str, argument]
    mine = derived.of_task(estimator)
    reading = derived.of_function(estimator.fit, _FILES, without=_ABOUT_FIT)
    parameters = {"data": inspect.Parameter("data", inspect.Parameter.KEYWORD_ONLY, annotation=data)}
    for name, annotation in _OURS.items():
        default = None if name in ("output", "plot") else False
        parameters[name] = inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
        )
    parameters |= {**reading, **mine}

    def verb(**given: Any) -> None:
        paths = given["data"] if several else [given["data"]]
        options = derived.read_task(estimator, {name: given[name] for name in mine})
        train(
            estimator(**options),
            estimator.data_at(paths),
            given["output"] or Path(f"{_stem(paths[0])}.gatewise"),
            derived.read(estimator.fit, {name: given[name] for name in reading}),
            **{name: given[name] for name in ("force", "resume", "plot", "quiet", "json")},
        )

    verb.__doc__ = f"""{inspect.cleandoc(estimator.__doc__ or "").partition(chr(10))[0]}

    Shows progress, and ends with figures beside plain baselines. Ctrl-C leaves the best model so far and a checkpoint,
    from which `--resume` goes on.
    """
    vars(verb)["__signature__"] = inspect.Signature(list(parameters.values()))
    verb.__annotations__ = {name: parameter.annotation for name, parameter in parameters.items()}
    return verb


def train(
    estimator: Any,
    data: Any,
    target: Path,
    reading: dict[str, Any],
    *,
    force: bool = False,
    resume: bool = False,
    plot: Path | None = None,
    quiet: bool = False,
    json: bool = False,
    announcement: str = "",
) -> None:
    """Train an estimator on data, save it, and print its figures.

    Args:
        reading: How to read the data: further arguments of its `fit`.
    """
    from ..bundle import checkpoint_of, metrics_of, writable

    checkpoint = checkpoint_of(target)
    if checkpoint.exists() and not (force or resume):
        raise OptionError(
            f"'{checkpoint}' is left of a training that was stopped. --resume goes on with it, --force starts over"
        )
    writable(target, force or resume)
    # What is missing or wrong should show before training, and before torch is loaded.
    if plot is not None:
        can_plot(plot)
    data = estimator.opened(data, reading.get("encoding", "utf-8"))
    if announcement:
        note(announcement)

    from ..plots.loss_curve import plot as draw
    from ..training import choose
    from ..training.memory import size_text

    if not quiet and "sample_length" in inspect.signature(estimator.fit).parameters:
        reading = {**reading, "sample_length": 300}
    estimator.fit(data, output=target, resume=resume, progress=partial(choose, quiet), **reading)
    outcome = estimator.outcome_
    if plot is not None:
        try:
            draw(metrics_of(target), plot)
        except DataError:  # stopped before there was anything to draw
            note(f"'{plot}' was not drawn: there is no loss yet.")
    document = {"model": str(target), "outcome": vars(outcome), "metrics": estimator.metrics_}
    weights = sum(weight.numel() for weight in estimator.model_.parameters())
    size = f"{target} ({weights:,} weights, {size_text(target.stat().st_size)})"
    result(f"{estimator.report(estimator.metrics_)}\n\n{size}", document, json)
    if outcome.reason == "interrupted":
        words = [word for word in frame.words_given if word not in ("--force", "--resume")]
        note(f"stopped after step {outcome.step}; {target} holds the best weights so far.")
        note(f"To go on: gatewise {shlex.join([*words, '--resume'])}")
        raise typer.Exit(130)


def can_plot(picture: Path, force: bool = True) -> None:
    """Make sure, before the work, that a picture can be drawn there. OptionError, ModelFileError."""
    from ..bundle import writable
    from ..plots.figure import FORMATS

    if picture.suffix.lower() not in FORMATS:
        raise OptionError(f"--plot draws {' or '.join(FORMATS)}, not '{picture}'. End its name in one of them")
    writable(picture, force)
    import matplotlib  # noqa: F401 - a missing one should show now


def _stem(path: str) -> str:
    """What to call a model of this data."""
    name = Path(path).resolve().name if path != "-" else "stdin"
    return name.removesuffix(".gz").rpartition(".")[0] or name
