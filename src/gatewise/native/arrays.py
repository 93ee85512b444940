"""Cells over time on numpy arrays: the native engine's forward pass in an interpreter without torch.

It is the same engine that `gatewise.engine` runs on a CPU in float32, and gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

import numpy as np

from .. import checks
from ..algebra import Cell
from ..errors import OptionError, OptionTypeError, ShapeError
from . import calls
from .calls import Call, Layer, Precision, check_lengths, run_forward, run_forward_chain
from .library import _native
from .lowering import runs

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
    threads: int | None = 1,
    precision: Precision = "float32",
) -> tuple[list[Array], list[Array]]:
    """A whole layer, forward. All arrays are float32 and are not changed.

    Weights are packed for the engine and kept so, as long as the first of them is there and none has changed: pass the
    same arrays again. To find out, their values are read at every call, unless they are arrays of their own that cannot
    be written to.

    Args:
        x: (T, B, D), T at least 1.
        state: One (B, H) array per carried name ((B, P) for a projected output), before the first step.
        weights: One array per parameter of the cell, gate blocks stacked in the cell's order.
        lengths: (B,) integers in 0..T, unsorted: steps of each row that count.
        reverse: Run each row from its last step to its first.
        history: Return every carried value at every step, not the output alone.
        threads: How many threads to run on at most; as many as PyTorch would, or as there are cores, if None. The
            result does not depend on it.
        precision: Of matrix products: "float32" or "int8", which `native.streams.Streams` explains.

    Returns:
        (T, B, H) per value shown, zero beyond a row's length; and the last state, (B, H) per carried name.

    Raises:
        OptionTypeError: An array is not numpy's, or not float32.
        OptionError: The cell carries matrices, the number of threads is none, or the precision another one.
        ShapeError: The arrays do not fit one another.
    """
    shown = len(cell.carry) if history else 1
    layer = _checked(Layer(cell, x, state, weights, lengths, None, reverse, history, precision=precision))
    [results] = calls.run([layer], _thread_count(threads), NUMPY, _forward)
    return results[:shown], results[shown:]


def both_directions(
    cell: Cell,
    x: Array,
    states: Sequence[Sequence[Array]],
    weights: Sequence[Sequence[Array]],
    lengths: Array | Sequence[int] | None = None,
    threads: int | None = None,
    precision: Precision = "float32",
) -> list[tuple[list[Array], list[Array]]]:
    """Two layers on the same input, the second from its last step to its first; at the same time where that pays.

    Args:
        states: Of each, as for `recurrence`; so are `weights`, and each one's results.
    """
    both = zip(states, weights, (False, True), strict=True)
    layers = [_checked(Layer(cell, x, s, w, lengths, None, reverse, precision=precision)) for s, w, reverse in both]
    return [(found[:1], found[1:]) for found in calls.run(layers, _thread_count(threads), NUMPY, _forward)]


def stack(
    cell: Cell,
    x: Array,
    states: Sequence[Sequence[Array]],
    weights: Sequence[Sequence[Array]],
    lengths: Array | Sequence[int] | None = None,
    threads: int | None = None,
    precision: Precision = "float32",
) -> list[tuple[list[Array], list[Array]]]:
    """Layers, each on the output of the one below it; several at the same time where that pays.

    Args:
        states: Of each layer, as for `recurrence`; so are `weights`, and each one's results.
    """
    pairs = zip(states, weights, strict=True)
    layers = [_checked(Layer(cell, x, s, w, lengths, precision=precision)) for s, w in pairs]
    runs = calls.run_stack(layers, _thread_count(threads), NUMPY, _forward, _chain)
    return [(found[:1], found[1:]) for found in runs]


def step(cell: Cell, x: Array, state: Sequence[Array], weights: Sequence[Array]) -> list[Array]:
    """One step: x (B, D) and the state before it to the state after, as of `recurrence`."""
    x = float32_array("x", x)
    if x.ndim != 2:
        raise ShapeError(f"the input of a step must be (rows, features), but has shape {x.shape}")
    _, after = recurrence(cell, x[None], state, weights)
    return after


def _thread_count(threads: int | None) -> int:
    count: int = _native.default_threads() if threads is None else checks.whole("threads", threads, least=1)
    return count


def _forward(some: list[Call], inputs: list[Array]) -> list[Array]:
    return run_forward(some, inputs, keep=False)


def _chain(layers: Sequence[Layer], threads: int) -> list[Array]:
    _, results = run_forward_chain(layers, threads, [False] * len(layers), NUMPY)
    return results


def _checked(layer: Layer) -> Layer:
    """With arrays that the engine can look at."""
    if not runs(layer.cell):
        raise OptionError(f"cell '{layer.cell.name}' carries matrices, which the native engine cannot run")
    check_precision(layer.precision)
    layer.x = float32_array("x", layer.x)
    layer.state = [float32_array(f"state[{i}]", s) for i, s in enumerate(layer.state)]
    layer.weights = [float32_array(f"weights[{i}]", w) for i, w in enumerate(layer.weights)]
    return layer


def check_precision(precision: str) -> None:
    """OptionError if the engine's products have it not."""
    if precision not in get_args(Precision):
        raise OptionError(f"precision must be 'float32' or 'int8', not {precision!r:.60}")


def float32_array(name: str, array: Any) -> Array:
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

    @staticmethod
    def constant(array: Array) -> bool:
        return array.flags.owndata and not array.flags.writeable


NUMPY = NumpyArrays()
