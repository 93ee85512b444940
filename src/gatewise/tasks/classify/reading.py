"""Reads sequences with a target each, from arrays as well as from files and tables."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ...data.log_mel import LogMel
from ...data.readers.audio import level_recordings
from ...data.readers.sklearn_arrays import checked, column_of, in_memory
from ...data.sequences import Sequences
from ...data.sources import Roles, read
from ...data.tables.schema import Schema
from ...errors import DataError
from ..options import names
from .options import ClassifyOptions


def read_sequences(
    data: Any,
    y: Any,
    options: ClassifyOptions,
    *,
    sound: LogMel | None = None,
    query: str | None = None,
    encoding: str = "utf-8",
    with_target: bool = True,
    schema: Schema | None = None,
    levelled: bool = False,
    known: Collection[str] | None = None,
) -> Sequences:
    """Whatever `data.sources.read` takes, as one sequence or more.

    Args:
        y: Targets of what is in memory.
        sound: How recordings become frames; chosen by their sample rate, if omitted.
        with_target: Whether the target's columns are read too.
        schema: How the table was read that a model learned from.
        levelled: Whether recordings are brought to one level, and lose the silence around them.
        known: Classes or labels that the model has; lines of a text file need none of them then, if targets are not
            read.

    Raises:
        DataError: There is none.
    """
    roles = Roles(
        target=names(options.target),
        default_target="label",
        with_target=with_target,
        labels=() if options.target_kind == "number" else (names(options.target) or ("label",)),
        csv=options.csv_format(),
        key=names(options.key),
        time=options.time,
        zone=options.zone,
        duplicates=options.duplicates,
        columns=None if options.columns is None else names(options.columns),
        group=names(options.group),
        lines="labels",
        known=known,
        label_from=options.label_from,
    )
    if in_memory(data):
        data = checked(data)
        y = column_of(y)
    sequences = read(data, y, roles, query=query, encoding=encoding, sound=sound, schema=schema)
    if not len(sequences):
        raise DataError(f"{sequences.name}: there is no sequence in it")
    return level_recordings(sequences) if levelled and holds_recordings(sequences) else sequences


def holds_recordings(data: Sequences) -> bool:
    """Whether the steps are log-mel spectra, and nothing else."""
    return data.steps.keys() == {"log_mel"}
