"""What every layer of a chain is; see `runtime.sequential`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..document import Count
from ..errors import ModelFileError
from . import network

Array = np.ndarray
Mask = Array | None


@dataclass(frozen=True, kw_only=True)
class Layer(ABC):
    """One layer of a chain, without its weights.

    Attributes:
        kind: What a model file calls it.
        steps: What becomes of the steps: it needs them and "keeps" them, makes other, mostly fewer, ones of them
            ("alters"), "ends" them, "makes" them of none, or takes "any".
    """

    kind: ClassVar[str]
    steps: ClassVar[str] = "any"

    @property
    def part(self) -> Any:
        """What of it has weights, for `runtime.network`; None if nothing has."""
        return None

    def width(self, inputs: int) -> int:
        """Features that it gives for so many. ModelFileError if it does not take them."""
        return inputs

    @property
    def after(self) -> str:
        """`steps` of this very layer."""
        return self.steps

    @abstractmethod
    def run(self, net: Any, x: Array, mask: Mask) -> tuple[Array, Mask]:
        """What it gives, and which of its steps count; net is `part` with weights."""


def fits(layer: Layer, wanted: int, given: int) -> None:
    if wanted != given:
        raise ModelFileError(f"its {layer.kind} layer reads {wanted} features, where {given} arrive")


@dataclass(frozen=True, kw_only=True)
class PerFeature(Layer):
    """A layer with a weight and a bias for each feature, as many of which it gives as it reads."""

    size: Count

    @property
    def part(self) -> network.Block:
        return network.Block({name: network.Weight((self.size,)) for name in ("weight", "bias")})

    def width(self, inputs: int) -> int:
        fits(self, self.size, inputs)
        return inputs
