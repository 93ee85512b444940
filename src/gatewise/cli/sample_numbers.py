"""`gatewise sample` of a model that continues numbers: as a table, or as a picture. Needs no torch."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..checks import whole
from ..errors import OptionError
from .frame import result

GRID = 16  # sequences in a picture, unless told


def trace(
    document: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
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
    from ..bundle import writable
    from ..data.tables.writing import check_suffix, write_csv, write_lines, write_table
    from ..plots.figure import FORMATS
    from ..tasks.generate.numbers.predictor import Tracer

    for name, value, least in (("count", count, 1), ("first", first, 1), ("seed", seed, 0)):
        if value is not None:
            whole(f"--{name}", value, least)
    if first is not None and not prompt:
        raise OptionError("--first is how many steps of a prompt are read, and there is none. Name its file: --prompt")
    tracer = Tracer(document, tensors)
    picture = output is not None and output.suffix.lower() in FORMATS
    if output is not None:
        if not picture:
            check_suffix(output)
        writable(output, force)
    beginnings = _beginnings(document, tracer, prompt, first) if prompt else [None]
    count = count or (len(beginnings) if prompt else GRID if picture else 1)
    sequences, given = [], []
    draws = np.random.SeedSequence(seed).spawn(count)
    for number, draw in enumerate(draws):
        beginning = beginnings[number % len(beginnings)]
        steps = [*([] if beginning is None else beginning), *tracer.trace(beginning, length, temperature, draw)]
        sequences.append(np.array(steps))
        given.append(0 if beginning is None else len(beginning))
    if picture and output is not None:
        from ..tasks.generate.numbers.plot import draw as paint

        paint(output, sequences, given, tracer.channels.names)
        result(f"{output}: {count:,} sequences", {"output": str(output), "sequences": count}, json)
        return
    chunks = [
        {"sequence": np.full(len(steps) - known, number), "step": np.arange(known, len(steps))}
        | dict(zip(tracer.channels.names, steps[known:].T, strict=True))
        for number, (steps, known) in enumerate(zip(sequences, given, strict=True))
    ]
    if output is None:
        (write_lines if json else write_csv)(sys.stdout, chunks)
    else:
        rows = write_table(output, chunks)
        result(f"{output}: {rows:,} rows", {"output": str(output), "rows": rows}, json)


def _beginnings(document: Mapping[str, Any], tracer: Any, prompt: str, first: int | None) -> list[Any]:
    """Of each sequence in the file its first steps."""
    from ..tasks.generate.numbers.fitting import sequences_of

    options = document["options"]
    data = sequences_of(prompt, options["key"], options["time"], options["columns"])
    values = tracer.channels.matrix(data)
    ends = data.offsets[1:] if first is None else np.minimum(data.offsets[:-1] + first, data.offsets[1:])
    return [values[start:end] for start, end in zip(data.offsets[:-1], ends, strict=True)]
