"""`gatewise sample`: let a model write. Needs no torch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..errors import OptionError
from .frame import Json, Unknown, result


def sample(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file.", show_default=False)],
    prompt: Annotated[
        str,
        typer.Option(
            "--prompt", "-p", help="Text to continue; - reads standard input. Of numbers: a file of sequences."
        ),
    ] = "",
    length: Annotated[int, typer.Option("--length", "-n", help="Tokens to write, or the most steps to go.")] = 500,
    temperature: Annotated[
        float, typer.Option(help="1: as it believes; less: more cautious; 0: always the likeliest.")
    ] = 0.8,
    top_k: Annotated[int | None, typer.Option(help="Choose among this many likeliest tokens.")] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Choose among the likeliest tokens of this total probability.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed writes the same text; random if omitted.")] = None,
    stop: Annotated[str, typer.Option(help="Stop before this text.")] = "",
    unknown: Unknown = "error",
    state: Annotated[
        Path | None, typer.Option(help="Go on where this file left off, if it exists, and keep the new state in it.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Of numbers: a picture, .png or .svg, or a .csv, .jsonl or .parquet."),
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", "-c", help="Of numbers: sequences; all of the prompt's, if omitted.")
    ] = None,
    first: Annotated[
        int | None, typer.Option(help="Of numbers: read so many steps of each prompt; all, if omitted.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the output file.")] = False,
    json: Json = False,
) -> None:
    """Continue a text, printing characters as they come; or draw with a pen, or continue other numbers.

    Numbers are printed as CSV, or with `--output` become a table or a picture.
    """
    from ..bundle import load, writable
    from ..decoding.sampling import Sampler
    from ..tasks.generate.text.predictor import Writer

    found = load(model)
    if "channels" in found.document:
        from .sample_numbers import trace

        of_text = {"top-k": top_k, "top-p": top_p, "stop": stop, "state": state, "unknown": unknown}
        for name, given in of_text.items():
            if given not in (None, "", "error"):
                raise OptionError(f"--{name} is for text, and this model continues numbers. Leave it out")
        trace(
            found.document,
            found.tensors,
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
        return
    for name, number in {"output": output, "count": count, "first": first, "force": force or None}.items():
        if number is not None:
            raise OptionError(f"--{name} is for models that continue numbers, and this one writes text. Leave it out")
    writer = Writer(found.document, found.tensors)
    sampler = Sampler(temperature, top_k, top_p, seed, forbidden=writer.forbidden)
    if state is not None:
        if state.exists():
            writer.load_state(state)
        writable(state, force=True)
    if prompt == "-":
        from ..data.readers.files import read_text

        prompt = read_text("-")
    pieces = writer.write(prompt, length, sampler, stop, unknown)
    if json:
        result("", {"prompt": prompt, "text": "".join(pieces)}, json)
    else:
        begun = next(pieces, "")  # before the prompt is shown, so that a refused one leaves stdout empty
        sys.stdout.write(prompt + begun)
        for piece in pieces:
            sys.stdout.write(piece)
            sys.stdout.flush()
        sys.stdout.write("\n")
    if state is not None:
        writer.save_state(state)
