"""The networks of `classify`: features of each step, recurrent layers, pooling over the steps, scores.

Letters: T steps, B sequences, D features, H units of all directions, U different spellings of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from ...algebra import Cell
from ...nn import Recurrent
from ...randomness import Dropout, generator
from ..network import Network
from .inputs import PAD, UNKNOWN, Inputs
from .predictor import forward, member_scores

SPELLING_SIZE = 32  # features of a letter, and units per direction of the layer that reads a word's letters


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes and rates of one network.

    Attributes:
        input_dropout: Probability that a number, or a feature of a category, is zeroed in training.
        pooling: Ways of pooling, whose results stand side by side.
        others: As in `Classifier`.
    """

    cell: Cell
    embedding_size: int
    hidden_size: int
    num_layers: int
    bidirectional: bool
    pooling: tuple[str, ...]
    dropout: float = 0.0
    input_dropout: float = 0.0
    word_dropout: float = 0.0
    recurrent_dropout: float = 0.0
    zoneout: float = 0.0
    weight_dropout: float = 0.0


class Member(nn.Module):
    """One network: features of each step -> recurrent layers -> pooling -> scores.

    Shape:
        batch: What `Inputs.encode` gives, as tensors.
        returns: (B, outputs).
    """

    words: nn.Embedding | None
    letters: nn.Embedding | None
    speller: Recurrent | None

    def __init__(self, inputs: Inputs, outputs: int, shape: Shape):
        super().__init__()
        self.shape = shape
        width, text = inputs.width, inputs.text
        self.words = self.letters = self.speller = None
        if text is not None:
            self.words = nn.Embedding(len(text.words) + 2, shape.embedding_size, padding_idx=PAD)
            width += shape.embedding_size
            if text.tokens == "both":
                self.letters = nn.Embedding(len(text.characters) + 2, SPELLING_SIZE, padding_idx=PAD)
                self.speller = Recurrent(shape.cell, SPELLING_SIZE, SPELLING_SIZE, bidirectional=True)
                width += 2 * SPELLING_SIZE
        sizes = [min(32, 2 + len(column.levels) // 2) for column in inputs.categories]
        self.categories = nn.ModuleList(
            nn.Embedding(len(column.levels) + 1, size) for column, size in zip(inputs.categories, sizes, strict=True)
        )
        self.layers = Recurrent(
            shape.cell,
            width + sum(sizes),
            shape.hidden_size,
            shape.num_layers,
            dropout=shape.dropout if shape.num_layers > 1 else 0.0,
            bidirectional=shape.bidirectional,
            recurrent_dropout=shape.recurrent_dropout,
            zoneout=shape.zoneout,
            weight_dropout=shape.weight_dropout,
        )
        H = shape.hidden_size * (2 if shape.bidirectional else 1)
        if "attention" in shape.pooling:
            self.question = nn.Sequential(nn.Linear(H, H), nn.Tanh(), nn.Linear(H, 1))
        self.output = nn.Linear(H * len(shape.pooling), outputs)
        self.dropout, self.input_dropout = Dropout(shape.dropout), Dropout(shape.input_dropout)
        for embedding in self.modules():
            if isinstance(embedding, nn.Embedding):
                nn.init.normal_(embedding.weight, std=0.1)

    concatenate = staticmethod(Network.concatenate)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        scores: Tensor = member_scores(self, batch)
        return scores

    def hide_words(self, ids: Tensor) -> Tensor:
        """Some of these words as unknown, in training."""
        if not self.training or not self.shape.word_dropout:
            return ids
        drawn = torch.rand(ids.shape, device=ids.device, generator=generator(ids.device))
        return ids.masked_fill(drawn < self.shape.word_dropout, UNKNOWN)

    def spellings(self, y: Tensor, lengths: Tensor) -> Tensor:
        """(U, 2 * SPELLING_SIZE) features of each different word, from the output of the layer that reads letters."""
        return _ends(y, lengths, SPELLING_SIZE, True)

    def pool(self, y: Tensor, lengths: Tensor) -> Tensor:
        """(B, H * ways) of the output (T, B, H) of the layers, by each way of pooling."""
        return torch.cat([getattr(self, f"_{name}")(y, lengths) for name in self.shape.pooling], -1)

    def _last(self, y: Tensor, lengths: Tensor) -> Tensor:
        return _ends(y, lengths, self.shape.hidden_size, self.shape.bidirectional)

    def _mean(self, y: Tensor, lengths: Tensor) -> Tensor:
        return y.sum(0) / lengths[:, None]  # the layers' output beyond the end is zero

    def _max(self, y: Tensor, lengths: Tensor) -> Tensor:
        return y.masked_fill(_beyond(y, lengths)[..., None], -torch.inf).amax(0)

    def _attention(self, y: Tensor, lengths: Tensor) -> Tensor:
        """Mean of the steps, weighted by how well each answers one learned question.

        Source: Yang et al. (2016), "Hierarchical attention networks for document classification", equations 5 to 7.
        """
        scores = self.question(y)[..., 0].masked_fill(_beyond(y, lengths), -torch.inf)
        return (scores.softmax(0)[..., None] * y).sum(0)


def _ends(y: Tensor, lengths: Tensor, units: int, bidirectional: bool) -> Tensor:
    """The last output of each direction: forward at the last step, backward at the first."""
    last = y[lengths - 1, torch.arange(y.shape[1], device=y.device)]
    return torch.cat([last[:, :units], y[0, :, units:]], -1) if bidirectional else last


def _beyond(y: Tensor, lengths: Tensor) -> Tensor:
    """(T, B): whether a step lies beyond its sequence's end."""
    return torch.arange(len(y), device=y.device)[:, None] >= lengths


class Ensemble(Network):
    """Networks that are trained side by side, each from its own initial weights, and whose predictions are averaged.

    Args:
        inputs: What they read.
        shape: Of each.
        outputs: Scores per sequence.
        kind: Of the target: "category", "labels" or "number".
        members: How many.
        label_smoothing: Share of a class's probability that training spreads over all classes.
        weights: (K,) weight of each class in the training loss.
    """

    weights: Tensor | None

    def __init__(
        self,
        inputs: Inputs,
        shape: Shape,
        *,
        outputs: int,
        kind: str,
        members: int,
        label_smoothing: float = 0.0,
        weights: Any = None,
    ):
        super().__init__()
        self.members = nn.ModuleList(Member(inputs, outputs, shape) for _ in range(members))
        self.kind, self.label_smoothing = kind, label_smoothing if kind == "category" else 0.0
        self.register_buffer("weights", None if weights is None else torch.as_tensor(weights), persistent=False)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        found: Tensor = forward(self, batch)
        return found

    def average(self, scores: Sequence[Tensor]) -> Tensor:
        """(B, outputs): mean probabilities of classes or labels, or mean standardised numbers."""
        stacked = torch.stack(list(scores))
        if self.kind == "category":
            return stacked.softmax(-1).mean(0)
        return stacked.sigmoid().mean(0) if self.kind == "labels" else stacked.mean(0)

    def left_out(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, outputs): of each sequence, what the network predicts that did not learn from it."""
        found = torch.stack([self.average([member(batch)]) for member in self.members])
        return found[batch["fold"], torch.arange(found.shape[1], device=found.device)]

    # What the training loop asks for: `training.Trainable`.

    def training_loss(self, batch: dict[str, Tensor]) -> Tensor:
        fold, losses = batch.get("fold"), []
        for number, member in enumerate(self.members):
            scores, targets = member(batch), batch["targets"]
            if fold is not None:  # each sequence is left out by one network, which is then measured on it
                kept = fold != number
                scores, targets = scores[kept], targets[kept]
            losses.append(self._loss(scores, targets) if len(targets) else scores.sum())
        return torch.stack(losses).mean()

    def validation_sums(self, batch: dict[str, Tensor]) -> tuple[Tensor, int]:
        found = self.left_out(batch) if "fold" in batch else self(batch)
        targets = batch["targets"]
        if self.kind == "number":
            return mse_loss(found[:, 0], targets, reduction="sum"), len(targets)
        if self.kind == "labels":
            return -torch.where(targets > 0, found, 1 - found).clamp_min(1e-7).log().sum(), targets.numel()
        probabilities = found.gather(1, targets[:, None]).clamp_min(1e-7)
        return -probabilities.log().sum(), len(targets)

    def _loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        if self.kind == "number":
            return mse_loss(scores[:, 0], targets)
        if self.kind == "labels":
            return binary_cross_entropy_with_logits(scores, targets)
        return cross_entropy(scores, targets, self.weights, label_smoothing=self.label_smoothing)
