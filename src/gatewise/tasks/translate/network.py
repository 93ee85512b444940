"""How the network of `translate` is trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...data.text.vocabulary import Words
from ...runtime.network import Block
from ..decoder_network import AttentionDecoder
from ..network import begin_as, module_of
from ..vectors import Pretrained
from .architecture import ENCODER, encode


class TranslationNetwork(AttentionDecoder):
    """Scores the target of a source, token by token.

    Args:
        block: See `architecture`.
        label_smoothing: See `AttentionDecoder`.
    """

    axes: ClassVar = {"source": 1, "lengths": 0, "inputs": 1, "targets": 1, "target_lengths": 0}

    def __init__(self, block: Block, *, label_smoothing: float = 0.0):
        super().__init__(block, encode, label_smoothing=label_smoothing, encoder=ENCODER)
        self.source_embedding = self.embedding
        if "source_embedding.weight" not in block.tied:
            self.source_embedding = module_of(block.parts["source_embedding"])
            nn.init.normal_(self.source_embedding.weight, std=1 / math.sqrt(self.embedding_size))
        self.encoder = module_of(block.parts["encoder"])

    def begin_as(self, pretrained: Pretrained, words: Sequence[str]) -> None:
        """Let the embeddings of the words of the source begin as vectors, which with one vocabulary are those of the
        target too."""
        begin_as(self.source_embedding, pretrained, words, len(Words.SPECIAL))

    def work(self, batch: Any) -> list[float]:
        if "criterion" in batch:  # which divides its texts itself
            return []
        found: list[float] = (batch["lengths"] + batch["target_lengths"]).tolist()
        return found

    def validation_sums(self, batch: Any) -> tuple[Tensor, int]:
        if "criterion" in batch:  # see `BleuCriterion`
            return torch.tensor(batch["criterion"](self.without_torch())), 1
        return super().validation_sums(batch)
