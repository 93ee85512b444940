"""All trials of a study as a table of plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .records import Record
from .space import Space

Row = dict[str, Any]


def rows(space: Space, records: Sequence[Record]) -> list[Row]:
    """A row for each trial, in the order in which they began.

    Returns:
        By name: "trial", its number; "kind", "state" and "why", see `Record`; "seed"; each knob with its value; each
        option that a knob became, if it became another one, as "fit NAME"; "loss at 0.25" and so on, the best
        validation loss until this share of its plan, a rung of the study; "loss", the best of all; "share" of the plan
        that is done; "step" of the best validation; "seconds". None where there is nothing.
    """
    return [_row(space, record) for record in records]


def _row(space: Space, record: Record) -> Row:
    options = space.options(record.setting)
    became = {f"fit {name}": options.get(name, record.setting[name]) for name in space.default}
    changed = {name: value for name, value in became.items() if value != record.setting[name.removeprefix("fit ")]}
    return {
        "trial": record.number,
        "kind": record.kind,
        "state": record.state,
        "seed": record.seed,
        **record.setting,
        **changed,
        **{f"loss at {share:.3g}": loss for share, loss in zip(record.places, record.rungs, strict=True)},
        "loss": None if math.isnan(record.score) else record.score,
        "share": round(record.share, 4),
        "step": record.step or None,
        "seconds": round(record.seconds, 3),
        "why": record.why or None,
    }


def columns(table: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The same by column, for `write_table`."""
    names = list(dict.fromkeys(name for row in table for name in row))
    return {name: [row.get(name) for row in table] for name in names}
