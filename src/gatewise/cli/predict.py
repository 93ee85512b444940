"""`gatewise predict`: a table of a model's predictions."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import OptionError
from .csv_options import csv_options, with_csv
from .decoding_options import BEAM_OPTIONS, CTC_OPTIONS, decoding, with_search
from .frame import Json, Query, result


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file.", show_default=False)],
    data: Annotated[str, typer.Argument(metavar="DATA", help="File, folder or database URL.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write: .csv, .jsonl or .parquet.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Draw the first series with its forecast or events, or the decoder's attention, to this PNG or SVG."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
    encoding: Annotated[str, typer.Option(help="Encoding of text files.")] = "utf-8",
    query: Query = None,
    times: Annotated[bool, typer.Option("--times", help="Write one row per word, with its start and end.")] = False,
    json: Json = False,
    **search: Any,
) -> None:
    """Write a table of predictions, with one row per sequence, step, word or date.

    Without `--output` the table is printed to standard output as CSV, or as JSON lines with `--json`. Data larger than
    memory is read and written in chunks.
    """
    from ..bundle import read_header, writable
    from ..data.tables.writing import check_suffix, write_csv, write_lines, write_table
    from ..tasks import find
    from .fit import can_plot

    task = str(read_header(model).document.get("task"))
    estimator, csv = find(task), csv_options(search)
    if not hasattr(estimator, "predictions"):
        raise OptionError(f"a model of the task '{task}' has no table of predictions. Try: gatewise sample {model}")
    possible = inspect.signature(estimator.predictions).parameters
    for flag, given in (("query", query is not None), ("times", times)):
        if given and flag not in possible:
            raise OptionError(f"--{flag} is not an option for models of the task '{task}'. Leave it out")
    reading = {name: value for name, value in (("encoding", encoding), ("query", query)) if name in possible}
    options = {**reading, **({"times": True} if times else {}), **decoding(task, estimator.predictions, search)}
    if output is not None:  # report mistakes before the work is done
        check_suffix(output)
        writable(output, force)
    if plot is not None:
        if not hasattr(estimator, "plot"):
            raise OptionError(f"--plot has nothing to draw for models of the task '{task}'. Leave it out")
        if data == "-":
            raise OptionError("--plot reads the data a second time, which standard input does not allow. Name a file")
        can_plot(plot, force)
    predictor: Any = estimator.load(model).set_params(**csv)
    if plot is not None:  # first, since a model may have nothing to draw
        predictor.plot(data, plot, **reading)
    chunks = predictor.predictions(data, **options)
    if output is None:
        (write_lines if json else write_csv)(sys.stdout, chunks)
    else:
        rows = write_table(output, chunks)
        result(f"{output}: {rows:,} rows", {"output": str(output), "rows": rows}, json)


predict = with_csv(with_search(predict, {**BEAM_OPTIONS, **CTC_OPTIONS}))
