"""Recurrent layers that step for many streams: on the native engine, or by evaluating the equations of the cell."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Any, Protocol

import numpy as np

from ..errors import OptionError
from ..native import lowering
from ..native.streams import Streams
from .equations import recurrence
from .layers import Recurrent

Array = np.ndarray
State = Sequence[
    Sequence[Array]
]  # per layer one vector per carried name; the output is the first one of the last layer


class LiveLayers(Protocol):
    """Layers with states of streams, as `native.streams.Streams`, which says what each of these does."""

    @property
    def inputs(self) -> int: ...
    def open(self) -> int: ...
    def close(self, stream: int) -> None: ...
    def reset(self, stream: int) -> None: ...
    def fork(self, stream: int) -> int: ...
    def state(self, stream: int) -> State: ...
    def restore(self, stream: int, state: State) -> None: ...
    def push(self, streams: Any, x: Array, *, lengths: Any = None) -> Array: ...
    def zeros(self) -> State: ...
    def step(self, x: Array, state: State) -> State: ...


def live_layers(layers: Recurrent) -> LiveLayers:
    """Layers of a trained network as streams run them.

    Raises:
        OptionError: They read in both directions.
    """
    if layers.bidirectional:
        raise OptionError(
            "this model is bidirectional: it reads a sequence from its end, too, so it cannot answer before the end. "
            "Train one with bidirectional=False"
        )
    if not lowering.runs(layers.cell):
        return Evaluated(layers)
    return Streams([(layers.cell, weights) for weights in layers.weights], layers.precision)


class Kept(ABC):
    """Layers outside the native engine, whose states of streams are kept here: `LiveLayers`, but for what it computes.

    Args:
        inputs: Features of a step.
    """

    def __init__(self, inputs: int):
        self.inputs = inputs
        self._states: dict[int, State] = {}
        self._opened = 0

    @abstractmethod
    def zeros(self) -> State: ...

    @abstractmethod
    def run(self, x: Array, state: State) -> tuple[Array, State]:
        """Steps (T, D) from a state, which does not change: the outputs (T, H), and the state after them."""

    def open(self) -> int:
        self._opened += 1
        self._states[self._opened] = self.zeros()
        return self._opened

    def close(self, stream: int) -> None:
        del self._states[self._known(stream)]

    def reset(self, stream: int) -> None:
        self._states[self._known(stream)] = self.zeros()

    def fork(self, stream: int) -> int:
        state = self.state(stream)
        other = self.open()
        self._states[other] = state  # a value
        return other

    def state(self, stream: int) -> State:
        return self._states[self._known(stream)]

    def restore(self, stream: int, state: State) -> None:
        self._states[self._known(stream)] = state

    def push(self, streams: Any, x: Array, *, lengths: Any = None) -> Array:
        """Steps of one stream (T, D), or with `lengths` of several, one's after the other's."""
        ends = list(accumulate([len(x)] if lengths is None else map(int, lengths), initial=0))
        outputs = []
        for stream, (first, last) in zip(np.atleast_1d(streams).tolist(), pairwise(ends), strict=True):
            y, self._states[stream] = self.run(x[first:last], self.state(stream))
            outputs.append(y)
        return np.concatenate(outputs)

    def step(self, x: Array, state: State) -> State:
        return self.run(x[None], state)[1]

    def _known(self, stream: int) -> int:
        if stream not in self._states:
            raise OptionError(f"there is no stream {stream}: it was closed, or never opened")
        return int(stream)


class Evaluated(Kept):
    """Layers whose cell carries matrices, which the native engine does not run."""

    def __init__(self, layers: Recurrent):
        super().__init__(layers.inputs)
        self._layers = layers

    def zeros(self) -> State:
        return [[value[0] for value in layer] for layer in zip(*self._layers.start(1), strict=True)]

    @np.errstate(all="ignore")  # damaged weights show in the output
    def run(self, x: Array, state: State) -> tuple[Array, State]:
        y, after = x[:, None], []
        for before, weights in zip(state, self._layers.weights, strict=True):  # step by step, however they are cut
            [y], end = recurrence(self._layers.cell, y, [value[None] for value in before], weights)
            after.append([value[0] for value in end])
        return y[:, 0], after


class Beside:
    """Any number of stacks of layers, each of which reads its own part of the features; their outputs side by side."""

    def __init__(self, stacks: Iterable[LiveLayers]):
        self._stacks = list(stacks)
        self._parts = list(pairwise(accumulate([stack.inputs for stack in self._stacks], initial=0)))
        self.inputs = sum(stack.inputs for stack in self._stacks)
        self._ids: dict[int, list[int]] = {}  # of the same stream in each stack
        self._opened = 0

    def open(self) -> int:
        return self._added([stack.open() for stack in self._stacks])

    def close(self, stream: int) -> None:
        for stack, own in zip(self._stacks, self._ids.pop(stream), strict=True):
            stack.close(own)

    def reset(self, stream: int) -> None:
        for stack, own in zip(self._stacks, self._ids[stream], strict=True):
            stack.reset(own)

    def fork(self, stream: int) -> int:
        return self._added([stack.fork(own) for stack, own in zip(self._stacks, self._ids[stream], strict=True)])

    def state(self, stream: int) -> State:
        each = zip(self._stacks, self._ids[stream], strict=True)
        return [layer for stack, own in each for layer in stack.state(own)]

    def restore(self, stream: int, state: State) -> None:
        for stack, own, layers in zip(self._stacks, self._ids[stream], self._divided(state), strict=True):
            stack.restore(own, layers)

    def push(self, streams: Any, x: Array, *, lengths: Any = None) -> Array:
        one = lengths is None
        ids = [self._ids[stream] for stream in ([streams] if one else streams.tolist())]
        outputs = []
        for number, (stack, (first, last)) in enumerate(zip(self._stacks, self._parts, strict=True)):
            own = [each[number] for each in ids]
            part = np.ascontiguousarray(x[:, first:last])
            outputs.append(stack.push(own[0] if one else np.array(own, np.int64), part, lengths=lengths))
        return np.concatenate(outputs, axis=1) if outputs else np.zeros((len(x), 0), np.float32)

    def zeros(self) -> State:
        return [layer for stack in self._stacks for layer in stack.zeros()]

    def step(self, x: Array, state: State) -> State:
        each = zip(self._stacks, self._parts, self._divided(state), strict=True)
        return [layer for stack, (first, last), own in each for layer in stack.step(x[first:last], own)]

    def _divided(self, state: State) -> list[State]:
        counts = [len(stack.zeros()) for stack in self._stacks]
        return [state[first:last] for first, last in pairwise(accumulate(counts, initial=0))]

    def _added(self, ids: list[int]) -> int:
        self._opened += 1
        self._ids[self._opened] = ids
        return self._opened
