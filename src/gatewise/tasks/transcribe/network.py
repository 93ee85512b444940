"""The network of `transcribe`: recurrent layers over frames, for images a 2-D LSTM below them, and a score for each
character and the blank at every step; its batches.

Letters: T steps, B sequences, D features of a step, V symbols, the blank first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import ctc_loss

from ...algebra import Cell
from ...data.augmentation import SpecAugment
from ...data.batches import Epochs, bucketed, in_batches
from ...decoding.ctc import BLANK
from ...nn import MultiDimensionalLSTM
from ...nn.linear import Linear
from ...nn.stack import Stack
from ..network import Network
from .frames import Frames

Batch = dict[str, Tensor]


class TranscribeNetwork(Network):
    """Scores every character, and the blank, at each step.

    Args:
        cell: The recurrent cell.
        frames: What is read.
        symbols: Characters and the blank, V.
        hidden_size, num_layers, bidirectional: Of the layers.
        maps: Units per direction of a 2-D LSTM that reads images before them; 0 for none.
        dropout: Chance that a value between layers, or before the scores, is zeroed; one mask for all steps of a
            sequence (Gal & Ghahramani 2016).
        recurrent_dropout, zoneout, weight_dropout: Of the layers; see `Recurrent`.
    """

    def __init__(
        self,
        cell: Cell,
        frames: Frames,
        symbols: int,
        hidden_size: int,
        num_layers: int,
        bidirectional: bool,
        maps: int,
        dropout: float,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        weight_dropout: float = 0.0,
    ):
        super().__init__()
        width = frames.width
        self.image = ImageReader(frames.width // frames.stack, frames.stack, maps) if maps else None
        if self.image is not None:
            width = self.image.width
        self.layers = Stack(
            cell,
            width,
            hidden_size,
            num_layers,
            bidirectional=bidirectional,
            recurrent_dropout=recurrent_dropout,
            zoneout=zoneout,
            weight_dropout=weight_dropout,
        )
        self.layers.rate, self.layers.variational = dropout, True
        self.output = Linear(hidden_size * (2 if bidirectional else 1), symbols)
        nn.init.zeros_(self.output.get_parameter("bias_ih_l0"))
        self.layers.open_forget_gates()

    def forward(self, x: Tensor, lengths: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Scores (T, B, V) of x (T, B, D), and the last state; those beyond a length mean nothing."""
        if self.image is not None:
            x = self.image(x, lengths)
        y, state = self.layers(x, state, lengths=lengths)
        return self.output(self.layers.between_layers(y)), state

    # What the training loop asks for: `training.Trainable`.

    def training_loss(self, batch: Batch) -> Tensor:
        total, characters = self.validation_sums(batch)
        return total / characters

    def validation_sums(self, batch: Batch) -> tuple[Tensor, int]:
        scores, _ = self(batch["x"], batch["lengths"])
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
    """A 2-D LSTM over an image of a line, whose columns come as steps.

    Blocks of pixels are its positions; what it finds at the positions above one another is read as one step.

    Args:
        height: Of the images, in pixels.
        block: Pixels of a block in either direction: as many columns as a step has.
        maps: Units per direction.

    Source: Graves & Schmidhuber (2009), "Offline handwriting recognition with multidimensional recurrent neural
    networks", NIPS 21, with one level of the hierarchy and ordinary layers above it.
    """

    def __init__(self, height: int, block: int, maps: int):
        super().__init__()
        self.height, self.block, self.rows = height, block, -(-height // block)
        self.width = self.rows * 4 * maps
        self.reader = MultiDimensionalLSTM(block * block, maps)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(T, B, width) of columns (T, B, block * height)."""
        T, B, _ = x.shape
        columns = nn.functional.pad(x.view(T, B, self.block, self.height), (0, self.rows * self.block - self.height))
        blocks = columns.view(T, B, self.block, self.rows, self.block).permute(1, 3, 0, 2, 4).flatten(3)
        sizes = torch.stack([torch.full_like(lengths, self.rows), lengths], 1)
        y, _ = self.reader(blocks, sizes)  # (B, rows, T, 4 * maps)
        return y.permute(2, 0, 1, 3).flatten(2)


class Utterances:
    """Sequences as batches of tensors, those of about one length together.

    Args:
        frames: How they are read.
        scaled: (n, C) all frames, in units of the training data.
        offsets: (N + 1,) where each sequence begins.
        targets: Of each sequence its labels, or None to transcribe.
        batch_size: Sequences side by side.
        augment: What is done to the frames of each sequence, anew in every pass.
        seed: Of the order and of what is varied; None for the order as it is.
    """

    def __init__(
        self,
        frames: Frames,
        scaled: np.ndarray,
        offsets: np.ndarray,
        targets: Sequence[np.ndarray] | None,
        batch_size: int,
        augment: SpecAugment | None = None,
        seed: int | None = None,
    ):
        self.frames, self.scaled, self.offsets, self.targets = frames, scaled, offsets, targets
        self.batch_size, self.augment, self.seed = batch_size, augment, seed
        self._epochs = Epochs(-(-(len(offsets) - 1) // batch_size), self._drawn, seed)

    def __len__(self) -> int:
        return len(self._epochs)

    def at(self, step: int) -> Batch:
        return self.batch(self._epochs.at(step), None if self.seed is None else self._epochs.epoch_of(step))

    def _drawn(self, random: np.random.Generator | None) -> list[np.ndarray]:
        lengths = np.diff(self.offsets)
        if random is None:
            return in_batches(np.argsort(lengths, kind="stable"), self.batch_size)
        return bucketed(lengths, self.batch_size, random)

    def batch(self, rows: np.ndarray, epoch: int | None = None) -> Batch:
        """Tensors of these sequences, time-major; varied, if it is for an epoch of training."""
        steps = [self._steps(int(row), epoch) for row in rows]
        lengths = np.array([len(own) for own in steps], np.int64)
        x = np.zeros((int(lengths.max()), len(rows), self.frames.width), np.float32)
        for place, own in enumerate(steps):
            x[: len(own), place] = own
        found = {"x": torch.from_numpy(x), "lengths": torch.from_numpy(lengths)}
        if self.targets is not None:
            targets = [self.targets[row] for row in rows]
            found["targets"] = torch.from_numpy(np.concatenate(targets))
            found["target_lengths"] = torch.tensor([len(own) for own in targets])
        return found

    def _steps(self, row: int, epoch: int | None) -> np.ndarray:
        """(T, D) of one sequence."""
        frames = self.frames.normalised(self.scaled[self.offsets[row] : self.offsets[row + 1]])
        if self.augment is not None and epoch is not None:
            frames = self.augment(frames, np.random.default_rng([self.seed or 0, epoch, row]))
        return self.frames.stacked(frames)


@torch.no_grad()
def scores_of(model: TranscribeNetwork, data: Utterances, batch_steps: int = 8192) -> Iterator[tuple[int, np.ndarray]]:
    """The number of each sequence and its scores (T, V), long ones first; those of about one length side by side."""
    lengths = data.frames.steps(np.diff(data.offsets))
    order: list[int] = np.argsort(-lengths, kind="stable").tolist()
    while order:
        many = max(1, batch_steps // int(lengths[order[0]]))
        some, order = np.array(order[:many]), order[many:]
        batch = data.batch(some)
        scores = model(batch["x"], batch["lengths"])[0].numpy()
        yield from ((int(row), scores[: lengths[row], place]) for place, row in enumerate(some))
