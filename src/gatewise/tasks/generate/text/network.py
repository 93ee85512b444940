"""How the network of `generate` for text is trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ....algebra import Cell
from ....data.text.vocabulary import Words
from ....ranks import total
from ...network import begin_as
from ...vectors import Pretrained
from ..architecture import Regularisation, text_architecture
from ..network import SequenceModel

if TYPE_CHECKING:
    from .sizing import Sizing


class LanguageModel(SequenceModel):
    """Predicts the next token from all before it.

    Args:
        cell: The recurrent cell.
        sizes: Vocabulary size V, and the sizes of embedding and layers.
        regularisation: See `SequenceModel`.

    Shape:
        inputs: (T, B) token ids.
        state: As a `Recurrent` returns it; zeros if omitted.
        returns: scores (T, B, V), and the last state.
    """

    def __init__(self, *, cell: Cell, sizes: Sizing, regularisation: Regularisation | None = None):
        regularisation = regularisation or Regularisation()
        super().__init__(text_architecture(cell, sizes, regularisation), regularisation)
        # Scores near zero at first whatever the sizes, so that the first loss is that of a uniform guess.
        nn.init.normal_(self.embedding.weight, std=1 / math.sqrt(sizes.embedding_size))
        if sizes.tied:
            self.output.weight = self.embedding.weight

    def start_at(self, counts: Tensor) -> None:
        """Let the scores begin at how frequent each token is in training, counted (V,), plus one."""
        with torch.no_grad():
            self.output.bias.copy_(torch.log((counts + 1) / (counts.sum() + len(counts))))

    def begin_as(self, pretrained: Pretrained, words: Sequence[str]) -> None:
        """Let the embedding of these words, all that are known, begin as vectors."""
        begin_as(self.embedding, pretrained, words, len(Words.SPECIAL))

    def predictions(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        inputs, targets = batch
        return self._scores(inputs).softmax(-1), targets.flatten()

    # What the training loop asks for: `training.Trainable`. A chunk continues the chunk before, but gradients stop
    # between them: truncated backpropagation through time.

    def training_loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        inputs, targets = batch
        y, state = self.layers(self.embedding(inputs), self.carried_state())
        self.carry(state)
        dropped = self.dropout(y)
        loss = cross_entropy(self.output(dropped).flatten(0, 1).float(), targets.flatten(), reduction="sum")
        loss = loss / total(targets.numel())
        return self.penalised(loss, y, dropped)

    def validation_sums(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, int]:
        inputs, targets = batch
        return cross_entropy(self._scores(inputs), targets.flatten(), reduction="sum"), targets.numel()

    def _scores(self, inputs: Tensor) -> Tensor:
        """(T * B, V) of one chunk, which continues the chunk before."""
        scores, state = self(inputs, self.carried_state())
        self.carry(state)
        return scores.flatten(0, 1).float()
