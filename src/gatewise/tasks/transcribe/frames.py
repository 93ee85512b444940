"""What `transcribe` reads at each step: numbers in units of their own spread, several frames as one; numpy only.

F frames of a sequence, C numbers of a frame, T steps, D = C * stack features of a step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from ...data.sequences import Sequences
from ...errors import DataError

NORMALISATIONS = ("utterance", "running", "training")
_PRIOR = 100  # frames that the training data's mean and spread count for in the running ones: a second of sound
_PIECE = 1 << 16  # frames that are scaled at once
_LEAST = 0.1  # spread, in units of training's, so that silence is not blown up to noise


@dataclass(frozen=True)
class Frames:
    """Learned from training data.

    Attributes:
        columns: Step columns that are read, side by side.
        channels: Numbers in each.
        mean, scale: (C,) of the training data.
        normalisation: "utterance": each sequence by its own mean and spread; "running": by those of its frames so
            far; "training": by those of the training data.
        stack: Frames that are read as one step.
    """

    columns: list[str]
    channels: list[int]
    mean: list[float]
    scale: list[float]
    normalisation: str
    stack: int

    @classmethod
    def learn(cls, data: Sequences, columns: Sequence[str], normalisation: str, stack: int) -> Self:
        """DataError if a column is missing, or holds no numbers."""
        values = [_numbers(data, name) for name in columns]
        every = np.concatenate(values, 1)
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
        """Of the lengths of sequences in frames, those in steps."""
        return -(-frames // self.stack)

    def scaled(self, data: Sequences) -> np.ndarray:
        """(n, C) float32 of all frames, in units of the training data; what is missing is at its mean."""
        parts = [_numbers(data, name) for name in self.columns]
        for name, part, channels in zip(self.columns, parts, self.channels, strict=True):
            if part.shape[1] != channels:
                raise DataError(
                    f"{data.name}: '{name}' has {part.shape[1]} numbers a step, but the model learned from {channels}"
                )
        return self.in_units(np.concatenate(parts, 1))

    def in_units(self, values: np.ndarray) -> np.ndarray:
        """(F, C) float32, by the mean and spread of the training data; what is missing is at its mean.

        Raises:
            DataError: A value is infinite, or too many spreads from the mean for float32.
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
        """Frames (F, C) of one sequence, in units of the training data, by the mean and spread that are wanted.

        Args:
            running: Where the sequence stands, to go on from; a new sequence, if omitted.
        """
        if self.normalisation == "running":
            return (running or Running(scaled.shape[1]))(scaled)
        if self.normalisation == "utterance":
            spread = np.maximum(scaled.std(0, dtype=np.float64), _LEAST)
            return np.asarray((scaled - scaled.mean(0, dtype=np.float64)) / spread, np.float32)
        return scaled

    def stacked(self, frames: np.ndarray) -> np.ndarray:
        """(F, C) as (T, D); zeros fill the last step."""
        missing = -len(frames) % self.stack
        return np.pad(frames, ((0, missing), (0, 0))).reshape(-1, self.stack * frames.shape[1])

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """ValueError if a mean or scale is not that of a channel."""
        found = cls(**document)
        mean, scale = np.array(found.mean, np.float64), np.array(found.scale, np.float64)
        channels = (sum(found.channels),)
        if mean.shape != channels or scale.shape != channels or len(found.columns) != len(found.channels):
            raise ValueError("its means and spreads are not those of its columns")
        if not (np.isfinite(mean) & np.isfinite(scale) & (scale > 0)).all():
            raise ValueError("its means and spreads are not all numbers, or not above 0")
        return replace(found, mean=mean.tolist(), scale=scale.tolist())


class Running:
    """Mean and spread of a sequence so far, frame by frame, so that nothing is read ahead.

    The training data's count for as much as a second of sound. Sums go from frame to frame in float64, however the
    sequence is cut into calls.

    Args:
        channels: Numbers of a frame, C.
    """

    def __init__(self, channels: int):
        self._count = 0
        self._sums = np.zeros((2, channels))  # of the values and of their squares

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """The next frames (F, C), each by the mean and spread up to itself."""
        x = frames.astype(np.float64)
        sums, squares = (
            np.add.accumulate(np.concatenate([before[None], values]))[1:]
            for before, values in zip(self._sums, (x, x * x), strict=True)
        )
        count = _PRIOR + self._count + np.arange(1, len(x) + 1)[:, None]
        if len(x):
            self._count, self._sums = self._count + len(x), np.stack([sums[-1], squares[-1]])
        mean = sums / count
        variance = (_PRIOR + squares) / count - mean * mean
        return np.asarray((x - mean) / np.sqrt(np.maximum(variance, _LEAST**2)), np.float32)


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
