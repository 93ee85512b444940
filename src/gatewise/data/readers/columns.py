"""A column of a table in Python, by itself: a Series of pandas or polars, an array of Arrow, a pandas Categorical."""

from __future__ import annotations

from typing import Any

import numpy as np

_TABLE = ("columns", "column_names", "schema")  # what a table has, and a column does not
_VALUES = ("to_pylist", "to_list", "tolist")  # in this order: what Arrow calls `tolist` is older


def is_column(data: Any) -> bool:
    """Whether this is one column of a table, rather than a table, an array or a list."""
    if isinstance(data, np.ndarray | np.generic | type) or any(hasattr(data, name) for name in _TABLE):
        return False
    return getattr(data, "ndim", 1) == 1 and not hasattr(data, "dim") and any(hasattr(data, name) for name in _VALUES)


def listed(data: Any) -> Any:
    """A column as a list of what stands in it, None where nothing does; anything else as it is."""
    if not is_column(data):
        return data
    values = getattr(data, next(name for name in _VALUES if hasattr(data, name)))()
    return [None if type(value).__name__ in ("NAType", "NaTType") else value for value in values]


def is_series(data: Any) -> bool:
    """Whether this is one column, of numbers: a series of its own, rather than texts."""
    return is_column(data) and not any(isinstance(value, str) for value in listed(data)[:100])


def as_table(series: Any) -> Any:
    """A series as a table: its numbers, called "value" if they have no name, and the index of pandas beside them."""
    name = getattr(series, "name", None)
    if type(series).__module__.partition(".")[0] == "pandas" and hasattr(series, "to_frame"):
        return series.to_frame("value" if name is None else str(name))
    return {str(name or "value"): listed(series)}
