"""`gatewise predict`: a table of a model's predictions, or its answer to a text."""

from __future__ import annotations

import inspect
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..data.readers.table_files import ABOUT_DATA, one_source
from ..errors import OptionError
from .csv_options import csv_options, with_csv
from .decoding_options import BEAM_OPTIONS, CTC_OPTIONS, decoding, with_search
from .frame import Json, Query, refuse_models, result


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file.", show_default=False)],
    data: Annotated[list[str] | None, typer.Argument(metavar="DATA", help=ABOUT_DATA, show_default=False)] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            "--text",
            metavar="TEXT",
            help="A text or sentence to answer, instead of DATA; may be repeated. - reads lines of standard input.",
        ),
    ] = None,
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
    events: Annotated[
        bool, typer.Option("--events", help="Write one row per event of a detector, with what happened in words.")
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="K/N",
            help="Predict part K of N of DATA, which no two parts share: a hash of the key says where a sequence "
            "belongs; without a key that of its file, text or number.",
        ),
    ] = None,
    json: Json = False,
    **search: Any,
) -> None:
    """Write a table of predictions, with one row per sequence, step, word or date, or answer a text.

    Without `--output` the table is printed to standard output as CSV, or as JSON lines with `--json`. Data larger than
    memory is read and written in chunks. With `--text` there is no table: entities are marked in the sentence, a class
    or translation is printed as it is; `--json` prints a line of JSON for each text.
    """
    from ..bundle import read_header, writable
    from ..data.tables.writing import check_suffix
    from ..tasks import find
    from ..tasks.sharding import shard_of
    from .fit import can_plot

    task = str(read_header(model).document.get("task"))
    estimator: Any = find(task)
    csv = csv_options(search)
    if not hasattr(estimator, "predictions"):
        prompt = f" --prompt {shlex.quote(text[0])}" if text else ""
        raise OptionError(f"a model of the task '{task}' continues what it reads. Try: gatewise sample {model}{prompt}")
    if not text and not data:
        raise OptionError("`gatewise predict` needs DATA, or a text: --text. `gatewise predict --help` explains both")
    if data:
        refuse_models(data)
    if plot is not None:  # report mistakes before the work is done
        if not hasattr(estimator, "plot"):
            raise OptionError(f"--plot has nothing to draw for models of the task '{task}'. Leave it out")
        if "-" in (*(data or ()), *(text or ())):
            raise OptionError("--plot reads the data a second time, which standard input does not allow. Name a file")
        can_plot(plot, force)
    if text:
        given = {
            "DATA": data or None,
            "--output": output,
            "--query": query,
            "--times": times or None,
            "--events": events or None,
            "--shard": shard,
        }
        _refuse_beside_text(estimator, given)
        options = decoding(task, estimator.answers, search)
        predictor = estimator.load(model)
        if plot is not None:
            predictor.plot(text, plot)
        _answer(predictor, text, options, encoding, json)
    else:
        possible = inspect.signature(estimator.predictions).parameters
        for flag, used in (("query", query is not None), ("times", times), ("events", events)):
            if used and flag not in possible:
                raise OptionError(f"--{flag} is not an option for models of the task '{task}'. Leave it out")
        reading = {name: value for name, value in (("encoding", encoding), ("query", query)) if name in possible}
        rows: dict[str, Any] = {name: True for name, used in (("times", times), ("events", events)) if used}
        if shard is not None:
            shard_of(shard)  # what is wrong with it shows before the model is read
            rows["shard"] = shard
        options = {**reading, **rows, **decoding(task, estimator.predictions, search)}
        source = one_source(data or [])
        if output is not None:
            check_suffix(output)
            writable(output, force)
        predictor = estimator.load(model).set_params(**csv)
        if plot is not None:  # first, since a model may have nothing to draw
            predictor.plot(source, plot, **reading)
        _print_table(predictor.predictions(source, **options), output, json)


def _refuse_beside_text(estimator: Any, given: Mapping[str, Any]) -> None:
    """OptionError if the model answers no texts, or if something was given, not None, that does not go with one."""
    if not hasattr(estimator, "answers"):
        raise OptionError(f"a model of the task '{estimator.task}' reads no text. Leave --text out, and name its DATA")
    for name, value in given.items():
        if value is not None:
            raise OptionError(f"{name} does not go with --text, whose answers are printed. Leave one of them out")


def _answer(predictor: Any, texts: Sequence[str], options: Mapping[str, Any], encoding: str, json: bool) -> None:
    """Print the answer to each text; to those of standard input as they come."""
    from json import dumps

    from ..bundle import plain
    from ..data.readers.files import arriving_lines

    for text in texts:
        for one in arriving_lines(encoding) if text == "-" else [text]:
            for answer in predictor.answers([one], **options):
                print(dumps(plain(answer.document), ensure_ascii=False) if json else answer.shown, flush=True)


def _print_table(chunks: Iterable[Mapping[str, Any]], output: Path | None, json: bool) -> None:
    """The predictions, to a file or to standard output."""
    from ..data.tables.writing import write_csv, write_lines, write_table

    if output is None:
        (write_lines if json else write_csv)(sys.stdout, chunks)
    else:
        rows = write_table(output, chunks)
        result(f"{output}: {rows:,} rows", {"output": str(output), "rows": rows}, json)


predict = with_csv(with_search(predict, {**BEAM_OPTIONS, **CTC_OPTIONS}))
