"""`gatewise explain`: why a model answers as it does for one row, and how far that can be relied on."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..data.readers.table_files import ABOUT_DATA, one_source
from ..errors import OptionError
from .csv_options import csv_options, with_csv
from .frame import Json, Query, refuse_models, result, width, words_given


def explain(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file.", show_default=False)],
    data: Annotated[list[str] | None, typer.Argument(metavar="DATA", help=ABOUT_DATA, show_default=False)] = None,
    text: Annotated[
        str | None, typer.Option("--text", metavar="TEXT", help="A text or sentence to explain, instead of DATA.")
    ] = None,
    row: Annotated[int, typer.Option("--row", min=0, help="Row of DATA, from 0.")] = 0,
    target: Annotated[
        str | None,
        typer.Option(
            help="What to explain: a class, label, tag, word, character or column. The answer, if omitted.",
            show_default=False,
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(help="The answer that it is compared with. The next best, if omitted.", show_default=False),
    ] = None,
    step: Annotated[
        int | None,
        typer.Option(
            help="Step of the tag, anomaly, symbol, written word or next character, from 0.", show_default=False
        ),
    ] = None,
    horizon: Annotated[int | None, typer.Option(help="Steps ahead of a forecast, from 1.", show_default=False)] = None,
    quantile: Annotated[
        float | None, typer.Option(help="Quantile of a forecast, instead of its point.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the measured reliability.")] = 0,
    units: Annotated[
        bool, typer.Option("--units", help="Name units by what they follow in the data; takes longer.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write: .html, .json, .csv or .parquet.")
    ] = None,
    walk: Annotated[
        Path | None,
        typer.Option(
            "--walk",
            metavar="PAGE",
            help="Write a page to click through the last steps of the first layer, forward and backward.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the files.")] = False,
    encoding: Annotated[str, typer.Option(help="Encoding of text files.")] = "utf-8",
    query: Query = None,
    json: Json = False,
    **csv: Any,
) -> None:
    """Explain one answer: what in the input adds to it, what would change it, and how far to rely on that.

    Each report measures its own reliability. `--json` prints all of it; `--output` writes it to a file.
    """
    from ..bundle import read_header, writable
    from ..explanation.explaining import report_of
    from ..explanation.question import Ask
    from ..explanation.questions import of_text
    from ..explanation.walking import story_of
    from ..explanation.writing import check_suffix, write
    from ..explanation.writing import text as shown
    from ..tasks import find
    from ..walk import write as write_walk

    if (not data) == (text is None):
        raise OptionError("`gatewise explain` needs either DATA or a text: --text. `gatewise explain --help` says how")
    if text == "":
        raise OptionError("--text is empty. Give it words to explain, in quotes")
    if data:
        refuse_models(data)
    if output is not None:  # report mistakes before the work is done
        check_suffix(output)
        writable(output, force)
    if walk is not None:
        writable(walk, force)
        if output is not None and output.resolve() == walk.resolve():
            raise OptionError(f"--output and --walk both name '{walk}'. Name two files")
    estimator = find(str(read_header(model).document.get("task"))).load(model).set_params(**csv_options(csv))
    reading = {"encoding": encoding} if query is None else {"encoding": encoding, "query": query}
    report = report_of(
        estimator,
        one_source(data or []) if text is None else of_text(estimator, text),
        row,
        Ask(target=target, against=against, step=step, horizon=horizon, quantile=quantile),
        seed=seed,
        units=units,
        reading=reading,
        named=model.name,
        command=shlex.join(["gatewise", *words_given]),
    )
    story = None if walk is None else story_of(report)
    if output is not None:
        write(report, output)
        print(f"{output} is written", file=sys.stderr)
    if walk is not None and story is not None:
        write_walk([story], walk)
        print(f"{walk} is written", file=sys.stderr)
    result("" if json else shown(report, width()), report.to_json(), json)


explain = with_csv(explain)
