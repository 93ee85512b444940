"""The limits of the machine: its ceilings, and the shortest time for some work that follows from them.

A ceiling is the highest value that was measured with a simple substitute, in the same process as everything else. The
ceilings are only as precise as these substitutes:

- Arithmetic: large matrix products by torch and a large forward pass of ours. Both reach 90-95 % of the peak of the
  processor's multiply-add units, so the percentages here are too high by that much.
- Reading weights: the sum over a buffer of their size, read many times in one call. Below 1 MiB a core can read
  faster than it can sum.
- A call: our layer at the smallest possible sizes, which measures everything but the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import torch

from ..algebra import Cell
from ..nn import LSTM
from .contest import fastest, rounded
from .peers.pytorch import ours
from .problem import Problem, pose
from .shapes import Shape

_FLOAT = 4  # bytes


@dataclass(frozen=True)
class Part:
    """Matrix products, and the weights that are read for them at the same time.

    Args:
        flops: Additions and multiplications.
        bytes: Bytes of weights to read, counted as often as they are read.
        working_set: Bytes of the weights that are read repeatedly.
    """

    flops: float
    bytes: float
    working_set: int


@dataclass(frozen=True)
class Demand:
    """What some work demands of the machine.

    Args:
        parts: Parts that run one after the other.
        call: Key of the overhead of a call in `Ceilings`.
    """

    parts: tuple[Part, ...]
    call: str


@dataclass(frozen=True)
class Limit:
    """The shortest time for some work on this machine, and what determines it.

    Args:
        rule: "compute", "weights" (reading them) or "latency" (the overhead of a call).
        floor: Seconds.
        flops: Additions and multiplications in the matrix products.
    """

    rule: str
    floor: float
    flops: float


class Ceilings:
    """The highest values that were measured on this machine.

    They are measured repeatedly, between other measurements, since a single one may come at a bad moment.

    Args:
        threads: Number of threads.
        seconds: Time for each measurement.
    """

    def __init__(self, threads: int, seconds: float):
        self.threads, self.seconds = threads, seconds
        self._products = list(_products())
        self._arithmetic = (0.0, "nothing")
        self._bandwidth: dict[int, float] = {}
        self._latency: dict[str, float] = {}

    def ask(self, problem: Problem) -> Demand:
        """Measure the ceilings that matter for this work. Returns its demand, for `limit` at the end."""
        demand = Demand(tuple(parts(problem)), f"{problem.work.name} of {problem.cell.name}, {problem.shape.layers}")
        for run, flops, name in self._products:
            self._arithmetic = max(self._arithmetic, (flops / fastest(run, self.seconds), name))
        for size in {_rounded_up(part.working_set) for part in demand.parts}:
            again = max(1, 2**24 // size)  # so that the overhead of the call does not matter
            buffer = torch.ones(size // _FLOAT).expand(again, -1)
            rate = again * size / fastest(buffer.sum, self.seconds)
            self._bandwidth[size] = max(rate, self._bandwidth.get(size, 0.0))
        units = max(problem.cell.heads, 2 if problem.cell.projected else 1)
        smallest = Shape(1, 1, 1, units, problem.shape.layers)
        call = ours(pose(problem.work, smallest, self.threads, own=problem.cell))
        least = fastest(call.run, self.seconds)
        self._latency[demand.call] = min(least, self._latency.get(demand.call, least))
        return demand

    def limit(self, demand: Demand) -> Limit:
        """The limit of some work, from all ceilings measured so far."""
        kinds = {"compute": 0.0, "weights": 0.0}
        for part in demand.parts:
            reading = part.bytes / self._bandwidth[_rounded_up(part.working_set)]
            times = {"compute": part.flops / self._arithmetic[0], "weights": reading}
            slowest = max(times, key=times.__getitem__)
            kinds[slowest] += times[slowest]
        floor, latency = sum(kinds.values()), self._latency[demand.call]
        rule = "latency" if latency > floor else max(kinds, key=kinds.__getitem__)
        return Limit(rule, max(floor, latency), sum(part.flops for part in demand.parts))

    def document(self) -> dict[str, Any]:
        """The ceilings as a document."""
        rates, calls = sorted(self._bandwidth.items()), self._latency.items()
        return {
            "gflops": rounded(self._arithmetic[0] / 1e9),
            "gflops_by": self._arithmetic[1],
            "weights_gigabytes_per_second": {f"{size >> 10} KiB": rounded(rate / 1e9) for size, rate in rates},
            "call_microseconds": {f"{name} layers": rounded(seconds * 1e6) for name, seconds in calls},
        }


def _rounded_up(size: int) -> int:
    """16 KiB, or the next power of two."""
    return 1 << max(size - 1, 2**14 - 1).bit_length()


def _products() -> Iterator[tuple[Callable[[], Any], float, str]]:
    """(run, flops, name) of work that comes as close as possible to the peak of the processor."""
    for n in (512, 1024):
        a, b, out = torch.randn(n, n), torch.randn(n, n), torch.empty(n, n)
        yield partial(torch.mm, a, b, out=out), 2 * n**3, f"a product of {n} x {n} matrices"
    T, B, H = 4, 96, 512
    layer, x = LSTM(H, H), torch.randn(T, B, H)

    def forward() -> Any:
        with torch.no_grad():
            return layer(x)

    yield forward, 2 * T * B * 4 * H * (H + H), f"our forward pass at {B},{T},{H},{H}"


def parts(problem: Problem) -> Iterator[Part]:
    """The parts of the work.

    Products of a layer's input can be computed for all steps at once, so their weights are read only once. Products of
    carried values are computed step by step, and their weights are read at every step. With few rows, that takes longer
    than the arithmetic. Elementwise functions are not counted.
    """
    work, shape, cell = problem.work, problem.shape, problem.cell
    rows = shape.T * shape.B if problem.lengths is None else int(problem.lengths.sum())
    for layer in range(shape.layers):
        inputs = shape.D if layer == 0 else problem.layer.proj_size or shape.H
        of_input, carried = _matrices(cell, cell.sizes(inputs, shape.H, problem.layer.proj_size))
        size = _FLOAT * (of_input + carried)
        at_once = Part(2 * rows * of_input, _FLOAT * of_input, size)
        stepwise = Part(2 * rows * carried, _FLOAT * carried * shape.T, size)
        yield at_once
        yield stepwise
        if work.training:
            yield Part(2 * rows * (of_input + carried), size, size)  # gradients of the weights
            yield stepwise  # and of the carried values, back through time
            if layer > 0 or work.input_gradient:
                yield at_once


def _matrices(cell: Cell, sizes: dict[str, int]) -> tuple[int, int]:
    """Number of weights in matrices that multiply the input, and in those that multiply values computed in a step."""
    counts = {True: 0, False: 0}
    for parameter in cell.parameters:
        if (columns := parameter.blocks[0].columns) is not None:
            counts[columns.letter == "D"] += prod(parameter.shape(sizes))
    return counts[True], counts[False]
