"""`gatewise bench`: how fast the layers are here, beside other libraries and beside what the machine allows."""

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
            metavar="B,T,I,H[xL]", help="Batch, steps, input size, hidden size, layers; may be repeated. Default: six."
        ),
    ] = None,
    work: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Out of forward, training, training-dx (the input needs a gradient, too), ragged, ragged-training, "
            "gru, gru-training, projected, projected-training, peephole, peephole-training, step, memory; cell and "
            "cell-training for --cell. Default: all.",
        ),
    ] = None,
    peers: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Out of torch, lstmcell, onnxruntime, jax, keras, eager, compiled. Default: all installed.",
        ),
    ] = None,
    cell: Annotated[
        str | None, typer.Option(metavar="FILE.py:NAME", help="A cell of yours, to measure beside an eager loop.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Seconds per comparison; 2 if omitted.")] = None,
    compile: Annotated[
        bool, typer.Option("--compile", help="Also torch.compile of the loops; each takes half a minute or more.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Two small shapes, the main work, short: half a minute in all.")
    ] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="JSON file to write, too.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace that file.")] = False,
    json: Json = False,
) -> None:
    """Time our layers beside torch and, where installed, ONNX Runtime, JAX and Keras.

    Results are checked equal before they are timed, and contestants take turns in one process. For each shape, shows
    what limits it here (arithmetic, reading the weights, or a call's own cost), the least time that leaves, and how
    near we come. Run it while the machine does nothing else.
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
    # Others are measured as they are without our command line, whose short spin makes torch several times slower.
    if os.environ.get("GOMP_SPINCOUNT") == frame.SHORT_SPIN:
        del os.environ["GOMP_SPINCOUNT"]
    if compile:
        note("torch.compile takes half a minute or more for each loop that it compiles.")
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
