"""Steps scored as they arrive, of one series or of many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...data.sequences import Sequences
from ...errors import DataError, ModelFileError
from ...runtime.states import from_named, named_arrays
from ...runtime.stepping import Beside, live_layers
from ...runtime.streams import Arrays, Live, LiveStream, Table
from ..pieces import said
from .architecture import features
from .predictor import CHUNK, Given, Predictor, SeriesState
from .surprise import Errors


@dataclass
class Memory:
    """What is remembered of a series.

    Attributes:
        state: What the next scores depend on, apart from the layers.
        values: (T, D) of the piece that is being read; None between pieces.
        given: The same as the networks read it; None without one.
    """

    state: SeriesState
    values: np.ndarray | None = None
    given: Given | None = None


class LiveSeries(Live[Memory]):
    """A detector as `runtime.streams.Live`.

    A piece is a step, or steps: values by channel, or in the order of `channels`, (D,) or (T, D), NaN or None where
    missing. The answer holds "score" and "alarm" of each step, and unless the model is of before "channel", the one
    that is furthest out, and "cause", what of it is.
    """

    task, unit = "detect", "a row of numbers, null where one is missing"
    each_step = True

    def __init__(self, predictor: Predictor, digest: str):
        self._predictor, self.channels, self.digest = predictor, predictor.channels, digest
        reader = predictor.errors
        stacks = [] if reader is None or reader.net.predictor is None else [live_layers(reader.net.predictor.layers)]
        self.layers = stacks[0] if stacks else Beside([])

    def start(self) -> Memory:
        return Memory(self._predictor.start())

    def checked(self, piece: Any, memory: Memory) -> np.ndarray:
        """(T, D) float64."""
        if isinstance(piece, Mapping):
            missing = [name for name in self.channels if name not in piece]
            if missing:
                raise DataError(f"the step has no '{missing[0]}'. Give it as None, if it is missing")
            columns = [piece[name] for name in self.channels]
            rows: Any = columns if np.ndim(columns[0]) == 0 else zip(*columns, strict=False)
            if len({np.shape(column) for column in columns}) > 1:
                raise DataError("the columns of a piece must have the same number of steps")
            piece = list(rows)
        try:
            values = np.array([piece] if np.ndim(piece) == 0 else piece, np.float64)
        except (TypeError, ValueError):
            raise DataError(f"a step is a row of numbers, not {said(piece)}") from None
        fits = values.ndim in (1, 2) and values.size > 0 and values.shape[-1] == len(self.channels)
        if not fits or np.isinf(values).any():
            wanted = f"{len(self.channels)} finite numbers, or NaN where missing ({', '.join(self.channels[:5])})"
            raise DataError(f"a step of this detector has {wanted}, not {said(piece)}")
        return values.reshape(-1, len(self.channels))

    def features(self, piece: np.ndarray, memory: Memory) -> np.ndarray:
        reader, state = self._predictor.errors, memory.state.errors
        memory.values = piece
        if reader is None or state is None:
            return np.zeros((len(piece), 0), np.float32)
        memory.given = reader.given(piece, state)
        read: np.ndarray = features(reader.net, memory.given.batch())[:, 0]
        return np.ascontiguousarray(read[:, : self.layers.inputs])  # of an autoencoder alone, no layer reads on

    def answers(self, outputs: Sequence[np.ndarray], memories: Sequence[Memory]) -> Sequence[dict[str, np.ndarray]]:
        return [self._answer(y, memory) for y, memory in zip(outputs, memories, strict=True)]

    def _answer(self, y: np.ndarray, memory: Memory) -> dict[str, np.ndarray]:
        predictor, reader, parts = self._predictor, self._predictor.errors, []
        values, given = memory.values, memory.given
        assert values is not None
        for first in range(0, len(values), CHUNK):
            steps, state = slice(first, first + CHUNK), memory.state
            errors: Errors | None = None
            if reader is not None and given is not None and state.errors is not None:
                errors, reading = reader.found(given.at(steps), y[steps], state.errors)
                state = replace(state, errors=reading)
            found, _, memory.state = predictor.scored(errors, values[steps], state)
            alarms = found.scores >= predictor.threshold
            parts.append({"score": found.scores, "alarm": alarms, **predictor.reasons(found, slice(None))})
        memory.values = memory.given = None
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def sequences_of(self, frame: Any) -> Sequences:
        return self._predictor.series(frame).source

    def table_of(self, answer: dict[str, np.ndarray]) -> Table:
        return {**answer}

    def arrays(self, memory: Memory) -> Arrays:
        return dict(named_arrays(memory.state, "series"))

    def memory(self, arrays: Arrays) -> Memory:
        try:
            state = from_named(self._predictor.start(), arrays, "series")
        except (KeyError, ValueError) as error:
            raise ModelFileError("the state is of another model") from error
        if arrays:
            raise ModelFileError("the state is of another model")
        return Memory(state)


class Stream(LiveStream):
    """Scores steps as they arrive, each from what came before; made by `Detector.stream`.

    Attributes:
        threshold: A step is an alarm if its score is this or more.
        channels: Names of the values of a step.
    """

    def __init__(self, predictor: Predictor, digest: str):
        self.threshold, self.channels = predictor.threshold, predictor.channels
        super().__init__(LiveSeries(predictor, digest))

    def push(self, piece: Any) -> tuple[float, bool]:
        """The next step's score, and whether it is an alarm.

        Args:
            piece: Its values by channel, or in the order of `channels`, NaN or None where missing; a number, if there
                is one channel.

        Raises:
            DataError: There are more or fewer values, or one is not a number.
        """
        found = super().push(piece)
        return float(found["score"][-1]), bool(found["alarm"][-1])
