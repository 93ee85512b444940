"""Which numbers of a sequence's steps a model reads and writes, and their scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from ..document import Names, Positive
from ..errors import DataError, no_column
from .readers.strokes import holds_strokes
from .sequences import Sequences


@dataclass(frozen=True)
class Channels:
    """Columns of numbers as vectors: what is only ever 0 or 1 as it is, the rest as (value - mean) / scale.

    Attributes:
        names: Of the channels, in the order of the columns: of a column of several, "column 0", "column 1" and so on.
        columns: They come from.
        binary: Per channel, whether it holds only 0 and 1.
        mean, scale: Per channel; 0 and 1 of a binary one.
    """

    names: list[str]
    columns: Names
    binary: list[bool]
    mean: list[float]
    scale: list[Positive]

    def __post_init__(self) -> None:
        if not self.names or {len(self.binary), len(self.mean), len(self.scale)} != {len(self.names)}:
            raise ValueError(f"its lists are not one value for each of {len(self.names)} names")
        scaled = [(m, s) for b, m, s in zip(self.binary, self.mean, self.scale, strict=True) if b and (m, s) != (0, 1)]
        if scaled or not self.columns:
            raise ValueError("it scales binary channels, or reads no column")

    @classmethod
    def fit(cls, data: Sequences, names: Sequence[str] | None = None, others: Sequence[Sequences] = ()) -> Self:
        """What these sequences hold.

        Args:
            names: Columns; None: all numbers per step, of drawings the movements and `up`.
            others: Of the same columns, to be read like `data`: what is binary must be so there, too.

        Raises:
            DataError: A column does not exist, holds no numbers, has none per step, or lacks a value; or there is none.
        """
        if names is None:
            numbers = [name for name, column in data.steps.items() if column.kind == "number"]
            names = ("dx", "dy", "up") if holds_strokes(data) else numbers
        if not names:
            raise DataError(f"{data.name} has no column of numbers per step. Other columns: {', '.join(data.steps)}")
        values = _matrix(data, names)
        binary = ((values == 0) | (values == 1)).all(0)
        for other in others:
            beside = _matrix(other, names)
            if beside.shape[1] != len(binary):
                raise DataError(f"{other.name} has {beside.shape[1]} channels, but {data.name} has {len(binary)}")
            binary &= ((beside == 0) | (beside == 1)).all(0)
        mean, scale = np.where(binary, 0, values.mean(0)), np.where(binary, 1, values.std(0))
        widths = [(name, data.steps[name].values[:1].reshape(1, -1).shape[1]) for name in names]
        labels = [f"{name} {k}" if width > 1 else name for name, width in widths for k in range(width)]
        scale = np.where(scale > 1e-6 * np.abs(mean), scale, 1.0)  # a constant is left as it is
        return cls(labels, list(names), binary.tolist(), mean.tolist(), scale.tolist())

    def __len__(self) -> int:
        return len(self.names)

    @property
    def real(self) -> np.ndarray:
        """(D,) true where a channel is not binary."""
        return ~np.array(self.binary, bool)

    @property
    def moves(self) -> list[int]:
        """Which channels are a pen's movements: what they add up to says where it is."""
        return [place for place, name in enumerate(self.names) if name in ("dx", "dy")]

    @property
    def log_scale(self) -> float:
        """What a density of scaled values must be lowered by, as a logarithm, to be one of the values themselves."""
        return float(np.log(self.scale).sum())

    def matrix(self, data: Sequences) -> np.ndarray:
        """(S, D) float64, the channels of all steps. DataError if a column is missing or not what it was."""
        values = _matrix(data, self.columns)
        if values.shape[1] != len(self):
            raise DataError(f"{data.name} has {values.shape[1]} channels, but the model learned from {len(self)}")
        odd = np.array(self.binary, bool) & ~((values == 0) | (values == 1)).all(0)
        if odd.any():
            name = self.names[int(odd.argmax())]
            raise DataError(f"{data.name}: '{name}' holds other numbers than 0 and 1, which it did not in training")
        return values

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """(..., D) values -> float32, as the model reads them."""
        return ((values - np.array(self.mean)) / np.array(self.scale)).astype(np.float32)

    def unscaled(self, values: np.ndarray) -> np.ndarray:
        """The opposite, float64."""
        return np.asarray(values, np.float64) * np.array(self.scale) + np.array(self.mean)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def _matrix(data: Sequences, names: Sequence[str]) -> np.ndarray:
    """(S, D) float64."""
    parts = []
    for name in names:
        if name not in data.steps:
            raise DataError(f"{data.name}: {no_column(name, data.steps, 'column of steps')}")
        column = data.steps[name]
        if column.kind != "number":
            raise DataError(f"{data.name}: '{name}' is of kind {column.kind}, where numbers are needed. Leave it out")
        values = np.asarray(column.values, np.float64).reshape(len(column), -1)
        if not np.isfinite(values).all():
            step = int((~np.isfinite(values)).any(1).argmax())
            raise DataError(f"{data.name}: '{name}' is {values[step].tolist()} at step {step}. Fill such gaps first")
        parts.append(values)
    return np.concatenate(parts, 1)
