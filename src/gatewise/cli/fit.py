"""`gatewise fit TASK`: train a model."""

from __future__ import annotations

import shlex
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import DataError, OptionError
from . import frame
from .frame import Group, Json, note, result

fit = Group("task", "Train a model and save it as one file.", {"generate": "gatewise.cli.fit:generate"})

_SIZES, _TRAINING, _FILES = "Sizes (chosen from the amount of text, if not given)", "Training", "Files"


def generate(
    data: Annotated[
        list[str],
        typer.Argument(metavar="DATA", help="Text files or folders; - for standard input.", show_default=False),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Model file to write; NAME.gatewise if omitted.", rich_help_panel=_FILES),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the model file.", rich_help_panel=_FILES)] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint beside the model file.", rich_help_panel=_FILES)
    ] = False,
    encoding: Annotated[str, typer.Option(help="Encoding of the text files.", rich_help_panel=_FILES)] = "utf-8",
    plot: Annotated[
        Path | None, typer.Option(help="Draw the loss curve into this PNG or SVG.", rich_help_panel=_FILES)
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="small, medium or large: how much time to spend.", rich_help_panel=_SIZES)
    ] = None,
    cell: Annotated[
        str,
        typer.Option(
            help="Recurrent cell; `gatewise cells` lists them. Or one of your own, FILE.py:NAME.",
            rich_help_panel=_SIZES,
        ),
    ] = "lstm",
    hidden_size: Annotated[int | None, typer.Option(help="Units per layer.", rich_help_panel=_SIZES)] = None,
    num_layers: Annotated[int | None, typer.Option(help="Recurrent layers.", rich_help_panel=_SIZES)] = None,
    embedding_size: Annotated[int | None, typer.Option(help="Features per token.", rich_help_panel=_SIZES)] = None,
    proj_size: Annotated[
        int, typer.Option(help="Size that the layers' output is projected to; 0: not.", rich_help_panel=_SIZES)
    ] = 0,
    tie_weights: Annotated[
        bool | None,
        typer.Option(help="Score tokens with their embeddings; where sizes allow, if omitted.", rich_help_panel=_SIZES),
    ] = None,
    tokens: Annotated[
        str, typer.Option(help="What text is made of: characters, words or byte-pairs.", rich_help_panel=_TRAINING)
    ] = "characters",
    vocabulary_size: Annotated[
        int | None, typer.Option(help="The most words or byte-pairs to keep.", rich_help_panel=_TRAINING)
    ] = None,
    min_frequency: Annotated[
        int, typer.Option(help="How often a word must occur to be kept.", rich_help_panel=_TRAINING)
    ] = 1,
    split: Annotated[
        str,
        typer.Option(help="Shares of training, validation and test text, in this order.", rich_help_panel=_TRAINING),
    ] = "0.9,0.05,0.05",
    epochs: Annotated[
        float | None, typer.Option(help="Passes over the training text.", rich_help_panel=_TRAINING)
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows read side by side.", rich_help_panel=_TRAINING)] = None,
    chunk_length: Annotated[
        int | None, typer.Option(help="Steps that the gradient goes back.", rich_help_panel=_TRAINING)
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Highest learning rate.", rich_help_panel=_TRAINING)
    ] = None,
    weight_decay: Annotated[float, typer.Option(help="AdamW's weight decay.", rich_help_panel=_TRAINING)] = 0.01,
    clip: Annotated[float, typer.Option(help="Largest norm of the gradient.", rich_help_panel=_TRAINING)] = 1.0,
    dropout: Annotated[
        float | None, typer.Option(help="Chance that a value between layers is dropped.", rich_help_panel=_TRAINING)
    ] = None,
    variational_dropout: Annotated[
        bool,
        typer.Option("--variational-dropout", help="One dropout mask for a whole chunk.", rich_help_panel=_TRAINING),
    ] = False,
    recurrent_dropout: Annotated[
        float,
        typer.Option(help="Chance that recurrent weights do not see a unit, a whole chunk.", rich_help_panel=_TRAINING),
    ] = 0.0,
    zoneout: Annotated[
        float,
        typer.Option(help="Chance that a unit keeps what it carries, at each step.", rich_help_panel=_TRAINING),
    ] = 0.0,
    weight_dropout: Annotated[
        float,
        typer.Option(help="Chance that a recurrent weight is zero, a whole chunk.", rich_help_panel=_TRAINING),
    ] = 0.0,
    activation_penalty: Annotated[
        float, typer.Option(help="Weight of the outputs' mean square in the loss.", rich_help_panel=_TRAINING)
    ] = 0.0,
    temporal_activation_penalty: Annotated[
        float, typer.Option(help="The same for their change from step to step.", rich_help_panel=_TRAINING)
    ] = 0.0,
    forget_bias: Annotated[
        float, typer.Option(help="Added to the forget gate's bias at the start.", rich_help_panel=_TRAINING)
    ] = 1.0,
    patience: Annotated[
        int, typer.Option(help="Validations without improvement before stopping; 0: never.", rich_help_panel=_TRAINING)
    ] = 8,
    seed: Annotated[int, typer.Option(help="Of everything random.", rich_help_panel=_TRAINING)] = 0,
    threads: Annotated[int | None, typer.Option(help="CPU threads.", rich_help_panel=_TRAINING)] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    json: Json = False,
) -> None:
    """Learn to continue a text, by characters, words or byte-pairs.

    Shows progress and a passage now and then, and ends with losses beside plain baselines. Ctrl-C leaves the best model
    so far and a checkpoint, from which `--resume` goes on.
    """
    options = {name: value for name, value in locals().items() if name not in _NOT_OPTIONS}
    from ..cells import NAMES, load

    options |= {"split": _shares(split), "patience": patience or None, "cell": cell if cell in NAMES else load(cell)}
    target = output or Path(f"{_stem(data[0])}.gatewise")
    train(data, target, options, force=force, resume=resume, encoding=encoding, plot=plot, quiet=quiet, json=json)


_NOT_OPTIONS = {"data", "output", "force", "resume", "encoding", "plot", "quiet", "json"}


def train(
    data: Any,
    target: Path,
    options: dict[str, Any],
    *,
    force: bool = False,
    resume: bool = False,
    encoding: str = "utf-8",
    plot: Path | None = None,
    quiet: bool = False,
    json: bool = False,
    announcement: str = "",
) -> Any:
    """Train a `Generator` on the text of these files, or of one open file; save it, print its losses; returns it."""
    from ..bundle import checkpoint_of, metrics_of, writable
    from .report import losses

    checkpoint = checkpoint_of(target)
    if checkpoint.exists() and not (force or resume):
        raise OptionError(
            f"'{checkpoint}' is left of a training that was stopped. --resume goes on with it, --force starts over"
        )
    writable(target, force or resume)
    # What is missing or wrong should show before training, and before torch is loaded.
    if plot is not None:
        _can_plot(plot)
    if isinstance(data, list):
        data = _open(data, encoding)
    if announcement:
        note(announcement)

    from ..tasks._sizing import size_text
    from ..tasks.generate import Generator
    from ..training import choose
    from ..training import plot as draw

    generator = Generator(**options).fit(
        data,
        output=target,
        resume=resume,
        progress=partial(choose, quiet),
        passages=0 if quiet else 300,
    )
    outcome = generator.outcome_
    if plot is not None:
        try:
            draw(metrics_of(target), plot)
        except DataError:  # stopped before there was anything to draw
            note(f"'{plot}' was not drawn: there is no loss yet.")
    document = {"model": str(target), "outcome": vars(outcome), "metrics": generator.metrics_}
    size = f"{target} ({generator.sizing_.parameters:,} weights, {size_text(target.stat().st_size)})"
    result(f"{losses(generator.metrics_)}\n\n{size}", document, json)
    if outcome.reason == "interrupted":
        words = [word for word in frame.words_given if word not in ("--force", "--resume")]
        note(f"stopped after step {outcome.step}; {target} holds the best weights so far.")
        note(f"To go on: gatewise {shlex.join([*words, '--resume'])}")
        raise typer.Exit(130)
    return generator


def _open(paths: list[str], encoding: str) -> StringIO:
    """Their text as one open file."""
    from ..data.text import read_text

    file = StringIO(read_text(paths, encoding))
    file.name = ", ".join(paths)
    return file


def _can_plot(picture: Path) -> None:
    from ..bundle import writable
    from ..training.curve import FORMATS

    if picture.suffix.lower() not in FORMATS:
        raise OptionError(f"--plot draws {' or '.join(FORMATS)}, not '{picture}'. End its name in one of them")
    writable(picture, force=True)
    import matplotlib  # noqa: F401 - a missing one should show now


def _shares(text: str) -> tuple[float, ...]:
    try:
        train, validation, test = (float(share) for share in text.split(","))
        return train, validation, test
    except ValueError:
        raise OptionError(f"--split takes three numbers such as 0.9,0.05,0.05, not '{text}'") from None


def _stem(path: str) -> str:
    """What to call a model of this data."""
    name = Path(path).resolve().name if path != "-" else "stdin"
    return name.removesuffix(".gz").rpartition(".")[0] or name
