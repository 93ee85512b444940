"""The network of `translate`, said once: a bidirectional encoder, and a decoder that attends to what it encoded.

S source and T target tokens, B pairs; E features of a token, H units of the decoder, D of the encoder's output.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ...algebra import Cell
from ...errors import OptionError
from ...runtime.network import Block, Embedding, Stack
from ..attention_decoder import TIED, DecoderOptions, decoder_parts, memory_of

ENCODER = ("source_embedding", "encoder")  # the parts that encode


def architecture(cell: Cell, options: DecoderOptions, *, source_vocabulary_size: int | None = None) -> Block:
    """What scores the target of a source, token by token.

    Args:
        cell: Of all layers.
        options: Sizes and rates of the decoder. The encoder has as many layers, and half as many units per direction.
        source_vocabulary_size: Source tokens; None if both sides share a vocabulary, and its embeddings.
    """
    E, side = options.embedding_size, (options.hidden_size + 1) // 2
    if side % cell.heads:
        raise OptionError(
            f"of hidden_size={options.hidden_size} the encoder has half per direction, and {side} is no multiple "
            f"of the {cell.heads} heads of the cell '{cell.name}'"
        )
    decoder = decoder_parts(cell, options, encoded_size=2 * side, initial_size=2 * side, embedding_scale=math.sqrt(E))
    encoder = Stack(
        cell=cell,
        input_size=E,
        hidden_size=side,
        num_layers=options.num_layers,
        bidirectional=True,
        dropout=options.dropout,
        **options.regularisers,
    )
    shared = source_vocabulary_size is None
    source_embedding = Embedding(source_vocabulary_size or options.vocabulary_size, E)
    tied = {**TIED, "source_embedding.weight": "embedding.weight"} if shared else TIED
    return Block({**decoder, "source_embedding": source_embedding, "encoder": encoder}, tied)


def encode(net: Any, batch: Mapping[str, Any]) -> tuple[Any, Any]:
    """The encoder's last output in both directions, (B, D), from which the decoder starts; and all of its output as the
    memory that the decoder attends to.

    Args:
        net: The parts of `architecture`.
        batch: "source" (S, B) and "lengths" (B,).
    """
    x = net.dropout(net.source_embedding(batch["source"]) * net.embedding_scale)
    y, last = net.encoder(x, lengths=batch["lengths"])
    ends = last[0] if isinstance(last, tuple) else last
    return net.ops.concatenate([ends[-2], ends[-1]]), memory_of(net, y, batch["lengths"])  # of the last layer
