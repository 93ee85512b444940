"""A product with weights that stay as they are, for many small batches in a row."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


class Product:
    """What a linear layer computes, with its weights laid out once, in float32 on a CPU.

    PyTorch hands such a product to MKL, which on AMD's processors reaches half of what oneDNN does (and less where
    the output has an odd number of features, as vocabularies have); so that oneDNN is asked, where PyTorch was built
    with it. Anything else goes the usual way.

    Args:
        layer: As it is now; later changes are not seen.

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
