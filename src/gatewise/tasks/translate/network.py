"""The network of `translate`: a bidirectional encoder, and a decoder that attends to what it encoded.

S source and T target tokens, B pairs; E features of a token, H units of the decoder, D of the encoder's output.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ...algebra import Cell
from ...errors import OptionError
from ...nn.attention import Memory
from ...nn.stack import Stack
from ..attention_decoder import AttentionDecoder, Batch, DecoderOptions
from .predictor import encode


class TranslationNetwork(AttentionDecoder):
    """Scores the target of a source, token by token.

    Args:
        cell: Of all layers.
        options: Sizes and rates of the decoder. The encoder has as many layers, and half as many units per direction.
        source_vocabulary_size: Source tokens; None if both sides share a vocabulary, and its embeddings.
    """

    def __init__(self, cell: Cell, options: DecoderOptions, *, source_vocabulary_size: int | None = None):
        E, side = options.embedding_size, (options.hidden_size + 1) // 2
        if side % cell.heads:
            raise OptionError(
                f"of hidden_size={options.hidden_size} the encoder has half per direction, and {side} is no multiple "
                f"of the {cell.heads} heads of the cell '{cell.name}'"
            )
        super().__init__(cell, options, encoded_size=2 * side, initial_size=2 * side, embedding_scale=math.sqrt(E))
        self.source_embedding = self.embedding
        if source_vocabulary_size is not None:
            self.source_embedding = nn.Embedding(source_vocabulary_size, E)
            nn.init.normal_(self.source_embedding.weight, std=1 / math.sqrt(E))
        self.encoder = Stack(cell, E, side, options.num_layers, bidirectional=True, **options.regularisers)
        self.encoder.rate = options.dropout

    def encode(self, batch: Batch) -> tuple[Tensor, Memory | None]:
        found: tuple[Tensor, Memory | None] = encode(self, batch)
        return found

    def embed_source(self, tokens: Tensor) -> Tensor:
        """(..., E) features of tokens as the encoder reads them."""
        return self.dropout(self.source_embedding(tokens) * self.embedding_scale)

    def validation_sums(self, batch: dict[str, Any]) -> tuple[Tensor, int]:
        if "criterion" in batch:  # see `BleuCriterion`
            return torch.tensor(batch["criterion"](self)), 1
        return super().validation_sums(batch)
