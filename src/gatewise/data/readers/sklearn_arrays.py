"""Arrays as scikit-learn's users give them, with the error messages that its checks expect."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ...errors import DataError, OptionTypeError
from ..sequences import Sequences
from .columns import is_column, listed
from .table_files import is_several


def in_memory(data: Any) -> bool:
    """Whether this is an array or list, rather than a path, `Sequences` or a table with named columns."""
    if hasattr(data, "toarray"):  # sparse, and one of scipy's formats is a dict
        return True
    if is_column(data):
        return True
    table = hasattr(data, "__arrow_c_stream__") or isinstance(data, dict) or type(data).__module__ == "duckdb"
    table = table or isinstance(data, str | os.PathLike | Sequences) or is_several(data)
    return not table and not _records(data)


def checked(data: Any) -> Any:
    """What `data.readers.arrays` reads: arrays (N, T) or (N, T, C), lists of arrays, and texts.

    Raises:
        DataError: There is no row, no column, or one row only without its brackets.
        OptionTypeError: It is sparse, or holds neither numbers nor text.
    """
    data = listed(data)
    if hasattr(data, "toarray"):
        raise OptionTypeError("sparse input is not supported: sequences are dense. Give data.toarray()")
    rows = isinstance(data, list | tuple)
    numbers = rows and len(data) and not any(isinstance(row, str) for row in data)
    if not rows or (numbers and len({np.shape(row) for row in data}) == 1):
        data = np.asarray(data)
    if not isinstance(data, np.ndarray):
        return data
    if data.dtype.kind == "c":
        raise DataError("Complex data not supported: sequences are of real numbers")
    if data.ndim and not len(data):
        raise DataError(f"0 sample(s) (shape={data.shape}) while a minimum of 1 is required")
    if data.ndim > 1 and not data.size:
        raise DataError(f"0 feature(s) (shape={data.shape}) while a minimum of 1 is required: there are no steps")
    if data.ndim == 0 or (data.ndim == 1 and data.dtype.kind in "biuf"):
        raise DataError(
            f"Expected 2D array, got {data.ndim}D array instead: numbers alone are one sequence, not several. "
            "Reshape your data: array.reshape(1, -1) if it is one sequence"
        )
    if data.ndim > 1 and data.dtype.kind == "O" and not isinstance(data.flat[0], str):
        try:
            return data.astype(np.float64)
        except TypeError as error:
            raise OptionTypeError(f"argument must be a string or a number: {error}") from error
    return data


def are_integers(y: Any) -> bool:
    """Whether these targets are whole numbers, one per sequence: as in scikit-learn, they are classes."""
    y = column_of(y)
    return isinstance(y, np.ndarray) and y.ndim == 1 and y.dtype.kind in "iu"


def column_of(y: Any) -> Any:
    """Targets as an array: (N, 1) as (N,), and booleans as 0 and 1; but lists of labels as they are."""
    y = listed(y)
    if y is None or (isinstance(y, list | tuple) and any(isinstance(v, list | tuple | set | frozenset) for v in y)):
        return y
    words = isinstance(y, list | tuple) and any(isinstance(value, str) for value in y)
    y = np.array(y, object) if words else np.asarray(y)  # as text, what is missing would be the word "nan"
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    return y.astype(int) if y.dtype.kind == "b" and y.ndim == 1 else y


def features_of(data: Sequences) -> int | None:
    """The columns that an array (N, T) of one channel had, for scikit-learn."""
    lengths = set(data.lengths.tolist())
    one = all(column.values.ndim == 1 or column.values.shape[1] == 1 for column in data.steps.values())
    return lengths.pop() if data.steps and one and len(lengths) == 1 else None


def _records(data: Any) -> bool:
    """Whether this is a list of rows with names."""
    return isinstance(data, list) and bool(data) and isinstance(data[0], dict)
