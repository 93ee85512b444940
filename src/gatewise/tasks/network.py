"""What the networks of all tasks have in common: modules of torch, made of the parts that a task says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ..nn import CRF, AdditiveAttention, MultiDimensionalLSTM, MultiplicativeAttention, Recurrent, ops
from ..nn.batch_normalisation import BatchNormalisation
from ..nn.linear import Linear
from ..nn.stack import Stack, dropout_mask
from ..randomness import Dropout, generator
from ..ranks import of_rows
from ..runtime import network
from ..runtime.layers import network_of
from .document import weights_of
from .vectors import Pretrained


class Block(nn.Module):
    """Parts by name, as attributes; their weights are drawn in this order.

    Attributes:
        ops: What is computed with them.
    """

    ops = ops

    def __init__(self, parts: Mapping[str, Any]):
        super().__init__()
        for name, part in parts.items():
            if isinstance(part, network.Constant):
                self.register_buffer(name, torch.as_tensor(part.values, dtype=torch.float32), persistent=False)
            elif not isinstance(part, network.Weight):
                setattr(self, name, module_of(part))
            elif part.trained:
                setattr(self, name, nn.Parameter(torch.zeros(part.shape)))
            else:
                self.register_buffer(name, torch.zeros(part.shape))

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """A part."""


def module_of(part: Any) -> Any:
    """What torch trains of a part; a setting as it is."""
    match part:
        case network.Block():
            return Block(part.parts)
        case network.Repeated():
            return nn.ModuleList(module_of(part.part) for _ in range(part.count))
        case network.Chain():
            return nn.Sequential(*map(module_of, part.parts))
        case list():
            return nn.ModuleList(map(module_of, part))
        case _ if type(part) in MODULES:
            return MODULES[type(part)](part)
    return part


class TokenDropout(nn.Module):
    """Reads some tokens as unknown, in training."""

    rates: Tensor

    def __init__(self, rates: float | Sequence[float], unknown: int):
        super().__init__()
        self.unknown, self.active = unknown, bool(rates)
        self.register_buffer("rates", torch.tensor(rates), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Of tokens (..., B)."""
        if not self.training or not self.active:
            return tokens
        own = generator(tokens.device)
        drawn = of_rows(lambda shape: torch.rand(*shape, device=tokens.device, generator=own), tokens.shape, axis=-1)
        return tokens.masked_fill(drawn < (self.rates[tokens] if self.rates.dim() else self.rates), self.unknown)


def _recurrent(part: network.Recurrent) -> Recurrent:
    return Recurrent(
        part.cell,
        part.input_size,
        part.hidden_size,
        part.num_layers,
        dropout=part.dropout if part.num_layers > 1 else 0.0,
        bidirectional=part.bidirectional,
        proj_size=part.proj_size,
        recurrent_dropout=part.recurrent_dropout,
        zoneout=part.zoneout,
        weight_dropout=part.weight_dropout,
    )


class MaskDropout(nn.Module):
    """Dropout by a cheap mask, one for each step or one for all."""

    def __init__(self, rate: float, variational: bool):
        super().__init__()
        self.rate, self.variational = rate, variational

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        return x * dropout_mask(x[:1] if self.variational else x, self.rate)


def _stack(part: network.Stack) -> Stack:
    found = Stack(
        part.cell,
        part.input_size,
        part.hidden_size,
        part.num_layers,
        bidirectional=part.bidirectional,
        proj_size=part.proj_size,
        recurrent_dropout=part.recurrent_dropout,
        zoneout=part.zoneout,
        weight_dropout=part.weight_dropout,
    )
    found.rate, found.variational = part.dropout, part.variational
    return found


def _embedding(part: network.Embedding) -> nn.Embedding:
    found = nn.Embedding(part.count, part.size, part.padding)
    if part.spread is not None:
        nn.init.uniform_(found.weight, -part.spread, part.spread)
        if part.padding is not None:
            with torch.no_grad():
                found.weight[part.padding] = 0.0
    return found


MODULES: dict[type, Callable[..., nn.Module]] = {
    network.Linear: lambda part: nn.Linear(part.inputs, part.outputs, part.bias),
    network.ExactLinear: lambda part: Linear(part.inputs, part.outputs),
    network.Embedding: _embedding,
    network.Recurrent: _recurrent,
    network.Stack: _stack,
    network.MultiDimensionalLSTM: lambda part: MultiDimensionalLSTM(part.input_size, part.hidden_size),
    network.AdditiveAttention: lambda part: AdditiveAttention(part.query_size, part.key_size, part.attention_size),
    network.MultiplicativeAttention: lambda part: MultiplicativeAttention(part.query_size, part.key_size),
    network.Convolution: lambda part: nn.Conv2d(part.inputs, part.outputs, 3, part.stride, padding=1, bias=False),
    network.BatchNormalisation: lambda part: BatchNormalisation(part.channels),
    network.CRF: lambda part: CRF(part.labels, part.allowed),
    network.Tanh: lambda part: nn.Tanh(),
    network.ReLU: lambda part: nn.ReLU(),
    network.Dropout: lambda part: Dropout(part.rate),
    network.MaskDropout: lambda part: MaskDropout(part.rate, part.variational),
    network.TokenDropout: lambda part: TokenDropout(part.rates, part.unknown),
}


@dataclass(frozen=True)
class Listed:
    """An array of things that rows share, such as the distinct words of a batch.

    Attributes:
        by: Name of the array that says, for each row, where its things stand.
        axis: On which they stand.
    """

    by: str
    axis: int


class Network(Block):
    """The part of `training.Trainable` that does not depend on the task: nothing passes from batch to batch, and
    biases do not decay.

    Args:
        block: What it is made of, see `runtime.network`.
        made_later: Names of parts that a subclass makes itself, as their weights are drawn after others are set.

    Attributes:
        axes: Where the rows of a batch, a dict, are: the axis of each array, by its name or what stands behind the last
            dot of it; or what is listed in an array. What has no place here belongs to no row.
    """

    axes: ClassVar[Mapping[str, int | Listed]] = {}

    def __init__(self, block: network.Block, made_later: Sequence[str] = ()) -> None:
        super().__init__({name: part for name, part in block.parts.items() if name not in made_later})
        self.blueprint = block
        self.carried: list[Tensor] = []

    def begin(self, split: str) -> None:
        """A pass starts: forget what was carried."""
        self.carried = []

    def work(self, batch: Any) -> Sequence[float]:
        if "lengths" in batch:
            lengths: list[float] = batch["lengths"].tolist()
            return lengths
        counts = (array.shape[axis] for name, array in batch.items() if type(axis := self._axis(name)) is int)
        return [1.0] * next(counts, 0)

    def rows(self, batch: Any, places: Tensor) -> Any:
        own = dict(batch)
        for name, array in batch.items():
            if type(axis := self._axis(name)) is int:
                own[name] = array.index_select(axis, places.to(array.device))
        used = {}
        for name, array in batch.items():
            if isinstance(listed := self._axis(name), Listed):  # of which only those count that own rows have
                by = name.removesuffix(_last(name)) + listed.by
                if by not in used:
                    used[by], own[by] = own[by].unique(return_inverse=True)
                own[name] = array.index_select(listed.axis, used[by])
        return own

    def _axis(self, name: str) -> int | Listed | None:
        return self.axes.get(_last(name))

    def predictions(self, batch: Any) -> tuple[Tensor, Tensor] | None:
        """What it predicts of a batch, and what is wanted, for those who watch a training: probabilities (N, V) and
        classes (N,), or numbers, (N,) each. None if there is nothing to compare."""
        return None

    def without_torch(self) -> Any:
        """What predicts by these weights as they are now; see `runtime.layers.network_of`."""
        return network_of(self.blueprint, weights_of(self))

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        kept = [own.weight for own in self.modules() if isinstance(own, nn.Embedding) and hasattr(own, "frozen")]
        weights: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for p in self.parameters():
            decays = p.dim() > 1 and not any(p is weight for weight in kept)
            (weights if decays else others).append(p)
        return [{"params": weights, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def begin_as(
    embedding: nn.Embedding, pretrained: Pretrained, words: Sequence[str], first: int, scale: float = 1.0
) -> None:
    """Let an embedding begin as word vectors, brought to the scale of the values that it was drawn with: files come in
    all scales, and a network is made for its own.

    Args:
        words: Those of the embedding, in the order of its rows from `first` on.
        scale: How many times as large as those values.
    """
    places, values = pretrained.vectors.of(words)
    rows, found = torch.from_numpy(places) + first, torch.from_numpy(values)
    with torch.no_grad():
        drawn, given = embedding.weight[first:].square().mean().sqrt(), np.sqrt(np.mean(pretrained.vectors.values**2))
        embedding.weight[rows] = found * (scale * drawn / given)
    if pretrained.frozen:
        frozen = torch.zeros(embedding.num_embeddings, dtype=torch.bool)
        frozen[rows] = True
        embedding.register_buffer("frozen", frozen, persistent=False)
        embedding.register_forward_hook(_keep_frozen)


def _keep_frozen(embedding: nn.Module, given: tuple[Tensor, ...], found: Tensor) -> Tensor:
    """No gradient reaches the rows that are frozen."""
    return torch.where(embedding.get_buffer("frozen")[given[0]][..., None], found.detach(), found)
