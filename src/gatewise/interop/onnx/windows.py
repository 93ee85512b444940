"""Operations that read a sequence at more steps than one: frames, what lies around a step, shares of a convolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...runtime.recording import Above, Around, Frame
from .graph import FLOAT, Graph


@dataclass(frozen=True)
class Times:
    """The steps that a pass goes over.

    Attributes:
        example: An array that has them, (T, B, ...).
        lengths: (B,) how many each row has; None where all have the same.
        inside: (T, B, 1) whether a step is one of them.
    """

    example: str
    lengths: str | None = None
    inside: str | None = None


@dataclass(frozen=True)
class Windows:
    """Values (T, B, n) of rows with lengths (B,), of which any step can be asked for."""

    graph: Graph
    values: str
    size: int
    lengths: str

    def at(self, places: str) -> str:
        """(..., B, n) at places (..., B), those beyond an end at that end."""
        graph = self.graph
        last = graph.op("Sub", self.lengths, graph.whole(1))
        inside = graph.op("Max", graph.op("Min", places, last), graph.whole(0))
        B = graph.dim(self.values, 1)
        flat = graph.op("Add", graph.op("Mul", inside, B), _range(graph, B))
        return graph.op("Gather", graph.op("Reshape", self.values, graph.whole(-1, self.size)), flat, axis=0)

    def around(self, offsets: Sequence[int], count: str | None = None, stride: int = 1) -> tuple[str, str]:
        """(T, k, B, n) at k offsets from each step, or from every so many; and whether they are inside, (T, k, B, 1).

        Args:
            count: How many steps; all of them if omitted.
        """
        graph = self.graph
        steps = _range(graph, count or graph.dim(self.values, 0))
        if stride > 1:
            steps = graph.op("Mul", steps, graph.constant(stride, np.int64))
        column = graph.op("Unsqueeze", steps, graph.whole(1, 2))
        places = graph.op("Add", column, graph.constant(np.array(offsets)[:, None], np.int64))
        below = graph.op("Less", places, self.lengths)
        inside = graph.op("And", below, graph.op("Less", graph.whole(-1), places))
        return self.at(places), graph.op("Unsqueeze", inside, graph.whole(-1))


def _range(graph: Graph, count: str) -> str:
    return graph.op("Range", graph.constant(0, np.int64), count, graph.constant(1, np.int64))


def frame(windows: Windows, op: Frame) -> tuple[str, Times]:
    """(T', B, 2 * stride * n), and the steps that there are then."""
    graph, stride = windows.graph, op.stride
    more, by = graph.constant(stride - 1, np.int64), graph.constant(stride, np.int64)
    count = graph.op("Div", graph.op("Add", graph.dim(windows.values, 0), more), by)
    offsets = np.arange(2 * stride) - stride // 2
    found, _ = windows.around(offsets.tolist(), count, stride)
    rows = graph.op("Transpose", found, perm=[0, 2, 1, 3])
    framed = graph.op("Reshape", rows, graph.whole(0, 0, 2 * stride * windows.size))
    lengths = graph.op("Div", graph.op("Add", windows.lengths, more), by)
    return framed, Times(framed, lengths, graph.inside(framed, lengths))


def around(windows: Windows, op: Around) -> str:
    """(T, B, n of `op`)."""
    graph, parts, size, zero = windows.graph, [], 1, windows.graph.constant(0.0)

    def total(inside: str, values: str) -> str:
        return graph.op("ReduceSum", graph.op("Where", inside, values, zero), graph.whole(1), keepdims=1)

    while size <= op.reach:
        if size > 1:
            values, inside = windows.around(range(1 - size, size if op.ahead else 1))
            count = graph.op("ReduceSum", graph.op("Cast", inside, to=FLOAT), graph.whole(1), keepdims=1)
            mean = graph.op("Div", total(inside, values), count)
            off = graph.op("Sub", values, mean)
            squares = graph.op("Div", total(inside, graph.op("Mul", off, off)), count)
            parts += [graph.op("Squeeze", each, graph.whole(1)) for each in (mean, graph.op("Sqrt", squares))]
        for away in (-size, size) if op.ahead else (-size,):
            found, _ = windows.around([away])
            parts.append(graph.op("Sub", windows.values, graph.op("Squeeze", found, graph.whole(1))))
        size *= 2
    return graph.op("Concat", *parts, axis=-1)


def above(windows: Windows, op: Above) -> str:
    """(B, 2 * D * R * Q): of all sequences at once, one convolution for each dilation."""
    graph = windows.graph
    one = graph.constant(1, np.int64)
    step = graph.op("Max", graph.op("Div", windows.lengths, graph.constant(op.longest, np.int64)), one)
    count = graph.op("Div", graph.op("Sub", graph.op("Add", windows.lengths, step), one), step)
    inside = graph.inside(windows.values, count)
    steps = graph.op("Unsqueeze", _range(graph, graph.dim(windows.values, 0)), graph.whole(1))
    now = windows.at(graph.op("Mul", steps, step))
    before = windows.at(graph.op("Mul", graph.op("Sub", steps, one), step))
    views = [
        graph.op("Transpose", graph.op("Where", inside, each, graph.constant(0.0)), perm=[1, 2, 0])
        for each in (now, graph.op("Sub", now, before))
    ]
    counts = graph.op("Cast", graph.op("Reshape", count, graph.whole(-1, 1, 1)), to=FLOAT)
    mask = graph.op("Unsqueeze", graph.op("Transpose", inside, perm=[1, 2, 0]), graph.whole(1))  # (B, 1, 1, T)
    taps = np.full((len(op.kernels), 9), -1, np.float32)
    np.put_along_axis(taps, np.asarray(op.kernels, np.int64), 2, 1)
    parts = []
    for view, reads, thresholds in zip(views, op.reads, op.thresholds, strict=True):
        for dilation, read, limits in zip(op.dilations.tolist(), reads, thresholds, strict=True):
            weight = graph.constant(np.asarray(read, np.float32)[:, :, None] * taps[:, None])  # (R, C, 9)
            sums = graph.op("Conv", view, weight, dilations=[dilation], pads=[4 * dilation] * 2)
            greater = graph.op(
                "Less", graph.constant(np.asarray(limits)[..., None]), graph.op("Unsqueeze", sums, graph.whole(2))
            )
            shares = graph.op("Cast", graph.op("And", greater, mask), to=FLOAT)
            total = graph.op("ReduceSum", shares, graph.whole(-1), keepdims=0)
            parts.append(graph.op("Reshape", graph.op("Div", total, counts), graph.whole(-1, limits.size)))
    return graph.op("Concat", *parts, axis=-1)
