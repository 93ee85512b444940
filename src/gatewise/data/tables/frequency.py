"""How often series are measured, in terms of the calendar; gaps filled with missing steps; the next timestamps.

The rules:

- Steps shorter than a day are spans of time. Days, business days, weeks and months are counted in local time
  (`Column.zone`), so that a day on which clocks change is one day.
- The step of a series is the most frequent difference between its timestamps. It is months if the timestamps share the
  day of the month or are all last days of a month; and business days if there are steps of a day, one of them over a
  weekend, and no timestamp on a weekend.
- All series of a table have one frequency, that of most steps. Every timestamp must lie on its series' grid, and a
  series of three timestamps or more must have two neighbours one step apart; otherwise the series is refused. What is
  missing in between is a gap.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np

from ...checks import whole
from ...errors import DataError
from ..sequences import MISSING, Column, Sequences
from ._spill import Spill
from .timezones import DAY, SECOND, to_local, to_utc

MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
_LONGEST = 10**16  # microseconds of a step: three centuries
_SPANS = (
    (DAY, "day"),
    (HOUR, "hour"),
    (MINUTE, "minute"),
    (SECOND, "second"),
    (1000, "millisecond"),
    (1, "microsecond"),
)
_NAMES = {
    ("span", SECOND): "every second",
    ("span", MINUTE): "every minute",
    ("span", HOUR): "hourly",
    ("day", 1): "daily",
    ("day", 7): "weekly",
    ("business day", 1): "every business day",
    ("month", 1): "monthly",
    ("month", 3): "quarterly",
    ("month", 12): "yearly",
}


def _possible(name: str, count: int) -> None:
    whole(name, count, 1, _LONGEST)


@dataclass(frozen=True)
class Frequency:
    """The step from one timestamp to the next.

    Attributes:
        unit: "span" (of time), "day", "business day" or "month".
        count: How many of them; spans are in microseconds.
        month_end: Of months: every timestamp is the last day of its month.
    """

    unit: Literal["span", "day", "business day", "month"]
    count: Annotated[int, _possible] = 1
    month_end: bool = False

    def __str__(self) -> str:
        if named := _NAMES.get((self.unit, self.count)):
            return named
        if self.unit != "span":
            return f"every {self.count} {self.unit}s"
        size, unit = next((size, unit) for size, unit in _SPANS if self.count % size == 0)
        count = self.count // size
        return f"every {count} {unit}s" if count > 1 else f"every {unit}"

    @property
    def seasonal_period(self) -> int:
        """Steps of the default season of this frequency; 1 if there is none.

        Shorter than a minute: a minute. Shorter than an hour: an hour, from 5 minutes on a day. Hours: a day. Days: a
        week, 5 business days. Weeks, months, quarters: a year.
        """
        if self.unit == "span":
            bounds = ((MINUTE, MINUTE), (5 * MINUTE, HOUR), (DAY, DAY))
            whole = next((span for bound, span in bounds if self.count < bound), self.count)
            return whole // self.count if whole % self.count == 0 else 1
        if self.unit == "day":
            return {1: 7, 7: 52}.get(self.count, 1)
        return 5 if self.unit == "business day" else max(1, 12 // self.count)

    def places(self, timestamps: np.ndarray, zone: str | None = None) -> np.ndarray:
        """(n,) steps from the first timestamp to each, NaN for those between two steps. Timestamps are in UTC."""
        if self.unit == "span":
            return _exact((timestamps - timestamps[0]).astype(np.int64), self.count)
        local = to_local(timestamps, zone)
        days = local.astype("M8[D]")
        clock = (local - days).astype(np.int64)
        off = clock != clock[0]
        if self.unit == "month":
            months = days.astype("M8[M]")
            places = _exact((months - months[0]).astype(np.int64), self.count)
            off |= days != _in_month(months, self._day(days[0]))
        elif self.unit == "business day":
            places = np.busday_count(days[0], days).astype(float)
            off |= ~np.is_busday(days)
        else:
            places = _exact((days - days[0]).astype(np.int64), self.count)
        return np.where(off, np.nan, places)

    def timestamps(self, first: np.datetime64, places: np.ndarray, zone: str | None = None) -> np.ndarray:
        """The timestamps these many steps after `first`, in UTC as it is."""
        start = first.astype("M8[us]")
        if self.unit == "span":
            return start + places * np.timedelta64(self.count, "us")
        local = to_local(np.array([start]), zone)[0]
        day = local.astype("M8[D]")
        if self.unit == "month":
            days = _in_month(day.astype("M8[M]") + places * self.count, self._day(day))
        elif self.unit == "business day":
            days = np.busday_offset(day, places, roll="backward")
        else:
            days = day + places * self.count
        return to_utc(days + (local - day), zone)

    def _day(self, first: np.datetime64) -> int:
        """The day of the month, 31 for its end."""
        return 31 if self.month_end else int((first - first.astype("M8[M]").astype("M8[D]")).astype(int)) + 1


def _exact(differences: np.ndarray, step: int) -> np.ndarray:
    return np.where(differences % step == 0, differences // step, np.nan)


def _in_month(months: np.ndarray, day: int) -> np.ndarray:
    """That day of each month, or its last one if it has fewer."""
    lengths = ((months + 1).astype("M8[D]") - months.astype("M8[D]")).astype(int)
    return months.astype("M8[D]") + np.minimum(day, lengths) - 1


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


def infer_frequency(timestamps: np.ndarray, zone: str | None = None) -> Frequency | None:
    """The frequency of one series from its timestamps, rising, in UTC. None for a single one."""
    if len(timestamps) < 2:
        return None
    local = to_local(timestamps.astype("M8[us]"), zone)
    days = local.astype("M8[D]")
    shown, elapsed = _most_frequent(local), _most_frequent(timestamps)
    if shown % DAY or len(np.unique((local - days).astype(np.int64))) > 1:
        return Frequency("span", elapsed)
    steps = np.diff(days).astype(np.int64)
    if steps.min() >= 28 and (months := _months(days)):
        return months
    if shown > DAY:
        return Frequency("day", shown // DAY)
    business = np.all(np.is_busday(days)) and np.any((steps == 3) & (_weekday(days[:-1]) == 4))
    return Frequency("business day" if business else "day")


def _most_frequent(timestamps: np.ndarray) -> int:
    values, counts = np.unique(np.diff(timestamps).astype("m8[us]").astype(np.int64), return_counts=True)
    return int(values[np.argmax(counts)])


def _weekday(days: np.ndarray) -> np.ndarray:
    return (days.astype(np.int64) + 3) % 7  # 0 is Monday; day 0, 1970-01-01, was a Thursday


def _months(days: np.ndarray) -> Frequency | None:
    months = days.astype("M8[M]")
    steps, counts = np.unique(np.diff(months).astype(np.int64), return_counts=True)
    count = int(steps[np.argmax(counts)])
    of_month = np.unique((days - months.astype("M8[D]")).astype(np.int64))
    if count and len(of_month) == 1:
        return Frequency("month", count)
    if count and np.all((days + 1).astype("M8[M]") > months):
        return Frequency("month", count, month_end=True)
    return None


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
            raise DataError(f"{sequences.name}: {_who(sequences, index)} has a step without a time in '{time}'.")
        falls = np.flatnonzero(np.diff(timestamps).astype(np.int64) <= 0)
        if len(falls):
            raise DataError(
                f"{sequences.name}: {_who(sequences, index)}: {_at(timestamps[falls[0] + 1], zone)} does not come "
                f"after {_at(timestamps[falls[0]], zone)}. Put the steps in order, one for each time."
            )
        own = infer_frequency(timestamps, zone)
        found.append(own)
        if own:
            steps[own] += len(timestamps) - 1
    if not steps:
        raise DataError(f"{sequences.name}: no sequence has two steps, so there is no frequency. Give longer ones.")
    common = steps.most_common(1)[0][0]
    model = found.index(common)
    for (index, timestamps), own in zip(_series(sequences, time), found, strict=True):
        if own is not None:
            _check_fit(sequences, index, timestamps, zone, common, own, model)
    return common


def _check_fit(
    sequences: Sequences,
    index: int,
    timestamps: np.ndarray,
    zone: str | None,
    common: Frequency,
    own: Frequency,
    model: int,
) -> None:
    places = common.places(timestamps, zone)
    off = np.flatnonzero(np.isnan(places))
    neighbours = len(timestamps) < 3 or np.any(np.diff(places) == 1)
    if not len(off) and neighbours:
        return
    if own != common:
        raise DataError(
            f"{sequences.name}: {_who(sequences, index)} is {own} "
            f"({_at(timestamps[0], zone)}, {_at(timestamps[1], zone)}, ...), but {_who(sequences, model)} is {common}. "
            f"One model needs one frequency: leave one kind out, or bring "
            f"them to one with a query."
        )
    raise DataError(
        f"{sequences.name}: {_who(sequences, index)} is {common}, but "
        f"{_at(timestamps[off[0]], zone)} after {_at(timestamps[off[0] - 1], zone)} lies between two steps. "
        f"Round the timestamps with a query (time_bucket), or leave the row out."
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


def _who(sequences: Sequences, index: int) -> str:
    """How a message names a sequence: by what it is a sequence of."""
    static = [column for column in sequences.static.values() if column.kind == "category"][:3]
    shown = ", ".join(f"{column.name} '{column[index : index + 1].strings()[0]}'" for column in static)
    return "the series" + (f" of {shown}" if shown else f" {index + 1}" if len(sequences) > 1 else "")


def _at(timestamp: np.datetime64, zone: str | None) -> str:
    text = str(to_local(np.array([timestamp], "M8[us]"), zone)[0]).replace("T", " ")
    return text.removesuffix(".000000")


def regular(sequences: Sequences, time: str) -> Regular:
    """The sequences with a step for every time from their first to their last; new steps have no values.

    Args:
        time: Step column of kind "time".

    Raises:
        DataError: see `frequency_of`.
    """
    frequency, zone = frequency_of(sequences, time), _time(sequences, time).zone

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
                    filled = frequency.timestamps(timestamps[0], np.arange(length), zone)
                else:
                    filled = np.full((length, *held.values.shape[1:]), _nothing(held), held.values.dtype)
                filled[where] = held.values[part]
                sinks[name].add(filled)
            if sequences.lines is not None:
                origin = np.zeros(length, np.int64)
                origin[where] = sequences.lines[part]
                lines.add(origin)
        steps = {
            name: replace(held, values=sinks[name].values().reshape(-1, *held.values.shape[1:]))
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


def _nothing(column: Column) -> object:
    missing: dict[str, object] = {"number": np.nan, "category": MISSING, "text": None, "time": np.datetime64("NaT")}
    return missing[column.kind]


def next_timestamps(last: np.datetime64, frequency: Frequency, count: int, zone: str | None = None) -> np.ndarray:
    """(count,) datetime64[us] in UTC: the timestamps after `last`, which is in UTC too."""
    return frequency.timestamps(last, np.arange(1, count + 1), zone)


def calendar_features(
    timestamps: np.ndarray, frequency: Frequency, zone: str | None = None
) -> tuple[tuple[str, ...], np.ndarray]:
    """Where timestamps stand in the cycles of the calendar that are longer than a step.

    Each cycle is two numbers from -1 to 1, sine and cosine of the share of it that has passed, so that its end is next
    to its beginning.

    Args:
        timestamps: (n,) datetime64, in UTC.
        zone: The time zone, such as Europe/Berlin; None for UTC.

    Returns:
        Names of the C features, and (n, C) float32; C is 0 for yearly timestamps.
    """
    local = to_local(np.asarray(timestamps, "M8[us]"), zone)
    days, months, years = (local.astype(f"M8[{unit}]") for unit in "DMY")
    clock = (local - days).astype(np.int64)
    of_month, of_year = ((days - start.astype("M8[D]")).astype(np.int64) for start in (months, years))
    lengths = [((start + 1).astype("M8[D]") - start.astype("M8[D]")).astype(np.int64) for start in (months, years)]
    size = {
        "span": frequency.count,
        "day": frequency.count * DAY,
        "business day": DAY,
        "month": frequency.count * 28 * DAY,
    }
    step = size[frequency.unit]
    cycles = {  # name: how much of it has passed, and the steps that are short enough for it
        "minute of hour": (clock % HOUR / HOUR, step < HOUR),
        "hour of day": (clock / DAY, step < DAY),
        "day of week": ((days.astype(np.int64) + 3) % 7 / 7, step <= DAY),
        "day of month": (of_month / lengths[0], step <= DAY),
        "day of year": (of_year / lengths[1], step <= 14 * DAY),
        "month of year": ((months - years).astype(np.int64) / 12, 14 * DAY < step < 12 * 28 * DAY),
    }
    names, values = [], []
    for name, (share, short) in cycles.items():
        if short:
            names += [f"{name} (sine)", f"{name} (cosine)"]
            values += [np.sin(2 * np.pi * share), np.cos(2 * np.pi * share)]
    return tuple(names), np.stack(values, 1).astype(np.float32) if values else np.empty((len(local), 0), np.float32)
