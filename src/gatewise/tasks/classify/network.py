"""The networks of `classify`: features of each step, recurrent layers, pooling over the steps, scores.

T steps, B sequences, H units per direction, U different spellings in a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, dropout, mse_loss

from ...algebra import Cell
from ...nn import Recurrent
from ..network import Network
from .inputs import PAD, UNKNOWN, Inputs

SPELLING_SIZE = 32  # features of a letter, and units per direction that read a word's letters
POOLINGS = ("last", "mean", "max", "attention")


@dataclass(frozen=True)
class Shape:
    """Sizes and rates of one network.

    Attributes:
        input_dropout: Chance that a number, or a feature of a category, is zeroed in training.
        pooling: One or more of `POOLINGS`, whose results stand side by side.
        others: As in `Classifier`.
    """

    cell: Cell
    embedding_size: int
    hidden_size: int
    num_layers: int
    bidirectional: bool
    pooling: tuple[str, ...]
    dropout: float
    input_dropout: float
    word_dropout: float
    recurrent_dropout: float
    zoneout: float
    weight_dropout: float


class Member(nn.Module):
    """One network: what a step holds -> recurrent layers -> pooling -> scores.

    Shape:
        batch: What `Inputs.encode` gives, as tensors.
        returns: (B, outputs).
    """

    def __init__(self, inputs: Inputs, outputs: int, shape: Shape):
        super().__init__()
        self.shape = shape
        width, text = inputs.width, inputs.text
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
        for embedding in self.modules():
            if isinstance(embedding, nn.Embedding):
                nn.init.normal_(embedding.weight, std=0.1)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        lengths = batch["lengths"]
        y, _ = self.layers(self._steps(batch), lengths=lengths)
        pooled = torch.cat([getattr(self, f"_{name}")(y, lengths) for name in self.shape.pooling], -1)
        return self.output(dropout(pooled, self.shape.dropout, self.training))

    def _steps(self, batch: dict[str, Tensor]) -> Tensor:
        """(T, B, D): all that is known of each step."""
        parts = []
        if "words" in batch:
            words = batch["words"]
            if self.training and self.shape.word_dropout:
                words = words.masked_fill(
                    torch.rand(words.shape, device=words.device) < self.shape.word_dropout, UNKNOWN
                )
            told = [self.words(words)]
            if "spelling" in batch:
                told.append(self._spelled(batch)[batch["word_of"]])
            parts.append(dropout(torch.cat(told, -1), self.shape.dropout, self.training))
        if "numbers" in batch:
            parts.append(batch["numbers"])
        parts += [embed(batch["categories"][..., k]) for k, embed in enumerate(self.categories)]
        x = torch.cat(parts, -1)
        return dropout(x, self.shape.input_dropout, self.training)

    def _spelled(self, batch: dict[str, Tensor]) -> Tensor:
        """(U, features) of each different word, by its letters."""
        y, _ = self.speller(self.letters(batch["spelling"]), lengths=batch["spelling_lengths"])
        return _ends(y, batch["spelling_lengths"], SPELLING_SIZE, True)

    def _last(self, y: Tensor, lengths: Tensor) -> Tensor:
        return _ends(y, lengths, self.shape.hidden_size, self.shape.bidirectional)

    def _mean(self, y: Tensor, lengths: Tensor) -> Tensor:
        return y.sum(0) / lengths[:, None]  # the layers' output behind the end is zero

    def _max(self, y: Tensor, lengths: Tensor) -> Tensor:
        return y.masked_fill(_behind(y, lengths)[..., None], -torch.inf).amax(0)

    def _attention(self, y: Tensor, lengths: Tensor) -> Tensor:
        """Mean of the steps, weighted by how well each answers one learned question.

        Source: Yang et al. (2016), "Hierarchical attention networks for document classification", equations 5 to 7.
        """
        marks = self.question(y)[..., 0].masked_fill(_behind(y, lengths), -torch.inf)
        return (marks.softmax(0)[..., None] * y).sum(0)


def _ends(y: Tensor, lengths: Tensor, units: int, both: bool) -> Tensor:
    """What each direction put out last: forward at the last step, backward at the first."""
    last = y[lengths - 1, torch.arange(y.shape[1], device=y.device)]
    return torch.cat([last[:, :units], y[0, :, units:]], -1) if both else last


def _behind(y: Tensor, lengths: Tensor) -> Tensor:
    """(T, B): whether a step lies behind its sequence's end."""
    return torch.arange(len(y), device=y.device)[:, None] >= lengths


class Ensemble(Network):
    """Networks that learn side by side, each from its own beginning, and whose predictions are averaged.

    Args:
        inputs: What they read.
        outputs: Scores per sequence.
        kind: Of the target: "category", "labels" or "number".
        members: How many.
        shape: Of each.
        smoothing: Share of a class's probability that training spreads over all classes.
        weights: (K,) weight of each class in the training loss.
    """

    def __init__(
        self, inputs: Inputs, outputs: int, kind: str, members: int, shape: Shape, smoothing: float, weights: Any = None
    ):
        super().__init__()
        self.members = nn.ModuleList(Member(inputs, outputs, shape) for _ in range(members))
        self.kind, self.smoothing = kind, smoothing if kind == "category" else 0.0
        self.weights: Tensor | None
        self.register_buffer("weights", None if weights is None else torch.as_tensor(weights), persistent=False)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, outputs): mean probabilities of classes or labels, or mean scaled numbers."""
        every = torch.stack([member(batch) for member in self.members])
        if self.kind == "category":
            return every.softmax(-1).mean(0)
        return every.sigmoid().mean(0) if self.kind == "labels" else every.mean(0)

    # What the training loop asks for: `training.Trainable`.

    def training_loss(self, batch: dict[str, Tensor]) -> Tensor:
        every = [self._loss(member(batch), batch["targets"]) for member in self.members]
        return torch.stack(every).mean()

    def validation_sums(self, batch: dict[str, Tensor]) -> tuple[Tensor, int]:
        found, targets = self(batch), batch["targets"]
        if self.kind == "number":
            return mse_loss(found[:, 0], targets, reduction="sum"), len(targets)
        if self.kind == "labels":
            return -torch.where(targets > 0, found, 1 - found).clamp_min(1e-7).log().sum(), targets.numel()
        chosen = found.gather(1, targets[:, None]).clamp_min(1e-7)
        return -chosen.log().sum(), len(targets)

    def _loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        if self.kind == "number":
            return mse_loss(scores[:, 0], targets)
        if self.kind == "labels":
            return binary_cross_entropy_with_logits(scores, targets)
        return cross_entropy(scores, targets, self.weights, label_smoothing=self.smoothing)


def poolings(option: str | Sequence[str]) -> tuple[str, ...]:
    """The option `pooling` as names."""
    return (option,) if isinstance(option, str) else tuple(option)
