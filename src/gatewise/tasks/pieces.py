"""Pieces of streams: steps by column, as `Sequences`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..data.sequences import Column, Sequences
from ..errors import DataError


def steps_of(piece: Any, columns: Mapping[str, int | None]) -> Sequences:
    """One sequence of at least one step.

    Args:
        piece: Values by column: of a step, or of several in a list or array. Where there is one column, they may be
            given alone; of several of one number each, a step (columns,) or steps (T, columns) in their order.
        columns: Name of a column -> how many numbers each step has there; None for text and categories.

    Raises:
        DataError: A column is missing, is not of its kind, or has another number of steps than the others.
    """
    given = piece if isinstance(piece, Mapping) else _by_name(piece, list(columns))
    found = {}
    for name, width in columns.items():
        if name not in given:
            raise DataError(f"the row has no '{name}'. It needs: {', '.join(columns)}")
        found[name] = _texts(name, given[name]) if width is None else _numbers(name, given[name], width)
    counts = {len(column.values) for column in found.values()}
    if len(counts) > 1 or not all(counts):
        lengths = ", ".join(f"'{name}' {len(column.values)}" for name, column in found.items())
        raise DataError(f"the columns of a piece must have the same number of steps, at least one, not {lengths}")
    return Sequences(np.array([0, *counts]), found, name="row")


def said(value: Any) -> str:
    """The beginning of what a user gave, on one line."""
    return " ".join(repr(value).split())[:60]


def _by_name(piece: Any, columns: Sequence[str]) -> dict[str, Any]:
    if len(columns) == 1:
        return {columns[0]: piece}
    try:
        values = np.asarray(piece)
    except ValueError:
        values = np.array(piece, object)
    if values.ndim not in (1, 2) or values.shape[-1] != len(columns):
        names = ", ".join(columns)
        raise DataError(f"a row without names must hold {len(columns)} values, for {names}: {said(piece)}")
    return dict(zip(columns, values.T, strict=True))


def _texts(name: str, values: Any) -> Column:
    several = isinstance(values, list | tuple | np.ndarray) and np.ndim(values) == 1
    if not several and (isinstance(values, np.ndarray) or np.ndim(values)):
        raise DataError(f"'{name}' must be a text for each step, not {said(values)}")
    each = list(values) if several else [values]
    return Column(name, "text", np.array([None if value is None else str(value) for value in each], object))


def _numbers(name: str, values: Any, width: int) -> Column:
    try:
        found = np.array(np.nan if values is None else values, np.float64)
    except (TypeError, ValueError):
        raise DataError(f"'{name}' must be a number, not {said(values)}") from None
    if width > 1:
        found = np.atleast_2d(found)
    elif found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim > 2:
        raise DataError(f"'{name}' must be {width} numbers for each step, not of shape {found.shape}")
    return Column(name, "number", np.atleast_1d(found))
