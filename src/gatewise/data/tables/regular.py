"""All series of a table on one frequency, gaps filled with missing steps.

The rules:

- Steps shorter than a day are spans of time. Days, weekdays, weeks and months are counted in local time
  (`Column.zone`), so that a day on which clocks change is one day.
- The step of a series is the most frequent difference between its timestamps, unless the calendar explains them all:
  months on one day, on their last, on their first or last business day, on a weekday such as the last Friday; several
  days of a month; some days of the week, such as business days; some hours of the day, such as those of trading.
- Days of weeks and months may be moved by up to four days, as holidays do, if at least half are where they belong.
- All series of a table have one frequency: that of most steps if it fits all, else one that does. Every timestamp must
  lie on its series' grid, and a series of three timestamps or more must have two neighbours one step apart; otherwise
  the series is refused. What is missing in between is a gap.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...errors import DataError
from ..mapped_text import MappedText
from ..sequences import MISSING, Column, Sequences
from ._spill import Spill
from .days import most_common
from .frequency import HOUR, MINUTE, Frequency, spoken
from .frequency_inference import infer_frequency
from .timezones import DAY, LIKELY_ZONES, SECOND, to_local

# Steps of a series in all, and per timestamp, from which a known frequency is not its own.
_GAP, _GAPS = 1_000_000, 1000
_BUCKETS = {
    "1 second": SECOND,
    "1 minute": MINUTE,
    "1 hour": HOUR,
    "1 day": DAY,
    "7 days": 7 * DAY,
    "1 month": 30 * DAY,
}


@dataclass(frozen=True)
class Regular:
    """Sequences with a step for every time.

    Attributes:
        sequences: Steps that were missing have NaN, code -1 or None, and line 0.
        frequency: From one step to the next.
        added: (N,) how many steps of each sequence were missing.
    """

    sequences: Sequences
    frequency: Frequency
    added: np.ndarray


def regular(sequences: Sequences, time: str, frequency: Frequency | None = None) -> Regular:
    """The sequences with a step for every time from their first to their last; new steps have no values.

    Args:
        time: Step column of kind "time".
        frequency: That of earlier data; what these have, if omitted.

    Raises:
        DataError: see `frequency_of`; or they are not of that frequency.
    """
    zone = _time(sequences, time).zone
    frequency = frequency_of(sequences, time) if frequency is None else _confirmed(sequences, time, frequency)

    def places(timestamps: np.ndarray) -> np.ndarray:
        return frequency.places(timestamps, zone).astype(np.int64)

    lengths = np.array([len(s) and places(s)[-1] + 1 for _, s in _series(sequences, time)], np.int64)
    added = lengths - sequences.lengths
    if not added.any():
        return Regular(sequences, frequency, added)
    columns = dict(sequences.steps)
    spill = Spill(int(lengths.sum()) * (8 + sum(held.values[:1].nbytes for held in columns.values())))
    try:
        sinks = {name: spill.sink(held.values.dtype) for name, held in columns.items()}
        lines = spill.sink(np.int64)
        for index, timestamps in _series(sequences, time):
            if not len(timestamps):
                continue
            part = slice(sequences.offsets[index], sequences.offsets[index + 1])
            where, length = places(timestamps), lengths[index]
            for name, held in columns.items():
                if name == time:
                    filled = frequency.timestamps(timestamps, np.arange(length), zone)
                else:
                    filled = np.full((length, *held.values.shape[1:]), _nothing(held), held.values.dtype)
                filled[where] = held.values[part]
                sinks[name].add(filled)
            if sequences.lines is not None:
                origin = np.zeros(length, np.int64)
                origin[where] = sequences.lines[part]
                lines.add(origin)
        steps = {
            name: replace(held, values=_shaped(sinks[name].values(), held.values.shape[1:]))
            for name, held in columns.items()
        }
        result = replace(
            sequences,
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            steps=steps,
            lines=None if sequences.lines is None else lines.values(),
        )
        return Regular(spill.keep(result), frequency, added)
    except BaseException:
        spill.discard()
        raise


def _confirmed(sequences: Sequences, time: str, frequency: Frequency) -> Frequency:
    """The frequency, if all sequences have it; timestamps may be some steps apart, but not so many that gaps are nearly
    all there is."""
    zone = _time(sequences, time).zone
    for index, timestamps in _series(sequences, time):
        places = frequency.places(timestamps, zone) if len(timestamps) else np.zeros(1)
        if not np.isnan(places).any() and places[-1] < max(_GAP, _GAPS * len(timestamps)):
            continue
        own = infer_frequency(timestamps, zone)
        raise DataError(
            f"{sequences.name}: {name_of(sequences, index)} is {own or 'of one step'}, but the model learned from data "
            f"that are {frequency}. Give it data like those, or bring them to that step with a query"
        )
    return frequency


def frequency_of(sequences: Sequences, time: str) -> Frequency:
    """The one frequency of all sequences.

    Raises:
        DataError: a sequence is not in order of time, or not of this frequency; names it and the timestamps.
    """
    zone = _time(sequences, time).zone
    found: list[Frequency | None] = []
    steps: Counter[Frequency] = Counter()
    for index, timestamps in _series(sequences, time):
        if np.isnat(timestamps).any():
            raise DataError(f"{sequences.name}: {name_of(sequences, index)} has a step without a time in '{time}'.")
        falls = np.flatnonzero(np.diff(timestamps).astype(np.int64) <= 0)
        if len(falls):
            raise DataError(
                f"{sequences.name}: {name_of(sequences, index)}: {_at(timestamps[falls[0] + 1], zone)} does not come "
                f"after {_at(timestamps[falls[0]], zone)}. Put the steps in order, one for each "
                "time; if there are several series, name the columns that tell one from another: key."
            )
        own = infer_frequency(timestamps, zone)
        found.append(own)
        if own:
            steps[own] += len(timestamps) - 1
    if not steps:
        raise DataError(f"{sequences.name}: no sequence has two steps, so there is no frequency. Give longer ones.")
    common = [frequency for frequency, _ in steps.most_common()]
    for frequency in dict.fromkeys([*common, *(one.plain for one in common)]):
        if not any(_misfits(sequences, time, frequency, found)):
            return frequency
    index, timestamps = next(filter(None, _misfits(sequences, time, common[0], found)))
    raise DataError(_why(sequences, time, index, timestamps, common[0], found))


def _misfits(
    sequences: Sequences, time: str, frequency: Frequency, found: Sequence[Frequency | None]
) -> Iterator[tuple[int, np.ndarray] | None]:
    """Number and timestamps of each series that is not of this frequency; None for others."""
    zone = _time(sequences, time).zone
    for (index, timestamps), own in zip(_series(sequences, time), found, strict=True):
        places = np.zeros(1) if own is None else frequency.places(timestamps, zone)
        neighbours = len(places) < 3 or np.any(np.diff(places) == 1)
        yield None if neighbours and not np.isnan(places).any() else (index, timestamps)


def _why(
    sequences: Sequences,
    time: str,
    index: int,
    timestamps: np.ndarray,
    common: Frequency,
    found: Sequence[Frequency | None],
) -> str:
    """Why a series is not of the common frequency, and what helps."""
    column, own, who = _time(sequences, time), found[index], f"{sequences.name}: {name_of(sequences, index)}"
    zone = column.zone
    if column.offset and zone == "UTC":
        for name in LIKELY_ZONES:
            local = infer_frequency(timestamps, name)
            if local is not None and not np.isnan(local.places(timestamps, name)).any():
                return f"{who} is {local} in the clock of {name}, but not in UTC. Name its zone: zone='{name}'"
    steps = np.diff(timestamps).astype("m8[us]").astype(np.int64)
    usual = most_common(steps)
    if own is not None and np.isnan(own.places(timestamps, zone)).any() and (steps == usual).mean() < 0.5:
        values = [name for name, one in sequences.steps.items() if one.kind == "number"][:1] or ["value"]
        keys = "".join(f"{one.name}, " for one in sequences.static.values() if one.kind == "category")
        bucket = min(_BUCKETS, key=lambda name: abs(np.log(_BUCKETS[name] / np.median(steps))))
        return (
            f"{who} has no regular step: timestamps lie {spoken(int(steps.min()))} to {spoken(int(steps.max()))} "
            f'apart, most often {spoken(usual)}. Bring them to one with a query such as "SELECT {keys}time_bucket('
            f"INTERVAL '{bucket}', {time}) AS {time}, avg({values[0]}) AS {values[0]} FROM data GROUP BY ALL\""
        )
    if own != common:
        model = found.index(common)
        return (
            f"{who} is {own} ({_at(timestamps[0], zone)}, {_at(timestamps[1], zone)}, ...), but "
            f"{name_of(sequences, model)} is {common}. One model needs one frequency: leave one kind out, or bring "
            f"them to one with a query."
        )
    off = max(1, int(np.flatnonzero(np.isnan(common.places(timestamps, zone)))[0]))
    return (
        f"{who} is {common}, but {_at(timestamps[off], zone)} after {_at(timestamps[off - 1], zone)} lies between two "
        f"steps. Round the timestamps with a query (time_bucket), or leave the row out."
    )


def _time(sequences: Sequences, time: str) -> Column:
    column = sequences.column(time)
    if column.kind != "time" or time not in sequences.steps:
        raise DataError(f"{sequences.name}: column '{time}' is not a time of steps. Name the column that orders them.")
    return column


def _series(sequences: Sequences, time: str) -> Iterator[tuple[int, np.ndarray]]:
    """Each sequence's timestamps."""
    values = sequences.steps[time].values
    for index, (start, stop) in enumerate(itertools.pairwise(sequences.offsets.tolist())):
        yield index, np.asarray(values[start:stop])


def name_of(sequences: Sequences, index: int) -> str:
    """How a message calls a sequence: by what it is a sequence of."""
    static = [column for column in sequences.static.values() if column.kind == "category"][:3]
    shown = ", ".join(f"{column.name} '{column[index : index + 1].strings()[0]}'" for column in static)
    return "the series" + (f" of {shown}" if shown else f" {index + 1}" if len(sequences) > 1 else "")


def _at(timestamp: np.datetime64, zone: str | None) -> str:
    text = str(to_local(np.array([timestamp], "M8[us]"), zone)[0]).replace("T", " ")
    return text.removesuffix(".000000")


def _shaped(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return values if isinstance(values, MappedText) else values.reshape(-1, *shape)


def _nothing(column: Column) -> object:
    missing: dict[str, object] = {"number": np.nan, "category": MISSING, "text": None, "time": np.datetime64("NaT")}
    return missing[column.kind]
