"""How often series are measured, in terms of the calendar; the next timestamps, and where they stand in its cycles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from ...checks import whole
from .days import (
    MONDAY_TO_FRIDAY,
    RULES,
    day_of_month,
    days_and_clocks,
    days_on,
    exact,
    listed,
    moments,
    most_common,
    named_day,
    named_days,
    share_of_most_common,
    weekday,
)
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
MOST_TIMES = 4  # in a month
_TIMES = ("", "", "twice a month", "three times a month", "four times a month")
_MOVED = 4  # days by which a holiday moves a timestamp, at most
_RECENT = 60  # timestamps that tell where the next ones belong


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
        known = all(rule in RULES or (rule.isdecimal() and 1 <= int(rule) <= 31) for rule in self.on)
        days = all(0 <= day < 7 for day in self.weekdays)
        clocks = all(0 <= clock < DAY for clock in self.clocks) and sorted(set(self.clocks)) == [*self.clocks]
        if not (known and days and clocks and len(self.on) <= MOST_TIMES):
            raise ValueError(f"{self!r} is no frequency")
        if (self.unit == "session") != bool(self.clocks):
            raise ValueError("a session has times of day, and nothing else has")

    def __str__(self) -> str:
        if self.unit == "session":
            return f"{self._hours()}, {named_days(self._week)}"
        if self.unit == "business day":
            return "every business day" if self._week == MONDAY_TO_FRIDAY else f"every {named_days(self._week)}"
        if len(self.on) > 1:
            return f"{_TIMES[len(self.on)]}, on the {listed([named_day(rule) for rule in self.on])}"
        return self._step() + (f", on the {named_day(self.on[0])}" if self.on else "")

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
        if self.unit == "business day" and self._week == MONDAY_TO_FRIDAY:
            unit = self.unit
        if unit is None and self.unit in ("day", "month") and len(self.on) < 2:
            unit, steps = self.unit, steps * self.count
        return f"{steps:,} {unit or 'step'}{'s' * (steps > 1)}"

    @property
    def _week(self) -> tuple[int, ...]:
        return self.weekdays or MONDAY_TO_FRIDAY

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
            return exact((timestamps - timestamps[0]).astype(np.int64), self.count)
        days, clocks = days_and_clocks(timestamps, zone)
        if self.unit == "session":
            known = np.array(self.clocks)
            which = np.minimum(np.searchsorted(known, clocks), len(known) - 1)
            index = np.busday_count(days[0], days, self._mask) * len(known) + which.astype(float)
            off = ~np.is_busday(days, self._mask) | (to_utc(moments(days, known[which]), zone) != timestamps)
        else:
            index = self._index(days, days, self._moved(days))
            off = to_utc(moments(days, most_common(clocks)), zone) != timestamps
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
        days, clocks = days_and_clocks(known, zone)
        if self.unit == "session":
            first = int(np.searchsorted(self.clocks, clocks[0]))
            day, which = np.divmod(places + first, len(self.clocks))
            found = np.busday_offset(days[0], day, roll="backward", weekmask=self._mask)
            return to_utc(moments(found, np.array(self.clocks)[which]), zone)
        moved = self._moved(days)
        found = self._date(self._index(days[:1], days, moved)[0].astype(np.int64) + places, days, moved)
        return to_utc(moments(found, most_common(clocks)), zone)

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
            return self.count % 7 == 0 and 0.5 <= share_of_most_common(weekday(days)) < 1
        if self.unit != "month" or not np.isnan(self._index(days, days, False)).any():
            return False
        months, which = days.astype("M8[M]"), self._rules(days, True)
        return bool(np.mean([days == days_on(months, rule) for rule in which]) * len(which) >= 0.5)

    def _index(self, days: np.ndarray, known: np.ndarray, moved: bool) -> np.ndarray:
        """(n,) float64 number of steps from some origin, NaN for days beside the grid."""
        if self.unit == "business day":
            index = np.busday_count(known[0], days, self._mask).astype(float)
            return np.where(np.is_busday(days, self._mask), index, np.nan)
        if self.unit == "day":
            passed = (days - _origin(known, moved)).astype(np.int64)
            return np.round(passed / self.count) if moved else exact(passed, self.count)
        rules, origin = self._rules(known, moved), self._first_month(known)
        passed = (days.astype("M8[M]") - origin).astype(np.int64)
        near = passed[:, None] + (np.arange(-1, 2) if moved else np.zeros(1, np.int64))  # (n, months)
        dates = np.stack([days_on(origin + near, rule) for rule in rules], -1)  # (n, months, rules)
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
        dates = np.stack([days_on(origin + months * self.count, rule) for rule in rules], -1)
        return dates[np.arange(len(dates)), which]

    def _first_month(self, known: np.ndarray) -> np.datetime64:
        months = known.astype("M8[M]")
        return months[0] + most_common((months - months[0]).astype(np.int64) % self.count)

    def _rules(self, known: np.ndarray, moved: bool) -> tuple[str, ...]:
        if self.on or self.month_end:
            return self.on or ("31",)
        of_month = day_of_month(known)
        # A day that some months do not have, such as the 30th, is their last.
        return (str(most_common(of_month) if moved else int(of_month.max())),)


def _origin(known: np.ndarray, moved: bool) -> np.datetime64:
    """The first day or, if holidays have moved some, the one that it should have been in its week."""
    if not moved:
        return known[0]
    return known[0] + np.int64((most_common(weekday(known)) - weekday(known[:1])[0] + 3) % 7 - 3)


def spoken(microseconds: int) -> str:
    """A span of time in its two largest units."""
    parts: list[str] = []
    for size, unit in _SPANS:
        count, microseconds = divmod(microseconds, size)
        if count and len(parts) < 2:
            parts.append(f"{count:,} {unit}{'s' * (count > 1)}")
    return " ".join(parts) or "nothing"


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
