"""How rows of data are shown: what the steps of sequences are called, and their numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ...data.sequences import Column, Sequences
from ...data.tables.timezones import as_written
from ..packed import Packed
from ..report import Input


def labels_of(data: Sequences) -> list[str]:
    """The time of each step of one sequence, where there is a column of times; else "" for each."""
    times = next((column for column in data.steps.values() if column.kind == "time"), None)
    if times is None:
        return [""] * int(data.lengths[0])
    return time_labels(as_written(times))


def time_labels(times: Iterable[Any]) -> list[str]:
    """Times as they are told: without fractions that are 0, and as days, if all are midnights."""
    labels = [str(one).removesuffix(".000000") for one in times]
    midnight = "T00:00:00"
    return [one.removesuffix(midnight) for one in labels] if all(one.endswith(midnight) for one in labels) else labels


def series(name: str, columns: Sequence[Column], labels: Sequence[str]) -> Input:
    """Columns of numbers side by side.

    Args:
        name: "sound" and "image" are shown as spectra.
    """
    values = np.concatenate([np.asarray(one.values, np.float32).reshape(len(one), -1) for one in columns], 1)
    return Input(
        name=name,
        kind="spectrum" if name in ("sound", "image") else "numbers",
        labels=labels,
        channels=channel_names(columns),
        values=Packed.of(values),
    )


def channel_names(columns: Sequence[Column]) -> list[str]:
    """A column's own name, or where it has several numbers these behind it."""
    found = []
    for one in columns:
        width = int(np.prod(one.values.shape[1:]))
        found += [one.name] if width == 1 else [f"{one.name} {number}" for number in range(width)]
    return found


def number_text(value: float) -> str:
    """A number as it is told."""
    return f"{value:.4g}"
