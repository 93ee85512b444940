"""The network of `transcribe`: recurrent layers over frames, and a score for each character and the blank at each step.
For images, a 2-D LSTM reads the pixels first.

T steps, B sequences, D features of a step, V symbols, the blank first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import ctc_loss

from ...algebra import Cell
from ...decoding.ctc import BLANK
from ...nn import MultiDimensionalLSTM
from ...nn.linear import Linear
from ...nn.stack import Stack
from ..network import Network
from .frames import Frames
from .predictor import forward

if TYPE_CHECKING:
    from .batches import Batch
    from .sizing import Sizing


class TranscribeNetwork(Network):
    """Scores every character, and the blank, at each step.

    Args:
        cell: The recurrent cell.
        frames: How signals are read.
        symbols: Characters and the blank, V.
        sizes: Sizes, and the dropout probability of a value between layers or before the scores; one mask for all steps
            of a sequence (Gal & Ghahramani 2016).
        bidirectional: Whether the layers read in both directions.
        recurrent_dropout, zoneout, weight_dropout: Of the layers; see `Recurrent`.

    Shape:
        batch: "x" (T, B, D) and "lengths" (B,); see `predictor.forward`.
        returns: See `predictor.forward`.
    """

    def __init__(
        self,
        *,
        cell: Cell,
        frames: Frames,
        symbols: int,
        sizes: Sizing,
        bidirectional: bool,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        weight_dropout: float = 0.0,
    ):
        super().__init__()
        width = frames.width
        self.image: ImageReader | None = None
        if sizes.image_hidden_size:
            self.image = ImageReader(
                height=frames.width // frames.stack, block=frames.stack, hidden_size=sizes.image_hidden_size
            )
            width = self.image.width
        self.layers = Stack(
            cell,
            width,
            sizes.hidden_size,
            sizes.num_layers,
            bidirectional=bidirectional,
            recurrent_dropout=recurrent_dropout,
            zoneout=zoneout,
            weight_dropout=weight_dropout,
        )
        self.layers.rate, self.layers.variational = sizes.dropout, True
        self.output = Linear(sizes.hidden_size * (2 if bidirectional else 1), symbols)
        nn.init.zeros_(self.output.get_parameter("bias_ih_l0"))
        self.layers.open_forget_gates()

    def forward(self, batch: Batch) -> tuple[Tensor, ...]:
        return forward(self, batch)

    def dropout(self, y: Tensor) -> Tensor:
        """The layers' output, some of it zeroed in training."""
        return self.layers.between_layers(y)

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


class ImageReader(nn.Module):
    """A 2-D LSTM over the image of a line of text, whose columns are the steps.

    Its positions are square blocks of pixels; the features of all blocks above one another make one step.

    Args:
        height: Height of the images, in pixels.
        block: Side of a block, in pixels: as many columns as a step has.
        hidden_size: Units per direction.

    Source: Graves & Schmidhuber (2009), "Offline handwriting recognition with multidimensional recurrent neural
    networks", NIPS 21, with one level of the hierarchy and ordinary layers above it.
    """

    def __init__(self, *, height: int, block: int, hidden_size: int):
        super().__init__()
        self.height, self.block, self.rows = height, block, -(-height // block)
        self.width = self.rows * 4 * hidden_size
        self.reader = MultiDimensionalLSTM(block * block, hidden_size)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(T, B, width) of columns (T, B, block * height)."""
        T, B, _ = x.shape
        columns = nn.functional.pad(x.view(T, B, self.block, self.height), (0, self.rows * self.block - self.height))
        blocks = columns.view(T, B, self.block, self.rows, self.block).permute(1, 3, 0, 2, 4).flatten(3)
        sizes = torch.stack([torch.full_like(lengths, self.rows), lengths], 1)
        y, _ = self.reader(blocks, sizes)  # (B, rows, T, 4 * hidden_size)
        return y.permute(2, 0, 1, 3).flatten(2)
