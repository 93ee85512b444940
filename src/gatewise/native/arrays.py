"""Cells over time on numpy arrays: the native engine's forward pass in an interpreter without torch.

It is the same engine that `gatewise.engine` runs on a CPU in float32, and gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import checks
from ..algebra import Cell
from ..errors import OptionError, OptionTypeError, ShapeError
from . import lowering
from .calls import Call, Layer, check_lengths, run_forward
from .library import _native

Array = np.ndarray[Any, np.dtype[Any]]

_native.register_array_type(np.ndarray)


def recurrence(
    cell: Cell,
    x: Array,
    state: Sequence[Array],
    weights: Sequence[Array],
    lengths: Array | Sequence[int] | None = None,
    reverse: bool = False,
    history: bool = False,
    threads: int = 1,
) -> tuple[list[Array], list[Array]]:
    """A whole layer, forward. All arrays are float32 and are not changed.

    Weights are packed for the engine and kept so, as long as the first of them is there and none has changed: pass the
    same arrays again.

    Args:
        x: (T, B, D), T at least 1.
        state: One (B, H) array per carried name ((B, P) for a projected output), before the first step.
        weights: One array per parameter of the cell, gate blocks stacked in the cell's order.
        lengths: (B,) integers in 0..T, unsorted: steps of each row that count.
        reverse: Run each row from its last step to its first.
        history: Return every carried value at every step, not the output alone.
        threads: How many threads to run on at most. The result does not depend on it.

    Returns:
        (T, B, H) per value shown, zero beyond a row's length; and the last state, (B, H) per carried name.

    Raises:
        OptionTypeError: An array is not numpy's, or not float32.
        OptionError: The cell carries matrices, or the number of threads is none.
        ShapeError: The arrays do not fit one another.
    """
    if not lowering.runs(cell):
        raise OptionError(f"cell '{cell.name}' carries matrices, which the native engine cannot run")
    threads = checks.whole("threads", threads, least=1)
    inputs = [
        _float32("x", x),
        *[_float32(f"state[{i}]", s) for i, s in enumerate(state)],
        *[_float32(f"weights[{i}]", w) for i, w in enumerate(weights)],
    ]
    split = 1 + len(state)
    call = Call(Layer(cell, inputs[0], inputs[1:split], inputs[split:], lengths, None, reverse, history), NUMPY)
    call.divide(threads)
    results = run_forward([call], inputs, keep=False)
    return results[: call.shown], results[call.shown :]


def step(cell: Cell, x: Array, state: Sequence[Array], weights: Sequence[Array]) -> list[Array]:
    """One step: x (B, D) and the state before it to the state after, as of `recurrence`."""
    x = _float32("x", x)
    if x.ndim != 2:
        raise ShapeError(f"the input of a step must be (rows, features), but has shape {x.shape}")
    _, after = recurrence(cell, x[None], state, weights)
    return after


def _float32(name: str, array: Any) -> Array:
    """An array as the engine can look at it: of no subclass, such as a memory map, and aligned."""
    if not isinstance(array, np.ndarray) or array.dtype != np.float32 or isinstance(array, np.ma.MaskedArray):
        what = f"of {array.dtype}" if type(array) is np.ndarray else f"a {type(array).__name__}"
        raise OptionTypeError(
            f"the native engine takes numpy arrays of float32, but {name} is {what}. "
            f"Convert it: numpy.asarray({name}, numpy.float32)"
        )
    return np.asarray(array) if array.flags.aligned else np.array(array)


class NumpyArrays:
    """What the engine has to know of numpy's arrays."""

    float32, bfloat16 = np.dtype(np.float32), None

    @staticmethod
    def maker(like: Array, dtype: Any) -> Callable[..., Array]:
        return lambda *shape: np.empty(shape, dtype)

    @staticmethod
    def as_float32(array: Array) -> Array:
        return array.astype(np.float32, copy=False)

    @staticmethod
    def rows(array: Array) -> Array:
        last = array.flags.c_contiguous or array.strides[-1] == array.itemsize or array.shape[-1] == 1
        return array if last else np.ascontiguousarray(array)

    @staticmethod
    def lengths(lengths: Array | Sequence[int], x: Array) -> Array:
        try:
            lengths = np.asarray(lengths)
        except ValueError:
            raise ShapeError(f"lengths must be whole numbers, one per row, not {lengths!r:.60}") from None
        if lengths.size == 0:
            lengths = lengths.astype(np.int64)  # an empty list has no type of its own
        check_lengths(lengths, len(x), x.shape[1], lengths.dtype.kind in "iu")
        return np.ascontiguousarray(lengths, np.int64)

    @staticmethod
    def resets(resets: Array) -> Array:
        return np.asarray(resets, np.bool_)


NUMPY = NumpyArrays()
