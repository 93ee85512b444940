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
