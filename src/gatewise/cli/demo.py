"""`gatewise demo`: complete examples on data that is available on any machine."""

from __future__ import annotations

import io
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import OptionError, suggest
from .frame import Json

# Characters to train on, over all epochs: two to three and a half minutes on two cores.
_BUDGET = 3_200_000
_DATES = ("the third of March, 2031", "MON, 12 JAN 1953", "7.11.1989", "February 29th, 2096", "31-dec-99")


@dataclass(frozen=True)
class Show:
    """One demonstration.

    Attributes:
        estimator: The estimator, with its options.
        data: Its training data.
        announcement: Printed before training.
        after: Shows what the model has learned, given the estimator and the name of the model file.
    """

    estimator: Any
    data: Any
    announcement: str
    after: Callable[[Any, str], None]


def full(text: str) -> dict[str, Any]:
    """Options of the `generate` demo when it uses the whole text."""
    return {"seed": 1, "epochs": _BUDGET / (0.9 * len(text))}


def writing(quick: bool) -> Show:
    """Generating text, learned from Python's own documentation."""
    from ..data.datasets.builtin import python_documentation
    from ..tasks.generate.estimator import Generator

    text = python_documentation()
    options = full(text)
    if quick:
        text = text[:60_000]
        options |= {"hidden_size": 96, "epochs": 4}
    data = io.StringIO(text)
    data.name = "pydoc_data.topics"

    def after(generator: Any, file: str) -> None:
        prompt = "The "
        print("\nA generated passage:\n")
        print(prompt + "".join(generator.sample(prompt, 700, temperature=0.7, seed=1)))
        print(f"\nMore: gatewise sample {file} --prompt 'A class '")

    announcement = (
        f"Learning to write from {len(text):,} characters of Python's documentation; the last 5 % are the test set."
    )
    return Show(Generator(**options), data, announcement, after)


def dates(quick: bool) -> Show:
    """Translating dates in many written forms to ISO 8601."""
    from ..data.datasets.builtin import written_dates
    from ..tasks.translate.estimator import Translator

    pairs = written_dates(400 if quick else 4000, seed=1)

    def after(translator: Any, file: str) -> None:
        print("\nDates and their translations:\n")
        for date, found in zip(_DATES, translator.predict(list(_DATES)), strict=True):
            print(f"  {date:<28}{found}")
        print(f"\nMore: echo 'May the 4th, 1977' | gatewise predict {file} -")

    announcement = f"Learning to convert dates to ISO 8601 from {len(pairs):,} pairs in 23 forms; 5 % are the test set."
    return Show(Translator(seed=1, epochs=4 if quick else None), pairs, announcement, after)


def pictures(quick: bool) -> Show:
    """Captioning drawings of simple shapes."""
    from ..data.datasets.scenes import scenes
    from ..tasks.caption.estimator import Captioner

    data = scenes(200 if quick else 3000)

    def after(captioner: Any, file: str) -> None:
        unseen = scenes(5, "test")
        print("\nUnseen scenes, with an actual and a generated caption:\n")
        for known, found in zip(unseen.captions, captioner.predict(unseen), strict=True):
            print(f"  actual:    {known[0]}\n  generated: {found}\n")
        print(f"More: gatewise predict {file} PICTURES")

    announcement = f"Learning to caption drawings from {len(data):,} scenes; 10 % are the test set."
    return Show(Captioner(seed=1, epochs=1 if quick else None), data, announcement, after)


TASKS = {"generate": writing, "translate": dates, "caption": pictures}


def demo(
    task: Annotated[
        str, typer.Argument(metavar="[TASK]", help=f"Task to demonstrate: {', '.join(TASKS)}.")
    ] = "generate",
    output: Annotated[Path, typer.Option("--output", "-o", help="Model file to write.")] = Path("demo.gatewise"),
    force: Annotated[bool, typer.Option("--force", help="Replace the model file.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the checkpoint that Ctrl-C left.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Train for a few seconds only, to see that everything works.")
    ] = False,
    json: Json = False,
) -> None:
    """Train a model on built-in data and show its results: generate text like Python's documentation, convert dates to
    ISO 8601, or caption drawings."""
    if task not in TASKS:
        raise OptionError(suggest("demo", task, tuple(TASKS)))
    from .fit import train

    show = TASKS[task](quick)
    train(show.estimator, show.data, output, {}, force=force, resume=resume, json=json, announcement=show.announcement)
    if not json:
        show.after(show.estimator, shlex.quote(str(output)))
