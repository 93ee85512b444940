"""The frequency of one series, from its timestamps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from .days import MONDAY_TO_FRIDAY, RULES, day_of_month, days_and_clocks, moments, most_common, weekday
from .frequency import MOST_TIMES, Frequency
from .timezones import DAY, to_utc

_OFTEN = 3  # times that each of some weekdays is seen before the others count as days off
_MOST_CLOCKS = 300  # times of day that a session may have


def infer_frequency(timestamps: np.ndarray, zone: str | None = None) -> Frequency | None:
    """The frequency of one series from its timestamps, rising, in UTC. None for a single one."""
    if len(timestamps) < 2:
        return None
    days, clocks = days_and_clocks(timestamps, zone)
    shown = most_common(np.diff(moments(days, clocks)).astype(np.int64))
    one_clock = np.all(to_utc(moments(days, most_common(clocks)), zone) == timestamps)
    if shown % DAY or not one_clock:
        return _hours(timestamps, days, clocks, zone)
    candidates = list(_calendar(days, shown // DAY))
    fits = [one.fit(days) for one in candidates]
    return candidates[int(np.argmax(fits))] if any(fits) else Frequency("day", shown // DAY)


def _hours(timestamps: np.ndarray, days: np.ndarray, clocks: np.ndarray, zone: str | None) -> Frequency:
    """Steps shorter than a day: a span of time, or some hours of some days."""
    span = Frequency("span", most_common(np.diff(timestamps).astype("m8[us]").astype(np.int64)))
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
    found, counts = np.unique(weekday(days), return_counts=True)
    week = tuple(found.tolist())
    if len(week) in (0, 1, 7):
        return ()
    steps = np.diff(days).astype(np.int64)
    over_weekend = np.any((steps == 3) & (weekday(days[:-1]) == 4))
    if set(week) <= set(MONDAY_TO_FRIDAY) and over_weekend and most_common(steps) == 1:
        return MONDAY_TO_FRIDAY
    mask = [day in week for day in range(7)]
    possible = np.busday_count(days[0], days[-1] + 1, weekmask=mask)
    return week if counts.min() >= _OFTEN and len(days) > 0.6 * possible else ()


def _calendar(days: np.ndarray, step: int) -> Iterator[Frequency]:
    """What a series of days may be, the simplest first."""
    steps = np.diff(days).astype(np.int64)
    months = np.diff(days.astype("M8[M]")).astype(np.int64)
    count = most_common(months[months > 0]) if months.any() else 1
    if steps.min() >= 28:
        last = len(np.unique(day_of_month(days))) > 1 and np.all(day_of_month(days + 1) == 1)
        yield Frequency("month", count, month_end=bool(last))
    week = _days_off(days)
    if week and (step == 1 or (steps % step).any()):
        yield Frequency("business day", weekdays=() if week == MONDAY_TO_FRIDAY else week)
    yield Frequency("day", step)
    if 6 < np.median(steps) < 20:
        labels = np.where(day_of_month(days + 1) == 1, 31, day_of_month(days))
        several = min(max(2, round(30 / np.median(steps))), MOST_TIMES)
        common = [int(label) for label, _ in Counter(labels.tolist()).most_common(several)]
        yield Frequency("month", on=tuple(map(str, sorted(common))))
    if np.median(steps) > 25:
        yield Frequency("month", count, month_end=True)
        yield from (Frequency("month", count, on=(rule,)) for rule in RULES)
