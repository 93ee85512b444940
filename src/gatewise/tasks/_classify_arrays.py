"""Arrays, lists and texts in memory as `Sequences`: what scikit-learn's users give."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np

from ..data.sequences import Column, Sequences
from ..errors import DataError, OptionTypeError

CHANNELS, TEXT, TARGET = "channels", "text", "label"


def in_memory(data: Any) -> bool:
    """Whether this is an array or list, rather than a path, `Sequences` or a table with named columns."""
    return not isinstance(data, str | os.PathLike | Sequences) and not hasattr(data, "columns")


def sequences_of(data: Any) -> Sequences:
    """Sequences from one of these.

    Args:
        data: (N, T) numbers, each row a series of one channel; (N, T, C) numbers, C channels; a list of N arrays
            (T,) or (T, C) of different lengths; or N texts.

    Returns:
        With the step column "channels", or the fact "text".

    Raises:
        DataError: It is none of these, is empty, or holds infinity.
    """
    if hasattr(data, "toarray"):
        raise OptionTypeError("sparse input is not supported: sequences are dense. Give data.toarray()")
    items = _items(data)
    if len(items) == 0:
        shape = np.shape(items)
        raise DataError(f"0 sample(s) (shape={shape}) while a minimum of 1 is required: give at least one sequence")
    if all(isinstance(item, str) for item in items):
        texts = np.empty(len(items), object)
        texts[:] = [str(item) for item in items]
        return Sequences(np.zeros(len(items) + 1, np.int64), facts={TEXT: Column(TEXT, "text", texts)})
    arrays = [_numbers(item, number) for number, item in enumerate(items)]
    channels = {array.shape[1] for array in arrays}
    if len(channels) > 1:
        raise DataError(
            f"all sequences must have the same channels, but some have {min(channels)}, some {max(channels)}"
        )
    if channels == {0} or not sum(map(len, arrays)):
        shape = np.shape(items) if isinstance(items, np.ndarray) else (len(items), 0)
        raise DataError(f"0 feature(s) (shape={shape}) while a minimum of 1 is required: the sequences have no steps")
    offsets = np.concatenate([[0], np.cumsum([len(array) for array in arrays])]).astype(np.int64)
    return Sequences(offsets, {CHANNELS: Column(CHANNELS, "number", np.concatenate(arrays))})


def with_target(data: Sequences, y: Any) -> Sequences:
    """The sequences with the fact "label".

    Args:
        y: (N,) classes or numbers, or (N, L) zeros and ones.

    Raises:
        DataError: y is of another length or shape.
    """
    values = np.asarray(y)
    if values.ndim == 0 or len(values) != len(data):
        raise DataError(f"{len(data)} sequences need as many targets, but y has the shape {values.shape}")
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.dtype.kind == "c":
        raise DataError("Complex data not supported: y must hold classes or real numbers")
    if values.dtype.kind == "O" and not any(isinstance(value, str) for value in values.flat):
        values = values.astype(np.float64)
    if values.dtype.kind in "biuf":
        column = Column(TARGET, "number", values.astype(np.float64))
    else:
        absent = [value is None or value != value for value in values.tolist()]
        levels = sorted({str(value) for value, gone in zip(values.tolist(), absent, strict=True) if not gone})
        place = {level: code for code, level in enumerate(levels)}
        codes = [-1 if gone else place[str(v)] for v, gone in zip(values.tolist(), absent, strict=True)]
        column = Column(TARGET, "category", np.array(codes, np.int32), tuple(levels))
    return replace(data, facts={**data.facts, TARGET: column})


def _items(data: Any) -> Any:
    """What can be gone through: an array, or a list of arrays of different lengths."""
    if isinstance(data, list | tuple):
        lengths = {np.shape(item) if not isinstance(item, list | tuple) else (len(item),) for item in data}
        if len(lengths) > 1 or () not in lengths or (data and isinstance(data[0], str)):
            return data
    array = np.asarray(data)
    if array.dtype.kind == "c":
        raise DataError("Complex data not supported: sequences are of real numbers")
    if array.ndim == 0 or (array.ndim == 1 and array.dtype.kind in "biuf"):
        raise DataError(
            f"Expected 2D array, got {array.ndim}D array instead: a row of numbers is one sequence, not several. "
            "Reshape your data: array.reshape(1, -1) if it is one sequence"
        )
    if array.ndim > 3:
        raise DataError(f"sequences are (N, T) or (N, T, C), not {array.ndim}-D of shape {array.shape}")
    return array


def _numbers(item: Any, number: int) -> np.ndarray:
    """(T, C) float32 of one sequence."""
    try:
        array = np.asarray(item)
        if array.dtype.kind == "c":
            raise DataError("Complex data not supported: sequences are of real numbers")
        array = array.astype(np.float32)
    except TypeError as error:
        raise OptionTypeError(f"sequence {number}: argument must be a string or a number ({error})") from error
    except ValueError as error:
        raise DataError(f"sequence {number} does not hold numbers alone ({error})") from error
    if array.ndim not in (1, 2):
        raise DataError(f"sequence {number} has the shape {array.shape}. Give (T,) or (T, C)")
    if np.isinf(array).any():
        raise DataError(f"sequence {number} holds infinity (or a value too large for float32). Cap it, or leave it out")
    return array.reshape(len(array), -1) if array.size else np.zeros((len(array), 0), np.float32)
