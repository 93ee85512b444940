"""What the model file of a model of another library says, beside its cell, its options and its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ...document import Count, Names
from ...runtime import sequential
from ...runtime.sequential import Layer
from .texts import Tokens


@dataclass(frozen=True)
class Sizes:
    """What goes in and comes out.

    Attributes:
        input_size: Numbers of each step; None where steps are tokens.
        output_size: Numbers of an answer.
    """

    input_size: Count | None
    output_size: Count


@dataclass(frozen=True)
class Document:
    """See `Sequential._document`."""

    sizes: Sizes
    layers: Sequence[Mapping[str, Any]]
    vocabulary: Tokens | None = None
    classes: Names | None = None

    def __post_init__(self) -> None:
        sequential.checked(self.chain)
        width, outputs = sequential.first_width(self.chain), sequential.last_width(self.chain)
        if (width, outputs) != (self.sizes.input_size, self.sizes.output_size):
            raise ValueError(f"its sizes say {self.sizes}, and its layers {width} and {outputs}")
        check_names(self.chain, self.vocabulary, self.classes)

    @cached_property
    def chain(self) -> list[Layer]:
        """Its layers."""
        return [sequential.layer_of(layer, f"layers[{number}]") for number, layer in enumerate(self.layers)]


def check_names(layers: Sequence[Layer], vocabulary: Tokens | None, classes: Sequence[str] | None) -> None:
    """ValueError if a vocabulary or names of classes do not go with layers."""
    first, outputs = layers[0], sequential.last_width(layers)
    if not any(True for _ in sequential.recurrent(layers)):
        raise ValueError("it has no recurrent layer")
    if vocabulary is not None:
        if not isinstance(first, sequential.Embedding):
            raise ValueError("there is a vocabulary, but the model reads numbers, not tokens")
        if max(vocabulary.ids) >= first.count:
            raise ValueError(
                f"the vocabulary goes to number {max(vocabulary.ids)}, the model to {first.count - 1}. "
                "Give the one that it learned with"
            )
    if classes is not None and len(classes) != outputs and (len(classes), outputs) != (2, 1):
        raise ValueError(
            f"there are {len(classes)} classes, but the model answers with {outputs} numbers. Name as many"
        )
