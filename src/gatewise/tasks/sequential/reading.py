"""Reads what a model of another library reads: rows of numbers, tokens, or texts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ...data.sequences import Sequences
from ...data.sources import Roles, read
from ...data.tables.schema import Schema
from ...errors import DataError
from ..options import names
from .options import SequentialOptions
from .texts import Tokens

Array = np.ndarray

CHANNELS = "channels"  # what readers call the numbers of arrays


def read_sequences(
    data: Any,
    y: Any,
    options: SequentialOptions,
    *,
    targets: Sequence[str],
    texts: bool,
    per_step: bool,
    query: str | None = None,
    encoding: str = "utf-8",
    labelled: bool = False,
    schema: Schema | None = None,
    known: Sequence[str] | None = None,
) -> Sequences:
    """Whatever `data.sources.read` takes, as sequences.

    Args:
        targets: Columns of what the model should answer; "label" if there are none.
        texts: Whether the model reads texts, so that each row of a table, or line of a text file, is a sequence.
        per_step: Whether it answers at each step, so that targets are there, too.
        known: Its classes, with which lines of a text file may begin.
    """
    roles = Roles(
        target=tuple(targets),
        default_target="label",
        with_target=labelled,
        csv=options.csv_format(),
        key=names(options.key),
        time=options.time,
        columns=names(options.columns) or None,
        per_step=not texts and (per_step or y is None),
        lines="labels" if texts else "rows",
        known=known,
        labels=tuple(targets) or ("label",),
    )
    return read(data, y, roles, query=query, encoding=encoding, schema=schema)


def inputs_of(
    data: Sequences,
    options: SequentialOptions,
    targets: Sequence[str],
    width: int | None,
    vocabulary: Tokens | None,
) -> list[Array]:
    """Of each sequence what the model reads: tokens (T,), or numbers (T, D).

    Args:
        targets: Columns that are not read.
        width: D, or None for tokens.

    Raises:
        DataError: There is no such column, a value is missing, or a sequence is empty.
    """
    if vocabulary is not None and (found := texts_of(data, options, targets)) is not None:
        return [vocabulary.encode(text) for text in found]
    ignored = {*targets, "label", *names(options.key), *names(options.time)}
    named = () if CHANNELS in data.steps else names(options.columns)  # arrays have no names of columns
    chosen = list(named) or [name for name in data.steps if name not in ignored]
    columns = [data.column(name) for name in chosen]
    for column in columns:
        if column.kind != "number" or len(column) != int(data.offsets[-1]):
            raise DataError(f"{data.name}: column '{column.name}' is no number at each step, and numbers are read")
    values = [np.asarray(column.values).reshape(len(column), -1) for column in columns]
    have, wanted = sum(own.shape[1] for own in values), 1 if width is None else width
    if have != wanted:
        which = f" ({', '.join(chosen[:8])})" if chosen else ""
        raise DataError(f"{data.name} has {have} numbers at each step{which}, where the model reads {wanted}")
    rows = np.concatenate(values, 1) if values else np.zeros((0, wanted))
    lengths = data.lengths
    if len(lengths) and not lengths.min():
        raise DataError(f"{data.name}: sequence {int(lengths.argmin())} has no step")
    if (bad := np.flatnonzero(~np.isfinite(rows).all(1))).size:
        sequence = int(np.searchsorted(data.offsets, bad[0], "right")) - 1
        step = int(bad[0] - data.offsets[sequence])
        raise DataError(
            f"{data.name}: step {step} of sequence {sequence} lacks a value that the model needs. Fill it in"
        )
    if width is None:
        return [tokens_of(rows[start:stop, 0], data.name) for start, stop in pairwise(data.offsets)]
    return [rows[start:stop].astype(np.float32) for start, stop in pairwise(data.offsets)]


def tokens_of(values: Array, name: str) -> Array:
    """Numbers of tokens, (T,) int64. DataError if one is no whole number."""
    found = values.astype(np.int64)
    if (found != values).any():
        raise DataError(f"{name}: {values[found != values][0]:g} is no number of a token")
    return found


def texts_of(data: Sequences, options: SequentialOptions, targets: Sequence[str]) -> Sequence[str] | None:
    """The texts, one of each sequence; None where there are none. Short ones, of which some come back, look like
    categories of the only step of each row."""
    alone = data.steps.values() if (data.lengths == 1).all() else ()
    columns = [column for column in (*data.static.values(), *alone) if column.kind in ("text", "category")]
    wanted, target = names(options.columns), {*targets, "label", *names(options.key)}
    for column in columns:
        if column.name in wanted or (not wanted and column.name not in target):
            return [text or "" for text in column.strings()]
    return None
