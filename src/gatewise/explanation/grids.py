"""Traces of layers that read an image from its corners: every gate and memory at every position.

As in `traces`, the engine says what is carried; with that known, all else that the equations name is one evaluation of
the cell's graph with the positions as its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..algebra import Cell
from ..algebra.expression import evaluate
from ..native.diagonals import Diagonals
from ..runtime import equations
from ..runtime.layers import MultiDimensionalLSTM
from .traces import Answer, replaced

Array = np.ndarray

CORNERS = ("top left", "top right", "bottom left", "bottom right")  # where a direction begins


@dataclass(frozen=True, eq=False)
class GridTrace:
    """What one direction of a layer computed over images; zero where an image has no position.

    Attributes:
        place: The layer's name in its network.
        corner: Where the direction begins, one of `CORNERS`.
        cell: What it computes at each position, from the positions above it and before it, seen from the corner.
        weights: One array per parameter of the cell, gate blocks stacked in the cell's order.
        x: (B, rows, columns, D) what it read.
        sizes: (B, 2) rows and columns of each image.
        plan: In which order the positions run.
        carried: (2, N + 1, H) h and c in this order, and zeros.
    """

    place: str
    corner: str
    cell: Cell
    weights: Sequence[Array]
    x: Array
    sizes: Array
    plan: Diagonals
    carried: Array

    @cached_property
    def values(self) -> dict[str, Array]:
        """(B, rows, columns, H) of all that the equations give a name."""
        cell, plan = self.cell, self.plan
        B, rows, columns, D = self.x.shape
        places = plan.places[CORNERS.index(self.corner)]
        h, c = self.carried[:, :-1]
        known = dict(zip(cell.before, self._before(), strict=True)) | {cell.x: self.x.reshape(-1, D)[places]}
        known |= dict(zip(cell.after[:2], (h, c), strict=True)) | equations.blocks(cell, self.weights)
        every = evaluate(cell.names, known, equations.operations(1, h.shape[1]))
        found = {}
        for name, own in zip(cell.names.values(), every, strict=True):
            spread = np.zeros((B * rows * columns, own.shape[1]), own.dtype)
            spread[places] = own
            found[name] = spread.reshape(B, rows, columns, -1)
        return found

    def _before(self) -> list[Array]:
        """(N, H) of each carried name: h and c of the position above, then those of the position before."""
        plan, parts, begin, end = self.plan, [], 0, 0
        last = self.carried[:, -1:]  # of the diagonal before, and zeros for who has no neighbour there
        for count in plan.counts:
            begin, end = end, end + count
            parts.append([*last[:, plan.above[begin:end]], *last[:, plan.before[begin:end]]])
            last = np.concatenate([self.carried[:, begin:end], self.carried[:, -1:]], 1)
        return [np.concatenate(each) for each in zip(*parts, strict=True)]


def trace_grids(network: Any, run: Callable[[Any], Answer]) -> tuple[Answer, list[GridTrace]]:
    """Run a network, and keep what its layers over images compute: as `trace`, for layers of two dimensions.

    Returns:
        What the function returned, and a trace of each direction of each call.
    """
    traces: list[GridTrace] = []

    def traced(layer: MultiDimensionalLSTM, place: str) -> _TracedGrid:
        return _TracedGrid(layer, place, traces)

    return run(replaced(network, "", MultiDimensionalLSTM, traced)), traces


class _TracedGrid(MultiDimensionalLSTM):
    """A layer that keeps its traces."""

    def __init__(self, layer: MultiDimensionalLSTM, place: str, traces: list[GridTrace]):
        vars(self).update(vars(layer))
        self._place, self._traces, self._ran = place, traces, list[tuple[list[Array], Diagonals, Array]]()

    def __call__(self, images: Array, sizes: Array) -> Any:
        self._ran.clear()
        answer = super().__call__(images, sizes)
        self._traces += [
            GridTrace(self._place, corner, self.cell, weights, images, sizes, plan, found)
            for corner, (weights, plan, found) in zip(CORNERS, self._ran, strict=True)
        ]
        return answer

    def carried(self, x: Array, weights: list[Array], plan: Diagonals) -> Array:
        found = super().carried(x, weights, plan)
        self._ran.append((weights, plan, found))
        return found
