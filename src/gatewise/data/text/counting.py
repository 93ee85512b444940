"""How often each word of a text occurs, whatever the number of different words: what does not fit goes to files."""

from __future__ import annotations

import heapq
import json
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack
from itertools import groupby
from typing import IO

from ...errors import DataError

KINDS = 1_000_000  # different words that are counted in memory; then the counts are written, and counting starts anew


def frequent_words(
    words: Iterable[list[str]], most: int | None, min_frequency: int, without: Collection[str]
) -> tuple[list[str], int]:
    """The words that occur most often, those that do equally often by code point, and how often the first one does.

    Args:
        words: Of a text, some at a time.
        most: How many words are wanted; None for all.
        min_frequency: How often a word must occur to be among them.
        without: Words that are not counted.

    Raises:
        DataError: The counts cannot be written.
    """
    counts: Counter[str] = Counter()
    highest = 0

    def frequent(counted: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int]]:
        nonlocal highest
        for word, count in counted:
            if word not in without:
                highest = max(highest, count)
                if count >= min_frequency:
                    yield word, count

    with ExitStack() as stack:
        runs: list[IO[str]] = []
        for some in words:
            counts.update(some)
            if len(counts) > KINDS:
                runs.append(stack.enter_context(_written(counts)))
                counts.clear()
        every: Iterable[tuple[str, int]] = counts.items()
        if runs:
            merged = heapq.merge(*map(_read, runs), sorted(every))
            every = ((word, sum(count for _, count in own)) for word, own in groupby(merged, lambda one: one[0]))
        found = frequent(every)
        kept = sorted(found, key=_rank) if most is None else heapq.nsmallest(most, found, key=_rank)
    return [word for word, _ in kept], highest


def _rank(counted: tuple[str, int]) -> tuple[int, str]:
    return -counted[1], counted[0]


def _written(counts: Counter[str]) -> IO[str]:
    """A file without a name that has these counts, in the order of the words, and is at its beginning."""
    file = tempfile.TemporaryFile("w+", encoding="ascii")  # noqa: SIM115 - closed by the caller
    try:
        file.writelines(f"{json.dumps(counted)}\n" for counted in sorted(counts.items()))
        file.seek(0)
    except OSError as error:
        raise DataError(
            f"cannot write counts of words to {tempfile.gettempdir()}: {error.strerror}. Set TMPDIR to a folder on a "
            "larger disk"
        ) from None
    return file


def _read(file: IO[str]) -> Iterator[tuple[str, int]]:
    for line in file:
        word, count = json.loads(line)
        yield word, count
