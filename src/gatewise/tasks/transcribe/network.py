"""How the network of `transcribe` is trained: by connectionist temporal classification."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import ctc_loss

from ...decoding.ctc import BLANK
from ...ranks import total
from ...runtime.network import Block
from ..network import Network
from .architecture import forward

if TYPE_CHECKING:
    from .batches import Batch


class TranscribeNetwork(Network):
    """Scores every character, and the blank, at each step.

    Args:
        block: See `architecture`.

    Shape:
        batch: "x" (T, B, D) and "lengths" (B,); see `architecture.forward`.
        returns: See `architecture.forward`.
    """

    axes: ClassVar = {"x": 1, "lengths": 0, "target_lengths": 0}

    def __init__(self, block: Block):
        super().__init__(block)
        nn.init.zeros_(self.output.get_parameter("bias_ih_l0"))
        self.layers.open_forget_gates()

    def forward(self, batch: Batch) -> tuple[Tensor, ...]:
        return forward(self, batch)

    # What the training loop asks for: `training.Trainable`.

    def rows(self, batch: Batch, places: Tensor) -> Batch:
        texts = batch["targets"].split(batch["target_lengths"].tolist())
        targets = torch.cat([texts[place] for place in places.tolist()])
        # Where nothing is written a text counts as one character, once for all ranks.
        fewest = torch.tensor(int(not len(batch["targets"]) and 0 in places))
        return {**super().rows(batch, places), "targets": targets, "fewest": fewest}

    def training_loss(self, batch: Batch) -> Tensor:
        nats, characters = self.validation_sums(batch)
        return nats / max(1, total(characters))

    def validation_sums(self, batch: Batch) -> tuple[Tensor, int]:
        scores, *_ = self(batch)
        nats = ctc_loss(
            scores.float().log_softmax(-1),
            batch["targets"],
            batch["lengths"],
            batch["target_lengths"],
            blank=BLANK,
            reduction="sum",
        )
        return nats, max(int(batch.get("fewest", 1)), len(batch["targets"]))
