"""Steps scored as they arrive, of one series or of many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...data.sequences import Sequences
from ...errors import DataError, ModelFileError
from ...runtime.states import from_named, named_arrays
from ...runtime.stepping import Beside, live_layers
from ...runtime.streams import Arrays, Live, LiveStream, Run, Table
from ..pieces import said
from .architecture import features
from .predictor import CHUNK, Given, Predictor, ReadState, SeriesState


class LiveSeries(Live[SeriesState]):
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

    def start(self) -> SeriesState:
        return self._predictor.start()

    def checked(self, piece: Any, memory: SeriesState) -> np.ndarray:
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

    def answers(
        self, pieces: Sequence[np.ndarray], memories: Sequence[SeriesState], run: Run
    ) -> Sequence[dict[str, np.ndarray]]:
        places: dict[int, list[int]] = {}  # of pieces of so many steps, which are read together
        for place, piece in enumerate(pieces):
            places.setdefault(len(piece), []).append(place)
        groups = [
            _Group(np.stack([pieces[place] for place in own], axis=1), [memories[place] for place in own])
            for own in places.values()
        ]
        order = [place for own in places.values() for place in own]
        read = [self._features(group) for group in groups]
        features = dict(zip(order, (one for each in read for one in each), strict=True))
        outputs = run([features[place] for place in range(len(pieces))])
        found: list[Any] = [None] * len(pieces)
        for group, own in zip(groups, places.values(), strict=True):
            for place, answer in zip(own, self._scored(group, [outputs[place] for place in own]), strict=True):
                found[place] = answer
        return found

    def _features(self, group: _Group) -> Iterable[np.ndarray]:
        """(T, D) of each series, what the layers read."""
        reader, width = self._predictor.errors, self.layers.inputs
        T, B, _ = group.values.shape
        if reader is None:
            return np.zeros((B, T, 0), np.float32)
        group.given = reader.given(group.values, group.reading)
        read: np.ndarray = features(reader.net, group.given.batch())
        return read[:, :, :width].transpose(1, 0, 2)  # of an autoencoder alone, no layer reads on

    def _scored(self, group: _Group, outputs: Sequence[np.ndarray]) -> Iterable[dict[str, np.ndarray]]:
        """The answers of each series."""
        predictor, reader, parts = self._predictor, self._predictor.errors, []
        y = np.stack(outputs, axis=1)
        for first in range(0, len(y), at_once := max(1, CHUNK // len(outputs))):
            steps, errors = slice(first, first + at_once), None
            if reader is not None and group.given is not None:
                errors = reader.found(group.given.at(steps), y[steps], group.reading)
            found = predictor.scored(errors, group.values[steps], group.states)
            alarms = found.scores >= predictor.threshold
            parts.append({"score": found.scores, "alarm": alarms, **predictor.reasons(found)})
        whole = {name: np.concatenate([part[name] for part in parts]).T for name in parts[0]}
        return (dict(zip(whole, own, strict=True)) for own in zip(*whole.values(), strict=True))

    def sequences_of(self, frame: Any) -> Sequences:
        return self._predictor.series(frame).source

    def table_of(self, answer: dict[str, np.ndarray]) -> Table:
        return {**answer}

    def arrays(self, memory: SeriesState) -> Arrays:
        return dict(named_arrays(memory, "series"))

    def memory(self, arrays: Arrays) -> SeriesState:
        try:
            found: SeriesState = from_named(self._predictor.start(), arrays, "series")
        except (KeyError, ValueError) as error:
            raise ModelFileError("the state is of another model") from error
        if arrays:
            raise ModelFileError("the state is of another model")
        return found


@dataclass
class _Group:
    """Pieces of the same number of steps.

    Attributes:
        values: (T, B, D).
        states: Of the series.
        given: The same as the networks read it; None without one.
    """

    values: np.ndarray
    states: list[SeriesState]
    given: Given | None = None

    @property
    def reading(self) -> list[ReadState]:
        """What the errors depend on, of each series; of a model with a network."""
        return [state.errors for state in self.states if state.errors is not None]


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
