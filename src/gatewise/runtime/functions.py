"""A model as functions of the parts of its network, for exporters that say any function: what is no list of a step's
operations, such as an encoder, and a decoder that attends to what it encoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .layers import network_of
from .network import Block

Array = np.ndarray


@dataclass(frozen=True)
class Input:
    """An array that a function reads.

    Attributes:
        dims: Its axes: how long, or a name of what is not known before.
        whole: Whether it holds whole numbers; float32 otherwise.
        known: Whether it holds truths instead.
    """

    dims: tuple[int | str, ...]
    whole: bool = False
    known: bool = False


@dataclass(frozen=True)
class Function:
    """What one file computes.

    Attributes:
        call: Gives of the network's parts, and arrays by name, arrays by name.
        inputs: By name.
        outputs: Axes of what it gives, by name.
        examples: Arrays to try it on.
        reference: What computes the same on arrays, if not `call`.
    """

    call: Callable[[Any, Mapping[str, Any]], dict[str, Any]]
    inputs: Mapping[str, Input]
    outputs: Mapping[str, tuple[int | str, ...]]
    examples: Sequence[Mapping[str, Array]]
    reference: Callable[[Any, Mapping[str, Array]], dict[str, Array]] | None = None


@dataclass(frozen=True, kw_only=True)
class FunctionModel:
    """A model of several functions.

    Attributes:
        parts: Of its network.
        tensors: Their weights by name.
        functions: By name.
        title: What it is, in one line.
        meaning: What its inputs and outputs are, in lines.
        digest: Of the model file.
        tolerance: Largest difference from what the runtime computes, relative to it where it is above 1.
    """

    parts: Block
    tensors: Mapping[str, Array]
    functions: Mapping[str, Function]
    title: str
    meaning: Sequence[str]
    digest: str
    tolerance: float = 1e-5

    def answers(self, function: Function) -> list[dict[str, Array]]:
        """What the runtime makes of a function's examples."""
        net = network_of(self.parts, self.tensors)
        return [(function.reference or function.call)(net, example) for example in function.examples]
