"""Contextual decomposition: what a phrase says, and how two of them act together.

Every value is taken apart into what follows from the steps of the phrase, what follows from the rest, and a constant
part that follows from neither. The parts pass through every operation by one rule each, and always sum to the value.
What a step adds of constants to what it carries on belongs to the step.

Poor as a measure of single steps, where occlusion and gradients are better; made for phrases.

Source: Murdoch, Liu & Yu (2018), "Beyond word importance: contextual decomposition to extract interactions from LSTMs",
ICLR, arXiv 1801.05453; here for every cell, from its graph. Their code counts the constants of a phrase's last step to
the rest, which their equations do not; we follow the equations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from ..algebra import Cell
from ..algebra.expression import MAPS, PRODUCTS, Node, order
from ..errors import ShapeError
from .relevance import fed_of, gates_of
from .traces import Trace

Array = np.ndarray


@dataclass(frozen=True)
class Decomposition:
    """The output of recurrent layers in two parts, whose sum it is.

    Attributes:
        phrase: (P, T, directions * H) what follows from each phrase.
        rest: (P, T, directions * H) what follows from the other steps and from the states before the first.
    """

    phrase: Array
    rest: Array


class Parts(NamedTuple):
    """A value as the sum of three, for each phrase."""

    phrase: Any
    rest: Any
    constant: Any

    @property
    def whole(self) -> Any:
        return self.phrase + self.rest + self.constant


Rule = Callable[..., Parts]  # of an operation on arrays, and its arguments in parts


def _each_by_itself(apply: Callable[..., Array], *args: Parts) -> Parts:
    return Parts(*(apply(*parts) for parts in zip(*args, strict=True)))


def _matrix_by_each(apply: Callable[..., Array], matrix: Parts, vector: Parts) -> Parts:
    return Parts(*(apply(matrix.constant, part) for part in vector))


def _times(apply: Callable[..., Array], p: Parts, q: Parts) -> Parts:
    """The phrase with itself and with constants; what has anything of the rest in it is the rest's."""
    return Parts(
        p.phrase * (q.phrase + q.constant) + p.constant * q.phrase,
        p.rest * q.whole + (p.phrase + p.constant) * q.rest,
        p.constant * q.constant,
    )


def _over(apply: Callable[..., Array], p: Parts, q: Parts) -> Parts:
    """By the whole divisor: it is taken for a scale."""
    return Parts(*(apply(part, q.whole) for part in p))


def _curve(apply: Callable[..., Array], v: Parts) -> Parts:
    """What a part adds to the result, by the mean over both orders in which they can be added to the constant."""
    neither, both = apply(v.constant), apply(v.whole)
    phrase, rest = apply(v.phrase + v.constant), apply(v.rest + v.constant)
    return Parts(0.5 * (phrase - neither + both - rest), 0.5 * (rest - neither + both - phrase), neither)


def _as_it_is(apply: Callable[..., Array], v: Parts) -> Parts:
    """A constant: the exponential or the logarithm of a part may be no number, where that of the whole is one."""
    found = apply(v.whole)
    return Parts(0 * found, 0 * found, found)


def _chosen(apply: Callable[..., Array], p: Parts, q: Parts) -> Parts:
    first = apply(p.whole, q.whole) == p.whole
    return Parts(*(np.where(first, one, other) for one, other in zip(p, q, strict=True)))


# What an operation makes of values in parts.
CONTEXTUAL: dict[str, Rule] = {
    **dict.fromkeys(("add", "sub", "neg", *MAPS), _each_by_itself),
    **dict.fromkeys(PRODUCTS, _matrix_by_each),
    "mul": _times,
    "div": _over,
    **dict.fromkeys(("sigmoid", "tanh", "relu", "softplus"), _curve),
    **dict.fromkeys(("step", "exp", "log", "sqrt"), _as_it_is),
    **dict.fromkeys(("maximum", "minimum"), _chosen),
}


@lru_cache(maxsize=256)
def _doors(cell: Cell) -> dict[Node, tuple[Node, Node]]:
    """Products of a gate with what the step has already carried on, such as o * tanh(c) -> the gate, and the other.

    The gate is taken whole there: it lets both parts through alike.
    """
    fed, gates = fed_of(cell), gates_of(cell)
    carried = {node for node in cell.after if not node.leaf}
    found = {}
    for node in order(cell.after):
        known = [arg for arg in node.args if arg in fed]
        if node.op == "mul":
            for gate, other in (node.args, node.args[::-1]):
                if gate in gates and other in carried:
                    found[node] = gate, other
        if known and carried.issuperset(known):
            carried.add(node)
    return found


def decompose(traces: Sequence[Trace], row: int, phrases: Array) -> Decomposition:
    """Take the output of recurrent layers apart, for one row.

    Args:
        traces: Of one call of recurrent layers: of every layer and direction, the lowest first.
        row: Which one of the batch.
        phrases: (P, T) booleans: which steps belong to each phrase.

    Raises:
        ShapeError: The phrases are not of T steps.
    """
    phrases = np.asarray(phrases, bool)
    T = len(traces[0].x)
    if phrases.ndim != 2 or phrases.shape[1] != T:
        raise ShapeError(f"phrases must have the shape (phrases, {T}), not {phrases.shape}")
    x = np.where(phrases[..., None], traces[0].x[:, row], 0)
    parts = Parts(x, traces[0].x[:, row] - x, np.zeros_like(x))
    for _, layer in groupby(traces, key=lambda trace: trace.layer):
        each = [_of_layer(trace, row, parts, phrases) for trace in layer]
        parts = Parts(*(np.concatenate(some, -1) for some in zip(*each, strict=True)))
    return Decomposition(parts.phrase, parts.rest)


def interaction(traces: Sequence[Trace], row: int, one: Array, other: Array) -> Array:
    """(T, directions * H) what two phrases say together beyond what each says by itself; see `decompose`.

    Args:
        one, other: (T,) booleans: the steps of each.
    """
    both, first, second = decompose(traces, row, np.stack([np.logical_or(one, other), one, other])).phrase
    found: Array = both - first - second
    return found


def _of_layer(trace: Trace, row: int, x: Parts, phrases: Array) -> Parts:
    """The output of a layer in one direction in parts, (P, T, H) each, of its input in parts."""
    cell, count = trace.cell, int(trace.lengths[row])
    nodes, doors = order(cell.after), _doors(cell)
    known = {node: Parts(0 * array, 0 * array, array) for node, array in trace.weights.items()}
    known |= {n: Parts(0.0, 0.0, float(n.label)) for n in nodes if n.op == "constant"}
    state = []
    for start in trace.start:
        rest = np.repeat(start[None, row], len(phrases), 0)
        state.append(Parts(0 * rest, rest, 0 * rest))
    found = [np.zeros((*phrases.shape, trace.after[0].shape[-1]), trace.x.dtype) for _ in Parts._fields]
    for t in reversed(range(count)) if trace.reverse else range(count):
        done: dict[Node, Parts] = {**known, **dict(zip(cell.before, state, strict=True))}
        done[cell.x] = Parts(*(part[:, t] for part in x))
        for node in nodes:
            if node in done:
                continue
            if node in doors:
                gate, other = doors[node]
                done[node] = Parts(*(done[gate].whole * part for part in done[other]))
            else:
                done[node] = CONTEXTUAL[node.op](trace.operations[node.op], *(done[arg] for arg in node.args))
            if node in cell.after:
                done[node] = _folded(done[node], phrases[:, t])
        state = [done[node] for node in cell.after]
        for every, part in zip(found, done[cell.after[0]], strict=True):
            every[:, t] = part
    return Parts(*found)


def _folded(v: Parts, inside: Array) -> Parts:
    """What is carried on has no constant part: it belongs to its step, which may be one of the phrase."""
    mine = np.where(inside[:, None], v.constant, 0)
    return Parts(v.phrase + mine, v.rest + v.constant - mine, 0 * mine)
