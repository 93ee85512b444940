"""Traces: every value of every step of recurrent layers, without a second run.

A layer runs as fast as ever and keeps what it carries. Then the state that each step started from is known, so that all
else that its equations compute, gates among it, is one evaluation of the cell's graph with the steps as its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from ..algebra import Cell
from ..algebra.expression import Node, evaluate
from ..algebra.pinning import pinned
from ..errors import OptionError
from ..native import arrays
from ..native.calls import Precision
from ..runtime import equations
from ..runtime.layers import Block, Chain, Recurrent, as_carried, as_tuple

Array = np.ndarray
Answer = TypeVar("Answer")


@dataclass(frozen=True, eq=False)
class Trace:
    """What one layer computed in one direction.

    Every array over steps is zero where a row has none: beyond a row's length nothing is computed. A row has the same
    bits whatever rows are beside it.

    Attributes:
        place: The layer's name in its network, "members.0.layers"; "" by itself.
        layer: Which one of a stack it is.
        reverse: Whether it runs from the last step to the first.
        cell: What it computes at each step.
        stored: One array per parameter of the cell, gate blocks stacked in the cell's order.
        precision: Of its products, if the engine ran it.
        x: (T, B, D) what it read.
        lengths: (B,) steps of each row.
        start: (B, H) per carried name, the state before the first step of each row.
        after: (T, B, H) per carried name, that after each step. Its order is that of the steps of x, also in reverse.
    """

    place: str
    layer: int
    reverse: bool
    cell: Cell
    stored: Sequence[Array]
    precision: Precision
    x: Array
    lengths: Array
    start: tuple[Array, ...]
    after: tuple[Array, ...]

    @cached_property
    def weights(self) -> dict[Node, Array]:
        """Each block of a weight."""
        return equations.blocks(self.cell, self.stored)

    @cached_property
    def before(self) -> tuple[Array, ...]:
        """(T, B, H) per carried name: the state that each step starts from."""
        found = []
        for start, after in zip(self.start, self.after, strict=True):
            before = np.zeros_like(after)
            if self.reverse:
                before[:-1] = after[1:]
            else:
                before[1:] = after[:-1]
            rows = np.flatnonzero(self.lengths)
            before[self.lengths[rows] - 1 if self.reverse else 0, rows] = start[rows]
            before[np.arange(len(after))[:, None] >= self.lengths] = 0
            found.append(before)
        return tuple(found)

    @cached_property
    def values(self) -> dict[str, Array]:
        """(T, B, size) of all that the equations give a name, in the order in which it is computed."""
        return dict(zip(self.cell.names.values(), self.evaluate(self.cell.names), strict=True))

    def evaluate(self, nodes: Iterable[Node], also: Mapping[Node, Any] | None = None) -> list[Array]:
        """(T, B, size) of any nodes of the cell's graph, or of expressions of them.

        What the layer carries is what it carried, to the bit; the rest is computed from that.

        Args:
            also: Values of leaves that are none of the cell's.
        """
        nodes = list(nodes)
        found = [np.zeros((*self.x.shape[:2], self.sizes[node.size.letter]), self.x.dtype) for node in nodes]
        for row, count in enumerate(self.lengths):
            if count:  # row by row, as a product of more steps may have other bits
                values = evaluate(nodes, {**self.known(row), **(also or {})}, self.operations)
                for every, value in zip(found, values, strict=True):
                    every[:count, row] = value
        return found

    @cached_property
    def sizes(self) -> dict[str, int]:
        """A number for every size letter of the cell."""
        return _sizes(self.cell, self.x, self.weights)

    @cached_property
    def operations(self) -> dict[str, Callable[..., Any]]:
        """What the graph is evaluated with, on arrays (..., size)."""
        return equations.operations(self.cell.heads, self.sizes["K"])

    def known(self, row: int) -> dict[Node, Array]:
        """(T of the row, size) what need not be computed of a row's steps."""
        cell = self.cell
        known = {node: after for node, after in zip(cell.after, self.after, strict=True) if not node.leaf}
        known |= {**dict(zip(cell.before, self.before, strict=True)), cell.x: self.x}
        # In one piece: of values that lie apart, as among other rows, a product may have other bits.
        steps = {node: np.ascontiguousarray(values[: self.lengths[row], row]) for node, values in known.items()}
        return steps | self.weights


@dataclass(frozen=True)
class Held:
    """A value to be held still.

    Attributes:
        place, layer, reverse: Of the layer, as in its `Trace`.
        name: What its equations call the value.
        units: (size,) which of its units, 1 or 0.
        level: (size,) what they are.
    """

    place: str
    layer: int
    reverse: bool
    name: str
    units: Array
    level: Array


def trace(network: Any, run: Callable[[Any], Answer], held: Sequence[Held] = ()) -> tuple[Answer, list[Trace]]:
    """Run a network, and keep what its recurrent layers compute.

    Args:
        network: Parts of `runtime.layers`: recurrent layers, or a network that has some.
        run: What to do with it: a function of the network, which is called once.
        held: What to hold still meanwhile, for whatever the network is run on.

    Returns:
        What the function returned, with the bits that it has without a trace, but for cells with matrices, which the
        engine does not run; and a trace of each layer and direction, in the order in which they ran. Layers that are
        called more often have one for each call. Layers of more dimensions have their own: `grids`.

    Example:
        >>> (y, state), traces = trace(layers, lambda layers: layers(x, lengths=lengths))
        >>> traces[0].values["f"]  # (T, B, H)
    """
    traces: list[Trace] = []

    def traced(layers: Recurrent, place: str) -> _Traced:
        return _Traced(layers, place, traces, [one for one in held if one.place == place])

    answer = run(replaced(network, "", Recurrent, traced))
    places = {(one.place, one.layer, one.reverse) for one in traces}
    for one in held:
        if (one.place, one.layer, one.reverse) not in places:
            raise OptionError(f"no layer {one.layer} of '{one.place}' ran, of which {one.name} was to be held")
    return answer, traces


def replaced(part: Any, place: str, kind: type, by: Callable[[Any, str], Any]) -> Any:
    """A part of a network whose layers of one kind are others.

    Args:
        place: The part's name; "" of a whole network.
        by: A function of such a layer and its name to what takes its place.
    """
    below = f"{place}." if place else ""
    match part:
        case Block():
            parts = {name: replaced(one, below + name, kind, by) for name, one in vars(part).items()}
            return Block(parts, part.ops)
        case Chain():
            return Chain([replaced(one, f"{below}{k}", kind, by) for k, one in enumerate(part.layers)])
        case list():
            return [replaced(one, f"{below}{k}", kind, by) for k, one in enumerate(part)]
    return by(part, place) if isinstance(part, kind) else part


class _Traced:
    """Recurrent layers that keep their traces."""

    def __init__(self, layers: Recurrent, place: str, traces: list[Trace], held: Sequence[Held]):
        self._layers, self._place, self._traces, self._held = layers, place, traces, held

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layers, name)

    def __call__(self, x: Array, state: Any = None, lengths: Array | None = None) -> tuple[Array, Any]:
        layers, ends = self._layers, []
        ways = 2 if layers.bidirectional else 1
        states = list(zip(*(layers.start(x.shape[1]) if state is None else as_tuple(state)), strict=True))
        x = np.asarray(x, np.float32)
        for first in range(0, len(states), ways):
            both = []
            for way in range(ways):
                cell, weights = self._holding(first // ways, way == 1)
                found, end = _run(
                    *(cell, x, states[first + way], weights, lengths),
                    reverse=way == 1,
                    precision=layers.precision,
                    place=self._place,
                    layer=first // ways,
                )
                both.append(found)
                ends.append(end)
            self._traces += both
            x = np.concatenate([found.after[0] for found in both], -1)
        return x, as_carried(tuple(np.stack(values) for values in zip(*ends, strict=True)))

    def _holding(self, layer: int, reverse: bool) -> tuple[Cell, Sequence[Array]]:
        """The cell of one layer in one direction, and its weights."""
        layers = self._layers
        cell, weights = layers.cell, [*layers.weights[layer * (2 if layers.bidirectional else 1) + reverse]]
        for one in self._held:
            if (one.layer, one.reverse) == (layer, reverse):
                cell, _ = pinned(cell, (one.name,), "weight")
                weights += [np.asarray(values, np.float32) for values in (1 - one.units, one.units * one.level)]
        return cell, weights


def trace_layer(
    cell: Cell,
    x: Array,
    state: Sequence[Array] | None,
    weights: Sequence[Array],
    lengths: Array | None = None,
    reverse: bool = False,
    precision: Precision = "float32",
) -> Trace:
    """Run one layer in one direction, in the precision of its input: float32 in the engine, or float64.

    Args:
        x: (T, B, D), T at least 1.
        state: (B, H) per carried name before the first step; zeros if None.
        weights: One array per parameter of the cell, gate blocks stacked in the cell's order.
        lengths: (B,) steps of each row that count; all if omitted.
        reverse: Run each row from its last step to its first.
        precision: Of products in the engine.
    """
    x = np.asarray(x)
    if x.dtype not in (np.float32, np.float64):
        raise OptionError(f"a layer reads float32 or float64, but x is {x.dtype}. Convert it: x.astype(numpy.float32)")
    if state is None:
        sizes = _sizes(cell, x, equations.blocks(cell, weights))
        state = [np.zeros((x.shape[1], sizes[letter]), x.dtype) for letter in cell.carry_sizes]
    return _run(cell, x, state, weights, lengths, reverse=reverse, precision=precision)[0]


def _sizes(cell: Cell, x: Array, weights: Mapping[Node, Array]) -> dict[str, int]:
    found = {"D": x.shape[-1]}
    for node, array in weights.items():
        found[node.size.letter] = len(array)
        if node.columns is not None:
            found[node.columns.letter] = array.shape[1]
    units = found["H"] // cell.heads
    return found | {"N": cell.heads, "K": units, "M": found["H"] * units}


def _run(
    cell: Cell,
    x: Array,
    state: Sequence[Array],
    weights: Sequence[Array],
    lengths: Array | None,
    *,
    reverse: bool,
    precision: Precision = "float32",
    place: str = "",
    layer: int = 0,
) -> tuple[Trace, Sequence[Array]]:
    """A layer's trace, and its last state."""
    counts = np.full(x.shape[1], len(x)) if lengths is None else np.asarray(lengths)
    if arrays.runs(cell) and x.dtype == np.float32:
        after, end = arrays.recurrence(
            *(cell, x, state, weights, lengths, reverse), history=True, threads=None, precision=precision
        )
    else:
        after, end = _evaluated(cell, x, state, weights, counts, reverse)
    read = np.where((np.arange(len(x))[:, None] < counts)[..., None], x, 0)  # padding may hold anything
    kept = place, layer, reverse, cell, weights, precision, read.astype(x.dtype), counts, tuple(state), tuple(after)
    return Trace(*kept), end


def _evaluated(
    cell: Cell, x: Array, state: Sequence[Array], weights: Sequence[Array], lengths: Array, reverse: bool
) -> tuple[list[Array], list[Array]]:
    """What the engine cannot run: row by row, as the product of several rows may have other bits."""
    runs = []
    for row, count in enumerate(lengths):
        own = slice(row, row + 1)
        runs.append(
            equations.recurrence(
                cell, x[:, own], [s[own] for s in state], weights, np.array([count]), reverse, history=True
            )
        )
    after = [np.concatenate(values, 1) for values in zip(*(every for every, _ in runs), strict=True)]
    return after, [np.concatenate(values) for values in zip(*(end for _, end in runs), strict=True)]
