"""The network of `translate`: an encoder that reads both ways, before the decoder that looks back at what it read.

S source and T target tokens, B pairs; E features of a token, H units of the decoder, D of the encoder's output.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ...algebra import Cell
from ...errors import OptionError
from ...nn.attention import Memory
from ...nn.recurrent import Options
from ...nn.stack import Stack
from ..attention_decoder import AttentionDecoder, Batch
from .texts import PairBatches


class TranslationNetwork(AttentionDecoder):
    """Writes the target of a source, token by token.

    Args:
        cell: Of all layers.
        source_size: Ids of source tokens.
        target_size: Ids of target tokens, the edge included.
        shared: Whether both sides have the same ids, and embeddings.
        embedding_size: E.
        hidden_size: H; the encoder has half as many per direction.
        num_layers: Of either side.
        attention, input_feeding, copying, dropout, label_smoothing: Of the decoder; see `AttentionDecoder`.
        recurrent_dropout, zoneout, weight_dropout: Of the layers; see `Recurrent`. With input feeding they are drawn
            anew at each step.
    """

    def __init__(
        self,
        cell: Cell,
        source_size: int,
        target_size: int,
        shared: bool,
        embedding_size: int,
        hidden_size: int,
        num_layers: int,
        attention: str,
        input_feeding: bool,
        copying: bool,
        dropout: float,
        label_smoothing: float,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        weight_dropout: float = 0.0,
    ):
        drawn = Options(recurrent_dropout=recurrent_dropout, zoneout=zoneout, weight_dropout=weight_dropout)
        side = (hidden_size + 1) // 2
        if side % cell.heads:
            raise OptionError(
                f"of hidden_size={hidden_size} the encoder has half per direction, and {side} is no multiple of the "
                f"{cell.heads} heads of the cell '{cell.name}'"
            )
        super().__init__(
            cell,
            target_size,
            embedding_size,
            hidden_size,
            num_layers,
            places_size=2 * side,
            first_size=2 * side,
            attention=attention,
            input_feeding=input_feeding,
            copying=copying,
            dropout=dropout,
            label_smoothing=label_smoothing,
            scale=math.sqrt(embedding_size),
            **drawn,
        )
        self.source_embedding = self.embedding if shared else nn.Embedding(source_size, embedding_size)
        if not shared:
            nn.init.normal_(self.source_embedding.weight, std=1 / math.sqrt(embedding_size))
        self.encoder = Stack(cell, embedding_size, side, num_layers, bidirectional=True, **drawn)
        self.encoder.rate = dropout

    def look(self, batch: Batch) -> tuple[Tensor, Memory | None]:
        """What the encoder has read of each source at its end, in both directions; and all of it.

        Args:
            batch: "source" (S, B) and "lengths" (B,).
        """
        device = self.embedding.weight.device
        source, lengths = (torch.as_tensor(batch[name], device=device) for name in ("source", "lengths"))
        y, last = self.encoder(self.dropped(self.source_embedding(source) * self.scale), lengths=lengths)
        ends = last[0] if isinstance(last, tuple) else last
        return torch.cat([ends[-2], ends[-1]], -1), self.memory(y, lengths)  # of the last layer

    def validation_sums(self, batch: Batch) -> tuple[Tensor, int]:
        if "judge" in batch:
            return torch.tensor(batch["judge"]()), 1
        return super().validation_sums(batch)


class Fading:
    """Batches of tensors, with the chance of scheduled sampling at their step: it grows from 0, to `most` just behind
    the last.

    Source: Bengio et al. (2015), arXiv:1506.03099, section 2.4: linear decay.
    """

    def __init__(self, batches: PairBatches, most: float = 0.0, steps: int = 1):
        self.batches, self.most, self.steps = batches, most, steps

    def __len__(self) -> int:
        return len(self.batches)

    def at(self, step: int) -> Batch:
        tensors = {name: torch.from_numpy(array) for name, array in self.batches.at(step).items()}
        return {**tensors, "own": self.most * step / self.steps}
