"""Rows that arrive in many sequences at once, scored as a pure function: what a data engine calls on its workers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.sequences import Sequences
from ..data.tables.timezones import as_written
from ..errors import DataError, ModelFileError, OptionError
from ..runtime.streams import Live, Streams, Table
from . import load
from .sharding import key_columns

if TYPE_CHECKING:
    from .estimator import Estimator

Key = str | tuple[str, ...]  # the text of the key column; of several, or of none, a tuple


def score(
    model: Estimator | str | os.PathLike[str], frame: Any, states: Mapping[Any, bytes] | None = None
) -> tuple[Table, dict[Any, bytes]]:
    """Go on with many sequences at once: the next rows of each, after the state where it was left.

    A pure function: what it answers follows from its arguments, to the last bit, and however the rows of a sequence are
    cut into frames and whatever sequences are beside it, each gets what it would get alone. All of them run in one call
    of the native engine.

    Args:
        model: An estimator, or the path of its file, which each process then reads once. It has to be one that can
            stream, see `Estimator.streams`. `key` tells its sequences apart, and `time` orders their rows; `set_params`
            names them if the model was trained without.
        frame: A table as `predict` takes it: of pandas, polars or Arrow, a dict of columns, a list of dicts, a path.
            Its rows follow those that the states have read.
        states: Key -> state. A key that is missing begins anew. A key is the text of the key column; of several
            columns, or of none, a tuple of texts.

    Returns:
        Predictions by column, and all states, those of the frame's keys after its rows. Of taggers and detectors there
        is a row for each row of the frame, in its order; of others what is known so far of each key: the forecast from
        there on, a row for each step ahead, the class, or the text.

    Raises:
        OptionError: The model has to read a whole input before it answers, or continues what it reads.
        DataError: The frame is not what the model reads, or a state is none.
        ModelFileError: A state is of another model.

    Example:
        >>> predicted, states = gatewise.score("pump.gatewise", monday)
        >>> predicted, states = gatewise.score("pump.gatewise", tuesday, states)
    """
    estimator = _opened(model) if isinstance(model, str | os.PathLike) else model
    live, before = estimator._live(), states or {}
    data = live.sequences_of(frame)
    columns = key_columns(estimator, estimator.schema_, data)
    keys = _keys(data, columns)
    streams = Streams(live)
    opened = {key: _begun(streams, key, before.get(key)) for key in keys}
    pieces = {stream: live.piece_of(one) for stream, one in zip(opened.values(), data, strict=True)}
    answers = [live.table_of(answer) for answer in streams.push(pieces).values()]
    after = {key: streams.snapshot(stream) for key, stream in opened.items()}
    return _table(live, data, columns, answers), {**before, **after}


def _opened(path: str | os.PathLike[str]) -> Estimator:
    try:
        found = os.stat(path)
    except OSError:
        return load(path)  # which says what is wrong
    return _read(os.path.abspath(path), found.st_mtime_ns, found.st_size)


@lru_cache(8)
def _read(path: str, changed: int, size: int) -> Estimator:
    return load(path)


def _begun(streams: Streams, key: Key, state: bytes | None) -> int:
    """A stream that goes on from this state."""
    if state is None:
        return streams.open()
    try:
        return streams.restore(bytes(state))
    except ModelFileError as error:
        raise ModelFileError(f"the state of {key!r} is of another model, or of another version of it") from error
    except (TypeError, ValueError):
        raise DataError(
            f"what is given as the state of {key!r} is none. Give the bytes that `score` returned"
        ) from None


def _keys(data: Sequences, columns: Sequence[str]) -> list[Key]:
    """Of each sequence."""
    if not columns and len(data) > 1:
        raise OptionError(
            f"{data.name} holds {len(data)} sequences that no key tells apart. Name its column with "
            "model.set_params(key=...)"
        )
    texts = [data.static[name].strings() for name in columns]
    rows: list[Any] = [tuple(row) for row in zip(*texts, strict=True)] if texts else [()] * len(data)
    return [row[0] if len(columns) == 1 else row for row in rows]


def _table(live: Live[Any], data: Sequences, columns: Sequence[str], answers: Sequence[Table]) -> Table:
    """The answers below one another, behind the keys and times of their rows."""
    counts = [len(next(iter(answer.values()))) for answer in answers]
    found: Table = {name: np.repeat(np.array(data.static[name].strings(), object), counts) for name in columns}
    if live.each_step:
        found |= {name: as_written(column) for name, column in data.steps.items() if column.kind == "time"}
    for name in answers[0]:
        found[name] = np.concatenate([np.asarray(answer[name]) for answer in answers])
    if live.each_step and data.lines is not None:  # as they stood in the frame
        order = np.argsort(data.lines, kind="stable")
        found = {name: column[order] for name, column in found.items()}
    return found
