"""Baselines that several tasks share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

MOST_FREQUENT = "most frequent"


def most_frequent(values: Iterable[str]) -> str:
    """The value that occurs most often; of equals, the first in alphabetical order."""
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value))
