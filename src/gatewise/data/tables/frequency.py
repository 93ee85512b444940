"""How often series are measured, in terms of the calendar; gaps filled with missing steps; the next timestamps.

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
from typing import Annotated, Literal

import numpy as np

from ...checks import whole
from ...errors import DataError
from ..sequences import MISSING, Column, Sequences
from ._spill import Spill
from .timezones import DAY, LIKELY_ZONES, SECOND, to_local, to_utc

MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
_GAP, _GAPS = (
    1_000_000,
    1000,
)  # steps of a series in all, and per timestamp, from which a known frequency is not its own
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
    ("span", DAY): "daily",
    ("day", 1): "daily",
    ("day", 7): "weekly",
    ("day", 14): "every 2 weeks",
    ("day", 28): "every 4 weeks",
    ("month", 1): "monthly",
    ("month", 3): "quarterly",
    ("month", 6): "every half year",
    ("month", 12): "yearly",
}
_BUCKETS = {
    "1 second": SECOND,
    "1 minute": MINUTE,
    "1 hour": HOUR,
    "1 day": DAY,
    "7 days": 7 * DAY,
    "1 month": 30 * DAY,
}
_TIMES = ("", "", "twice a month", "three times a month", "four times a month")
_ORDINALS = ("first", "second", "third", "fourth", "last")
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONDAY_TO_FRIDAY = (0, 1, 2, 3, 4)
# Rules for days of a month besides numbers, which mean its last day where it is shorter.
_RULES = (
    "first business day",
    "last business day",
    *(f"{ordinal} {weekday}" for ordinal in _ORDINALS for weekday in _WEEKDAYS),
)
_MOVED = 4  # days by which a holiday moves a timestamp, at most
_OFTEN = 3  # times that each of some weekdays is seen before the others count as days off
_RECENT = 60  # timestamps that tell where the next ones belong
_MOST_CLOCKS = 300  # times of day that a session may have


def _possible(name: str, count: int) -> None:
    whole(name, count, 1, _LONGEST)


@dataclass(frozen=True)
class Frequency:
    """The step from one timestamp to the next.

    Attributes:
        unit: "span" (of time), "day", "business day", "session" (some hours of some days) or "month".
        count: How many of them; spans are in microseconds.
        month_end: Of months: every timestamp is the last day of its month.
        on: Of months: which days, such as "15" or "last Friday", if that is not one day for each series.
        weekdays: Of business days and sessions: which days of the week, 0 is Monday; Monday to Friday, if empty.
        clocks: Of sessions: times of day, in microseconds.
    """

    unit: Literal["span", "day", "business day", "session", "month"]
    count: Annotated[int, _possible] = 1
    month_end: bool = False
    on: tuple[str, ...] = ()
    weekdays: tuple[int, ...] = ()
    clocks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        known = all(rule in _RULES or (rule.isdecimal() and 1 <= int(rule) <= 31) for rule in self.on)
        days = all(0 <= day < 7 for day in self.weekdays)
        clocks = all(0 <= clock < DAY for clock in self.clocks) and sorted(set(self.clocks)) == [*self.clocks]
        if not (known and days and clocks and len(self.on) < len(_TIMES)):
            raise ValueError(f"{self!r} is no frequency")
        if (self.unit == "session") != bool(self.clocks):
            raise ValueError("a session has times of day, and nothing else has")

    def __str__(self) -> str:
        if self.unit == "session":
            return f"{self._hours()}, {_named_days(self._week)}"
        if self.unit == "business day":
            return "every business day" if self._week == _MONDAY_TO_FRIDAY else f"every {_named_days(self._week)}"
        if len(self.on) > 1:
            return f"{_TIMES[len(self.on)]}, on the {_listed([_named_day(rule) for rule in self.on])}"
        return self._step() + (f", on the {_named_day(self.on[0])}" if self.on else "")

    def _step(self) -> str:
        if named := _NAMES.get((self.unit, self.count)):
            return named
        count: int = self.count
        unit: str = self.unit
        if unit == "span":
            size, unit = next((size, unit) for size, unit in _SPANS if count % size == 0)
            count //= size
        return f"every {count} {unit}s" if count > 1 else f"every {unit}"

    def _hours(self) -> str:
        steps = set(np.diff(self.clocks).tolist())
        first, last = (str(np.timedelta64(clock, "us").astype("m8[m]") + np.datetime64(0, "D"))[11:] for clock in (
            self.clocks[0], self.clocks[-1]
        ))  # fmt: skip
        if len(steps) == 1:
            return f"{Frequency('span', steps.pop())} from {first} to {last}"
        return f"{len(self.clocks)} times a day from {first} to {last}"

    def counted(self, steps: int) -> str:
        """So many steps, as people say it: 7 days, 2 quarters."""
        if self.unit == "span":
            return spoken(steps * self.count)
        names = {("day", 7): "week", ("month", 3): "quarter", ("month", 12): "year"}
        unit = names.get((self.unit, self.count)) if len(self.on) < 2 else None
        if self.unit == "business day" and self._week == _MONDAY_TO_FRIDAY:
            unit = self.unit
        if unit is None and self.unit in ("day", "month") and len(self.on) < 2:
            unit, steps = self.unit, steps * self.count
        return f"{steps:,} {unit or 'step'}{'s' * (steps > 1)}"

    @property
    def _week(self) -> tuple[int, ...]:
        return self.weekdays or _MONDAY_TO_FRIDAY

    @property
    def _mask(self) -> list[bool]:
        return [day in self._week for day in range(7)]

    @property
    def plain(self) -> Frequency:
        """The same with nights and days off as gaps."""
        if self.unit == "session":
            return Frequency("span", int(np.diff(self.clocks).min()) if len(self.clocks) > 1 else DAY)
        return Frequency("day") if self.unit == "business day" else self

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
        if self.unit == "session":
            return len(self.clocks)
        if self.unit == "day":
            return {1: 7, 7: 52, 14: 26, 28: 13}.get(self.count, 1)
        if self.unit == "business day":
            return len(self._week)
        return max(1, 12 // self.count) * max(1, len(self.on))

    def places(self, timestamps: np.ndarray, zone: str | None = None) -> np.ndarray:
        """(n,) steps from the first timestamp to each, NaN for those that are not on the grid. Timestamps are in UTC,
        rising."""
        if self.unit == "span":
            return _exact((timestamps - timestamps[0]).astype(np.int64), self.count)
        days, clocks = _days_and_clocks(timestamps, zone)
        if self.unit == "session":
            known = np.array(self.clocks)
            which = np.minimum(np.searchsorted(known, clocks), len(known) - 1)
            index = np.busday_count(days[0], days, self._mask) * len(known) + which.astype(float)
            off = ~np.is_busday(days, self._mask) | (to_utc(_moments(days, known[which]), zone) != timestamps)
        else:
            index = self._index(days, days, self._moved(days))
            off = to_utc(_moments(days, _most_common(clocks)), zone) != timestamps
            off |= np.concatenate([[False], np.diff(index) <= 0])  # two that holidays have moved to one place
        return np.where(off, np.nan, index - index[0])

    def timestamps(self, known: np.ndarray, places: np.ndarray, zone: str | None = None) -> np.ndarray:
        """The timestamps these many steps after the first of those that are known, in UTC as they are.

        Args:
            known: One or more; where holidays move timestamps, several tell where they belong.
        """
        known = np.atleast_1d(known).astype("M8[us]")
        if self.unit == "span":
            return known[0] + places * np.timedelta64(self.count, "us")
        days, clocks = _days_and_clocks(known, zone)
        if self.unit == "session":
            first = int(np.searchsorted(self.clocks, clocks[0]))
            day, which = np.divmod(places + first, len(self.clocks))
            found = np.busday_offset(days[0], day, roll="backward", weekmask=self._mask)
            return to_utc(_moments(found, np.array(self.clocks)[which]), zone)
        moved = self._moved(days)
        found = self._date(self._index(days[:1], days, moved)[0].astype(np.int64) + places, days, moved)
        return to_utc(_moments(found, _most_common(clocks)), zone)

    def fit(self, days: np.ndarray) -> float:
        """The share of days that are just where they belong; 0 if one belongs nowhere. Not for times of day."""
        moved = self._moved(days)
        index = self._index(days, days, moved)
        if np.isnan(index).any() or (np.diff(index) <= 0).any():
            return 0.0
        return float((self._date(index.astype(np.int64), days, moved) == days).mean())

    # Between days and steps. `known` are days of the same series, which tell where its steps lie.

    def _moved(self, days: np.ndarray) -> bool:
        """Whether holidays have moved some days: most are where they belong, and not all."""
        if self.unit == "day":
            return self.count % 7 == 0 and 0.5 <= _share(_weekday(days)) < 1
        if self.unit != "month" or not np.isnan(self._index(days, days, False)).any():
            return False
        months, which = days.astype("M8[M]"), self._rules(days, True)
        return bool(np.mean([days == _on(months, rule) for rule in which]) * len(which) >= 0.5)

    def _index(self, days: np.ndarray, known: np.ndarray, moved: bool) -> np.ndarray:
        """(n,) float64 number of steps from some origin, NaN for days beside the grid."""
        if self.unit == "business day":
            index = np.busday_count(known[0], days, self._mask).astype(float)
            return np.where(np.is_busday(days, self._mask), index, np.nan)
        if self.unit == "day":
            passed = (days - _origin(known, moved)).astype(np.int64)
            return np.round(passed / self.count) if moved else _exact(passed, self.count)
        rules, origin = self._rules(known, moved), self._first_month(known)
        passed = (days.astype("M8[M]") - origin).astype(np.int64)
        near = passed[:, None] + (np.arange(-1, 2) if moved else np.zeros(1, np.int64))  # (n, months)
        dates = np.stack([_on(origin + near, rule) for rule in rules], -1)  # (n, months, rules)
        far = np.abs((days[:, None, None] - dates).astype(np.int64)).astype(float)
        far[near % self.count != 0] = np.inf
        nearest = far.reshape(len(days), -1).argmin(-1)
        month, rule = np.divmod(nearest, len(rules))
        index = near[np.arange(len(days)), month] // self.count * len(rules) + rule
        return np.where(far.reshape(len(days), -1).min(-1) > (_MOVED if moved else 0), np.nan, index)

    def _date(self, index: np.ndarray, known: np.ndarray, moved: bool) -> np.ndarray:
        """The days of these steps."""
        if self.unit == "business day":
            return np.busday_offset(known[0], index, roll="backward", weekmask=self._mask)
        if self.unit == "day":
            return _origin(known, moved) + index * self.count
        rules, origin = self._rules(known, moved), self._first_month(known)
        months, which = np.divmod(index, len(rules))
        dates = np.stack([_on(origin + months * self.count, rule) for rule in rules], -1)
        return dates[np.arange(len(dates)), which]

    def _first_month(self, known: np.ndarray) -> np.datetime64:
        months = known.astype("M8[M]")
        return months[0] + _most_common((months - months[0]).astype(np.int64) % self.count)

    def _rules(self, known: np.ndarray, moved: bool) -> tuple[str, ...]:
        if self.on or self.month_end:
            return self.on or ("31",)
        of_month = _day_of_month(known)
        # A day that some months do not have, such as the 30th, is their last.
        return (str(_most_common(of_month) if moved else int(of_month.max())),)


def _exact(differences: np.ndarray, step: int) -> np.ndarray:
    return np.where(differences % step == 0, differences // step, np.nan)


def _origin(known: np.ndarray, moved: bool) -> np.datetime64:
    """The first day or, if holidays have moved some, the one that it should have been in its week."""
    if not moved:
        return known[0]
    return known[0] + np.int64((_most_common(_weekday(known)) - _weekday(known[:1])[0] + 3) % 7 - 3)


def _days_and_clocks(timestamps: np.ndarray, zone: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Local days, and the time of day in microseconds."""
    local = to_local(timestamps.astype("M8[us]"), zone)
    days = local.astype("M8[D]")
    return days, (local - days).astype(np.int64)


def _moments(days: np.ndarray, clocks: np.ndarray | int) -> np.ndarray:
    """datetime64[us] of days and times of day in microseconds."""
    return days.astype("M8[us]") + clocks


def _most_common(values: np.ndarray) -> int:
    found, counts = np.unique(values, return_counts=True)
    return int(found[np.argmax(counts)])


def _share(values: np.ndarray) -> float:
    """The share of the most common value."""
    return float(np.unique(values, return_counts=True)[1].max() / len(values))


def _weekday(days: np.ndarray) -> np.ndarray:
    return (days.astype(np.int64) + 3) % 7  # 0 is Monday; day 0, 1970-01-01, was a Thursday


def _day_of_month(days: np.ndarray) -> np.ndarray:
    return (days - days.astype("M8[M]").astype("M8[D]")).astype(np.int64) + 1


def _on(months: np.ndarray, rule: str) -> np.ndarray:
    """The day of each month that a rule names."""
    first, last = months.astype("M8[D]"), (months + 1).astype("M8[D]") - 1
    if rule.isdecimal():
        return np.minimum(first + (int(rule) - 1), last)
    which, _, day = rule.partition(" ")
    if day == "business day":
        return np.busday_offset(first, 0, "forward") if which == "first" else np.busday_offset(last, 0, "backward")
    weekday = _WEEKDAYS.index(day)
    if which == "last":
        return last - (_weekday(last) - weekday) % 7
    return first + ((weekday - _weekday(first)) % 7 + 7 * _ORDINALS.index(which))


def _named_day(rule: str) -> str:
    if not rule.isdecimal():
        return rule
    ending = "th" if rule in ("11", "12", "13") else {"1": "st", "2": "nd", "3": "rd"}.get(rule[-1], "th")
    return "last day" if rule == "31" else f"{rule}{ending}"


def _named_days(week: tuple[int, ...]) -> str:
    if len(week) == 7:
        return "every day"
    # From the first day after one that is missing, so that Sunday to Thursday is a row.
    start = next(place for place, day in enumerate(week) if (day - 1) % 7 not in week)
    week = (*week[start:], *week[:start])
    names = [_WEEKDAYS[day] for day in week]
    in_a_row = len(week) > 2 and (week[-1] - week[0]) % 7 == len(week) - 1
    return f"{names[0]} to {names[-1]}" if in_a_row else _listed(names)


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


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
    days, clocks = _days_and_clocks(timestamps, zone)
    shown = _most_common(np.diff(_moments(days, clocks)).astype(np.int64))
    one_clock = np.all(to_utc(_moments(days, _most_common(clocks)), zone) == timestamps)
    if shown % DAY or not one_clock:
        return _hours(timestamps, days, clocks, zone)
    candidates = list(_calendar(days, shown // DAY))
    fits = [one.fit(days) for one in candidates]
    return candidates[int(np.argmax(fits))] if any(fits) else Frequency("day", shown // DAY)


def _hours(timestamps: np.ndarray, days: np.ndarray, clocks: np.ndarray, zone: str | None) -> Frequency:
    """Steps shorter than a day: a span of time, or some hours of some days."""
    span = Frequency("span", _most_common(np.diff(timestamps).astype("m8[us]").astype(np.int64)))
    times, counts = np.unique(clocks, return_counts=True)
    different = np.unique(days)
    on_grid = not np.isnan(span.places(timestamps, zone)).any()
    week = _days_off(different) or tuple(range(7))
    # Each time on half of the days at least, or there is no timetable.
    if len(different) < 5 or len(times) > _MOST_CLOCKS or counts.min() < len(different) / 2:
        return span
    if on_grid and len(times) > 0.75 * DAY / span.count and len(week) == 7:
        return span
    session = Frequency("session", weekdays=week, clocks=tuple(times.tolist()))
    return span if np.isnan(session.places(timestamps, zone)).any() else session


def _days_off(days: np.ndarray) -> tuple[int, ...]:
    """The days of the week that occur, if there are reasons to think that the others never do; else none."""
    found, counts = np.unique(_weekday(days), return_counts=True)
    week = tuple(found.tolist())
    if len(week) in (0, 1, 7):
        return ()
    steps = np.diff(days).astype(np.int64)
    over_weekend = np.any((steps == 3) & (_weekday(days[:-1]) == 4))
    if set(week) <= set(_MONDAY_TO_FRIDAY) and over_weekend and _most_common(steps) == 1:
        return _MONDAY_TO_FRIDAY
    mask = [day in week for day in range(7)]
    possible = np.busday_count(days[0], days[-1] + 1, weekmask=mask)
    return week if counts.min() >= _OFTEN and len(days) > 0.6 * possible else ()


def _calendar(days: np.ndarray, step: int) -> Iterator[Frequency]:
    """What a series of days may be, the simplest first."""
    steps = np.diff(days).astype(np.int64)
    months = np.diff(days.astype("M8[M]")).astype(np.int64)
    count = _most_common(months[months > 0]) if months.any() else 1
    if steps.min() >= 28:
        last = len(np.unique(_day_of_month(days))) > 1 and np.all(_day_of_month(days + 1) == 1)
        yield Frequency("month", count, month_end=bool(last))
    week = _days_off(days)
    if week and (step == 1 or (steps % step).any()):
        yield Frequency("business day", weekdays=() if week == _MONDAY_TO_FRIDAY else week)
    yield Frequency("day", step)
    if 6 < np.median(steps) < 20:
        labels = np.where(_day_of_month(days + 1) == 1, 31, _day_of_month(days))
        several = min(max(2, round(30 / np.median(steps))), len(_TIMES) - 1)
        common = [int(label) for label, _ in Counter(labels.tolist()).most_common(several)]
        yield Frequency("month", on=tuple(map(str, sorted(common))))
    if np.median(steps) > 25:
        yield Frequency("month", count, month_end=True)
        yield from (Frequency("month", count, on=(rule,)) for rule in _RULES)


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
    usual = _most_common(steps)
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


def spoken(microseconds: int) -> str:
    """A span of time in its two largest units."""
    parts: list[str] = []
    for size, unit in _SPANS:
        count, microseconds = divmod(microseconds, size)
        if count and len(parts) < 2:
            parts.append(f"{count:,} {unit}{'s' * (count > 1)}")
    return " ".join(parts) or "nothing"


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


def next_timestamps(known: np.ndarray, frequency: Frequency, count: int, zone: str | None = None) -> np.ndarray:
    """(count,) datetime64[us] in UTC: the timestamps after those of a series (n,), which are in UTC too.

    Args:
        known: One or more, the last one last; where holidays move timestamps, several tell where they belong.
    """
    recent = np.atleast_1d(known)[-_RECENT:]
    return frequency.timestamps(recent, int(frequency.places(recent, zone)[-1]) + np.arange(1, count + 1), zone)


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
        "session": frequency.plain.count,
        "month": frequency.count * 28 * DAY // max(1, len(frequency.on)),
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
