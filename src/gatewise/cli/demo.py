"""`gatewise demo`: the main job, on text that every machine has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import OptionError, suggest
from .frame import Json

TASKS = ("generate",)

# Characters to read in all, over every pass: two to three and a half minutes on two cores.
_BUDGET = 3_200_000


def full(text: str) -> dict[str, Any]:
    """Options of the demo on its whole text."""
    return {"seed": 1, "epochs": _BUDGET / (0.9 * len(text))}


def demo(
    task: Annotated[str, typer.Argument(metavar="[TASK]", help="What to show.")] = "generate",
    output: Annotated[Path, typer.Option("--output", "-o", help="Model file to write.")] = Path("demo.gatewise"),
    force: Annotated[bool, typer.Option("--force", help="Replace the model file.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint that Ctrl-C left.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="A few seconds of training: to see that all works.")] = False,
    json: Json = False,
) -> None:
    """Train a model on Python's own documentation, watch it learn to spell, and let it write."""
    if task not in TASKS:
        raise OptionError(suggest("demo", task, TASKS))
    import io
    import shlex

    from ..data.builtin import python_documentation
    from ..tasks.generate import Generator
    from .fit import train

    text = python_documentation()
    options = full(text)
    if quick:
        text = text[:60_000]
        options |= {"hidden_size": 96, "epochs": 4}
    data = io.StringIO(text)
    data.name = "pydoc_data.topics"
    said = f"Learning to write from {len(text):,} characters of Python's documentation; the last 5 % are for the test."
    generator = Generator(**options)
    train(generator, data, output, {}, force=force, resume=resume, json=json, announcement=said)
    if not json:
        print("\nA passage it wrote:\n")
        prompt = "The "
        print(prompt + "".join(generator.sample(prompt, 700, temperature=0.7, seed=1)))
        print(f"\nMore: gatewise sample {shlex.quote(str(output))} --prompt 'A class '")
