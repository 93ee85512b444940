"""`gatewise predict`: what a model says of data."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from ..errors import OptionError
from ..tasks.decoding import Decoding
from . import derived
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
    json: Json = False,
    **search: Any,
) -> None:
    """Predict, and write a table: a row for each sequence, step or date that is predicted.

    Without `--output` the table goes to standard output: CSV, or with `--json` JSON lines. Data larger than memory is
    read and written piece by piece.
    """
    from ..bundle import read_header, writable
    from ..data.writing import check_suffix, write_csv, write_lines, write_table
    from ..tasks import find
    from .fit import can_plot

    task = str(read_header(model).document.get("task"))
    estimator = find(task)
    if not hasattr(estimator, "predictions"):
        raise OptionError(f"a model of the task '{task}' predicts no table. Try: gatewise sample {model}")
    given = {name: value for name, value in search.items() if value is not None}
    possible = inspect.signature(estimator.predictions).parameters
    writes = "decoding" in possible
    if given and not writes:
        flag = next(iter(given)).replace("_", "-")
        raise OptionError(f"--{flag} is for models that write texts, not for one of the task '{task}'. Leave it out")
    if query is not None and "query" not in possible:
        raise OptionError(f"--query does not go with a model of the task '{task}'. Leave it out")
    reading = {name: value for name, value in (("encoding", encoding), ("query", query)) if name in possible}
    options = {**reading, "decoding": Decoding(**given)} if writes else reading
    if output is not None:  # what is wrong should show before the work is done
        check_suffix(output)
        writable(output, force)
    if plot is not None:
        if not hasattr(estimator, "plot"):
            raise OptionError(f"--plot draws nothing for a model of the task '{task}'. Leave it out")
        can_plot(plot, force)
    predictor: Any = estimator.load(model)
    chunks = predictor.predictions(data, **options)
    if output is None:
        (write_lines if json else write_csv)(sys.stdout, chunks)
    else:
        rows = write_table(output, chunks)
        result(f"{output}: {rows:,} rows", {"output": str(output), "rows": rows}, json)
    if plot is not None:
        predictor.plot(data, plot, **reading)


def _with_search(verb: Any) -> Any:
    """A verb with the options of `Decoding` as its own; None stands for what is usual."""
    own, hints = inspect.signature(verb), get_type_hints(verb, include_extras=True)
    found = [p.replace(annotation=hints[p.name]) for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
    for parameter in derived.options(Decoding, lambda name: "Search (of a model that writes texts)").values():
        kind, option = parameter.annotation.__origin__, parameter.annotation.__metadata__[0]
        if parameter.default not in (None, False):
            option.help = f"{option.help.rstrip('.')}; {parameter.default:g} if omitted."
        annotation: Any = Annotated[kind | None, option]
        found.append(parameter.replace(annotation=annotation, default=None, kind=parameter.POSITIONAL_OR_KEYWORD))
    vars(verb)["__signature__"] = own.replace(parameters=found)
    verb.__annotations__ = {p.name: p.annotation for p in found}
    return verb


predict = _with_search(predict)
