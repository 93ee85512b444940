"""`gatewise bench`: the speed of the layers, compared with other libraries and with the limits of the machine."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from . import frame
from .frame import Json, note, result


def bench(
    shape: Annotated[
        list[str] | None,
        typer.Option(
            metavar="B,T,I,H[xL]",
            help="Batch, steps, input size, hidden size, layers; may be repeated. Default: six shapes.",
        ),
    ] = None,
    work: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Comma-separated: forward, training, training-dx (with the gradient of the input), ragged, "
            "ragged-training, gru, gru-training, projected, projected-training, peephole, peephole-training, step, "
            "memory; cell and cell-training with --cell. Default: all.",
        ),
    ] = None,
    peers: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Comma-separated: torch, lstmcell, onnxruntime, jax, keras, eager, compiled. Default: all installed.",
        ),
    ] = None,
    cell: Annotated[
        str | None, typer.Option(metavar="FILE.py:NAME", help="Cell of your own, to compare with an eager loop.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Seconds per comparison. Default: 2.")] = None,
    compile: Annotated[
        bool, typer.Option("--compile", help="Also time torch.compile of the loops; each takes half a minute or more.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Two small shapes and the main kinds of work; half a minute in all.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also write the results to this JSON file.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
    json: Json = False,
) -> None:
    """Compare the speed of the layers with torch and, if installed, ONNX Runtime, JAX and Keras.

    All results are checked to be equal before anything is timed, and the libraries take turns in one process. For each
    shape, the table shows what limits the speed on this machine (arithmetic, reading the weights, or the overhead of a
    call), the shortest time that this limit allows, and how close Gatewise comes. Run it on an idle machine.
    """
    from ..bench import peers as others
    from ..bench import shapes, works

    chosen = works.choose(work, cell is not None, quick)
    sizes = tuple(map(shapes.Shape.read, shape)) if shape else shapes.QUICK if quick else shapes.DEFAULT
    names = None if peers is None else works.unique(peers)
    others.choose(names)
    if output is not None:
        from ..bundle import writable

        writable(output, force)
    # Other libraries are measured as they run without this command line, whose short spin makes torch much slower.
    if os.environ.get("GOMP_SPINCOUNT") == frame.SHORT_SPIN:
        del os.environ["GOMP_SPINCOUNT"]
    if compile:
        note("torch.compile takes half a minute or more for each loop.")
    from ..bench import compare, document, save, text
    from ..bench.comparison import QUESTION, mistakes
    from ..cells import load

    found = compare(
        sizes,
        chosen,
        names,
        cell=load(cell) if cell else None,
        threads=threads,
        seconds=seconds if seconds is not None else 0.2 if quick else 2.0,
        compiled=compile,
        progress=note,
    )
    whole = document(QUESTION, shlex.join(["gatewise", *frame.words_given]), found)
    if output is not None:
        save(whole, output)
    result(text(found), whole, json)
    for mistake in mistakes(found):
        note(mistake)
    if mistakes(found):
        raise typer.Exit(1)
