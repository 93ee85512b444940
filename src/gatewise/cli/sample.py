"""`gatewise sample`: continue text or numbers with a model. Needs no torch."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import OptionError
from .frame import Json, Unknown, result

if TYPE_CHECKING:
    from ..tasks.generate.text.predictor import Writer


def sample(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file.", show_default=False)],
    prompt: Annotated[
        str,
        typer.Option("--prompt", "-p", help="Text to continue; - reads standard input. Numbers: a file of sequences."),
    ] = "",
    length: Annotated[
        int, typer.Option("--length", "-n", help="Number of tokens to write, or maximum number of steps.")
    ] = 500,
    temperature: Annotated[
        float, typer.Option(help="1: the model's distribution; lower: more conservative; 0: always the most probable.")
    ] = 0.8,
    top_k: Annotated[int | None, typer.Option(help="Sample only from this many most probable tokens.")] = None,
    top_p: Annotated[
        float | None,
        typer.Option(help="Sample only from the fewest most probable tokens whose probabilities reach this sum."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed; different each time, if omitted.")] = None,
    stop: Annotated[str, typer.Option(help="Stop before this text.")] = "",
    unknown: Unknown = "error",
    state: Annotated[
        Path | None,
        typer.Option(help="Continue from the state in this file, if it exists, and save the new one there."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Numbers: file to write; .png and .svg are pictures, .csv, .jsonl and .parquet tables.",
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option("--count", "-c", help="Numbers: how many sequences; as many as the prompt has, if omitted."),
    ] = None,
    first: Annotated[
        int | None, typer.Option(help="Numbers: read only this many steps of each sequence of the prompt.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the output file.")] = False,
    json: Json = False,
) -> None:
    """Continue text, printed as it is written, or numeric sequences such as pen strokes.

    Numbers are printed as CSV; `--output` writes them to a table or draws a picture.
    """
    from ..bundle import load, read_header
    from ..tasks import find

    task = str(read_header(model).document.get("task"))
    if task != "generate":
        asks = '--text "..."' if hasattr(find(task), "answers") else "DATA"
        raise OptionError(f"a model of the task '{task}' continues nothing. Try: gatewise predict {model} {asks}")
    found = load(model)
    if "channels" in found.document:
        from ..tasks.generate.numbers.predictor import Tracer
        from .sample_numbers import trace

        of_text = {"top-k": top_k, "top-p": top_p, "stop": stop or None, "state": state}
        of_text["unknown"] = None if unknown == "error" else unknown
        _refuse(of_text, "is for text, and this model continues numbers")
        trace(
            Tracer(found.document, found.tensors),
            prompt=prompt,
            first=first,
            length=length,
            temperature=temperature,
            seed=seed,
            count=count,
            output=output,
            force=force,
            json=json,
        )
    else:
        from ..decoding.sampling import Sampler
        from ..tasks.generate.text.predictor import Writer

        of_numbers = {"output": output, "count": count, "first": first, "force": force or None}
        _refuse(of_numbers, "is for models that continue numbers, and this one writes text")
        writer = Writer(found.document, found.tensors)
        sampler = Sampler(temperature, top_k, top_p, seed, forbidden=writer.forbidden)
        prompt = _restore(writer, state, prompt)
        _print(prompt, writer.write(prompt, length, sampler, stop, unknown), json)
        if state is not None:
            writer.save_state(state)


def _refuse(given: Mapping[str, Any], reason: str) -> None:
    """OptionError if one of these options was given; None stands for one that was not."""
    for name, value in given.items():
        if value is not None:
            raise OptionError(f"--{name} {reason}. Leave it out")


def _restore(writer: Writer, state: Path | None, prompt: str) -> str:
    """Set the state that was saved, if there is one; the text of the prompt."""
    from ..bundle import writable
    from ..data.readers.files import read_text

    if state is not None:
        if state.exists():
            writer.load_state(state)
        writable(state, force=True)
    return read_text("-") if prompt == "-" else prompt


def _print(prompt: str, pieces: Iterator[str], json: bool) -> None:
    if json:
        result("", {"prompt": prompt, "text": "".join(pieces)}, json)
        return
    first = next(pieces, "")  # before the prompt is printed, so that a refused one leaves stdout empty
    sys.stdout.write(prompt + first)
    for piece in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()
    sys.stdout.write("\n")
