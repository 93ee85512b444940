"""How the networks of `classify` are trained, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from ...ranks import share
from ...runtime.network import Block
from ..network import Listed, Network, begin_as, module_of
from ..vectors import Pretrained
from .architecture import average, forward, member_scores
from .inputs import UNKNOWN

# How large vectors begin, beside embeddings that were drawn. Chosen with two draws of 500 sentences of sst2, by
# accuracy on its dev file (while the file's other words were known too): once .551 and .693, three times .587 and
# .714; ten times .674, of the second draw alone.
VECTOR_SCALE = 3.0


class Ensemble(Network):
    """Networks that are trained side by side, each from its own initial weights, and whose predictions are averaged.

    Args:
        parts: See `architecture`.
        label_smoothing: Share of a class's probability that training spreads over all classes.
        weights: (K,) weight of each class in the training loss.
    """

    weights: Tensor | None
    axes: ClassVar = {
        **dict.fromkeys(("lengths", "targets", "fold"), 0),
        **dict.fromkeys(("words", "word_of", "numbers", "categories"), 1),
        "spelling": Listed("word_of", 1),
        "spelling_lengths": Listed("word_of", 0),
    }

    def __init__(self, parts: Block, *, label_smoothing: float = 0.0, weights: Any = None):
        members = parts.parts["members"]
        super().__init__(Block({**parts.parts, "members": []}))
        self.members.extend(_drawn(members.part) for _ in range(members.count))
        self.label_smoothing = label_smoothing
        self.register_buffer("weights", None if weights is None else torch.as_tensor(weights), persistent=False)

    def begin_as(self, pretrained: Pretrained, words: Sequence[str]) -> None:
        """Let the embedding of these words, all that are known, begin as vectors in every network."""
        for member in self.members:
            begin_as(member.words, pretrained, words, UNKNOWN + 1, VECTOR_SCALE)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        found: Tensor = forward(self, batch)
        return found

    def left_out(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, outputs): of each sequence, what the network predicts that did not learn from it."""
        found = torch.stack([average(self, [member_scores(member, batch)]) for member in self.members])
        return found[batch["fold"], torch.arange(found.shape[1], device=found.device)]

    def predictions(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        found, targets = self(batch), batch["targets"]
        return (found, targets) if self.kind == "category" else (found.flatten(), targets.flatten())

    # What the training loop asks for: `training.Trainable`.

    def training_loss(self, batch: dict[str, Tensor]) -> Tensor:
        fold, losses = batch.get("fold"), []
        for number, member in enumerate(self.members):
            scores, targets = member_scores(member, batch), batch["targets"]
            if fold is not None:  # each sequence is left out by one network, which is then measured on it
                kept = fold != number
                scores, targets = scores[kept], targets[kept]
            losses.append(self._loss(scores, targets))
        return torch.stack(losses).mean()

    def validation_sums(self, batch: dict[str, Tensor]) -> tuple[Tensor, int]:
        losses, _ = self.losses(self.outputs(batch), batch)
        return losses.sum(), losses.numel()

    # What averaging several networks asks for: `averaging.Averageable`.

    judged_by = ("targets",)

    def outputs(self, batch: dict[str, Tensor]) -> Tensor:
        return self.left_out(batch) if "fold" in batch else self(batch)

    def losses(self, outputs: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        targets = batch["targets"]
        if self.kind == "number":
            found = mse_loss(outputs[:, 0], targets, reduction="none")
        elif self.kind == "labels":
            found = -torch.where(targets > 0, outputs, 1 - outputs).clamp_min(1e-7).log()
        else:
            found = -outputs.gather(1, targets[:, None]).clamp_min(1e-7).log()
        return found, torch.ones_like(found)

    def _loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        """The mean, of which several ranks have parts that add up to it."""
        counted = len(targets) if self.weights is None else self.weights[targets].sum()
        part = share(counted)
        if not len(targets):
            return scores.sum()
        if self.kind == "number":
            return part * mse_loss(scores[:, 0], targets)
        if self.kind == "labels":
            return part * binary_cross_entropy_with_logits(scores, targets)
        return part * cross_entropy(scores, targets, self.weights, label_smoothing=self.label_smoothing)


def _drawn(member: Block) -> nn.Module:
    """One network with its initial weights; small ones of embeddings, which are drawn last."""
    found: nn.Module = module_of(member)
    for embedding in found.modules():
        if isinstance(embedding, nn.Embedding):
            nn.init.normal_(embedding.weight, std=0.1)
    return found
