"""`gatewise predict`: what a model says of data."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import OptionError
from .decoding_options import BEAM_OPTIONS, CTC_OPTIONS, decoding, with_search
from .frame import Json, Query, result


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file.", show_default=False)],
    data: Annotated[str, typer.Argument(metavar="DATA", help="A file, folder or database's URL.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write: .csv, .jsonl or .parquet.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Draw the first series with its forecast or its events, or where a decoder looked: PNG, SVG."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
    encoding: Annotated[str, typer.Option(help="Encoding of text files.")] = "utf-8",
    query: Query = None,
    times: Annotated[bool, typer.Option("--times", help="A row for each word, with when it is said.")] = False,
    json: Json = False,
    **search: Any,
) -> None:
    """Predict, and write a table: a row for each sequence, step, word or date that is predicted.

    Without `--output` the table goes to standard output: CSV, or with `--json` JSON lines. Data larger than memory is
    read and written piece by piece.
    """
    from ..bundle import read_header, writable
    from ..data.tables.writing import check_suffix, write_csv, write_lines, write_table
    from ..tasks import find
    from .fit import can_plot

    task = str(read_header(model).document.get("task"))
    estimator = find(task)
    if not hasattr(estimator, "predictions"):
        raise OptionError(f"a model of the task '{task}' predicts no table. Try: gatewise sample {model}")
    possible = inspect.signature(estimator.predictions).parameters
    for flag, given in (("query", query is not None), ("times", times)):
        if given and flag not in possible:
            raise OptionError(f"--{flag} does not go with a model of the task '{task}'. Leave it out")
    reading = {name: value for name, value in (("encoding", encoding), ("query", query)) if name in possible}
    options = {**reading, **({"times": True} if times else {}), **decoding(task, estimator.predictions, search)}
    if output is not None:  # what is wrong should show before the work is done
        check_suffix(output)
        writable(output, force)
    if plot is not None:
        if not hasattr(estimator, "plot"):
            raise OptionError(f"--plot draws nothing for a model of the task '{task}'. Leave it out")
        if data == "-":
            raise OptionError("--plot reads the data once more, which standard input does not allow. Name a file")
        can_plot(plot, force)
    predictor: Any = estimator.load(model)
    if plot is not None:  # first, for a model may have nothing to draw
        predictor.plot(data, plot, **reading)
    chunks = predictor.predictions(data, **options)
    if output is None:
        (write_lines if json else write_csv)(sys.stdout, chunks)
    else:
        rows = write_table(output, chunks)
        result(f"{output}: {rows:,} rows", {"output": str(output), "rows": rows}, json)


predict = with_search(predict, {**BEAM_OPTIONS, **CTC_OPTIONS})
