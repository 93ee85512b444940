"""`gatewise compress`: a smaller model file, and what that costs. Needs no torch."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import OptionError, suggest
from .csv_options import csv_options, with_csv
from .evaluate import reading
from .frame import Captions, Json, Lists, Query, Unknown, refuse_models, result


def compress(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file.", show_default=False)],
    weights: Annotated[str, typer.Option(help="float16: half the size; int8: about a quarter.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model file to write.", show_default=False)],
    data: Annotated[
        list[str] | None,
        typer.Option(help="File, folder or database URL to measure the model on before and after.", show_default=False),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="How much worse the model's own figure may become, as a share of it.")
    ] = 0.01,
    encoding: Annotated[str, typer.Option(help="Encoding of text files.")] = "utf-8",
    query: Query = None,
    unknown: Unknown = "error",
    captions: Captions = None,
    lists: Lists = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    json: Json = False,
    **search: Any,
) -> None:
    """Write a model in a file of half the size or less, which every verb takes.

    With --data its figure before and after is printed, and kept in the file. If it became worse than --tolerance
    allows, nothing is written.
    """
    from ..bundle import read_header
    from ..compression import KINDS
    from ..files import size_text
    from ..tasks import compress as compressed
    from ..tasks import find
    from ..tasks.verdict import MEASURES

    if weights not in KINDS:
        raise OptionError(f"--weights: {suggest('kind of weights', weights, KINDS)}")
    kind: Any = weights
    estimator, csv = find(str(read_header(model).document.get("task"))), csv_options(search)
    given: dict[str, Any] = {}
    if data:
        if "-" in data:
            raise OptionError("--data is read twice, before and after, and standard input only once. Name a file")
        refuse_models(data)
        given = reading(
            estimator,
            encoding=(encoding, "utf-8"),
            query=(query, None),
            unknown=(unknown, "error"),
            captions=(captions, None),
            lists=(lists, None),
        )
    measured = estimator.data_at(data) if data else None
    done = compressed(model, output, kind, measured, tolerance=tolerance, force=force, csv=csv, **given)
    if done.cost is None:
        cost = "not measured: --data measures the model before and after"
    else:
        cost = (
            f"{MEASURES[done.cost.measure][0]} {done.cost.before:.6g} before, {done.cost.after:.6g} after "
            f"({done.cost.part} part of {done.cost.data})"
        )
    sizes = f"{size_text(done.bytes_after)} with {done.weights}, where {model.name} has {size_text(done.bytes_before)}"
    result(f"wrote {output.name}: {sizes}; {cost}", asdict(done), json)


compress = with_csv(compress)
