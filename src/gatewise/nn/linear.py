"""A product with a matrix at every step, which trains and streams."""

from __future__ import annotations

from torch import Tensor

from ..algebra.linear import linear as product
from .recurrent import Recurrent


class Linear(Recurrent):
    """A linear layer whose result for a row depends on that row alone, to the bit.

    It runs in the engine, as a cell. So a stream gives the same bits as the whole sequence; with a matrix library the
    bits depend on how many rows there are.

    Args:
        size: Features in.
        outputs: Features out.

    Shape:
        x: (T, B, size).
        returns: (T, B, outputs).
    """

    def __init__(self, size: int, outputs: int):
        super().__init__(product, size, outputs)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no state comes back
        y: Tensor = super().forward(x)[0]
        return y
