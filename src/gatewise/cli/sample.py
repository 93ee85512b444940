"""`gatewise sample`: let a model write. Needs no torch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .frame import Json, Unknown, result


def sample(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file.", show_default=False)],
    prompt: Annotated[str, typer.Option("--prompt", "-p", help="Text to continue; - reads standard input.")] = "",
    length: Annotated[int, typer.Option("--length", "-n", help="Tokens to write.")] = 500,
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
    json: Json = False,
) -> None:
    """Continue a text, printing characters as they come."""
    from ..bundle import writable
    from ..runtime.writer import Writer
    from ..tasks.decoding import Sampler

    writer = Writer.load(model)
    sampler = Sampler(temperature, top_k, top_p, seed, forbidden=writer.forbidden)
    if state is not None:
        if state.exists():
            writer.load_state(state)
        writable(state, force=True)
    if prompt == "-":
        from ..data.text import read_text

        prompt = read_text("-")
    pieces = writer.write(prompt, length, sampler, stop, unknown)
    if json:
        result("", {"prompt": prompt, "text": "".join(pieces)}, json)
    else:
        first = next(pieces, "")  # before the prompt is shown, so that a refused one leaves stdout empty
        sys.stdout.write(prompt + first)
        for piece in pieces:
            sys.stdout.write(piece)
            sys.stdout.flush()
        sys.stdout.write("\n")
    if state is not None:
        writer.save_state(state)
