"""What a classifier gathers over the steps, as symbols for exporters: pools, and what its regression reads.

Each is told how it changes with a step, and remembers what it was: in a state, or nowhere where there is one step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...runtime.recorder import Recorder, Symbol
from .baselines.regression import Regression
from .inputs import Category

_FAR = 1e30  # beyond any number that is gathered

Gathered = Callable[[], Symbol]


@dataclass
class Count:
    """The steps so far, and what is gathered over them.

    Attributes:
        way: See `step.Reader`; in a row there is one step, and a sequence's are asked for after the last one.
        name: Of its states.
    """

    recorder: Recorder
    way: str
    name: str

    def __post_init__(self) -> None:
        if self.way == "row":
            self.n, self.begun = self.recorder.constant(np.ones((1, 1, 1))), self.recorder.constant(np.zeros((1, 1, 1)))
            return
        before = self.recorder.state(self.name, 1, 1, 1)
        self.n, self.begun = before + 1.0, self.recorder.ops.step(before)
        self.recorder.keep(before, self.n)

    def gathered(self, name: str, shape: Sequence[int], after: Callable[[Symbol], Symbol]) -> Gathered:
        """What is zero at first, and what `after` makes of it at a step."""
        if self.way == "row":
            now = after(self.recorder.constant(np.zeros(shape)))
            return lambda: now
        state = self.recorder.state(f"{self.name}_{name}", *shape)
        new = after(state)
        self.recorder.keep(state, new)
        return lambda: state if self.way == "sequence" else new

    def total(self, name: str, x: Symbol) -> Gathered:
        return self.gathered(name, x.shape, lambda before: before + x)

    def mean(self, name: str, x: Symbol) -> Gathered:
        return self.gathered(name, x.shape, lambda before: before + (x - before) / self.n)

    def most(self, name: str, x: Symbol) -> Gathered:
        ops = self.recorder.ops
        return self.gathered(name, x.shape, lambda before: ops.maximum(before + (self.begun - 1.0) * _FAR, x))

    def first(self, name: str, x: Symbol) -> Gathered:
        return self.gathered(name, x.shape, lambda before: before * self.begun + x * (1.0 - self.begun))

    def last(self, name: str, x: Symbol) -> Gathered:
        return self.gathered(name, x.shape, lambda before: x)


def pooled_of(count: Count, member: Any, y: Symbol) -> Gathered:
    """(1, 1, H) of each way of pooling, one beside the other, from outputs of the layers; see `architecture.POOLING`."""
    pools = [POOLS[name](count, member, y) for name in member.shape.pooling]
    return lambda: member.ops.concatenate([pool() for pool in pools])


def _last(count: Count, member: Any, y: Symbol) -> Gathered:
    """After a sequence, what was made last is what each direction made at its end."""
    return lambda: y


def _attention(count: Count, member: Any, y: Symbol) -> Gathered:
    """Sums of weights, and of steps times weights, both as multiples of the largest weight so far."""
    score = member.question(y)
    most, weights, values = None, None, None
    recorder, ops = count.recorder, count.recorder.ops
    if count.way == "row":
        return lambda: y
    before = recorder.state(f"{count.name}_score", 1, 1, 1)
    shown = before + (count.begun - 1.0) * _FAR
    most = ops.maximum(shown, score)
    kept, own = ops.exp(shown - most), ops.exp(score - most)
    recorder.keep(before, most)
    weights = count.gathered("weights", (1, 1, 1), lambda sums: sums * kept + own)
    values = count.gathered("values", y.shape, lambda sums: sums * kept + y * own)
    return lambda: values() / weights()


POOLS: dict[str, Callable[[Count, Any, Symbol], Gathered]] = {
    "last": _last,
    "mean": lambda count, member, y: count.mean("mean", y),
    "max": lambda count, member, y: count.most("max", y),
    "attention": _attention,
}


def regression_of(
    count: Count, plain: Regression, x: Symbol | None, categories: Symbol | None, columns: Sequence[Category]
) -> Gathered:
    """(1, 1, K) scores of the regression, from numbers (1, 1, D) and categories (1, 1, C) of the steps; see
    `regression.features_of`."""
    recorder, ops = count.recorder, count.recorder.ops
    parts: list[Gathered] = []
    if x is not None:
        numbers = x
        centre: list[Symbol] = []

        def mean_after(before: Symbol) -> Symbol:
            centre.append(before)
            return before + (numbers - before) / count.n

        mean = count.gathered("mean", x.shape, mean_after)
        # Welford's sum of squares: of the distances from the mean before and from the mean with this step.
        [before] = centre
        new = before + (x - before) / count.n
        squares = count.gathered("squares", x.shape, lambda sums: sums + (numbers - before) * (numbers - new))
        steps = count.last("n", count.n)
        least, most = count.most("least", -x), count.most("most", x)
        first, last = count.first("first", x), count.last("last", x)
        parts = [mean, lambda: ops.sqrt(squares() / steps()), lambda: -least(), most, first, last]
    else:
        steps = count.last("n", count.n)
    if categories is not None:
        for k, column in enumerate(columns):
            hit = recorder.embedded(np.eye(len(column.levels) + 1, dtype=np.float32), categories[..., k])
            parts.append(count.mean(f"share{k}", hit))
    return lambda: ops.linear(
        ops.concatenate([ops.log(steps()), *(part() for part in parts)]), plain.rest.T.copy(), plain.bias
    )


def tempered(recorder: Recorder, found: Symbol, kind: str, temperature: float) -> Symbol:
    """As `Targets.tempered`."""
    if kind == "number" or temperature == 1:
        return found
    ops = recorder.ops

    def power(chances: Symbol) -> Symbol:
        return ops.exp(ops.log(ops.maximum(chances, 1e-30)) * (1 / temperature))

    powers = power(found)
    return powers / (powers + power(1.0 - found) if kind == "labels" else ops.total(powers))
