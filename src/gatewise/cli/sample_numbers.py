"""`gatewise sample` with a model that continues numbers: a table or a picture. Needs no torch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import whole
from ..errors import OptionError
from .frame import result

if TYPE_CHECKING:
    from ..tasks.generate.numbers.predictor import Tracer

GRID = 16  # sequences in a picture, by default


def trace(
    tracer: Tracer,
    *,
    prompt: str,
    first: int | None,
    length: int,
    temperature: float,
    seed: int | None,
    count: int | None,
    output: Path | None,
    force: bool,
    json: bool,
) -> None:
    """Continue the sequences in the file `prompt`, one after the other, or begin new ones."""
    for name, value, least in (("count", count, 1), ("first", first, 1), ("seed", seed, 0)):
        if value is not None:
            whole(f"--{name}", value, least)
    if first is not None and not prompt:
        raise OptionError("--first is how many steps of a prompt are read, and there is none. Name its file: --prompt")
    picture = output is not None and _is_picture(output, force)
    beginnings = tracer.read(prompt, first) if prompt else [None]
    count = count or (len(beginnings) if prompt else GRID if picture else 1)
    sequences, given = [], []
    for number, draw in enumerate(np.random.SeedSequence(seed).spawn(count)):
        beginning = beginnings[number % len(beginnings)]
        steps = [*([] if beginning is None else beginning), *tracer.trace(beginning, length, temperature, draw)]
        sequences.append(np.array(steps))
        given.append(0 if beginning is None else len(beginning))
    if output is not None and picture:
        tracer.plot(sequences, output, given)
        result(f"{output}: {count:,} sequences", {"output": str(output), "sequences": count}, json)
    else:
        _write_table(tracer.channels.names, sequences, given, output, json)


def _is_picture(output: Path, force: bool) -> bool:
    """Whether the file is to be a picture; else it is a table. Reports mistakes before the work is done."""
    from ..bundle import writable
    from ..data.tables.writing import check_suffix
    from ..plots.figure import FORMATS

    picture = output.suffix.lower() in FORMATS
    if not picture:
        check_suffix(output)
    writable(output, force)
    return picture


def _write_table(
    names: list[str], sequences: list[np.ndarray], given: list[int], output: Path | None, json: bool
) -> None:
    """A row for each step that was added."""
    from ..data.tables.writing import write_csv, write_lines, write_table

    chunks: list[dict[str, Any]] = [
        {"sequence": np.full(len(steps) - known, number), "step": np.arange(known, len(steps))}
        | dict(zip(names, steps[known:].T, strict=True))
        for number, (steps, known) in enumerate(zip(sequences, given, strict=True))
    ]
    if output is None:
        (write_lines if json else write_csv)(sys.stdout, chunks)
    else:
        rows = write_table(output, chunks)
        result(f"{output}: {rows:,} rows", {"output": str(output), "rows": rows}, json)
