"""A model of another library as a function of its layers, for exporters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...algebra.activations import activation
from ...algebra.expression import OPERATIONS, Node, Size, evaluate
from ...errors import OptionError
from ...runtime import sequential
from ...runtime.convolved import Convolution, Normalisation
from ...runtime.functions import Function, FunctionModel, Input
from ...runtime.layers import as_carried, as_tuple
from ...runtime.sequential import (
    Activation,
    Dense,
    Embedding,
    Flatten,
    Layer,
    Masking,
    Pooling,
    Recurrent,
    Repeat,
    Scaling,
)
from ..stepwise import Rounding, with_rounded

if TYPE_CHECKING:
    from .estimator import Sequential

_SIZES = ((7, 3), (1, 1), (23, 2))  # steps and sequences of the examples


def step_model(model: Sequential, digest: str, rounded: Rounding) -> FunctionModel:
    """The model as one function, with its states where it answers after each step.

    Args:
        model: As read from a file.
        digest: Of the file.
        rounded: What weights in fewer bytes make of a matrix.

    Raises:
        OptionError: Some of its steps do not count.
    """
    layers, tensors = model.layers_, with_rounded(model._read_weights, rounded)
    if any(isinstance(layer, Masking) or (isinstance(layer, Embedding) and layer.mask_zero) for layer in layers):
        raise OptionError("it leaves out steps that are masked")
    names = _states(layers)
    width = sequential.first_width(layers)
    fixed, more = sequential.fixed_length(layers), sequential.fewest_steps(layers) - 1
    length: int | str = fixed or "T"
    x = Input((length, "B"), whole=True) if width is None else Input((length, "B", width))

    def call(net: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
        return called(net, layers, batch, names)

    def reference(net: Any, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if not names:
            return {"y": sequential.forward(net, layers, batch["x"])}
        given = [as_carried(tuple(batch[name] for name in own)) for own in names]
        y, after = sequential.continued(net, layers, batch["x"], given)
        return {"y": y} | {
            f"{n}_next": v for own, s in zip(names, after, strict=True) for n, v in zip(own, as_tuple(s), strict=True)
        }

    sizes = dict(
        zip(_flat(names), (size for layer in sequential.recurrent(layers) for size in _sizes(layer)), strict=False)
    )
    states = {name: (1, "B", size) for name, size in sizes.items()}
    examples = []
    rng = np.random.default_rng(0)
    for T, B in _SIZES:
        shape = (fixed or T + more, B)
        first = rng.integers(0, layers[0].count, shape) if width is None else rng.normal(size=(*shape, width))  # type: ignore[attr-defined]
        given = {name: rng.normal(0, 0.3, (1, B, size)).astype(np.float32) for name, size in sizes.items()}
        examples.append({"x": first if width is None else first.astype(np.float32), **given})
    steps: tuple[int | str, ...] = ("steps", "B") if sequential.gives_steps(layers) else ("B",)
    if sequential.keeps_steps(layers):
        steps = (length, "B")
    out: dict[str, tuple[int | str, ...]] = {"y": (*steps, sequential.last_width(layers))}
    return FunctionModel(
        parts=sequential.architecture(layers),
        tensors=tensors,
        functions={
            "model": Function(
                call,
                {"x": x, **{name: Input(dims) for name, dims in states.items()}},
                out | {f"{name}_next": dims for name, dims in states.items()},
                examples,
                reference,
            )
        },
        title=f"A model of another library: {sequential.described(layers)}.",
        meaning=[
            f"x  {'numbers of tokens' if width is None else f'{width} numbers of each step'}",
            f"y  {out['y'][-1]} numbers of {'each step' if len(steps) > 1 else 'the sequence'}",
            *(["states after a step are named with _next"] if states else []),
        ],
        digest=digest,
    )


def _states(layers: Sequence[Layer]) -> list[tuple[str, ...]]:
    """Names of the states of each recurrent layer, of a model that could go on with the next step; else none."""
    own = list(sequential.recurrent(layers))
    convolved = any(isinstance(layer, Convolution) for layer in layers)  # which reads steps before, too
    if convolved or not sequential.keeps_steps(layers) or any(layer.direction != "forward" for layer in own):
        return []
    return [tuple(f"layer{k}_{carried}" for carried in layer.cell.carry) for k, layer in enumerate(own)]


def _flat(names: Sequence[Sequence[str]]) -> list[str]:
    return [name for own in names for name in own]


def _sizes(layer: Recurrent) -> list[int]:
    letters = layer.cell.sizes(layer.input_size, layer.hidden_size, layer.proj_size)
    return [letters[letter] for letter in layer.cell.carry_sizes]


def called(
    net: Any, layers: Sequence[Layer], batch: Mapping[str, Any], names: Sequence[Sequence[str]] = ()
) -> dict[str, Any]:
    """What `sequential.forward` computes where no step is masked, in the operations of any kit.

    Args:
        net: Parts of `runtime.sequential.architecture`, or what takes their place.
        batch: "x", and states by name.
        names: Of the states of each recurrent layer; zeros without.

    Returns:
        "y", and the states after it, whose names end in "_next".
    """
    x, after, left = batch["x"], dict[str, Any](), list(names)
    for part, layer in zip(net.layers, layers, strict=True):
        match layer:
            case Embedding():
                x = part(x)
            case Recurrent():
                own = left.pop(0) if left else ()
                given = as_carried(tuple(batch[name] for name in own)) if own else None
                backward = layer.direction == "backward"
                y, state = part(net.ops.flipped(x) if backward else x, given)
                after |= {f"{name}_next": value for name, value in zip(own, as_tuple(state), strict=False)}
                x = _shown(net, layer, y)
            case Dense():
                x = _activated(net, layer.activation, part(x))
            case Activation():
                x = _activated(net, layer.name, x)
            case Convolution():
                x = part(net.ops.windows(x, layer))
            case Normalisation():
                centred = x - _mean(x)
                scaled = centred / net.ops.pointwise("sqrt", _mean(centred * centred) + layer.epsilon)
                x = scaled * part.weight + part.bias
            case Pooling(of="mean"):
                x = x.mean(0)
            case Pooling(of="max"):
                x = net.ops.largest(x, 0)
            case Pooling():
                x = x[-1 if layer.of == "last" else 0]
            case Flatten():
                x = x.swapaxes(0, 1).reshape(x.shape[1], -1)
            case Repeat():
                x = net.ops.broadcast_to(x[None], (layer.length, *x.shape))
            case Scaling():
                x = x * part.weight + part.bias
            case _:
                raise OptionError(f"its {layer.kind} layer cannot be said as operations of one step after another")
    return {"y": x, **after}


def _mean(x: Any) -> Any:
    """Over features."""
    return x.mean(len(x.shape) - 1)[..., None]


def _shown(net: Any, layer: Recurrent, y: Any) -> Any:
    """Of the outputs (T, B, ...) in the order in which they were computed, what a layer shows."""
    halves = _halves(layer, y)
    if layer.outputs == "end":
        halves = [half[place] for half, place in zip(halves, (-1, 0), strict=False)]
    elif layer.direction == "backward" and not layer.as_run:
        halves = [net.ops.flipped(half) for half in halves]
    return _merged(net, layer, halves)


def merged(net: Any, layer: Recurrent, y: Any) -> Any:
    """What a layer makes of the outputs of its directions, which lie beside one another."""
    return _merged(net, layer, _halves(layer, y))


def _halves(layer: Recurrent, y: Any) -> list[Any]:
    width = layer.proj_size or layer.hidden_size
    return [y[..., :width], y[..., width:]] if layer.direction == "both" else [y]


def _merged(net: Any, layer: Recurrent, halves: Sequence[Any]) -> Any:
    if len(halves) == 1:
        return halves[0]
    one, other = halves
    match layer.merge:
        case "concat":
            return net.ops.concatenate(halves)
        case "mul":
            return one * other
        case "sum":
            return one + other
    return (one + other) * 0.5


def _activated(net: Any, name: str, x: Any) -> Any:
    if name in sequential.OF_ALL:
        return getattr(net.ops, name)(x, -1)
    entry = Node("input", label="x", size=Size("D"))
    table = {op: (lambda *args, op=op: net.ops.pointwise(op, *args)) for op in OPERATIONS} | {"constant": float}
    [y] = evaluate([activation(name)(entry)], {entry: x}, table)
    return y
