"""`gatewise watch`: a training as a page, from its record. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import DataError
from .frame import Json, result


def watch(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="Model file, or the .metrics.jsonl that stands beside it.", show_default=False
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="HTML file to write.", show_default=False)],
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    json: Json = False,
) -> None:
    """Show how a training went in an HTML page, from its record.

    What the layers did is in the record of a training that was watched: `gatewise fit TASK DATA --watch run.html`.
    """
    from ..bundle import metrics_of, writable
    from ..watch.advice import advice
    from ..watch.page import record_of, write_page

    history = run if run.suffix == ".jsonl" else metrics_of(run)
    if not history.is_file():
        raise DataError(f"there is no record of a training '{history}'. Name a model with one beside it, or the record")
    lines = record_of(history)
    writable(output, force)
    write_page(history, output, run.name)
    told = advice(lines)
    looks = sum(line["kind"] == "look" for line in lines)
    words = [f"wrote {output.name}: {len(lines):,} lines of {history.name}, {looks} of them looks"]
    document = {"page": str(output), "lines": len(lines), "looks": looks, "advice": [vars(own) for own in told]}
    result("\n".join([*words, *(own.english for own in told)]), document, json)
