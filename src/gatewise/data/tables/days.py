"""Days of weeks and months: which day of a month a rule names, and how days are said."""

from __future__ import annotations

import numpy as np

from .timezones import to_local

ORDINALS = ("first", "second", "third", "fourth", "last")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONDAY_TO_FRIDAY = (0, 1, 2, 3, 4)
# Rules for days of a month besides numbers, which mean its last day where it is shorter.
RULES = (
    "first business day",
    "last business day",
    *(f"{ordinal} {day}" for ordinal in ORDINALS for day in WEEKDAYS),
)


def exact(differences: np.ndarray, step: int) -> np.ndarray:
    return np.where(differences % step == 0, differences // step, np.nan)


def days_and_clocks(timestamps: np.ndarray, zone: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Local days, and the time of day in microseconds."""
    local = to_local(timestamps.astype("M8[us]"), zone)
    days = local.astype("M8[D]")
    return days, (local - days).astype(np.int64)


def moments(days: np.ndarray, clocks: np.ndarray | int) -> np.ndarray:
    """datetime64[us] of days and times of day in microseconds."""
    return days.astype("M8[us]") + clocks


def most_common(values: np.ndarray) -> int:
    found, counts = np.unique(values, return_counts=True)
    return int(found[np.argmax(counts)])


def share_of_most_common(values: np.ndarray) -> float:
    """The share of the most common value."""
    return float(np.unique(values, return_counts=True)[1].max() / len(values))


def weekday(days: np.ndarray) -> np.ndarray:
    return (days.astype(np.int64) + 3) % 7  # 0 is Monday; day 0, 1970-01-01, was a Thursday


def day_of_month(days: np.ndarray) -> np.ndarray:
    return (days - days.astype("M8[M]").astype("M8[D]")).astype(np.int64) + 1


def days_on(months: np.ndarray, rule: str) -> np.ndarray:
    """The day of each month that a rule names."""
    first, last = months.astype("M8[D]"), (months + 1).astype("M8[D]") - 1
    if rule.isdecimal():
        return np.minimum(first + (int(rule) - 1), last)
    which, _, day = rule.partition(" ")
    if day == "business day":
        return np.busday_offset(first, 0, "forward") if which == "first" else np.busday_offset(last, 0, "backward")
    wanted = WEEKDAYS.index(day)
    if which == "last":
        return last - (weekday(last) - wanted) % 7
    return first + ((wanted - weekday(first)) % 7 + 7 * ORDINALS.index(which))


def named_day(rule: str) -> str:
    if not rule.isdecimal():
        return rule
    ending = "th" if rule in ("11", "12", "13") else {"1": "st", "2": "nd", "3": "rd"}.get(rule[-1], "th")
    return "last day" if rule == "31" else f"{rule}{ending}"


def named_days(week: tuple[int, ...]) -> str:
    if len(week) == 7:
        return "every day"
    # From the first day after one that is missing, so that Sunday to Thursday is a row.
    start = next(place for place, day in enumerate(week) if (day - 1) % 7 not in week)
    week = (*week[start:], *week[:start])
    names = [WEEKDAYS[day] for day in week]
    in_a_row = len(week) > 2 and (week[-1] - week[0]) % 7 == len(week) - 1
    return f"{names[0]} to {names[-1]}" if in_a_row else listed(names)


def listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
