"""What readers make of a file, and writers take: layers that read one another's output, with their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import ModelFileError, ShapeError
from ..runtime import sequential
from ..runtime.layers import network_of
from ..runtime.network import named_weights, place_of
from ..runtime.sequential import Layer

Array = np.ndarray


@dataclass(frozen=True)
class Placed:
    """A layer and its weights.

    Attributes:
        layer: See `runtime.sequential`.
        weights: By the names that `layer.part` gives them, float32: "weight_ih_l0", "weight_ih_l0_reverse" of a
            recurrent layer (see `directed`), "weight" (outputs, inputs) and "bias" of a dense one, "weight" (count,
            size) of an embedding.
        name: What the file calls it.
    """

    layer: Layer
    weights: Mapping[str, Array] = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True)
class Chain:
    """A model of another library.

    Attributes:
        layers: In the order in which they run.
        source: The format it was read from: "torch", "keras", "onnx".
        version: Of the library that wrote the file, if it says so.
        name: What the file calls the model.
        inputs, outputs: Names that it gives to what it reads and what it answers, if any.
        notes: What was left out or chosen in reading, each a sentence for the user.
        steps: Of every sequence, where the file fixes them for its own library; here they may be any number.

    Raises:
        ModelFileError: The layers do not fit one another, or their weights not them.
    """

    layers: tuple[Placed, ...]
    source: str
    version: str = ""
    name: str = ""
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    steps: int | None = None

    def __post_init__(self) -> None:
        if not any(True for _ in sequential.recurrent(self.kinds)):
            raise ModelFileError("it has no recurrent layer, and sequences are all that Gatewise learns from")
        sequential.checked(self.kinds)
        for number, placed in enumerate(self.layers):
            wanted = dict(named_weights(placed.layer.part, ""))
            place = f"{placed.name!r:.60}" if placed.name else f"layer {number}"
            for name in {**wanted, **placed.weights}:
                has = placed.weights[name].shape if name in placed.weights else None
                if has != wanted.get(name):
                    sizes = f"has the shape {has}, where its sizes say {wanted.get(name)}"
                    raise ModelFileError(f"{place}: {name!r:.60} {sizes}")
            for name, array in placed.weights.items():
                if not np.isfinite(array).all():
                    raise ModelFileError(f"{place}: {name!r:.60} holds NaN or infinity")

    @property
    def kinds(self) -> tuple[Layer, ...]:
        """The layers without weights."""
        return tuple(placed.layer for placed in self.layers)

    def tensors(self) -> dict[str, Array]:
        """All weights by the names that they have in a model file."""
        return {
            f"layers.{number}.{name}": np.ascontiguousarray(array, np.float32)
            for number, placed in enumerate(self.layers)
            for name, array in placed.weights.items()
        }


def directed(weights: Mapping[str, Array], way: int = 0) -> dict[str, Array]:
    """Weights of one direction, as `layouts.to_ours` gives them, by the names of a layer; way 1 is from the end."""
    return {place_of(name, 0, way): array for name, array in weights.items()}


def of_direction(weights: Mapping[str, Array], way: int = 0) -> dict[str, Array]:
    """Undo it."""
    end = "_l0_reverse" if way else "_l0"
    return {name.removesuffix(end): array for name, array in weights.items() if name.endswith(end)}


def run(chain: Chain, x: Any) -> Array:
    """What the model gives, in float32, by the engine's layers.

    Args:
        x: Tokens (T, B), whole numbers, where an embedding reads them; else features (T, B, D). All sequences have T
            steps.

    Returns:
        (T, B, outputs), or (B, outputs) where steps end.

    Raises:
        ShapeError: It is of another shape.
    """
    return run_layers(chain.kinds, chain.tensors(), x)


def run_layers(layers: Sequence[Layer], tensors: Mapping[str, Array], x: Any) -> Array:
    """The same of layers and their weights, as `Chain.tensors` gives them."""
    width = sequential.first_width(layers)
    given = np.asarray(x, np.int64 if width is None else np.float32)
    shape = "(T, B)" if width is None else f"(T, B, {width})"
    if given.ndim != (2 if width is None else 3) or (width is not None and given.shape[-1] != width) or not len(given):
        raise ShapeError(f"this model reads {shape}, steps and sequences, at least one step; x has {given.shape}")
    net = network_of(sequential.architecture(layers), tensors)
    return sequential.forward(net, layers, given)
