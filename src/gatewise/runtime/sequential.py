"""Layers that read one another's output, as other libraries chain them: what each is, as a model file says it, and what
it computes.

T steps, B sequences, D features. Between layers lies an array (T, B, D), or (B, D) once the steps are gone, and beside
it a mask (T, B) of the steps that count, where a layer has made one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property, reduce
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from ..algebra import Cell
from ..algebra.activations import ACTIVATIONS, activation
from ..algebra.expression import Node, Size, evaluate
from ..checks import whole
from ..document import Count, read
from ..errors import DataError, ModelFileError, suggest
from . import network, ops
from .convolved import Convolution, Normalisation
from .equations import OPERATIONS
from .sequential_layer import Array, Layer, Mask, PerFeature, fits

MOST_STEPS = 100_000  # that a file may ask for: it may be a stranger's
Repeats = Annotated[int, lambda name, value: whole(name, value, 1, MOST_STEPS)]
State = Any  # of a layer: as `runtime.layers.Recurrent` has it; None of a layer without one


@dataclass(frozen=True, kw_only=True)
class Embedding(Layer):
    """Numbers of tokens (T, B) to features (T, B, size).

    Attributes:
        count: Tokens.
        mask_zero: Whether steps with token 0 do not count.
    """

    kind: ClassVar[str] = "embedding"
    steps: ClassVar[str] = "keeps"
    count: Count
    size: Count
    mask_zero: bool = False

    @property
    def part(self) -> Any:
        return network.Embedding(self.count, self.size)

    def width(self, inputs: int) -> int:
        raise ModelFileError("an embedding can only be its first layer")

    def run(self, net: Any, x: Array, mask: Mask) -> tuple[Array, Mask]:
        if x.size and not 0 <= int(x.min()) <= int(x.max()) < self.count:
            worst = x.min() if x.min() < 0 else x.max()
            raise DataError(f"a token is {int(worst)}, but the model knows those from 0 to {self.count - 1}")
        return net(x), x != 0 if self.mask_zero else mask


@dataclass(frozen=True, kw_only=True)
class Masking(Layer):
    """Steps all of whose features are a value do not count, and become 0."""

    kind: ClassVar[str] = "masking"
    steps: ClassVar[str] = "keeps"
    value: float = 0.0

    def run(self, net: Any, x: Array, mask: Mask) -> tuple[Array, Mask]:
        counts = (x != np.float32(self.value)).any(-1)
        return x * counts[..., None], counts


@dataclass(frozen=True, kw_only=True)
class Recurrent(Layer):
    """One layer of a cell.

    Attributes:
        program: Of the cell, as `Cell.to_json` gives it.
        direction: "both" has the weights of two layers, forward first.
        merge: What is made of two directions.
        outputs: Those of all "steps", or of each direction at its own "end", as with Keras's `return_sequences=False`.
        as_run: Of direction "backward": outputs stay in the order in which they are computed, the last step's first, as
            Keras's `go_backwards` has it.
        zero_masked: Outputs of steps that do not count are 0, not those of the step before.
        stateful: Whether the state is meant to pass on from one call to the next.
    """

    kind: ClassVar[str] = "recurrent"
    program: Mapping[str, Any]
    input_size: Count
    hidden_size: Count
    proj_size: int = 0
    direction: Literal["forward", "backward", "both"] = "forward"
    merge: Literal["concat", "sum", "mul", "ave"] = "concat"
    outputs: Literal["steps", "end"] = "steps"
    as_run: bool = False
    zero_masked: bool = False
    stateful: bool = False

    def __post_init__(self) -> None:
        sizes = self.cell.sizes(self.input_size, self.hidden_size, self.proj_size)  # OptionError: they do not fit it
        if self.cell.projected != bool(self.proj_size):
            raise ModelFileError(f"proj_size is {self.proj_size}, which does not go with the cell '{self.cell.name}'")
        if self.cell.extras or not sizes:
            raise ModelFileError(f"the cell '{self.cell.name}' has inputs beside x, which only training gives")

    @cached_property
    def cell(self) -> Cell:
        return Cell.from_json(self.program)

    @property
    def after(self) -> str:
        return "keeps" if self.outputs == "steps" else "ends"

    @property
    def part(self) -> network.Recurrent:
        return network.Recurrent(
            cell=self.cell,
            input_size=self.input_size,
            hidden_size=self.hidden_size,
            proj_size=self.proj_size,
            bidirectional=self.direction == "both",
        )

    def width(self, inputs: int) -> int:
        fits(self, self.input_size, inputs)
        twice = self.direction == "both" and self.merge == "concat"
        return (self.proj_size or self.hidden_size) * (2 if twice else 1)

    def run(self, net: Any, x: Array, mask: Mask) -> tuple[Array, Mask]:
        y, mask, _ = self.continued(net, x, mask, None)
        return y, mask

    def continued(self, net: Any, x: Array, mask: Mask, state: State) -> tuple[Array, Mask, State]:
        """The same from a state, with the state after it."""
        backward = self.direction == "backward"
        given, counts = (x[::-1], None if mask is None else mask[::-1]) if backward else (x, mask)
        y, state = self._over_steps(net, given, counts, state)
        halves = np.split(y, 2, -1) if self.direction == "both" else [y]
        if self.outputs == "end":
            places = (-1, 0)  # the second direction ends at the first step
            return _merged([half[place] for half, place in zip(halves, places, strict=False)], self.merge), None, state
        if backward and not self.as_run:
            halves = [half[::-1] for half in halves]
        return _merged(halves, self.merge), mask, state

    def _over_steps(self, net: Any, x: Array, mask: Mask, state: State) -> tuple[Array, State]:
        """Outputs (T, B, D) of steps of which some may not count: these leave the state as it is."""
        if mask is None or mask.all():
            found: tuple[Array, State] = net(np.ascontiguousarray(x), state)
            return found
        order = np.argsort(~mask, axis=0, kind="stable")  # the steps that count come first
        packed, state = net(np.take_along_axis(x, order[..., None], 0), state, mask.sum(0))
        seen = mask.cumsum(0)
        last = seen - 1  # of the steps that count, the last one up to here; on the way back, it is the next one
        ways = [last, np.where(last + 1 - mask < mask.sum(0), seen - mask, -1)]
        halves = np.split(packed, 2, -1) if self.direction == "both" else [packed]
        spread = [_at(half, places) for half, places in zip(halves, ways, strict=False)]
        y = ops.concatenate(spread)
        return y * mask[..., None] if self.zero_masked else y, state


def _at(y: Array, places: Array) -> Array:
    """Steps of y (T, B, D) at places (T, B), 0 where a place is below 0."""
    return np.take_along_axis(y, np.maximum(places, 0)[..., None], 0) * (places >= 0)[..., None]


_MERGE = {
    "concat": ops.concatenate,
    "sum": lambda halves: halves[0] + halves[1],
    "mul": lambda halves: halves[0] * halves[1],
    "ave": lambda halves: (halves[0] + halves[1]) * np.float32(0.5),
}


def _merged(halves: Sequence[Array], merge: str) -> Array:
    return halves[0] if len(halves) == 1 else _MERGE[merge](halves)


def _activated(name: str, x: Array) -> Array:
    """An activation of the last axis."""
    if name in OF_ALL:
        return OF_ALL[name](x, -1)
    entry = Node("input", label="x", size=Size("D"))
    [y] = evaluate([activation(name)(entry)], {entry: x}, OPERATIONS)
    return np.asarray(y, np.float32)


OF_ALL = {"softmax": ops.softmax, "log_softmax": ops.log_softmax}  # activations of all units of a layer together


def _is_activation(kind: str, name: str) -> None:
    if name not in ACTIVATIONS and name not in OF_ALL:
        raise ModelFileError(f"{kind}: {suggest('activation', name, [*ACTIVATIONS, *OF_ALL])}")


@dataclass(frozen=True, kw_only=True)
class Dense(Layer):
    """A matrix product of each step, or of the one row that is left of them, and an activation."""

    kind: ClassVar[str] = "dense"
    inputs: Count
    outputs: Count
    bias: bool = True
    activation: str = "linear"

    def __post_init__(self) -> None:
        _is_activation(self.kind, self.activation)

    @property
    def part(self) -> network.Linear:
        return network.Linear(self.inputs, self.outputs, self.bias, exact=True)

    def width(self, inputs: int) -> int:
        fits(self, self.inputs, inputs)
        return self.outputs

    def run(self, net: Any, x: Array, mask: Mask) -> tuple[Array, Mask]:
        return _activated(self.activation, net(np.ascontiguousarray(x))), mask


@dataclass(frozen=True, kw_only=True)
class Activation(Layer):
    """A function of each value, or softmax over features."""

    kind: ClassVar[str] = "activation"
    name: str

    def __post_init__(self) -> None:
        _is_activation(self.kind, self.name)

    def run(self, net: Any, x: Array, mask: Mask) -> tuple[Array, Mask]:
        return _activated(self.name, x), mask


@dataclass(frozen=True, kw_only=True)
class Scaling(PerFeature):
    """Each feature times a weight, plus a bias: what a normalisation over batches is after training."""

    kind: ClassVar[str] = "scaling"

    def run(self, net: Any, x: Array, mask: Mask) -> tuple[Array, Mask]:
        return x * net.weight + net.bias, mask


@dataclass(frozen=True, kw_only=True)
class Pooling(Layer):
    """All steps to one row: their mean, of those that count; their largest values; the last or the first one."""

    kind: ClassVar[str] = "pooling"
    steps: ClassVar[str] = "ends"
    of: Literal["mean", "max", "last", "first"]

    def run(self, net: Any, x: Array, mask: Mask) -> tuple[Array, Mask]:
        if self.of == "max":
            return x.max(0), None
        if self.of in ("last", "first"):
            return x[-1 if self.of == "last" else 0], None
        if mask is None:
            return x.mean(0), None
        weights = mask[..., None].astype(np.float32)
        return (x * weights).sum(0) / np.maximum(weights.sum(0), np.float32(1e-7)), None


@dataclass(frozen=True, kw_only=True)
class Flatten(Layer):
    """A fixed number of steps, one behind the other, as one row."""

    kind: ClassVar[str] = "flatten"
    steps: ClassVar[str] = "ends"
    length: Count

    def width(self, inputs: int) -> int:
        return inputs * self.length

    def run(self, net: Any, x: Array, mask: Mask) -> tuple[Array, Mask]:
        if len(x) != self.length:
            raise DataError(f"the model reads sequences of {self.length} steps, and one has {len(x)}")
        return x.swapaxes(0, 1).reshape(x.shape[1], -1), None


@dataclass(frozen=True, kw_only=True)
class Repeat(Layer):
    """One row as so many steps."""

    kind: ClassVar[str] = "repeat"
    steps: ClassVar[str] = "makes"
    length: Repeats

    def run(self, net: Any, x: Array, mask: Mask) -> tuple[Array, Mask]:
        return np.repeat(x[None], self.length, 0), None


_KINDS = (
    *(Embedding, Masking, Recurrent, Dense, Activation, Scaling, Normalisation, Convolution, Pooling, Flatten, Repeat),
)
KINDS: dict[str, type[Layer]] = {kind.kind: kind for kind in _KINDS}


def said(layer: Layer) -> dict[str, Any]:
    """A layer as a model file says it."""
    return {"kind": layer.kind, **asdict(layer)}


def layer_of(document: Mapping[str, Any], where: str) -> Layer:
    """Undo `said`. ModelFileError if it is none of ours."""
    kind = document.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ModelFileError(f"{where}.kind is {kind!r:.60}, not one of {', '.join(KINDS)}")
    found: Layer = read(KINDS[kind], {key: value for key, value in document.items() if key != "kind"}, where)
    return found


def checked(layers: Sequence[Layer]) -> None:
    """ModelFileError if layers do not fit one another, or read too many steps at once."""
    least = max(fewest_steps(layers), fixed_length(layers) or 1)
    if least > MOST_STEPS:
        raise ModelFileError(f"its layers read {least:,} steps together, and at most {MOST_STEPS:,} are read")
    has_steps, width = True, None
    for number, layer in enumerate(layers):
        needs = layer.steps in ("keeps", "ends") or isinstance(layer, Recurrent)
        if needs and not has_steps:
            raise ModelFileError(f"its {layer.kind} layer reads steps, but the layer before it leaves none")
        if layer.steps == "makes" and has_steps:
            raise ModelFileError(f"its {layer.kind} layer makes steps of one row, but steps arrive")
        has_steps = {"ends": False, "makes": True}.get(layer.after, has_steps)
        if number == 0:
            width = first_width(layers)
        if isinstance(layer, Embedding) and number == 0:
            width = layer.size
        else:
            assert width is not None
            width = layer.width(width)


def first_width(layers: Sequence[Layer]) -> int | None:
    """Features of a step that the first layer reads; None where it reads tokens.

    Raises:
        ModelFileError: No layer says so, or there is an embedding behind the first one.
    """
    if layers and isinstance(layers[0], Embedding):
        return None
    for layer in layers:
        if isinstance(layer, Embedding):
            raise ModelFileError("an embedding can only be its first layer")
        for name in ("input_size", "inputs", "size"):
            if name in {field.name for field in fields(layer)}:
                found: int = getattr(layer, name)
                return found
    raise ModelFileError("none of its layers has weights")


def last_width(layers: Sequence[Layer]) -> int:
    """Features of what the last layer gives."""
    width = first_width(layers) or 0
    for number, layer in enumerate(layers):
        width = layer.size if isinstance(layer, Embedding) and number == 0 else layer.width(width)
    return width


def keeps_steps(layers: Sequence[Layer]) -> bool:
    """Whether there is an output for each step of what was read, rather than one for all of it."""
    return all(layer.after in ("any", "keeps") for layer in layers)


def gives_steps(layers: Sequence[Layer]) -> bool:
    """Whether there is an output for each of some steps, whatever these are made of."""
    last = next((layer.after for layer in reversed(layers) if layer.after in ("ends", "makes")), "makes")
    return last == "makes"


def architecture(layers: Sequence[Layer]) -> network.Block:
    """What of layers has weights: those of layer 2 begin with "layers.2."."""
    return network.Block({"layers": [layer.part for layer in layers]})


def forward(net: Any, layers: Sequence[Layer], x: Array) -> Array:
    """What the last layer gives.

    Args:
        net: The parts of `architecture`.
        x: Tokens (T, B), whole numbers, or features (T, B, D); all of one length, T at least 1.
    """
    mask: Mask = None
    for part, layer in zip(net.layers, layers, strict=True):
        x, mask = layer.run(part, x, mask)
    return x


def continued(net: Any, layers: Sequence[Layer], x: Array, states: Sequence[State]) -> tuple[Array, list[State]]:
    """The same from states of the recurrent layers, in their order, with the states after it. No step may be masked."""
    given, after = iter(states), []
    for part, layer in zip(net.layers, layers, strict=True):
        if isinstance(layer, Recurrent):
            x, _, state = layer.continued(part, x, None, next(given))
            after.append(state)
        else:
            x, _ = layer.run(part, x, None)
    return x, after


def fewest_steps(layers: Sequence[Layer]) -> int:
    """How many steps a sequence must have, at least."""
    found = 1
    for layer in reversed(layers):
        if layer.after == "makes":
            found = 1
        elif isinstance(layer, Convolution):
            found = layer.needed(found)
    return found


def fixed_length(layers: Sequence[Layer]) -> int | None:
    """How many steps every sequence must have, and of several numbers that would do the least; None if any may."""
    for place, layer in enumerate(layers):
        if isinstance(layer, Repeat):
            return None
        if isinstance(layer, Flatten):
            before = [one for one in layers[:place] if isinstance(one, Convolution)]
            return reduce(lambda length, own: own.needed(length), reversed(before), layer.length)
    return None


def recurrent(layers: Sequence[Layer]) -> Iterator[Recurrent]:
    """The layers that carry a state."""
    return (layer for layer in layers if isinstance(layer, Recurrent))


def described(layers: Sequence[Layer]) -> str:
    """Layers in words, such as "embedding 10 x 4, lstm 6 both ways, dense 3 softmax"."""
    return ", ".join(map(_in_words, layers))


def _in_words(layer: Layer) -> str:
    match layer:
        case Embedding():
            return f"embedding {layer.count} x {layer.size}"
        case Recurrent():
            way = {"forward": "", "backward": " backward", "both": " both ways"}[layer.direction]
            return f"{layer.cell.name} {layer.hidden_size}{way}{' to its end' * (layer.outputs == 'end')}"
        case Dense():
            return f"dense {layer.outputs}{'' if layer.activation == 'linear' else f' {layer.activation}'}"
        case Activation():
            return layer.name
        case Convolution():
            return f"convolution {layer.outputs} over {layer.length} {layer.padding}"
        case Pooling():
            return f"{layer.of} of steps"
    return layer.kind
