"""Between local time in a time zone and UTC. Timestamps are datetime64[us], or their microseconds since 1970.

Two rules for the days on which clocks change. A time that clocks show twice is the first of the two, unless the same
series holds it twice: then the second one is the second. A time that clocks skip is read with the offset before the
change, as `datetime` does (PEP 495).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

import numpy as np

from ...errors import DataError, suggest
from ..sequences import Column

SECOND = 1_000_000
DAY = 86_400 * SECOND
# One for each rule of summer time that many live by; messages suggest them.
LIKELY_ZONES = (
    "Europe/Berlin",
    "Europe/London",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "Europe/Athens",
    "America/Halifax",
    "America/Sao_Paulo",
    "America/Santiago",
    "Asia/Jerusalem",
    "Africa/Cairo",
    "Australia/Sydney",
    "Australia/Adelaide",
    "Pacific/Auckland",
)
_BLOCK = 4096  # days: thousands of series of different lengths share a few tables of changes
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Changes:
    """When a zone's offset changes within some years.

    Attributes:
        at: (n,) microseconds since 1970 in UTC.
        offsets: (n + 1,) microseconds that local clocks are ahead of UTC, before, between and after the changes.
    """

    at: np.ndarray
    offsets: np.ndarray

    def to_local(self, utc: np.ndarray) -> np.ndarray:
        return utc + self.offsets[np.searchsorted(self.at, utc, side="right")]

    def to_utc(self, local: np.ndarray) -> np.ndarray:
        """Of a time that is shown twice, the first."""
        starts = self.at + np.maximum(self.offsets[:-1], self.offsets[1:])
        return local - self.offsets[np.searchsorted(starts, local, side="right")]

    def twice(self) -> list[tuple[int, int, int]]:
        """(first, end, offset after) of each span of local time that clocks show twice."""
        return [
            (int(at + after), int(at + before), int(after))
            for at, before, after in zip(self.at, self.offsets[:-1], self.offsets[1:], strict=True)
            if after < before
        ]

    def utc_sql(self, local: str) -> str:
        """`to_utc` as SQL over an expression in microseconds."""
        starts = self.at + np.maximum(self.offsets[:-1], self.offsets[1:])
        whens = "".join(
            f" WHEN {local} < {start} THEN {local} - {offset}"
            for start, offset in zip(starts, self.offsets[:-1], strict=True)
        )
        return f"CASE{whens} ELSE {local} - {self.offsets[-1]} END" if whens else f"({local} - {self.offsets[-1]})"


def changes(zone: str, first: int, last: int) -> Changes:
    """The changes of a zone from one time to another, both in microseconds since 1970.

    Raises:
        DataError: there is no such zone.
    """
    start, stop = (first // DAY - 2) // _BLOCK * _BLOCK, ((last // DAY + 2) // _BLOCK + 1) * _BLOCK
    return _changes(zone, max(start, -719_000), min(stop, 2_932_000))  # the years that datetime knows


@lru_cache(maxsize=16)
def _changes(zone: str, first_day: int, last_day: int) -> Changes:
    try:
        info = ZoneInfo(zone)
    except (KeyError, ValueError, OSError, TypeError):
        raise DataError(f"{suggest('time zone', str(zone), available_timezones())[:300]}") from None

    def offset(second: int) -> int:
        found = (_EPOCH + timedelta(seconds=second)).astimezone(info).utcoffset()
        assert found is not None
        return round(found.total_seconds())

    at, offsets = [], [offset(first_day * 86_400)]
    for day in range(first_day, last_day):
        low, high = day * 86_400, (day + 1) * 86_400
        after = offset(high)
        if after != offsets[-1]:
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(middle) == offsets[-1] else (low, middle)
            at.append(high)
            offsets.append(after)
    return Changes(np.array(at, np.int64) * SECOND, np.array(offsets, np.int64) * SECOND)


def zone_of_doubled(local: np.datetime64) -> str | None:
    """A zone whose clocks showed this local time twice, one of the likely ones before others."""
    moment = local.astype("M8[us]").item()
    for name in (*LIKELY_ZONES, *sorted(available_timezones())):
        zone = ZoneInfo(name)
        before, after = (moment.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
        if before > after:
            return name
    return None


def skipped_by(utc: int, zone: str) -> np.datetime64 | None:
    """The local time that clocks skipped and that is read as this moment, in microseconds; None if there is none."""
    known = changes(zone, utc, utc)
    for at, before, after in zip(known.at, known.offsets[:-1], known.offsets[1:], strict=True):
        if at <= utc < at + after - before:
            return np.datetime64(int(utc + before), "us").astype("M8[s]")
    return None


def to_local(timestamps: np.ndarray, zone: str | None) -> np.ndarray:
    """UTC timestamps, datetime64[us], in the local time of a zone; without a zone as they are."""
    if zone is None or zone == "UTC" or not len(timestamps):
        return timestamps
    utc = timestamps.astype("M8[us]").astype(np.int64)
    return changes(zone, int(utc.min()), int(utc.max())).to_local(utc).astype("M8[us]")


def to_utc(timestamps: np.ndarray, zone: str | None) -> np.ndarray:
    """Local times of a zone as UTC timestamps; without a zone as they are."""
    if zone is None or zone == "UTC" or not len(timestamps):
        return timestamps
    local = timestamps.astype("M8[us]").astype(np.int64)
    return changes(zone, int(local.min()), int(local.max())).to_utc(local).astype("M8[us]")


def as_written(column: Column) -> np.ndarray:
    """Timestamps of a column as an output has them: in the clock of their zone, as the source wrote them.

    Returns:
        datetime64[us]; if the source gave an offset with each, objects: `datetime` with its zone, None where missing.
    """
    if not column.offset:
        return to_local(column.values, column.zone)
    zone = ZoneInfo(column.zone or "UTC")
    moments = np.asarray(column.values, "M8[us]").tolist()
    written = np.empty(len(moments), object)
    written[:] = [None if moment is None else moment.replace(tzinfo=UTC).astimezone(zone) for moment in moments]
    return written
