"""Sizes of a layer and its input, in the notation of `--shape`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import OptionError

_FORM = re.compile(r"(\d+),(\d+),(\d+),(\d+)(?:x(\d+))?")


@dataclass(frozen=True)
class Shape:
    """B sequences of T steps of D features, through layers of H units.

    Args:
        B: Batch size.
        T: Steps.
        D: Features per step.
        H: Units per layer.
        layers: Layers, each fed by the one below.
    """

    B: int
    T: int
    D: int
    H: int
    layers: int = 1

    def __str__(self) -> str:
        return f"{self.B},{self.T},{self.D},{self.H}" + (f"x{self.layers}" if self.layers > 1 else "")

    @classmethod
    def read(cls, text: str) -> Shape:
        """Parse `B,T,I,H`, or `B,T,I,HxL` for L layers.

        Raises:
            OptionError: The text is not a shape.
        """
        found = _FORM.fullmatch(text.strip())
        numbers = [int(number) for number in found.groups("1")] if found else []
        if not numbers or min(numbers) < 1:
            raise OptionError(
                f"--shape takes batch, steps, input size and hidden size, each 1 or more, such as 32,100,64,128, or "
                f"20,35,650,650x2 for two layers, not '{text}'"
            )
        return cls(*numbers)


QUICK = tuple(map(Shape.read, ("32,50,16,64", "32,100,64,128")))
DEFAULT = (*QUICK, *map(Shape.read, ("64,100,128,256", "64,100,256,512", "64,100,256,1024", "20,35,650,650x2")))
