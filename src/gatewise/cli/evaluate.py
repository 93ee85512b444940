"""`gatewise evaluate`: how good a model is on some data."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import OptionError
from .decoding_options import BEAM_OPTIONS, CTC_OPTIONS, decoding, with_search
from .frame import Json, Query, Unknown, result


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file.", show_default=False)],
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA", help="A file, folder or database's URL; - for standard input.", show_default=False
        ),
    ],
    encoding: Annotated[str, typer.Option(help="Encoding of text files.")] = "utf-8",
    query: Query = None,
    unknown: Unknown = "error",
    captions: Annotated[str | None, typer.Option(help="File of captions, where DATA is a folder of images.")] = None,
    lists: Annotated[
        str | None, typer.Option(help="Comma-separated files with the names of images, one a line: only these.")
    ] = None,
    json: Json = False,
    **search: Any,
) -> None:
    """Measure a model on data, beside plain baselines.

    The data that it was trained on is cut into training, validation and test part as it was then; of any other all is
    measured.
    """
    from ..bundle import read_header
    from ..tasks import find

    task = str(read_header(model).document.get("task"))  # a wrong file should show before torch is loaded
    estimator = find(task)
    possible = inspect.signature(estimator.evaluate).parameters
    given: dict[str, Any] = {"encoding": encoding}
    options = (
        ("query", query, None),
        ("unknown", unknown, "error"),
        ("captions", captions, None),
        ("lists", lists, None),
    )
    for name, value, default in options:
        if value != default and name not in possible:
            raise OptionError(f"--{name} does not go with a model of the task '{task}'. Leave it out")
        if name in possible:
            given[name] = value
    given |= decoding(task, estimator.evaluate, search)
    measured = estimator.data_at(data)
    found = estimator.load(model)
    metrics = found.evaluate(measured, **given)
    result(found.report(metrics), metrics, json)


evaluate = with_search(evaluate, {**BEAM_OPTIONS, **CTC_OPTIONS})
