"""How the networks of `caption` and `translate` are trained: by the tokens that follow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..randomness import generator
from ..ranks import of_rows, share
from ..runtime.network import Block
from .attention_decoder import Batch, Encode, scores, teacher_forced
from .network import Network


class AttentionDecoder(Network):
    """Scores each next token of a sequence.

    Args:
        block: With `decoder_parts`.
        encode: What it starts from and attends to; see `attention_decoder.forward`.
        label_smoothing: Share of the probability that training spreads over all tokens.
        encoder: Names of the parts that encode, which a subclass makes itself.
    """

    def __init__(self, block: Block, encode: Encode, *, label_smoothing: float = 0.0, encoder: Sequence[str] = ()):
        super().__init__(block, made_later=encoder)
        self.encode, self.label_smoothing = encode, label_smoothing
        nn.init.normal_(self.embedding.weight, std=1 / math.sqrt(self.embedding_size))
        nn.init.zeros_(self.output.bias)
        self.output.weight = self.embedding.weight

    def teacher_forced(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """See `attention_decoder.teacher_forced`; or, with the probability batch["sampling"], fed a token that it drew
        itself (scheduled sampling, Bengio et al. 2015)."""
        sampling = float(batch.get("sampling", 0.0)) if self.training else 0.0
        found: tuple[Tensor, Tensor] = teacher_forced(
            self, batch, self.encode, partial(self._replaced, sampling) if sampling else None
        )
        return found

    def _replaced(
        self, sampling: float, tokens: Tensor, output: Tensor, weights: Tensor | None, source_tokens: Tensor | None
    ) -> Tensor:
        """Tokens (B,), some of them drawn by the network's own scores."""
        weights = None if weights is None else weights.detach()
        own = generator(tokens.device)
        shares = scores(self, output.detach(), weights, source_tokens).softmax(-1)
        # As `multinomial` draws one of each row, which cannot draw for rows that other ranks have.
        waits = of_rows(lambda shape: shares.new_empty(tuple(shape)).exponential_(generator=own), shares.shape)
        chances = of_rows(lambda shape: torch.rand(shape, device=tokens.device, generator=own), tokens.shape, axis=0)
        return torch.where(chances < sampling, (shares / waits).argmax(-1), tokens)

    def predictions(self, batch: Batch) -> tuple[Tensor, Tensor]:
        found, targets = self.teacher_forced(batch)
        return found.float().softmax(-1), targets

    # What the training loop asks for: `training.Trainable`.

    def training_loss(self, batch: Batch) -> Tensor:
        found, targets = self.teacher_forced(batch)
        mean = cross_entropy(found.float(), targets, label_smoothing=self.label_smoothing)
        return mean * share(len(targets))

    def validation_sums(self, batch: Any) -> tuple[Tensor, int]:
        found, targets = self.teacher_forced(batch)
        return cross_entropy(found.float(), targets, reduction="sum"), len(targets)
