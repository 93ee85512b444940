"""The operations of a recording as nodes, for vectors of many steps and rows at once.

A vector of n numbers is an array (n,) where it is always the same, (B, n) where a sequence has it once, and (T, B, n)
where each step does: its level is 0, 1 or 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import OptionError
from ...runtime.recording import (
    Affine,
    Constant,
    Embed,
    Gather,
    Largest,
    Lookup,
    Operation,
    Pointwise,
    Vector,
)
from .graph import FLOAT, INT64, Graph
from .scan import POINTWISE, above_zero

_RUNS = 8  # of vectors are put together one by one; more are picked from all of them


@dataclass(frozen=True)
class Value:
    """An array of the graph.

    Attributes:
        level: How many axes it has besides its numbers'.
    """

    name: str
    level: int


def operation(graph: Graph, op: Operation, value: Callable[[Vector], Value], sizes: Callable[[int], str]) -> Value:
    """The result of an operation that is no layer's step.

    Args:
        value: Of a vector that it reads.
        sizes: (level,) of a level: B, or T and B.

    Raises:
        OptionError: It reads a sequence in a way that has no operator.
    """
    match op:
        case Embed(table=table, token=token):
            own = value(token)
            return Value(graph.op("Gather", graph.constant(table), own.name, axis=0), own.level)
        case Affine(weight=weight, bias=bias, x=x):
            own = value(x)
            product = graph.op("MatMul", own.name, graph.constant(weight.T))
            return Value(graph.op("Add", product, graph.constant(bias)) if bias.any() else product, own.level)
        case Lookup(table=table, place=place):
            own = value(place)
            index = graph.op("Min", graph.op("Cast", own.name, to=INT64), graph.constant(table.size - 1, np.int64))
            return Value(graph.op("Gather", graph.constant(table), index), own.level)
        case Largest(x=x):
            own = value(x)
            return Value(graph.op("ReduceMax", own.name, axes=[-1], keepdims=1), own.level)
        case Constant(values=values):
            return Value(graph.constant(values), 0)
        case Pointwise(op=kind, args=args):
            found = [value(arg) if isinstance(arg, Vector) else Value(graph.constant(arg), 0) for arg in args]
            return Value(_pointwise(graph, kind, [each.name for each in found]), max(each.level for each in found))
        case Gather(runs=runs):
            return gathered(graph, runs, value, sizes)
    raise OptionError(
        "one of its plain methods compares a sequence with those of the training data (dynamic time warping), which is "
        "not exported. Train it with --share 1, so that its network predicts alone"
    )


def _pointwise(graph: Graph, kind: str, args: Sequence[str]) -> str:
    match kind:
        case "step":
            return above_zero(graph, args[0])
        case "maximum":  # of NaN an engine's own may be the other number; and in one NaN is greater than any
            return graph.op("Where", graph.op("Less", *args), args[1], args[0])
        case "minimum":
            return graph.op("Where", graph.op("Less", args[1], args[0]), args[1], args[0])
        case "arcsinh":
            return graph.op("Asinh", args[0])
        case "known":
            return graph.op("Cast", _is_finite(graph, args[0]), to=FLOAT)
        case "or_else":
            return graph.op("Where", _is_finite(graph, args[0]), *args)
    return graph.op(POINTWISE[kind], *args)


def _is_finite(graph: Graph, value: str) -> str:
    return graph.op("Less", graph.op("Abs", value), graph.constant(np.inf))  # which of NaN is false


def gathered(
    graph: Graph,
    runs: Sequence[tuple[Vector, int, int]],
    value: Callable[[Vector], Value],
    sizes: Callable[[int], str],
) -> Value:
    """Runs of vectors behind one another."""
    sources = list(dict.fromkeys(vector for vector, _, _ in runs))
    level = max(value(vector).level for vector in sources)
    if len(runs) <= _RUNS or len(sources) > len(runs) // 2:
        parts = [_cut(graph, value(vector), vector.size, first, count) for vector, first, count in runs]
        return Value(joined(graph, parts, level, sizes), level)
    whole = joined(graph, [value(vector) for vector in sources], level, sizes)
    return Value(graph.op("Gather", whole, graph.constant(places(sources, runs), np.int64), axis=-1), level)


def places(sources: Sequence[Vector], runs: Sequence[tuple[Vector, int, int]]) -> Any:
    """Where the numbers of runs stand in all sources, one behind the other."""
    starts = dict(zip(sources, np.cumsum([0, *(vector.size for vector in sources)]).tolist(), strict=False))
    return np.concatenate([starts[vector] + first + np.arange(count) for vector, first, count in runs])


def joined(graph: Graph, parts: Sequence[Value], level: int, sizes: Callable[[int], str]) -> str:
    """Side by side along the last axis, all at one level."""
    if len(parts) == 1:
        return parts[0].name
    return graph.op("Concat", *(raised(graph, part, level, sizes) for part in parts), axis=-1)


def raised(graph: Graph, value: Value, level: int, sizes: Callable[[int], str]) -> str:
    """The same numbers for all rows, or steps."""
    if value.level == level:
        return value.name
    return graph.op("Expand", value.name, graph.op("Concat", sizes(level), graph.whole(1), axis=0))


def _cut(graph: Graph, value: Value, size: int, first: int, count: int) -> Value:
    if count == size:
        return value
    cut = graph.op("Slice", value.name, graph.whole(first), graph.whole(first + count), graph.whole(-1))
    return Value(cut, value.level)
