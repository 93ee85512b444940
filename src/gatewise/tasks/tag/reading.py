"""Reads sequences with a value per step in every column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...data.sequences import Sequences
from ...data.sources import Roles, read
from ...data.tables.schema import Schema
from ..options import names
from .options import TagOptions


def read_sequences(
    data: Any,
    y: Any,
    options: TagOptions,
    columns: Sequence[str] | None,
    *,
    query: str | None = None,
    encoding: str = "utf-8",
    labelled: bool = True,
    schema: Schema | None = None,
) -> Sequences:
    """Whatever `data.sources.read` takes, as sequences of these columns.

    Args:
        y: Labels of arrays or lists.
        columns: Columns to learn from; all if omitted.
        labelled: Whether the target is read too.
        schema: How the table was read that a model learned from.
    """
    roles = Roles(
        target=names(options.target),
        default_target="label",
        with_target=labelled,
        labels=names(options.target) or ("label",),
        csv=options.csv_format(),
        key=names(options.key),
        time=options.time,
        columns=columns,
        group=names(options.group),
        per_step=True,
        lines="tokens",
        zone=options.zone,
        duplicates=options.duplicates,
        repair=options.repair,
    )
    return read(data, y, roles, query=query, encoding=encoding, schema=schema)
