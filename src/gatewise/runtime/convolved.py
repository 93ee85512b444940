"""Layers that stand before or between recurrent ones: a convolution over steps, and the normalisation of a step.

T steps, B sequences, D features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from ..checks import whole
from ..document import Count, Positive
from ..errors import DataError, ModelFileError
from . import network
from .sequential_layer import Array, Layer, Mask, PerFeature, fits

_MOST = 100_000  # steps from the first to the last that a product may read: a file may be a stranger's
_Step = Annotated[int, lambda name, value: whole(name, value, 1, _MOST)]


@dataclass(frozen=True, kw_only=True)
class Convolution(Layer):
    """A matrix product of each `length` steps, with zeros beyond the ends as `padding` says.

    Its weight (outputs, length * inputs) has the features of the first of these steps first.

    Attributes:
        stride: Steps from one product to the next.
        dilation: Steps from one that a product reads to the next.
        padding: "valid": none, so that fewer steps come out; "same": as many on both sides as make T / stride steps,
            rounded up, the odd one behind; "causal": all of them before.
    """

    kind: ClassVar[str] = "convolution"
    steps: ClassVar[str] = "keeps"
    inputs: Count
    outputs: Count
    length: _Step
    stride: _Step = 1
    dilation: _Step = 1
    padding: Literal["valid", "same", "causal"] = "valid"
    bias: bool = True

    def __post_init__(self) -> None:
        if self.span > _MOST:
            raise ModelFileError(f"its convolution spans {self.span:,} steps, and at most {_MOST:,} are read")

    @property
    def part(self) -> network.Linear:
        return network.Linear(self.length * self.inputs, self.outputs, self.bias, exact=True)

    @property
    def after(self) -> str:
        return "keeps" if self.stride == 1 and (self.padding != "valid" or self.span == 1) else "alters"

    @property
    def span(self) -> int:
        """Steps from the first to the last one that a product reads."""
        return (self.length - 1) * self.dilation + 1

    def width(self, inputs: int) -> int:
        fits(self, self.inputs, inputs)
        return self.outputs

    def edges(self, T: int) -> tuple[int, int]:
        """Zeros before and behind T steps."""
        if self.padding == "same":
            total = max(0, (-(-T // self.stride) - 1) * self.stride + self.span - T)
            return total // 2, total - total // 2
        return (self.span - 1 if self.padding == "causal" else 0), 0

    def needed(self, given: int) -> int:
        """Steps that it must read, to give so many."""
        return (given - 1) * self.stride + (self.span if self.padding == "valid" else 1)

    def given(self, T: int) -> int:
        """Steps that it gives of T; 0 if these are too few."""
        return max(0, (T + sum(self.edges(T)) - self.span) // self.stride + 1)

    def run(self, net: Any, x: Array, mask: Mask) -> tuple[Array, Mask]:
        T, before, behind = self.given(len(x)), *self.edges(len(x))
        if not T:
            raise DataError(f"the model reads sequences of at least {self.span} steps, and one has {len(x)}")
        padded = np.pad(x, ((before, behind), (0, 0), (0, 0)))
        last = (T - 1) * self.stride + 1
        each = [padded[k : k + last : self.stride] for k in range(0, self.span, self.dilation)]
        return net(np.concatenate(each, -1)), None  # no library that has masks knows what would become of one here


@dataclass(frozen=True, kw_only=True)
class Normalisation(PerFeature):
    """The features of each step, or of the one row that is left, shifted and scaled to mean 0 and variance 1; then
    each times a weight, plus a bias.

    Source: Ba, Kiros & Hinton (2016), "Layer normalization", arXiv:1607.06450.
    """

    kind: ClassVar[str] = "normalisation"
    epsilon: Positive

    def run(self, net: Any, x: Array, mask: Mask) -> tuple[Array, Mask]:
        centred = x - x.mean(-1, keepdims=True)
        variance = (centred * centred).mean(-1, keepdims=True)
        return centred / np.sqrt(variance + np.float32(self.epsilon)) * net.weight + net.bias, mask
