"""Layer-wise relevance: an answer's score, handed back step by step to what it was computed from.

One rule for each operation. A sum hands relevance to its terms in proportion to their values; a product of a gate and a
signal hands all of it to the signal; a curve hands it on. It costs one pass backward. It is not conserved: biases take
a share, and the stabiliser absorbs some; `Relevance` shows both, and all its parts sum to what arrived.

Source: Bach et al. (2015), PLoS ONE 10(7); for the LSTM, Arras, Montavon, Müller & Samek (2017), "Explaining recurrent
neural network predictions in sentiment analysis", WASSA; here for every cell, from its graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

import numpy as np

from ..algebra import Cell
from ..algebra.expression import MAPS, PRODUCTS, TRANSPOSE, Node, evaluate, order
from .traces import Trace

Array = np.ndarray

EPSILON = 1e-3  # of the authors' code; with much less, sums near zero hand on relevance without bound


@dataclass(frozen=True)
class Relevance:
    """Where relevance went, in the unit of the score that it began as.

    Attributes:
        x: (T, B, D) to the input; exactly zero beyond a row's length.
        start: (B,) to the states before the first step.
        bias: (B,) to biases, other weights and numbers.
        absorbed: (B,) by the stabiliser of sums.
    """

    x: Array
    start: Array
    bias: Array
    absorbed: Array

    @property
    def total(self) -> Array:
        """(B,) all of it: what arrived, but for rounding."""
        found: Array = self.x.sum((0, 2)) + self.start + self.bias + self.absorbed
        return found


@dataclass(frozen=True)
class _Step:
    """A step as the rules see it.

    Attributes:
        value: Of every node.
        fed: Nodes that depend on the input or on what is carried.
        gates: See `gates_of`.
        operations: On arrays.
        epsilon: The stabiliser.
    """

    value: Mapping[Node, Array]
    fed: frozenset[Node]
    gates: frozenset[Node]
    operations: Mapping[str, Callable[..., Array]]
    epsilon: float


Handed = Iterator[tuple[Node | None, Array]]  # to whom, None being the stabiliser, and how much
Rule = Callable[[Node, Array, _Step], Handed]


def _in_proportion(node: Node, arrived: Array, step: _Step) -> Handed:
    """To the terms of a sum, matrix products being sums as well."""
    total = step.value[node]
    added = np.where(total >= 0, step.epsilon, -step.epsilon)
    share = arrived / (total + added)
    yield None, share * added
    for sign, term in _terms(node):
        if term.op == "matmul":
            matrix, vector = term.args
            yield vector, step.value[vector] * (sign * share @ step.value[matrix])
        elif term.op in MAPS:
            [vector] = term.args
            yield vector, step.value[vector] * step.operations[TRANSPOSE[term.op]](sign * share)
        else:
            yield term, step.value[term] * (sign * share)


def _terms(node: Node, sign: int = 1) -> Iterator[tuple[int, Node]]:
    """What a sum is made of, with signs; a sum inside it is taken apart."""
    if node.op in ("add", "sub"):
        yield from _terms(node.args[0], sign)
        yield from _terms(node.args[1], -sign if node.op == "sub" else sign)
    elif node.op == "neg":
        yield from _terms(node.args[0], -sign)
    else:
        yield sign, node


def _to_the_signal(node: Node, arrived: Array, step: _Step) -> Handed:
    """A gate gets none, and what is known beforehand neither; two of a kind half each."""
    a, b = node.args
    for kind in (step.fed, step.fed - step.gates):
        if (a in kind) != (b in kind):
            yield a if a in kind else b, arrived
            return
    yield a, arrived / 2
    yield b, arrived / 2


def _to_the_numerator(node: Node, arrived: Array, step: _Step) -> Handed:
    numerator, denominator = node.args
    yield numerator if numerator in step.fed else denominator, arrived


def _through(node: Node, arrived: Array, step: _Step) -> Handed:
    yield node.args[0], arrived


def _to_the_chosen(node: Node, arrived: Array, step: _Step) -> Handed:
    """Unit by unit to the one of two that is the result; at a tie to the second, as derivatives have it."""
    a, b = (step.value[arg] for arg in node.args)
    first = a > b if node.op == "maximum" else a < b
    yield node.args[0], np.where(first, arrived, 0)
    yield node.args[1], np.where(first, 0, arrived)


# How an operation hands on the relevance that arrives at its result.
RELEVANCE: dict[str, Rule] = {
    **dict.fromkeys(("add", "sub", *PRODUCTS, *MAPS), _in_proportion),
    "mul": _to_the_signal,
    "div": _to_the_numerator,
    **dict.fromkeys(("neg", "sigmoid", "tanh", "relu", "step", "exp", "log", "sqrt", "softplus"), _through),
    **dict.fromkeys(("maximum", "minimum"), _to_the_chosen),
}


@lru_cache(maxsize=256)
def fed_of(cell: Cell) -> frozenset[Node]:
    """Nodes that depend on the input or on what is carried; the others are weights and numbers."""
    found = {cell.x, *cell.extras, *cell.before}
    for node in order(cell.after):
        if not found.isdisjoint(node.args):
            found.add(node)
    return frozenset(found)


@lru_cache(maxsize=256)
def gates_of(cell: Cell) -> frozenset[Node]:
    """Nodes that scale others: a sigmoid, hard ones too, or an exponential; one less that, or anything known in sum or
    product with it; products, copies and choices of such; and one over something, which normalisation scales by."""
    fed, found = fed_of(cell), set[Node]()
    for node in order(cell.after):
        if node not in fed:
            continue
        known = [arg not in fed for arg in node.args]
        gates = [arg in found for arg in node.args]
        scaled = node.op in ("add", "sub", "mul") and any(known) and any(gates)
        passed = node.op in ("mul", "neg", "maximum", "minimum", *MAPS) and all(gates)
        made = node.op in ("sigmoid", "exp") or _is_clipped(node) or (node.op == "div" and known[0])
        if made or scaled or passed:
            found.add(node)
    return frozenset(found)


def _is_clipped(node: Node) -> bool:
    """Whether it is kept between two numbers that are not negative, as a hard sigmoid keeps a line."""
    inner = [arg for arg in node.args if arg.op == "maximum"] if node.op == "minimum" else []
    least = [float(arg.label) for one in inner for arg in one.args if arg.op == "constant"]
    return any(arg.op == "constant" for arg in node.args) and any(number >= 0 for number in least)


def relevance(traces: Sequence[Trace], arriving: Array, epsilon: float = EPSILON) -> Relevance:
    """Hand relevance back through recurrent layers.

    Args:
        traces: Of one call of recurrent layers: of every layer and direction, the lowest first.
        arriving: (T, B, directions * H) at the output of the highest layer.
        epsilon: Added to sums before anything is divided by them, away from zero.
    """
    B, dtype = traces[0].x.shape[1], traces[0].x.dtype
    start, bias, absorbed = np.zeros((3, B), dtype)
    arriving = np.asarray(arriving, dtype)
    layers = [list(layer) for _, layer in groupby(traces, key=lambda trace: trace.layer)]
    for layer in reversed(layers):
        each = np.split(arriving, len(layer), -1)
        arriving = np.zeros(layer[0].x.shape, dtype)
        for trace, own in zip(layer, each, strict=True):
            for row in range(B):
                found = _of_row(trace, row, own[:, row], epsilon)
                arriving[: len(found.x), row] += found.x
                start[row] += found.start
                bias[row] += found.bias
                absorbed[row] += found.absorbed
    return Relevance(arriving, start, bias, absorbed)


@dataclass
class _OfRow:
    x: Array
    start: float = 0.0
    bias: float = 0.0
    absorbed: float = 0.0


def _of_row(trace: Trace, row: int, arriving: Array, epsilon: float) -> _OfRow:
    """What one layer hands back in one direction, of (T, H) that arrives at its output."""
    cell, count = trace.cell, int(trace.lengths[row])
    nodes = order(cell.after)
    values = dict(zip(nodes, evaluate(nodes, trace.known(row), trace.operations), strict=True))
    fed = fed_of(cell)
    found = _OfRow(np.zeros((count, trace.x.shape[-1]), arriving.dtype))
    carried: dict[Node, Array] = {}  # to the state after the step
    for t in range(count) if trace.reverse else reversed(range(count)):
        at = {node: value[t] if node in fed else value for node, value in values.items()}
        step = _Step(at, fed, gates_of(cell), trace.operations, epsilon)
        _add(carried, cell.after[0], arriving[t])
        given = _handed_back(cell, step, carried, found)
        found.x[t] = given.get(cell.x, 0)
        carried = {}
        for before, after in zip(cell.before, cell.after, strict=True):
            if before in given:
                _add(carried, after, given[before])
    found.start = float(sum(np.sum(given) for given in carried.values()))
    return found


def _handed_back(cell: Cell, step: _Step, given: Mapping[Node, Array], found: _OfRow) -> dict[Node, Array]:
    """What each node of a step is handed, of what arrives at some."""
    arrived = dict(given)
    for node in reversed(order(cell.after)):
        if node not in arrived or node is cell.x or node in cell.before:
            continue
        if node not in step.fed:
            found.bias += float(np.sum(arrived[node]))
            continue
        for to, share in RELEVANCE[node.op](node, arrived[node], step):
            if to is None:
                found.absorbed += float(np.sum(share))
            else:
                _add(arrived, to, share)
    return arrived


def _add(found: dict[Node, Array], node: Node, value: Array) -> None:
    found[node] = found[node] + value if node in found else value


def linear_relevance(
    x: Array, weight: Array, bias: Array | None, arriving: Array, epsilon: float = EPSILON
) -> tuple[Array, Array, Array]:
    """The same of a matrix product: x (..., D) of which `arriving` (..., E) is the relevance of its result.

    Returns:
        (..., D) to x, (...,) to the bias, and (...,) what is absorbed.
    """
    total = x @ weight.T + (0 if bias is None else bias)
    added = np.where(total >= 0, epsilon, -epsilon)
    share = arriving / (total + added)
    to_bias = np.zeros(share.shape[:-1]) if bias is None else (share * bias).sum(-1)
    return x * (share @ weight), to_bias, (share * added).sum(-1)
