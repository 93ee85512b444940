"""How the network of `transcribe` is trained: by connectionist temporal classification."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn.functional import ctc_loss

from ...decoding.ctc import BLANK
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

    def __init__(self, block: Block):
        super().__init__(block)
        nn.init.zeros_(self.output.get_parameter("bias_ih_l0"))
        self.layers.open_forget_gates()

    def forward(self, batch: Batch) -> tuple[Tensor, ...]:
        return forward(self, batch)

    # What the training loop asks for: `training.Trainable`.

    def training_loss(self, batch: Batch) -> Tensor:
        total, characters = self.validation_sums(batch)
        return total / characters

    def validation_sums(self, batch: Batch) -> tuple[Tensor, int]:
        scores, *_ = self(batch)
        total = ctc_loss(
            scores.float().log_softmax(-1),
            batch["targets"],
            batch["lengths"],
            batch["target_lengths"],
            blank=BLANK,
            reduction="sum",
        )
        return total, max(1, len(batch["targets"]))
