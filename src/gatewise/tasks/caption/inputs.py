"""What a captioner learns about its inputs: what they are, and the scale of their channels."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Self

import numpy as np

from ...data.paired.captions import INPUTS, NUMBERS, Captioned
from ...document import Count, Positive
from ...errors import DataError
from ..fields import one_of

_FRAMES = 1024  # float64 of all at once would need eight times the memory of uint8


@dataclass(frozen=True)
class Inputs:
    """The inputs of a captioner.

    Attributes:
        kind: "images", "clips" or "features".
        shape: Of a frame, (H, W, C); or of features, (P, D).
        numbers: One of `NUMBERS`.
        mean, std: Of each channel, or feature, in training, C of them.
    """

    kind: Annotated[str, one_of("kind of inputs", INPUTS)]
    shape: tuple[Count, ...]
    numbers: Annotated[str, one_of("kind of numbers", NUMBERS)]
    mean: list[float]
    std: list[Positive]

    def __post_init__(self) -> None:
        if len(self.shape) != (2 if self.kind == "features" else 3):
            raise ValueError(f"the shape of {self.kind} has {len(self.shape)} sizes")
        if {len(self.mean), len(self.std)} != {self.shape[-1]}:
            raise ValueError("its means and standard deviations are not those of its channels")

    @classmethod
    def learn(cls, data: Captioned) -> Self:
        """From training data."""
        return cls(data.inputs, data.shape, data.numbers, *(part.tolist() for part in _scale(data.values)))

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width; None for features."""
        return None if self.kind == "features" else (self.shape[0], self.shape[1])

    def check(self, data: Captioned) -> None:
        """DataError if the captioner was trained on other inputs, or on numbers of another range."""
        if (data.inputs, data.shape, data.numbers) != (self.kind, self.shape, self.numbers):
            found, wanted = (
                f"{kind} of {' x '.join(map(str, shape))} ({numbers})"
                for kind, shape, numbers in (
                    (data.inputs, data.shape, data.numbers),
                    (self.kind, self.shape, self.numbers),
                )
            )
            raise DataError(f"{data.name} holds {found}, but this captioner was trained on {wanted}. Bring it to that")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def _scale(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(C,) float32, mean and standard deviation of each channel, or feature; 1 where that is 0."""
    axes = tuple(range(values.ndim - 1))
    total, squares, count = 0.0, 0.0, values[..., 0].size
    for start in range(0, len(values), _FRAMES):
        some = values[start : start + _FRAMES].astype(np.float64)
        total, squares = total + some.sum(axes), squares + np.square(some).sum(axes)
    mean = np.asarray(total / count)
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return mean.astype(np.float32), np.where(std > 0, std, 1).astype(np.float32)
