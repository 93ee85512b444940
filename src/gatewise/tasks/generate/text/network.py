"""The network of `generate`: embedding, recurrent layers, scores of the next token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ....algebra import Cell
from ....data.batches import Rows
from ....nn.regularisation import activation_penalty, temporal_activation_penalty
from ....nn.stack import Stack
from ...network import Network


class LanguageModel(Network):
    """Predicts the next token from all before it.

    Args:
        cell: The recurrent cell.
        vocabulary_size: Tokens, V.
        embedding_size: Features per token, E.
        hidden_size: Units per layer, H.
        num_layers: Recurrent layers.
        proj_size: Size of the layers' output if their cell projects it, else 0.
        dropout: Chance that a value is zeroed on its way between layers and to the scores.
        variational: One dropout mask for all steps of a chunk instead of one per step (Gal & Ghahramani 2016).
        tied: Score with the embedding's weights; E must be the size of the layers' output (Press & Wolf 2017).
        forget_bias: Added to the bias of the forget gate before training, so that the cell starts by remembering
            (Gers et al. 2000, Jozefowicz et al. 2015).
        recurrent_dropout, zoneout, weight_dropout: Of the layers; see `Recurrent`.
        activation_penalty, temporal_activation_penalty: Times what is added to the training loss: the mean square of
            the layers' output, and of its change from step to step (Merity et al. 2017).

    Shape:
        ids: (T, B) integers.
        state: As a `Recurrent` returns it; zeros if omitted.
        returns: scores (T, B, V), and the last state.
    """

    def __init__(
        self,
        cell: Cell,
        vocabulary_size: int,
        embedding_size: int,
        hidden_size: int,
        num_layers: int,
        proj_size: int,
        dropout: float,
        variational: bool,
        tied: bool,
        forget_bias: float,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        weight_dropout: float = 0.0,
        activation_penalty: float = 0.0,
        temporal_activation_penalty: float = 0.0,
    ):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.layers = Stack(
            cell,
            embedding_size,
            hidden_size,
            num_layers,
            proj_size=proj_size,
            recurrent_dropout=recurrent_dropout,
            zoneout=zoneout,
            weight_dropout=weight_dropout,
        )
        self.layers.rate, self.layers.variational = dropout, variational
        self.output = nn.Linear(proj_size or hidden_size, vocabulary_size)
        # Scores near zero at first whatever the sizes, so that the first loss is that of a uniform guess.
        nn.init.normal_(self.embedding.weight, std=1 / math.sqrt(embedding_size))
        nn.init.zeros_(self.output.bias)
        if tied:
            self.output.weight = self.embedding.weight
        self.layers.open_forget_gates(forget_bias)
        self.activation_penalty, self.temporal_activation_penalty = activation_penalty, temporal_activation_penalty

    def forward(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        y, state = self.layers(self.embedding(ids), state)
        return self.output(self.layers.between_layers(y)), state

    # What the training loop asks for: `training.Trainable`.

    def training_loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        inputs, targets = batch
        y = self._outputs(inputs)
        dropped = self.layers.between_layers(y)
        loss = cross_entropy(self._scored(dropped), targets.flatten())
        if self.activation_penalty:  # on what is seen of the output, and the other on all of it
            loss = loss + activation_penalty(dropped.float(), self.activation_penalty)
        if self.temporal_activation_penalty:
            loss = loss + temporal_activation_penalty(y.float(), self.temporal_activation_penalty)
        return loss

    def validation_sums(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, int]:
        inputs, targets = batch
        return cross_entropy(self._scores(inputs), targets.flatten(), reduction="sum"), targets.numel()

    def _outputs(self, inputs: Tensor) -> Tensor:
        """(T, B, H) of one chunk, going on from the chunk before: truncated backpropagation through time."""
        state = self.carried if len(self.carried) != 1 else self.carried[0]
        y, after = self.layers(self.embedding(inputs), state if self.carried else None)
        self.carried = [s.detach().float() for s in (after if isinstance(after, tuple) else (after,))]
        return y

    def _scored(self, y: Tensor) -> Tensor:
        return self.output(y).flatten(0, 1).float()

    def _scores(self, inputs: Tensor) -> Tensor:
        """Scores (T * B, V) of one chunk."""
        return self._scored(self.layers.between_layers(self._outputs(inputs)))


class Chunks:
    """`data.Rows` as batches of tensors for the training loop: pass after pass over the same rows."""

    def __init__(self, rows: Rows):
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        inputs, targets = self.rows[step % len(self.rows)]
        return torch.from_numpy(inputs), torch.from_numpy(targets)


def measuring_steps(batch_size: int, vocabulary_size: int) -> int:
    """Steps to measure at once: few enough that the scores of a large vocabulary stay below some 30 MB."""
    return max(1, min(256, 2**23 // (batch_size * vocabulary_size)))


@torch.no_grad()
def total_loss(
    model: LanguageModel, ids: Sequence[int] | Any, batch_size: int, chunk_length: int | None = None
) -> tuple[float, int]:
    """Summed loss in nats over one contiguous text, and the number of tokens predicted."""
    was_training, carried = model.training, model.carried
    model.eval()
    model.begin("test")
    chunks = Chunks(Rows(ids, batch_size, chunk_length or measuring_steps(batch_size, model.output.out_features)))
    nats, count = 0.0, 0
    for k in range(len(chunks)):
        total, targets = model.validation_sums(chunks.at(k))
        nats, count = nats + float(total), count + targets
    model.train(was_training)
    model.carried = carried
    return nats, count
