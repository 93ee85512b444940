"""Products with a matrix at every step: `Linear`, which trains and streams, and `Product`, for fixed weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from ..cells._linear import _linear
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
        super().__init__(_linear, size, outputs)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no state comes back
        y: Tensor = super().forward(x)[0]
        return y


class Product:
    """What a linear layer computes, for many small batches in a row: its weights are laid out once.

    PyTorch hands such a product to MKL, which on AMD's processors reaches half the speed of oneDNN, and less where the
    output has an odd number of features, as vocabularies have. So this asks oneDNN, for float32 on a CPU and where
    PyTorch was built with it. Anything else takes PyTorch's default.

    Args:
        layer: As it is now; later changes to its weights are not seen.

    Shape:
        product(x): (N, in_features) to (N, out_features). No gradient.
    """

    def __init__(self, layer: nn.Linear):
        self.weight, self.bias = layer.weight.detach(), None if layer.bias is None else layer.bias.detach()
        plain = self.weight.device.type == "cpu" and self.weight.dtype == torch.float32
        known = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        self._packed = torch.ops.mkldnn._reorder_linear_weight(self.weight) if plain and known else None

    def __call__(self, x: Tensor) -> Tensor:
        if self._packed is None or x.dtype != torch.float32:
            return linear(x, self.weight, self.bias)
        return torch.ops.mkldnn._linear_pointwise(x, self._packed, self.bias, "none", [], "")
