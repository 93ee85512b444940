"""What `transcribe` reads at each step: normalised frames, several of them as one step.

F frames of a sequence, C numbers of a frame, T steps, B sequences, D = C * stack features of a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Annotated, Any, Self

import numpy as np

from ...data.sequences import Sequences
from ...document import Count, Names, Positive
from ...errors import DataError
from ..fields import one_of, whole
from .options import NORMALISATIONS

_PRIOR = 100  # frames that the statistics of the training data count for in the running ones: a second of sound
_PIECE = 1 << 16  # frames that are scaled at once
_LEVELS = (0.01, 0.5, 0.99)  # shares of an image's pixels below what counts as its darkest, its paper and its brightest
_LEAST = 0.1  # smallest divisor, in standard deviations of the training data, so that silence is not amplified to noise


@dataclass(frozen=True)
class Frames:
    """How signals are read, learned from the training data.

    Attributes:
        columns: Step columns that are read, side by side.
        channels: Numbers in each.
        mean, scale: (C,) mean and standard deviation of the training data.
        normalisation: Whose mean and standard deviation normalise a frame: those of its sequence ("utterance"), of the
            frames of its sequence so far ("running"), or of the "training" data; "image" is the last, of images of
            one range, see `_of_one_range`.
        stack: Frames that are read as one step.
    """

    columns: Names
    channels: list[Count]
    mean: list[float]
    scale: list[Positive]
    normalisation: Annotated[str, one_of("normalisation", NORMALISATIONS)]
    stack: Annotated[int, whole(1, 1000)]

    def __post_init__(self) -> None:
        if len(self.columns) != len(self.channels) or {len(self.mean), len(self.scale)} != {sum(self.channels)}:
            raise ValueError("its means and standard deviations are not those of its columns")

    @classmethod
    def learn(cls, data: Sequences, columns: Sequence[str], normalisation: str, stack: int) -> Self:
        """DataError if a column is missing, or holds no numbers."""
        values = [_numbers(data, name) for name in columns]
        every = np.concatenate(values, 1)
        if normalisation == "image":
            every = _of_one_range(every, data.offsets)
        given = ~np.isnan(every).all(0)
        if not given.all():
            raise DataError(f"{data.name}: number {given.argmin()} of the steps is never given. Leave its column out")
        mean = np.asarray(np.nanmean(every, 0, dtype=np.float64))
        scale = np.asarray(np.nanstd(every, 0, dtype=np.float64))
        scale[scale == 0] = 1.0
        channels = [part.shape[1] for part in values]
        return cls(list(columns), channels, mean.tolist(), scale.tolist(), normalisation, stack)

    @property
    def width(self) -> int:
        """Features of a step, D."""
        return sum(self.channels) * self.stack

    def steps(self, frames: np.ndarray) -> np.ndarray:
        """Lengths of sequences in steps, from those in frames."""
        return -(-frames // self.stack)

    def scaled(self, data: Sequences) -> np.ndarray:
        """(n, C) float32 of all frames, standardised by the training data; missing values are at the mean."""
        parts = [_numbers(data, name) for name in self.columns]
        for name, part, channels in zip(self.columns, parts, self.channels, strict=True):
            if part.shape[1] != channels:
                raise DataError(
                    f"{data.name}: '{name}' has {part.shape[1]} numbers a step, but the model learned from {channels}"
                )
        values = np.concatenate(parts, 1)
        return self.standardised(_of_one_range(values, data.offsets) if self.normalisation == "image" else values)

    def standardised(self, values: np.ndarray) -> np.ndarray:
        """(F, C) float32, by the mean and standard deviation of the training data; missing values are at the mean.

        Raises:
            DataError: A value is infinite, or too far from the mean for float32.
        """
        mean, scale = np.array(self.mean), np.array(self.scale)
        scaled = np.empty(values.shape, np.float32)
        with np.errstate(over="ignore"):
            for first in range(0, len(values), _PIECE):  # float64 of all at once would take twice the memory
                part = slice(first, first + _PIECE)
                scaled[part] = (values[part] - mean) / scale
        if np.isinf(scaled).any():
            frame, place = np.argwhere(np.isinf(scaled))[0]
            raise DataError(
                f"frame {frame} holds {values[frame, place]:g}, which is too far from the training data's mean of "
                f"{mean[place]:g}. Leave such values empty, or cap them"
            )
        scaled[np.isnan(scaled)] = 0
        return scaled

    def normalised(self, scaled: np.ndarray, running: Running | None = None) -> np.ndarray:
        """Standardised frames (F, C) of one sequence, normalised as `normalisation` says.

        Args:
            running: The statistics of the sequence so far, which are updated; a new sequence, if omitted.
        """
        if self.normalisation == "running":
            return (running or Running(scaled.shape[1]))(scaled)
        if self.normalisation == "utterance":
            deviation = np.maximum(scaled.std(0, dtype=np.float64), _LEAST)
            return np.asarray((scaled - scaled.mean(0, dtype=np.float64)) / deviation, np.float32)
        return scaled

    def stacked(self, frames: np.ndarray) -> np.ndarray:
        """(F, C) as (T, D); zeros fill the last step."""
        missing = -len(frames) % self.stack
        return np.pad(frames, ((0, missing), (0, 0))).reshape(-1, self.stack * frames.shape[1])

    def read(self, scaled: np.ndarray) -> np.ndarray:
        """(T, D) of one sequence of standardised frames (F, C)."""
        return self.stacked(self.normalised(scaled))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Running:
    """Normalises each frame by the mean and standard deviation of its sequence so far, without reading ahead.

    Those of the training data count for as much as a second of sound. Sums go from frame to frame in float64, so that
    the result does not depend on how the sequence is cut into calls.

    Args:
        channels: Numbers of a frame, C.

    Attributes:
        state: Number of frames so far, and the sums (2, C) of their values and squares. A call replaces it.
    """

    def __init__(self, channels: int):
        self.state = 0, np.zeros((2, channels))

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """The next frames (F, C), normalised."""
        seen, before = self.state
        x = frames.astype(np.float64)
        sums, squares = (
            np.add.accumulate(np.concatenate([start[None], values]))[1:]
            for start, values in zip(before, (x, x * x), strict=True)
        )
        count = _PRIOR + seen + np.arange(1, len(x) + 1)[:, None]
        if len(x):
            self.state = seen + len(x), np.stack([sums[-1], squares[-1]])
        mean = sums / count
        variance = (_PRIOR + squares) / count - mean * mean
        return np.asarray((x - mean) / np.sqrt(np.maximum(variance, _LEAST**2)), np.float32)


def padded(steps: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Sequences (T, D) side by side: "x" (T, B, D), zero beyond the end of each, and their "lengths" (B,)."""
    lengths = np.array([len(own) for own in steps], np.int64)
    x = np.zeros((int(lengths.max()), len(steps), steps[0].shape[1]), np.float32)
    for place, own in enumerate(steps):
        x[: len(own), place] = own
    return {"x": x, "lengths": lengths}


def _of_one_range(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """(n, C) of images, each such that its median pixel, which is paper, is 0, and its darkest or brightest, whichever
    is farther from that, is -1 or 1. Noise hardly moves either."""
    found = np.array(values, np.float64)
    for start, end in pairwise(offsets):
        own = found[start:end]
        if own.size and np.isfinite(own).any():
            low, paper, high = np.nanquantile(own, _LEVELS)
            own -= paper
            own /= max(high - paper, paper - low) or 1.0
    return found


def _numbers(data: Sequences, name: str) -> np.ndarray:
    """(n, C) of a step column."""
    if name not in data.steps or data.steps[name].kind != "number":
        there = ", ".join(other for other, column in data.steps.items() if column.kind == "number") or "none"
        raise DataError(f"{data.name}: no column '{name}' with numbers per step. Columns of numbers: {there}")
    values = data.steps[name].values
    too_large = np.abs(values) > np.finfo(np.float32).max  # false where missing
    if too_large.any():
        largest = f"{values[too_large][0]:g}"
        raise DataError(
            f"{data.name}: '{name}' holds {largest}, too much for float32. Leave such values empty, or cap them"
        )
    return values.reshape(len(values), -1)
