"""What networks are made of, said once: torch trains them, numpy predicts with them.

A network is a tree of blocks. Its leaves know sizes and weights of a layer, and no numbers. Where a leaf stands in the
tree is how its weights' names begin in a model file: the leaf "head" of the part "predictor" has the weight
"predictor.head.weight". `runtime.layers` makes numpy layers of a tree and a file's weights, `tasks.network` modules of
torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

import numpy as np

from ..algebra import Cell
from ..algebra.linear import linear as product
from ..algebra.regularise import zone_out_mean
from ..cells._multidimensional import multidimensional
from ..errors import ModelFileError

CORNERS = 4  # in which a 2-D LSTM begins

Shape = tuple[int, ...]
Weights = Iterator[tuple[str, Shape]]  # names and shapes, in the order in which modules of torch have them


@dataclass(frozen=True)
class Block:
    """What is made of other blocks and of layers.

    Attributes:
        parts: By name. What is neither a part, nor a list of parts, nor None, is a setting: it stays what it is.
        tied: Weights that are the same as another one -> that one, by their whole names. Files hold only the latter.
    """

    parts: Mapping[str, Any]
    tied: Mapping[str, str] = field(default_factory=dict)

    def weights(self) -> Weights:
        for name, part in self.parts.items():
            yield from named_weights(part, f"{name}.")


@dataclass(frozen=True)
class Repeated:
    """The same part several times, each with weights of its own."""

    part: Any
    count: int

    def weights(self) -> Weights:
        for number in range(self.count):
            yield from named_weights(self.part, f"{number}.")


@dataclass(frozen=True)
class Chain:
    """Layers that read one another's output."""

    parts: Sequence[Any]

    def weights(self) -> Weights:
        return named_weights(self.parts, "")


@dataclass(frozen=True)
class Linear:
    """(..., inputs) to (..., outputs).

    Attributes:
        exact: Whether, when it predicts, a row has the same bits whatever rows are beside it; see `products`.
    """

    inputs: int
    outputs: int
    bias: bool = True
    exact: bool = False

    def weights(self) -> Weights:
        yield "weight", (self.outputs, self.inputs)
        if self.bias:
            yield "bias", (self.outputs,)


@dataclass(frozen=True)
class ExactLinear:
    """(T, B, inputs) to (T, B, outputs), where the result for a row has the same bits whatever rows are beside it, in
    training, too, and has the weights' names of a recurrent layer; see `nn.linear.Linear`."""

    inputs: int
    outputs: int

    @property
    def layers(self) -> Recurrent:
        """The recurrent layer whose weights these are."""
        return Recurrent(cell=product, input_size=self.inputs, hidden_size=self.outputs)

    def weights(self) -> Weights:
        return self.layers.weights()


@dataclass(frozen=True)
class Embedding:
    """Numbers (...) below `count` to features (..., size).

    Attributes:
        padding: Its features do not learn.
        spread: Initial features lie from minus this to this, those of `padding` at 0; None: they are normal.
    """

    count: int
    size: int
    padding: int | None = None
    spread: float | None = None

    def weights(self) -> Weights:
        yield "weight", (self.count, self.size)


@dataclass(frozen=True, kw_only=True)
class Recurrent:
    """Layers of a cell, as `gatewise.nn.Recurrent`: x (T, B, D), state and lengths to y (T, B, H) and the last state.

    What acts in training alone, `dropout` and the like, is ignored by what predicts; but zoneout makes it another cell.
    """

    cell: Cell
    input_size: int
    hidden_size: int
    num_layers: int = 1
    bidirectional: bool = False
    proj_size: int = 0
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    zoneout: float = 0.0
    weight_dropout: float = 0.0

    @property
    def runs(self) -> Cell:
        """The cell outside training."""
        return outside_training(self.cell, self.zoneout)

    @property
    def ways(self) -> int:
        """Directions."""
        return 2 if self.bidirectional else 1

    def weights(self) -> Weights:
        stored, parameters = self.cell.stored(), self.cell.parameters
        for layer in range(self.num_layers):
            width = (self.proj_size or self.hidden_size) * self.ways if layer else self.input_size
            sizes = self.cell.sizes(width, self.hidden_size, self.proj_size)
            for way in range(self.ways):
                for names, parameter in zip(stored, parameters, strict=True):
                    yield from ((place_of(name, layer, way), parameter.shape(sizes)) for name in names)


@dataclass(frozen=True, kw_only=True)
class Stack(Recurrent):
    """The same with a cheap dropout between the layers, see `nn.stack.Stack`.

    Attributes:
        variational: One dropout mask for all steps of a call instead of one per step (Gal & Ghahramani 2016).
    """

    variational: bool = False


@dataclass(frozen=True)
class MultiDimensionalLSTM:
    """Images (B, height, width, D) and their sizes (B, 2) to (B, height, width, 4 H) and the last states, read from all
    four corners, as `gatewise.nn.MultiDimensionalLSTM`."""

    input_size: int
    hidden_size: int

    def weights(self) -> Weights:
        sizes = multidimensional.sizes(self.input_size, self.hidden_size)
        for direction in range(CORNERS):
            for names, parameter in zip(multidimensional.stored(), multidimensional.parameters, strict=True):
                yield f"{names[0]}_d{direction}", parameter.shape(sizes)


@dataclass(frozen=True)
class AdditiveAttention:
    """Queries (Q, B, query_size) over keys (T, B, key_size), as `gatewise.nn.AdditiveAttention`."""

    query_size: int
    key_size: int
    attention_size: int

    def weights(self) -> Weights:
        yield "W.weight", (self.attention_size, self.query_size)
        yield "U.weight", (self.attention_size, self.key_size)
        yield "v.weight", (1, self.attention_size)


@dataclass(frozen=True)
class MultiplicativeAttention:
    """The same as `gatewise.nn.MultiplicativeAttention`, with its general score."""

    query_size: int
    key_size: int

    def weights(self) -> Weights:
        yield "W.weight", (self.query_size, self.key_size)


@dataclass(frozen=True)
class Convolution:
    """Maps (F, inputs, h, w) to (F, outputs, h / stride, w / stride), from 3 x 3 places each, without a bias."""

    inputs: int
    outputs: int
    stride: int = 1

    def weights(self) -> Weights:
        yield "weight", (self.outputs, self.inputs, 3, 3)


@dataclass(frozen=True)
class BatchNormalisation:
    """Maps (F, channels, h, w) with mean 0 and deviation 1 in each channel, as training saw them, then scaled."""

    channels: int

    def weights(self) -> Weights:
        for name in ("weight", "bias", "running_mean", "running_var"):
            yield name, (self.channels,)
        yield "num_batches_tracked", ()


@dataclass(frozen=True)
class CRF:
    """Scores of labels beside one another, as `gatewise.nn.CRF`.

    Attributes:
        labels: How many, L.
        allowed: (L + 2, L + 2) which label may follow which; see `nn.CRF`.
    """

    labels: int
    allowed: np.ndarray

    def weights(self) -> Weights:
        yield "transitions", (self.labels, self.labels)
        yield "start", (self.labels,)
        yield "end", (self.labels,)


def outside_training(cell: Cell, zoneout: float) -> Cell:
    """The cell that runs there: with zoneout another one, where the mean stands for the draw."""
    return zone_out_mean(cell, (float(zoneout),) * len(cell.carry)) if zoneout else cell


def place_of(name: str, layer: int, way: int) -> str:
    """The name of a cell's weight in one layer and direction."""
    return f"{name}_l{layer}{'_reverse' * way}"


@dataclass(frozen=True)
class Weight:
    """An array of numbers that is no layer's.

    Attributes:
        shape: Of the array.
        trained: Whether its numbers are learned by gradients, from zeros on.
    """

    shape: Shape
    trained: bool = True


@dataclass(frozen=True)
class Constant:
    """Numbers that follow from what a network is made for, so that a model file does not hold them as tensors."""

    values: Any


class _Weightless:
    def weights(self) -> Weights:
        return iter(())


@dataclass(frozen=True)
class Tanh(_Weightless):
    """Hyperbolic tangent."""


@dataclass(frozen=True)
class ReLU(_Weightless):
    """Nothing below 0."""


@dataclass(frozen=True)
class Dropout(_Weightless):
    """Zeroes values with a probability, in training alone."""

    rate: float


@dataclass(frozen=True)
class MaskDropout(_Weightless):
    """The same by a cheap mask, see `nn.stack.dropout_mask`.

    Attributes:
        variational: One mask for all steps.
    """

    rate: float
    variational: bool = False


@dataclass(frozen=True)
class TokenDropout(_Weightless):
    """Reads tokens as unknown, in training alone.

    Attributes:
        rates: Probability for each kind of token, or one for all.
        unknown: What they are read as.
    """

    rates: float | tuple[float, ...]
    unknown: int


LAYERS = (
    *(Block, Repeated, Chain, Linear, ExactLinear, Embedding, Recurrent, MultiDimensionalLSTM, CRF, _Weightless),
    *(AdditiveAttention, MultiplicativeAttention, Convolution, BatchNormalisation),
)


def named_weights(part: Any, prefix: str) -> Weights:
    """Of a part, a list of parts, None or a setting."""
    if isinstance(part, list | tuple):
        yield from chain.from_iterable(named_weights(one, f"{prefix}{number}.") for number, one in enumerate(part))
    elif isinstance(part, Weight):
        yield prefix.removesuffix("."), part.shape
    elif isinstance(part, LAYERS):
        for name, shape in part.weights():
            yield prefix + name, shape


def checked(network: Block, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights of a network out of a model file, which has no others; those that are tied twice.

    Raises:
        ModelFileError: They are not its weights.
    """
    most = 2 * len(tensors)  # whatever sizes a stranger's file claims; a tied weight is one of the file's
    wanted = dict(islice(network.weights(), most + 1))
    if len(wanted) > most:
        raise ModelFileError(f"it has {len(tensors)} tensors, and its sizes need more")
    found = {**tensors, **{name: tensors[same] for name, same in network.tied.items() if same in tensors}}
    for name in {**wanted, **found}:
        has, needs = found[name].shape if name in found else None, wanted.get(name)
        if has != needs:
            raise ModelFileError(f"{name} has the shape {has}, where its sizes say {needs}")
        if has and found[name].dtype != np.float32:  # single numbers may be counts
            raise ModelFileError(f"{name} holds {found[name].dtype}, where weights are float32")
    return found
