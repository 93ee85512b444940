"""From what was read to series: the roles of columns, an even grid of timestamps, and steps beyond the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...data.sequences import MISSING, Column, Sequences
from ...data.sources import Roles, read
from ...data.tables.frequency import Frequency, calendar_features, next_timestamps
from ...data.tables.regular import regular
from ...data.tables.schema import Schema
from ...data.tables.timezones import as_written
from ...errors import DataError
from ..options import names
from .inputs import Inputs, describe
from .options import ForecastOptions
from .split import Part
from .windows import Series

_PIECE = 1 << 20  # values that are looked at together
_DESCRIBED = 4096  # training windows that covariates are described from


@dataclass(frozen=True)
class Table:
    """Sequences as a forecaster sees them.

    Attributes:
        data: On an even grid.
        targets: Columns to forecast.
        time: The column of timestamps, or None.
        frequency: Of the timestamps.
    """

    data: Sequences
    targets: tuple[str, ...]
    time: str | None
    frequency: Frequency | None

    def series(self, calendar: bool) -> Series:
        return Series(self.data, self.targets, self._features if calendar and self.time else None)

    @property
    def calendar(self) -> tuple[str, ...]:
        """Names of the calendar features."""
        if self.time is None or self.frequency is None:
            return ()
        return calendar_features(np.zeros(1, "M8[us]"), self.frequency)[0]

    def _features(self, steps: np.ndarray) -> np.ndarray:
        """(..., features) of the timestamps at absolute steps."""
        assert self.time is not None
        assert self.frequency is not None
        column = self.data.steps[self.time]
        # Windows overlap, and the calendar is slow: each timestamp once.
        different, where = np.unique(steps, return_inverse=True)
        _, features = calendar_features(column.values[different], self.frequency, column.zone)
        return features[where.reshape(steps.shape)]


def read_sequences(
    data: Any,
    options: ForecastOptions,
    *,
    query: str | None,
    encoding: str,
    schema: Schema | None = None,
    recognise: bool = False,
) -> Sequences:
    """What any reader makes of the data, with columns in the roles that the options give them.

    Args:
        schema: How the table was read that a model learned from.
        recognise: Take time and key from what the table seems to hold, if the options name none.
    """
    covariates = [*names(options.past_covariates), *names(options.future_covariates)]
    roles = Roles(
        target=names(options.target),
        key=names(options.key),
        time=options.time,
        zone=options.zone,
        duplicates=options.duplicates,
        columns=covariates if names(options.target) else None,
        static=[name for name in names(options.static_covariates) if name not in names(options.key)],
        group=names(options.group),
        per_step=True,
        recognise=recognise or schema is not None,
        csv=options.csv_format(),
    )
    return read(data, None, roles, query=query, encoding=encoding, schema=schema)


def table_of(
    data: Sequences,
    options: ForecastOptions,
    targets: Sequence[str] | None = None,
    frequency: Frequency | None = None,
) -> Table:
    """Put sequences on an even grid and find the columns.

    Args:
        targets: What a trained model forecasts.
        frequency: That of the timestamps it learned from; that of these, if omitted.

    Raises:
        DataError: A column is missing or of the wrong kind, or a series' timestamps have no frequency.
    """
    if not len(data):
        raise DataError(f"{data.name} has no series")
    found = [name for name, column in data.steps.items() if column.kind == "time"]
    time = options.time if options.time in data.steps else found[0] if len(found) == 1 else None
    if time is None:
        frequency = None
    else:
        even = regular(data, time, frequency)
        data, frequency = even.sequences, even.frequency
    data = _separated(_with_static(data, names(options.static_covariates)))
    others = {*names(options.past_covariates), *names(options.future_covariates), *names(options.static_covariates)}
    for name in others:
        data.column(name)  # it must be there
    chosen = tuple(targets or names(options.target)) or tuple(
        name for name, column in data.steps.items() if column.kind == "number" and name not in others
    )
    if not chosen:
        raise DataError(f"{data.name} has no column of numbers to forecast; its columns are {', '.join(data.steps)}")
    for name in chosen:
        if (column := data.column(name)).kind != "number" or name not in data.steps:
            raise DataError(
                f"{data.name}: column '{name}' holds {column.kind}; a forecast needs one of numbers per step"
            )
    return Table(data, chosen, time, frequency)


def _separated(data: Sequences) -> Sequences:
    """A column of several numbers per step, as arrays have it, becomes as many columns."""
    steps = {}
    for name, column in data.steps.items():
        if column.values.ndim == 1:
            steps[name] = column
        else:
            width = column.values.shape[1]
            for place in range(width):
                own = name if width == 1 else f"{name} {place + 1}"
                steps[own] = replace(column, name=own, values=column.values[:, place])
    return replace(data, steps=steps)


def _with_static(data: Sequences, static: Sequence[str]) -> Sequences:
    """Static columns that came with a value per step keep that of the first step."""
    moved = {name: data.steps[name][data.offsets[:-1]] for name in static if name in data.steps}
    if not moved:
        return data
    steps = {name: column for name, column in data.steps.items() if name not in moved}
    return replace(data, steps=steps, static={**data.static, **moved})


def inputs_of(table: Table, options: ForecastOptions, training: Part, context: int) -> Inputs:
    """What a network reads beside the targets, described by training windows with `context` steps of past."""
    which = np.unique(np.linspace(0, len(training) - 1, _DESCRIBED).astype(np.int64))
    index, origins = training[which]
    starts = table.data.offsets[:-1][index]
    rows = np.unique(np.maximum(origins[:, None] - np.arange(1, context + 1), starts[:, None]))
    steps, static = table.data.steps, table.data.static
    return Inputs(
        past={name: describe(steps[name], rows) for name in names(options.past_covariates)},
        future={name: describe(steps[name], rows) for name in names(options.future_covariates)},
        calendar=table.calendar if options.calendar else (),
        static={name: describe(static[name], np.unique(index)) for name in names(options.static_covariates)},
    )


def check_values(table: Table, head: str, scaling: str | None) -> None:
    """Refuse targets that do not fit the head or the scaling. DataError names the row."""
    if head == "negative-binomial":
        _check(table, lambda v: (v >= 0) & (v == np.floor(v)), "the head 'negative-binomial' is for counts", "head")
    if scaling == "log":
        _check(table, lambda v: v > 0, "the scaling 'log' is for values above 0", "scaling")


def _check(table: Table, fits: Callable[[np.ndarray], np.ndarray], what: str, option: str) -> None:
    for name in table.targets:
        values = table.data.steps[name].values
        for at in range(0, len(values), _PIECE):
            piece = np.asarray(values[at : at + _PIECE], np.float64)
            wrong = np.flatnonzero(np.isfinite(piece) & ~fits(piece))
            if len(wrong):
                row = at + int(wrong[0])
                line = int(table.data.lines[row]) if table.data.lines is not None else row + 1
                raise DataError(
                    f"{table.data.name}: column '{name}' is {piece[wrong[0]]:g} in row {line}, but {what}. Train with "
                    f"another {option}"
                )


def extended(table: Table, origins: np.ndarray, context: int, horizon: int, future: Sequence[str]) -> Table:
    """The last `context` steps before each origin and `horizon` steps from it, whose targets are missing.

    Raises:
        DataError: Covariates that must be known ahead are not.
    """
    data = table.data
    for index, (origin, end) in enumerate(zip(origins, data.offsets[1:], strict=True)):
        if future and end - origin < horizon:
            raise DataError(
                f"{data.name}: series {index + 1} gives {', '.join(map(repr, future))} for {end - origin} steps beyond "
                f"its last target, but {horizon} are forecast. Add rows without a target, one for each step to come"
            )
    starts = np.maximum(data.offsets[:-1], origins - context)
    kept = np.minimum(data.offsets[1:], origins + horizon)
    offsets = np.concatenate([[0], np.cumsum(origins - starts + horizon)]).astype(np.int64)
    steps = {}
    for name, column in data.steps.items():
        pieces = []
        for start, origin, end in zip(starts, origins, kept, strict=True):
            missing = origin + horizon - end
            past = column.values[start:end]
            if name == table.time:
                assert table.frequency is not None
                pieces += [past, next_timestamps(column.values[start:end], table.frequency, missing, column.zone)]
            else:
                blank = np.full((missing, *column.values.shape[1:]), _BLANK[column.kind], column.values.dtype)
                pieces += [past, blank]
        values = np.concatenate(pieces).astype(column.values.dtype)
        if name in table.targets:
            places = offsets[1:, None] - np.arange(1, horizon + 1)
            values[places.ravel()] = np.nan
        steps[name] = replace(column, values=values)
    return replace(table, data=Sequences(offsets, steps, data.static, data.name))


_BLANK: Mapping[str, Any] = {"number": np.nan, "category": MISSING, "text": None, "time": np.datetime64("NaT")}


def timestamps(table: Table, horizon: int) -> np.ndarray:
    """(N * H,) timestamps of the last `horizon` steps or, without timestamps, how many steps ahead they are."""
    if table.time is None:
        return np.tile(np.arange(1, horizon + 1), len(table.data))
    return as_written(table.data.steps[table.time][(table.data.offsets[1:, None] + np.arange(-horizon, 0)).ravel()])


def output(column: Column) -> np.ndarray:
    """Values of a static column, as an output column holds them."""
    if column.kind == "time":
        return as_written(column)
    return column.values if column.kind == "number" else np.array(column.strings(), object)
