"""Contestants: checked against each other, then timed in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

# Largest difference to our result that counts as equal, as a share of the largest value in the tensor: float32 sums of
# some thousand products in another order, and activations that some libraries approximate.
TOLERANCE = {"forward": 2e-5, "training": 1e-4}

ROUNDS = 7
_PAUSE = 0.005  # seconds, for the threads of who was on before to stop spinning


@dataclass(frozen=True)
class Contestant:
    """Someone who does the work.

    Args:
        name: Who.
        run: Does it once.
        read: What `run` returned, as tensors by name: "y" (T, B, R), "h" and "c" after live work, "dL/dNAME" of a
            weight or of x after training.
        detail: What else there is to know, such as the backend of a library that has several.
    """

    name: str
    run: Callable[[], Any]
    read: Callable[[Any], Mapping[str, Tensor]]
    detail: str = ""


@dataclass(frozen=True)
class Spread:
    """Median, least and most of some rounds."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))

    def document(self) -> dict[str, float]:
        return {name: rounded(value) for name, value in vars(self).items()}


def rounded(value: float) -> float:
    """Four digits: more than the measurement is good for."""
    return float(f"{value:.4g}")


def difference(got: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> tuple[str, float]:
    """Where two results differ most, and by what share of the largest value there; infinity for a tensor that is
    missing, has another shape, or holds what is no number."""
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
    """Time them in turn, so that all see the same machine.

    In each round everyone has a slice of the same length. The first call of a slice, which wakes threads up and finds
    cold caches, is not counted unless it fills the slice, nor is the first round.

    Args:
        seconds: For all of it, in so far as it suffices for a call each in four rounds.
        clock: Nanoseconds. With `time.process_time_ns`, for work on one thread, other programs do not count.

    Returns:
        Microseconds per call of every round, by name: the median of the round's calls.
    """
    times: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    share = seconds / (rounds + 1) / len(contestants)
    start = time.perf_counter()
    for played in range(rounds + 1):
        if played > 3 and time.perf_counter() - start > 2 * seconds:
            break  # each call is long, and a few tell as much
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
    """Seconds of the fastest call, for ceilings: what got in the way is no part of them."""
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
