"""What tasks share that say their models as a step, see `runtime.recording`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import OptionError
from ..runtime.recorder import Recorder, Symbol
from .members import blueprint

Array = np.ndarray
Rounding = Callable[[Array], Array]
Gathered = Callable[[], Symbol]  # of what is gathered over steps

FAR = 1e30  # beyond any number that is gathered


def rounded_network(estimator: Any, rounded: Rounding, recorder: Recorder) -> Any:
    """The recorded network of an estimator that was read from a file; it then predicts with rounded weights itself."""
    if getattr(estimator, "only", None) == "plain":
        raise OptionError("it was made with --only plain and has no network, which is what is exported")
    weights = with_rounded(estimator._read_weights, rounded)
    estimator._read_weights = weights
    return recorder.net(blueprint(estimator), weights)


def with_rounded(weights: Mapping[str, Array], rounded: Rounding) -> dict[str, Array]:
    """Weights by name, of which layers' matrices are rounded."""
    return {
        name: rounded(array) if array.ndim == 2 and "weight" in name.rpartition(".")[2] else array
        for name, array in weights.items()
    }


def share_line(share: float, others: str) -> str:
    """That a network is a part of what its model predicts. OptionError if it is none."""
    if not share:
        raise OptionError(
            f"its network has no share in what it predicts, which is all {others}. Train it with --share 1"
        )
    if share == 1:
        return ""
    return (
        f" This is its network alone, whose share in what the model predicts is {share:.0%}; the rest is {others}, "
        "which is not exported."
    )


@dataclass
class Count:
    """The steps so far, and what is gathered over them.

    Attributes:
        way: What is read at a call: a "row", one of the "steps", or a whole "sequence"; in a row there is one step, and
            what a sequence has is asked for after the last one.
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

    def mean(self, name: str, x: Symbol) -> Gathered:
        return self.gathered(name, x.shape, lambda before: before + (x - before) / self.n)

    def most(self, name: str, x: Symbol) -> Gathered:
        ops = self.recorder.ops
        return self.gathered(name, x.shape, lambda before: ops.maximum(before + (self.begun - 1.0) * FAR, x))

    def first(self, name: str, x: Symbol) -> Gathered:
        return self.gathered(name, x.shape, lambda before: before * self.begun + x * (1.0 - self.begun))

    def last(self, name: str, x: Symbol) -> Gathered:
        return self.gathered(name, x.shape, lambda before: x)
