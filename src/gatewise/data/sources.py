"""One door to all readers: whatever a user names becomes `Sequences`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import DataError
from .sequences import Sequences


@dataclass(frozen=True)
class Roles:
    """What the columns of a table are for; a source without named columns needs none of it.

    Attributes:
        target: What is to be predicted.
        key: Columns that tell one sequence from another; none: see `per_step`.
        time: The column, or comma-separated columns, that order its steps.
        columns: What to learn from; None: all columns that have no other role.
        per_step: Whether there is a target at each step, rather than one for each sequence. Without a key, a table is
            then one long sequence, and otherwise each of its rows is a sequence.
    """

    target: Sequence[str] = ()
    key: Sequence[str] = ()
    time: str | None = None
    columns: Sequence[str] | None = None
    per_step: bool = False


def read(
    source: Any, y: Any = None, roles: Roles | None = None, *, query: str | None = None, encoding: str = "utf-8"
) -> Sequences:
    """Sequences from a file, folder, URL, table or arrays.

    Args:
        source: `Sequences` as they are; a path, whose suffix decides; a database's URL; a table in Python; arrays or
            lists.
        y: Targets beside arrays or lists.
        roles: What a table's columns are for.
        query: SQL whose result is the table.
        encoding: Of text files.

    Raises:
        DataError: It cannot be read; the message says where.
    """
    if isinstance(source, Sequences):
        return source
    raise DataError(f"no reader for {source!r:.60}")
