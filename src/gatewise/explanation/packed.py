"""Arrays in a JSON document: their shape, and their numbers as base64."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np

from ..checks import whole
from ..document import MOST

Size = Annotated[int, lambda name, value: whole(name, value, 0, MOST)]


@dataclass(frozen=True)
class Packed:
    """An array of numbers, small enough for a page and exact.

    Attributes:
        shape: Its sizes, the slowest first.
        base64: Its numbers as float32, or as float64 where those are needed, little-endian, in C order. NaN stands for
            what is not known.
    """

    shape: Sequence[Size]
    base64: str

    def __post_init__(self) -> None:
        try:
            found = len(base64.b64decode(self.base64, validate=True))
        except (binascii.Error, ValueError) as error:
            raise ValueError("its numbers are not base64") from error
        count = math.prod(self.shape)
        if found not in (4 * count, 8 * count):
            raise ValueError(f"it has {found} bytes, where its shape {list(self.shape)} needs {4 * count}")

    @classmethod
    def of(cls, values: Any) -> Self:
        return cls._packed(np.asarray(values, "<f4"))

    @classmethod
    def exactly(cls, values: Any) -> Self:
        """As float64, but for what float32 says as well."""
        array, small = np.asarray(values, "<f8"), np.asarray(values, "<f4")
        return cls._packed(small if np.array_equal(array, small) else array)

    @classmethod
    def _packed(cls, array: np.ndarray) -> Self:
        return cls(array.shape, base64.b64encode(array.tobytes()).decode("ascii"))

    @property
    def array(self) -> np.ndarray:
        """float32 or float64; it cannot be written to."""
        found = base64.b64decode(self.base64)
        dtype = "<f4" if len(found) == 4 * math.prod(self.shape) else "<f8"
        return np.frombuffer(found, dtype).reshape(tuple(self.shape))
