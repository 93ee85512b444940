"""Live streams on the native engine: many states of one stack of layers, stepped one at a time or together.

It is the engine of `arrays`, with the same bits, for input that comes piece by piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from ..algebra import Cell
from ..algebra.linear import linear
from ..errors import OptionError, ShapeError
from . import lowering
from .arrays import NUMPY, Array, check_precision, float32_array
from .calls import Precision, forward_program, plan_of, sizes_of
from .library import _native

State = Sequence[Sequence[Array]]  # per layer one vector for each carried name


class Streams:
    """States of a stack of layers, and steps of any of them.

    Each stream has an id and a state, which is zero when it opens. Whatever other streams step with it, and however its
    steps are cut into calls, it has the bits that `arrays.recurrence` gives for its whole sequence, layer after layer.
    One thread runs a call; calls from several threads take turns.

    Args:
        layers: Of each layer, from the lowest on, its cell and one float32 array per parameter of the cell.
            They are copied.
        precision: "float32"; or "int8": of matrices each row, and of what they multiply each row at each step, is a
            scale and whole numbers from -127 to 127. All else stays float32. The bits then are those of "int8" alone.

    Attributes:
        inputs: Features of a step, D.
        outputs: Units of the highest layer's output, H (P for a projected one).

    Raises:
        OptionError: A cell carries matrices, or the precision is another one.
        OptionTypeError: A weight is no array of float32.
        ShapeError: The weights, or the layers, do not fit one another.

    Example:
        >>> streams = Streams([(cell, weights)])
        >>> one, other = streams.open(), streams.open()
        >>> y = streams.push(one, x)  # x (D,), y (H,)
        >>> ys = streams.push([one, other], np.stack([x, x]))
    """

    def __init__(self, layers: Sequence[tuple[Cell, Sequence[Array]]], precision: Precision = "float32"):
        check_precision(precision)
        if not layers:
            raise ShapeError("a stack has at least one layer, but there is none")
        found, width = [], None
        for i, (cell, weights) in enumerate(layers):
            if not lowering.runs(cell):
                raise OptionError(
                    f"cell '{cell.name}' carries matrices, which the native engine cannot run. Step it with "
                    "gatewise.runtime.stepping"
                )
            weights = [float32_array(f"weights[{k}] of layer {i}", w) for k, w in enumerate(weights)]
            sizes, _ = sizes_of(cell, _shapes(cell, weights), len(cell.carry))
            if width not in (None, sizes[0]):
                raise ShapeError(f"layer {i} takes {sizes[0]} values, but the one below it gives {width}")
            plan = plan_of(forward_program(cell, False, False), sizes, (1, 1), precision)
            found.append((plan, _native.pack(plan, weights, 1), weights))
            width = sizes[lowering.letters(cell).index(cell.carry_sizes[0])]
        self._ends = list(pairwise(accumulate([len(cell.carry) for cell, _ in layers], initial=0)))
        self._native = _native.Streams(tuple(found))
        self.inputs, self.outputs = self._native.inputs, self._native.outputs
        self._carried: list[int] = self._native.carried

    def __len__(self) -> int:
        return len(self._native)

    def __contains__(self, stream: int) -> bool:
        return stream in self._native

    def open(self) -> int:
        """A new stream. Its id is never given again."""
        return self._native.open()

    def close(self, stream: int) -> None:
        """Forget a stream."""
        self._native.close(self._known(stream))

    def reset(self, stream: int) -> None:
        """Set its state to zero, as when it was opened."""
        self._native.reset(self._known(stream))

    def fork(self, stream: int) -> int:
        """Another stream that goes on from the same state."""
        return self._native.fork(self._known(stream))

    def state(self, stream: int) -> State:
        """A copy of its state."""
        flat = [np.empty(units, np.float32) for units in self._carried]
        self._native.read(self._known(stream), flat)
        return self._by_layer(flat)

    def restore(self, stream: int, state: Sequence[Sequence[Array]]) -> None:
        """Set its state to one that `state` gave, of this stream or of another.

        Raises:
            ShapeError: It is of another stack.
        """
        self._native.write(self._known(stream), self._flat(state, ()))

    def zeros(self) -> State:
        """The state in which a stream opens."""
        return self._by_layer([np.zeros(units, np.float32) for units in self._carried])

    def step(self, x: Array, state: State = ()) -> State:
        """One step from a state that the caller keeps, which does not change.

        Args:
            x: (D,), or of several rows (B, D), float32.
            state: As of `state`; of several rows (B, H) per value. Zeros if omitted.

        Returns:
            The state after it. The first value of its last layer is the output.

        Raises:
            OptionTypeError: An array is not of float32.
            ShapeError: The arrays do not fit the stack or one another.
        """
        try:
            shapes = self._carried if x.ndim == 1 else [(len(x), units) for units in self._carried]
            after = [np.empty(shape, np.float32) for shape in shapes]
            self._native.step(x, [value for layer in state for value in layer], after)
        except (AttributeError, TypeError, ValueError):
            x = float32_array("x", x)
            if x.ndim not in (1, 2) or x.shape[-1] != self.inputs:
                raise ShapeError(
                    f"x must have shape ({self.inputs},) or (rows, {self.inputs}), but has {x.shape}"
                ) from None
            flat = self._flat(state, x.shape[:-1]) if state else []
            after = [np.empty((*x.shape[:-1], units), np.float32) for units in self._carried]
            self._native.step(np.ascontiguousarray(x), flat, after)
        return self._by_layer(after)

    def push(
        self,
        streams: int | Sequence[int] | Array,
        x: Array,
        out: Array | None = None,
        lengths: Sequence[int] | Array | None = None,
    ) -> Array:
        """Steps of one stream or of several at the same time.

        Ids in an array of int64, `x` in float32 with its last axis in one piece and an `out` save time: nothing is
        allocated then, once as many streams were pushed together before.

        Args:
            streams: An id, or B ids, no two the same.
            x: Of one stream a step (D,) or steps (T, D), of several (B, D) or (T, B, D), float32. With `lengths`
                (N, D): the steps of the first stream, then those of the second, and so on.
            out: Where the output goes, as x with H in place of D; a new array if omitted.
            lengths: (B,) steps of each stream, N in all.

        Returns:
            The highest layer's output after every step.

        Raises:
            OptionError: An id is of no open stream, or there twice. No state has changed then, nor after another error.
            OptionTypeError: An array is not of float32.
            ShapeError: The arrays do not fit the stack or one another.
        """
        try:
            if out is None:
                out = np.empty((*x.shape[:-1], self.outputs), np.float32)
            self._native.push(streams, x, out, lengths)
        except (AttributeError, TypeError, ValueError, OverflowError):
            return self._push_checked(streams, x, out, lengths)
        return out

    def _push_checked(self, streams: Any, x: Any, out: Any, lengths: Any) -> Array:
        """The same for what the engine does not take as it is: converted, or an error that says what is wrong."""
        many = not isinstance(streams, int | np.integer)
        x = float32_array("x", x)
        D, ragged = self.inputs, many and lengths is not None
        axes = (2,) if ragged else (2, 3) if many else (1, 2)
        if x.ndim not in axes or x.shape[-1] != D:
            shapes = f"(steps, {D})" if ragged else f"(rows, {D}) or (steps, rows, {D})"
            raise ShapeError(f"x must have shape {shapes if many else f'({D},) or (steps, {D})'}, but has {x.shape}")
        x = np.ascontiguousarray(x)
        if ragged:
            lengths = _whole("lengths", lengths, None)
            if lengths.size and lengths.min() < 0:
                raise ShapeError(f"a length of {lengths.min()} is none")
            if lengths.sum() != len(x):
                raise ShapeError(f"x has {len(x)} steps, but the lengths add up to {lengths.sum()}")
        elif lengths is not None:
            raise ShapeError("lengths are for several streams")
        rows = len(lengths) if ragged else x.shape[-2] if many else 1
        ids = _whole("ids of streams", streams, rows) if many else np.array([self._known(streams)])
        for stream in ids.tolist():
            self._known(stream)
        if len(set(ids.tolist())) < rows:
            twice = next(i for i in ids.tolist() if (ids == i).sum() > 1)
            raise OptionError(f"stream {twice} is there twice. Push its steps one after another, as one piece")
        shape = (*x.shape[:-1], self.outputs)
        if out is None:
            out = np.empty(shape, np.float32)
        fits = isinstance(out, np.ndarray) and out.dtype == np.float32 and out.shape == shape
        if not fits or NUMPY.rows(out) is not out or not out.flags.writeable or not out.flags.aligned:
            raise ShapeError(f"out must be a writable array of float32 of shape {shape}, its last axis in one piece")
        self._native.push(ids if many else int(ids[0]), x, np.asarray(out), lengths)
        return out

    def _known(self, stream: Any) -> int:
        if isinstance(stream, bool) or not isinstance(stream, int | np.integer) or not -(2**63) <= stream < 2**63:
            raise OptionError(f"{stream!r} is not the id of a stream. `open` gives one")
        if int(stream) not in self._native:
            raise OptionError(
                f"there is no stream {stream}: it was closed, or is another stack's. `open` gives a new one"
            )
        return int(stream)

    def _flat(self, state: Sequence[Sequence[Array]], rows: tuple[int, ...]) -> list[Array]:
        """A state as the engine takes it, checked."""
        want = [[(*rows, units) for units in layer] for layer in self._by_layer(self._carried)]
        if (got := [[np.shape(value) for value in layer] for layer in state]) != want:
            raise ShapeError(f"a state of this stack has the shapes {want} here, but these arrays have {got}")
        return [
            np.ascontiguousarray(float32_array(f"state[{i}][{k}]", value))
            for i, layer in enumerate(state)
            for k, value in enumerate(layer)
        ]

    def _by_layer(self, flat: list[Any]) -> list[list[Any]]:
        return [flat[first:last] for first, last in self._ends]


class Product:
    """`weight @ x + bias`. What it gives for a row depends on that row alone, to the last bit.

    Args:
        weight: (outputs, inputs), float32.
        bias: (outputs,).
        precision: As of `Streams`.

    Shape:
        product(x): (inputs,) or (B, inputs) to (outputs,) or (B, outputs).

    Raises:
        OptionTypeError: An array is not of float32.
        ShapeError: The arrays do not fit one another.
    """

    def __init__(self, weight: Array, bias: Array, precision: Precision = "float32"):
        self._streams = Streams([(linear, [weight, bias])], precision)

    def __call__(self, x: Array) -> Array:
        return self._streams.step(x)[0][0]


def _shapes(cell: Cell, weights: Sequence[Array]) -> tuple[tuple[int, ...], ...]:
    """Shapes of a call of one step and row that these weights are for, if they are for any."""
    sizes: dict[str, int] = {}
    for parameter, weight in zip(cell.parameters, weights, strict=False):
        block = parameter.blocks[0]
        sizes.setdefault(block.size.letter, len(weight) // len(parameter.blocks) if weight.ndim else 0)
        if block.columns is not None and not parameter.diagonal and weight.ndim == 2:
            sizes.setdefault(block.columns.letter, weight.shape[1])
    state = [(1, sizes.get(letter, 0)) for letter in cell.carry_sizes]
    return ((1, 1, sizes.get("D", 0)), *state, *[weight.shape for weight in weights])


def _whole(name: str, values: Any, rows: int | None) -> Array:
    """Whole numbers as int64, so many or any number."""
    try:
        found = np.asarray(values)
    except ValueError:
        found = np.empty(0, object)
    if found.size == 0 and not rows:
        return np.empty(0, np.int64)
    if found.dtype.kind not in "iu" or found.ndim != 1 or rows not in (None, len(found)):
        count = "whole numbers" if rows is None else f"{rows} whole numbers here, one per row"
        raise ShapeError(f"the {name} must be {count}, not {values!r:.60}")
    return np.ascontiguousarray(found, np.int64)
