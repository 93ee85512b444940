"""Contestants: compared with each other for equal results, then timed in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

# Largest difference from our result that counts as equal, relative to the largest value of the tensor. It allows for
# float32 sums of some thousand products in another order, and for activations that some libraries approximate.
TOLERANCE = {"forward": 2e-5, "training": 1e-4}

ROUNDS = 7
_PAUSE = 0.005  # seconds, in which the threads of the previous contestant stop spinning


@dataclass(frozen=True)
class Contestant:
    """An implementation that takes part in a comparison.

    Args:
        name: Its name.
        run: Does the work once.
        read: Converts what `run` returned to tensors by name: "y" (T, B, R), "h" and "c" after live work, and
            "dL/dNAME" of each weight, or of x, after training.
        detail: Further information, such as the backend of a library that has several.
    """

    name: str
    run: Callable[[], Any]
    read: Callable[[Any], Mapping[str, Tensor]]
    detail: str = ""


@dataclass(frozen=True)
class Spread:
    """Median, minimum and maximum over rounds."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))

    def document(self) -> dict[str, float]:
        return {name: rounded(value) for name, value in vars(self).items()}


def rounded(value: float) -> float:
    """Rounded to four digits, which is more than the measurement's precision."""
    return float(f"{value:.4g}")


def difference(got: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> tuple[str, float]:
    """The tensor in which two results differ most, and the difference relative to its largest value: infinity if the
    tensor is missing, has another shape, or contains NaN."""
    return max(((name, _difference(got.get(name), want)) for name, want in ours.items()), key=lambda found: found[1])


def _difference(got: Tensor | None, want: Tensor) -> float:
    if got is None or got.shape != want.shape:
        return float("inf")
    largest = float(want.abs().max()) or 1.0
    share = float((got.double() - want.double()).abs().max()) / largest
    return share if share == share else float("inf")


def alternate(
    contestants: Sequence[Contestant],
    seconds: float,
    rounds: int = ROUNDS,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> dict[str, list[float]]:
    """Time the contestants in turns, so that all of them see the same machine.

    In each round every contestant has a time slice of the same length. The first round is not counted, and neither is
    the first call of a slice, which wakes up threads and finds cold caches, unless it fills the slice.

    Args:
        seconds: Total time, unless four rounds with one call each take longer.
        clock: Returns nanoseconds. With `time.process_time_ns`, for single-threaded work, other programs do not count.

    Returns:
        Microseconds per call in every round, by name: the median of the round's calls.
    """
    times: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    share = seconds / (rounds + 1) / len(contestants)
    start = time.perf_counter()
    for played in range(rounds + 1):
        if played > 3 and time.perf_counter() - start > 2 * seconds:
            break  # the calls are long, so fewer of them are enough
        for contestant in contestants:
            found = _slice(contestant.run, share, clock)
            if played:
                times[contestant.name].append(found)
    return times


def _slice(run: Callable[[], Any], seconds: float, clock: Callable[[], int] = time.perf_counter_ns) -> float:
    time.sleep(_PAUSE)
    calls = []
    end = clock() + seconds * 1e9
    while True:
        start = clock()
        run()
        now = clock()
        calls.append(now - start)
        if now >= end:
            return statistics.median(calls[1:] or calls) / 1e3


def fastest(run: Callable[[], Any], seconds: float) -> float:
    """Seconds of the fastest call, for ceilings, which should not include disturbances."""
    run()
    least = float("inf")
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        run()
        least = min(least, time.perf_counter() - start)
    return least


def as_tensor(array: Any) -> Tensor:
    """A copy of another library's array."""
    import numpy as np

    return torch.from_numpy(np.array(array))
