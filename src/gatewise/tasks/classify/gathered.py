"""What a classifier gathers over the steps, as symbols for exporters: pools, and what its regression reads.

Each is told how it changes with a step, and remembers what it was: in a state, or nowhere where there is one step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...runtime.recorder import CARRIED, SEQUENCE, Recorder, Symbol
from ...runtime.recording import Vector
from ..stepwise import FAR, Count, Gathered, Rounding
from .architecture import read_steps
from .baselines.convolutions import Convolutions
from .baselines.regression import Regression
from .baselines.ridge import UNSURE
from .baselines.warping import Neighbours
from .inputs import Category

if TYPE_CHECKING:
    from .estimator import Classifier


def pooled_of(count: Count, member: Any, y: Symbol) -> Gathered:
    """(1, 1, H) of each way of pooling side by side, from outputs of the layers; see `architecture.POOLING`."""
    pools = [POOLS[name](count, member, y) for name in member.shape.pooling]
    return lambda: member.ops.concatenate([pool() for pool in pools])


def scores_of(
    recorder: Recorder, members: Sequence[Any], batch: Mapping[str, Any], way: str
) -> list[tuple[Any, Gathered]]:
    """Each network, with the pools that its output reads; what all read of a step is read before any layer is run."""
    state = {"row": None, "steps": CARRIED, "sequence": SEQUENCE}[way]
    read = [read_steps(member, batch) for member in members]
    found = []
    for number, (member, x) in enumerate(zip(members, read, strict=True)):
        y, _ = member.layers(x, state)
        found.append((member, pooled_of(Count(recorder, way, f"count{number}"), member, y)))
    return found


def _last(count: Count, member: Any, y: Symbol) -> Gathered:
    """After a sequence, what was made last is what each direction made at its end."""
    return lambda: y


def _attention(count: Count, member: Any, y: Symbol) -> Gathered:
    """Sums of weights, and of steps times weights, both as multiples of the largest weight so far."""
    score, recorder, ops = member.question(y), count.recorder, count.recorder.ops
    if count.way == "row":
        return lambda: y
    before = recorder.state(f"{count.name}_score", 1, 1, 1)
    shown = before + (count.begun - 1.0) * FAR
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


def plain_of(
    count: Count,
    classifier: Classifier,
    values: Symbol | None,
    numbers: Symbol | None,
    categories: Symbol | None,
    rounded: Rounding,
) -> Gathered:
    """(1, 1, K) what the plain methods predict in their shares; as `Baselines.together`.

    Args:
        values: (1, 1, C) scaled numbers of a step.
        numbers: (1, 1, D) all that the regression reads of it.
        categories: (1, 1, columns).
        rounded: What weights in fewer bytes make of a matrix.
    """
    baselines, targets, ops = classifier.baselines_, classifier.targets_, count.recorder.ops
    assert baselines is not None
    parts: list[tuple[float, Gathered]] = []
    source = None if values is None else count.recorder.vector(values)
    for name, share in baselines.shares_of(targets).items():
        method = baselines.methods.get(name)
        if isinstance(method, Convolutions):
            assert source is not None
            method = replace(method, weights=rounded(method.weights.T.copy()).T)
            baselines.methods[name] = method
            parts.append((share, _convolutions_of(count.recorder, classifier, method, source)))
        elif isinstance(method, Neighbours):
            assert source is not None
            parts.append((share, _neighbours_of(count.recorder, method, source, targets.outputs)))
        else:
            scores = regression_of(count, baselines.regression, numbers, categories, classifier.inputs_.categories)
            parts.append((share, lambda scores=scores: activated(ops, scores(), targets.kind)))  # type: ignore[misc]  # of a default
    weights = baselines.class_weights

    def together() -> Symbol:
        total: Any = 0.0
        for share, part in parts:
            found = part()
            if weights is not None:
                found = found * np.asarray(weights, np.float32)
                found = found / ops.total(found)
            total = total + found * share
        return total

    return together


def _convolutions_of(recorder: Recorder, classifier: Classifier, method: Convolutions, source: Vector) -> Gathered:
    kind, ops = classifier.targets_.kind, recorder.ops

    def found() -> Symbol:
        features = recorder.above(source, *method.said())
        scores = ops.linear(features - method.mean, np.ascontiguousarray(method.weights.T), method.bias)
        if kind == "number":
            return scores
        middle = 0.5 if kind == "labels" else 0.0
        chances = activated(ops, (scores - middle) * (2 * float(method.sharpness[0])), kind)
        if kind == "labels":
            return chances
        return chances * (1 - UNSURE) + UNSURE / chances.shape[-1]

    return found


def _neighbours_of(recorder: Recorder, method: Neighbours, source: Vector, count: int) -> Gathered:
    ops = recorder.ops

    def found() -> Symbol:
        nearest = recorder.nearest(source, method.series, method.classes, count, int(method.band[0]))
        least = -recorder.largest(-nearest)
        ratio = ops.minimum(nearest / ops.maximum(least, 1e-12) - 1.0, 1e6)
        powers = ops.exp(ratio * -float(method.sharpness[0])) + 1e-3
        return powers / ops.total(powers)

    return found


def activated(ops: Any, scores: Symbol, kind: str) -> Symbol:
    """As `Targets.activated`."""
    if kind == "number":
        return scores
    return ops.softmax(scores, -1) if kind == "category" else ops.sigmoid(scores)


def tempered(recorder: Recorder, found: Symbol, kind: str, temperature: float) -> Symbol:
    """As `Targets.tempered`."""
    if kind == "number" or temperature == 1:
        return found
    ops = recorder.ops

    def power(chances: Symbol) -> Symbol:
        return ops.exp(ops.log(ops.maximum(chances, 1e-30)) * (1 / temperature))

    powers = power(found)
    return powers / (powers + power(1.0 - found) if kind == "labels" else ops.total(powers))
