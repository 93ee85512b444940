"""Recurrent layers that step for many streams: on the native engine, or by evaluating the equations of the cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

import numpy as np

from ..algebra import Cell
from ..errors import OptionError
from ..native import lowering
from ..native.streams import Streams
from .equations import Layers, stored_weights

Array = np.ndarray
State = Sequence[
    Sequence[Array]
]  # per layer one vector per carried name; the output is the first one of the last layer


class LiveLayers(Protocol):
    """Layers with states of streams, as `native.streams.Streams`, which says what each of these does."""

    def open(self) -> int: ...
    def close(self, stream: int) -> None: ...
    def reset(self, stream: int) -> None: ...
    def fork(self, stream: int) -> int: ...
    def state(self, stream: int) -> State: ...
    def restore(self, stream: int, state: State) -> None: ...
    def push(self, streams: Any, x: Array, *, lengths: Any = None) -> Array: ...
    def zeros(self) -> State: ...
    def step(self, x: Array, state: State) -> State: ...


def live_layers(cell: Cell, tensors: Mapping[str, Array], num_layers: int) -> LiveLayers:
    """Layers of a cell with the weights of a model file.

    Args:
        tensors: Stored weights by name, as for `Layers`.

    Raises:
        ModelFileError: A weight is missing or has the wrong shape.
        ShapeError: The weights do not fit one another.
    """
    if not lowering.runs(cell):
        return Evaluated(Layers(cell, tensors, num_layers))
    return Streams([(cell, stored_weights(cell, tensors, layer)) for layer in range(num_layers)])


class Evaluated:
    """Layers whose cell carries matrices, which the native engine does not run."""

    def __init__(self, layers: Layers):
        self._layers = layers
        self._states: dict[int, State] = {}
        self._opened = 0

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
        counts = [len(x)] if lengths is None else list(lengths)
        rows = iter(x)
        outputs = []
        for stream, count in zip(np.atleast_1d(streams).tolist(), counts, strict=True):
            for step in islice(rows, int(count)):
                self._states[stream] = self.step(step, self.state(stream))
                outputs.append(self._states[stream][-1][0])
        return np.array(outputs, np.float32).reshape(len(x), len(self.zeros()[-1][0]))

    def zeros(self) -> State:
        return self._layers.start()

    def step(self, x: Array, state: State) -> State:
        with np.errstate(all="ignore"):  # damaged weights show in the output
            _, after = self._layers.step(x, state)
        return after

    def _known(self, stream: int) -> int:
        if stream not in self._states:
            raise OptionError(f"there is no stream {stream}: it was closed, or never opened")
        return int(stream)
