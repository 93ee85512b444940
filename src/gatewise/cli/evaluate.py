"""`gatewise evaluate`: metrics of a model on some data."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from ..data.readers.table_files import ABOUT_DATA
from ..errors import OptionError
from ..tasks.options import names
from .csv_options import csv_options, with_csv
from .decoding_options import BEAM_OPTIONS, CTC_OPTIONS, decoding, with_search
from .frame import Captions, Json, Lists, Query, Unknown, refuse_models, result


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file.", show_default=False)],
    data: Annotated[
        list[str],
        typer.Argument(metavar="DATA", help=f"{ABOUT_DATA} - is standard input.", show_default=False),
    ],
    encoding: Annotated[str, typer.Option(help="Encoding of text files.")] = "utf-8",
    query: Query = None,
    unknown: Unknown = "error",
    captions: Captions = None,
    lists: Lists = None,
    stress: Annotated[
        bool,
        typer.Option("--stress", help="Print a robustness card: the figure when the data change in ways that happen."),
    ] = False,
    changes: Annotated[
        str | None,
        typer.Option(help="Comma-separated changes of the robustness card; all that go with the data, if omitted."),
    ] = None,
    json: Json = False,
    **search: Any,
) -> None:
    """Compute a model's metrics on data, next to simple baselines.

    The data that the model was trained on is split into training, validation and test set as it was then. Any other
    data is evaluated as a whole.
    """
    from ..bundle import read_header
    from ..tasks import find

    task = str(read_header(model).document.get("task"))  # report a wrong file before torch is loaded
    estimator, csv = find(task), csv_options(search)
    given = reading(
        estimator,
        encoding=(encoding, "utf-8"),
        query=(query, None),
        unknown=(unknown, "error"),
        captions=(captions, None),
        lists=(lists, None),
    )
    given |= decoding(task, estimator.evaluate, search)
    refuse_models(data)
    measured = estimator.data_at(data)
    if changes and not stress:
        raise OptionError(f"changes='{changes}' is for the robustness card. Add --stress")
    found = estimator.load(model).set_params(**csv)
    if stress:
        from ..tasks.stress import card_report

        named = {name: given[name] for name in ("captions", "lists") if name in given}
        card = found.stress(measured, changes=names(changes), query=query, encoding=encoding, **named)
        result(card_report(card), card, json)
        return
    metrics = found.evaluate(measured, **given)
    result(f"{found.report(metrics)}\n\n{found.verdict(metrics)}".rstrip(), metrics, json)


def reading(estimator: Any, **options: tuple[Any, Any]) -> dict[str, Any]:
    """What `evaluate` of an estimator takes of options that say how to read data, each given with its default.

    OptionError for one that is given, and that it does not take.
    """
    possible = inspect.signature(estimator.evaluate).parameters
    for name, (value, default) in options.items():
        if value != default and name not in possible:
            raise OptionError(f"--{name} is not an option for models of the task '{estimator.task}'. Leave it out")
    return {name: value for name, (value, _) in options.items() if name in possible}


evaluate = with_csv(with_search(evaluate, {**BEAM_OPTIONS, **CTC_OPTIONS}))
