"""Forecasts that follow series as their steps arrive.

A window is scaled by its own values, so a network reads it whole for each forecast; what is remembered of a series are
the steps of a window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ...data.sequences import MISSING, Column, Sequences
from ...data.tables.timezones import to_utc
from ...errors import DataError, OptionError
from ...runtime.stepping import Beside
from ...runtime.streams import Arrays, LiveArrays, Run, Table
from ..options import names
from ..pieces import said, steps_of
from .predictor import Predictor

_CODES, _MICROSECONDS = np.int32, "M8[us]"


class LiveForecasts(LiveArrays):
    """A forecaster as `runtime.streams.Live`.

    A piece is steps by column, see `pieces.steps_of`: targets, NaN or None where missing, and what else the network
    reads of the past; the timestamps as ISO texts or datetimes, if it learned from the calendar. The answer is the
    forecast after the last of them, as the columns of `Forecaster.predictions`: points, and quantiles, of the steps to
    come, the next one first; timestamps are ISO texts.
    """

    task, unit = "forecast", "a row of values, null where one is missing"

    def __init__(self, predictor: Predictor, digest: str):
        options, inputs = predictor.options, predictor.window.inputs
        if inputs.future:
            raise OptionError(
                f"this forecaster has to know {', '.join(inputs.future)} ahead, which no stream of steps tells. Call "
                "predict, or train one without future covariates"
            )
        self._predictor, self.digest, self.layers = predictor, digest, Beside([])
        self._kept = max(predictor.window.context_length, 0 if predictor.plain is None else predictor.plain.reach)
        described = {**inputs.past, **{name: inputs.static[name] for name in names(options.static_covariates)}}
        self._levels = {name: tuple(how) for name, how in described.items() if not how or isinstance(how[0], str)}
        self._time: str | None = None
        if inputs.calendar:
            learned = () if predictor.schema is None else predictor.schema.time
            self._time = options.time or (learned[0] if len(learned) == 1 else "time")
        numbers = [*predictor.targets, *(name for name in described if name not in self._levels)]
        self._columns: dict[str, int | None] = {**dict.fromkeys(numbers, 1), **dict.fromkeys(self._levels)}
        if self._time is not None:
            self._columns[self._time] = None
        self.channels = tuple(self._columns)

    def start(self) -> Arrays:
        return {f"column {name}": np.zeros(0, self._dtype(name)) for name in self._columns}

    def checked(self, piece: Any, memory: Arrays) -> Arrays:
        """The memory after the piece."""
        read, after = steps_of(piece, self._columns), {}
        for name in self._columns:
            values = self._values(read.steps[name])
            if values.ndim > 1:
                raise DataError(f"'{name}' must be a number for each step, not {said(piece)}")
            after[f"column {name}"] = np.concatenate([memory[f"column {name}"], values])[-self._kept :]
        if self._time is not None:
            times = after[f"column {self._time}"]
            if (wrong := np.flatnonzero(np.diff(times) <= np.timedelta64(0))).size:
                raise DataError(f"{times[wrong[0] + 1]} follows {times[wrong[0]]}. Give the steps in the order of time")
        self._predictor.table(self._sequences([after]))
        return after

    def answers(
        self, pieces: Sequence[Arrays], memories: Sequence[Arrays], run: Run
    ) -> Sequence[dict[str, np.ndarray]]:
        for piece, memory in zip(pieces, memories, strict=True):
            memory.update(piece)
        return list(self._forecasts(memories))

    def sequences_of(self, frame: Any) -> Sequences:
        return self._predictor.read(frame)

    def table_of(self, answer: dict[str, np.ndarray]) -> Table:
        return {**answer}

    def _forecasts(self, memories: Sequence[Arrays]) -> Iterator[dict[str, np.ndarray]]:
        table = self._predictor.table(self._sequences(memories))
        cut, forecast = self._predictor.continuation(table, table.data.offsets[1:], self._kept, ())
        found = self._predictor.values(cut, forecast)
        if self._time is not None:
            found[self._time] = np.array([time.isoformat() for time in found[self._time].tolist()], object)
        H = self._predictor.horizon
        for first in range(0, len(memories) * H, H):
            yield {name: values[first : first + H] for name, values in found.items()}

    def _sequences(self, memories: Sequence[Arrays]) -> Sequences:
        steps = {}
        for name in self._columns:
            values = np.concatenate([memory[f"column {name}"] for memory in memories])
            if name == self._time:
                steps[name] = Column(name, "time", values, zone=self._predictor.options.zone)
            elif name in self._levels:
                steps[name] = Column(name, "category", values, levels=self._levels[name])
            else:
                steps[name] = Column(name, "number", values)
        ends = np.cumsum([0, *(len(next(iter(memory.values()))) for memory in memories)])
        return Sequences(ends, steps, name="the stream")

    def _dtype(self, name: str) -> Any:
        return _MICROSECONDS if name == self._time else _CODES if name in self._levels else np.float64

    def _values(self, column: Column) -> np.ndarray:
        if column.name == self._time:
            return np.array([_instant(text, self._predictor.options.zone) for text in column.values], _MICROSECONDS)
        if column.name in self._levels:
            codes = {level: code for code, level in enumerate(self._levels[column.name])}
            return np.array([codes.get(text, MISSING) for text in column.values], _CODES)
        return column.values

    # Snapshots hold numbers alone.

    def arrays(self, memory: Arrays) -> Arrays:
        return {name: values.view(np.int64) if values.dtype.kind == "M" else values for name, values in memory.items()}

    def memory(self, arrays: Arrays) -> Arrays:
        time = f"column {self._time}"
        if time in arrays and arrays[time].dtype == np.int64:
            arrays[time] = arrays[time].view(_MICROSECONDS)
        return super().memory(arrays)

    def fits(self, memory: Arrays) -> bool:
        counts = {len(values) for values in memory.values()}
        codes = all(
            (memory[f"column {name}"] >= MISSING).all() and (memory[f"column {name}"] < len(levels)).all()
            for name, levels in self._levels.items()
        )
        rising = self._time is None or bool((np.diff(memory[f"column {self._time}"]) > np.timedelta64(0)).all())
        finite = all(not np.isinf(values).any() for values in memory.values() if values.dtype.kind == "f")
        return len(counts) == 1 and max(counts) <= self._kept and codes and finite and rising


def _instant(text: str | None, zone: str | None) -> np.datetime64:
    """In UTC."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        raise DataError(f"'{text}' is no timestamp. Write it as 2024-05-31T18:00") from None
    if found.tzinfo is not None:
        return np.datetime64(found.astimezone(UTC).replace(tzinfo=None), "us")
    local = np.array([found], _MICROSECONDS)
    return local[0] if zone is None else to_utc(local, zone)[0]
