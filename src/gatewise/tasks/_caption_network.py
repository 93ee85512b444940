"""The network of `caption`: places of an image or clip as features, and a decoder that looks at them word by word.

Letters: B images, F frames of them all, T frames of the longest, P places of a frame, S = T P places of an image to look
at, C channels, D features of a place, H units, R captions, L tokens of the longest, V tokens in the vocabulary.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout

from ..algebra import Cell
from ..nn import AdditiveAttention, ConvLSTM, Recurrent
from ..nn.attention import Memory
from ._language_model import forget_gate
from ._network import Network

MAP = 8  # places that a side of an image is brought down to, about
NOTHING = -100  # a target that is none, in padding; cross_entropy's own number for it

Batch = dict[str, Any]


class Convolutions(nn.Module):
    """A map of features of each frame: a convolution, then others that halve its sides until they are about `MAP`.

    Normalised over groups of channels of one frame (Wu & He 2018), so that a frame depends on no other in its batch.

    Shape:
        frames: (F, C, height, width).
        returns: (F, D, h, w).
    """

    def __init__(self, channels: int, side: int, features: int):
        super().__init__()
        halvings = max(1, round(math.log2(side / MAP))) if side > MAP else 0
        widths = [max(16, features >> (halvings - place)) for place in range(halvings)] + [features]
        layers: list[nn.Module] = []
        for place, width in enumerate(widths):
            layers += [
                nn.Conv2d(channels, width, 3, stride=2 if place else 1, padding=1, bias=False),
                nn.GroupNorm(math.gcd(width, 8), width),
                nn.ReLU(),
            ]
            channels = width
        self.layers = nn.Sequential(*layers)

    def forward(self, frames: Tensor) -> Tensor:
        found: Tensor = self.layers(frames)
        return found


class Eye(nn.Module):
    """What a decoder looks at: features of every place of every frame, and how many places each image has.

    Frames of a clip go through a convolutional layer over time, so that a place knows what was there before.

    Args:
        inputs: "images", "clips" or "features".
        shape: Of a frame, (height, width, C); or of features, (P, D).
        mean, std: (C,) of training, which make numbers of about one size.
        features: D.
        cell: Of the layer over time.
    """

    def __init__(self, inputs: str, shape: tuple[int, ...], mean: Tensor, std: Tensor, features: int, cell: Cell):
        super().__init__()
        self.inputs = inputs
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        if inputs == "features":
            self.frame: nn.Module = nn.Linear(shape[1], features)
            places: tuple[int, ...] = (shape[0],)
        else:
            self.frame = Convolutions(shape[2], max(shape[:2]), features)
            with torch.no_grad():
                example = torch.zeros(1, shape[2], *shape[:2], device=mean.device)
                places = tuple(self.frame(example).shape[2:])
        self.map = places  # (h, w), or (P,)
        # Where a place is, for convolutions hardly tell.
        self.places = nn.Parameter(torch.zeros(features, *places))
        nn.init.normal_(self.places, std=0.1)
        self.time = ConvLSTM(features, features, cell=cell) if inputs == "clips" else None

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(S, B, D) and (B,).

        Args:
            frames: (F, height, width, C) or (F, P, D), as in the data.
            lengths: (B,) frames of each.
        """
        x = (frames - self.mean) / self.std
        if self.inputs == "features":
            return self.frame(x).relu().transpose(0, 1) + self.places.T[:, None], lengths * len(self.places.T)
        found = self.frame(x.movedim(-1, 1).contiguous()) + self.places
        if self.time is None:
            return found.flatten(2).movedim(2, 0), lengths * self.places[0].numel()
        steps = torch.arange(int(lengths.max()))[:, None]
        at = (lengths.cumsum(0) - lengths + steps).clamp(max=len(found) - 1)  # (T, B); padding is never looked at
        over_time, _ = self.time(found[at], lengths=lengths)  # (T, B, D, h, w)
        return over_time.flatten(3).movedim(3, 1).flatten(0, 1).movedim(1, 1), lengths * self.places[0].numel()


class CaptionNetwork(Network):
    """Scores each next word of a caption from the words before it and the places it then looks at.

    At each step the decoder's layers read the last word and the summary of the step before (input feeding); they ask
    the places, and what they find and know together makes the summary that scores the next word. The first summary is
    made of the mean of all places; the layers start from zeros, as any cell can.

    Args:
        cell: The recurrent cell.
        eye: What it looks with.
        features: D, of a place.
        vocabulary_size: V, with start and end.
        embedding_size, hidden_size, num_layers: Sizes.
        dropout: Chance that a feature of a word or of a summary is zeroed in training.

    Source: Xu et al. (2015), "Show, attend and tell", arXiv:1502.03044; Luong et al. (2015), arXiv:1508.04025, section
    3.3, for input feeding.
    """

    def __init__(
        self,
        cell: Cell,
        eye: Eye,
        features: int,
        vocabulary_size: int,
        embedding_size: int,
        hidden_size: int,
        num_layers: int,
        dropout: float,
    ):
        super().__init__()
        self.eye, self.dropout = eye, dropout
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.layers = Recurrent(cell, embedding_size + hidden_size, hidden_size, num_layers)
        self.attention = AdditiveAttention(hidden_size, features)
        self.first = nn.Linear(features, hidden_size)
        self.summary = nn.Linear(features + hidden_size, hidden_size)
        self.output = nn.Linear(hidden_size, vocabulary_size)
        nn.init.normal_(self.embedding.weight, std=1 / math.sqrt(embedding_size))
        nn.init.zeros_(self.output.bias)
        if (place := forget_gate(cell)) is not None:
            with torch.no_grad():
                for layer in range(num_layers):
                    getattr(self.layers, f"bias_ih_l{layer}")[place * hidden_size :][:hidden_size] += 1.0

    def look(self, batch: Batch) -> tuple[Memory, Tensor]:
        """The places, ready to be asked, and the first summary (B, H)."""
        places, lengths = self.eye(batch["frames"], batch["lengths"])
        memory = self.attention.memory(places, lengths=lengths)
        return memory, torch.tanh(self.first(memory.values.sum(1) / lengths[:, None]))

    def step(self, words: Tensor, summary: Tensor, state: Any, memory: Memory) -> tuple[Tensor, Any, Tensor]:
        """One word on: embedded words (R, E) and a summary (R, H) to the next summary, state, and weights (R, S)."""
        y, state = self.layers(torch.cat([words, summary], -1)[None], state)
        context, weights = self.attention.read(y[0], memory)
        return torch.tanh(self.summary(torch.cat([context, y[0]], -1))), state, weights

    def forward(self, batch: Batch) -> Tensor:
        """Scores (L, R, V) of the words of given captions."""
        memory, summary = self.look(batch)
        rows = batch["rows"]
        memory, summary, state = chosen(memory, rows), summary[rows], None
        words = self._dropped(self.embedding(batch["inputs"]))
        summaries = []
        for word in words:
            summary, state, _ = self.step(word, summary, state, memory)
            summaries.append(summary)
        return self.output(self._dropped(torch.stack(summaries)))

    def _dropped(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout, self.training)

    # What the training loop asks for: `training.Trainable`.

    def training_loss(self, batch: Batch) -> Tensor:
        return cross_entropy(self(batch).flatten(0, 1).float(), batch["targets"].flatten())

    def validation_sums(self, batch: Batch) -> tuple[Tensor, int]:
        loss = cross_entropy(self(batch).flatten(0, 1).float(), batch["targets"].flatten(), reduction="sum")
        return loss, int((batch["targets"] != NOTHING).sum())


def chosen(memory: Memory, rows: Tensor) -> Memory:
    """What these rows look at, some of them perhaps several times."""
    keys, values, inside, steps = memory
    return Memory(
        keys[rows],
        values[rows],
        None if inside is None else inside[rows],
        steps[rows] if isinstance(steps, Tensor) else steps,
    )
