"""The network of `caption`: places of an image or clip as features, and a decoder that looks at them word by word.

Letters: B images, F frames of them all, T frames of the longest, P places of a frame, S = T P places to look at, C
channels, D features of a place.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ...algebra import Cell
from ...nn import Recurrent
from ...nn.attention import Memory
from ..attention_decoder import AttentionDecoder, Batch, taken

MAP = 8  # places that a side of an image is brought down to, about
_WIDER = 2  # convolutions of the map, so that a place sees what surrounds it


class Convolutions(nn.Module):
    """A map of features of each frame: a convolution, others that halve its sides until they are about `MAP`, and some
    that let a place see what surrounds it.

    Batch normalisation (Ioffe & Szegedy 2015) made them learn shapes in a third of the steps that normalising over the
    channels of one image took, most of which is ground. Outside training a frame depends on no other.

    Shape:
        frames: (F, C, height, width).
        returns: (F, D, h, w).
    """

    def __init__(self, channels: int, side: int, features: int):
        super().__init__()
        halvings = max(1, round(math.log2(side / MAP))) if side > MAP else 0
        self.smaller = 2**halvings  # times
        widths = [max(16, features >> (halvings - place)) for place in range(halvings + 1)]
        layers: list[nn.Module] = []
        for place, width in enumerate([*widths, *[features] * _WIDER]):
            layers += [
                nn.Conv2d(channels, width, 3, stride=2 if 0 < place <= halvings else 1, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            channels = width
        self.layers = nn.Sequential(*layers)

    def forward(self, frames: Tensor) -> Tensor:
        found: Tensor = self.layers(frames)
        return found


class Eye(nn.Module):
    """What a decoder looks at: features of every place of every frame, and how many places each image has.

    A recurrent layer reads the maps of a clip in the order of time; to each place of a frame is added what it knows by
    then, so that what is looked at is a place in a story.

    Args:
        inputs: "images", "clips" or "features".
        shape: Of a frame, (height, width, C); or of features, (P, D).
        mean, std: (C,) of training, which make numbers of about one size.
        features: D.
        cell, hidden_size: Of the layer over time.
    """

    def __init__(
        self,
        inputs: str,
        shape: tuple[int, ...],
        mean: Tensor,
        std: Tensor,
        features: int,
        cell: Cell,
        hidden_size: int,
    ):
        super().__init__()
        self.inputs = inputs
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        if inputs == "features":
            self.frame: nn.Linear | Convolutions = nn.Linear(shape[1], features)
            places: tuple[int, ...] = (shape[0],)
        else:
            self.frame = Convolutions(shape[2], max(shape[:2]), features)
            places = tuple(math.ceil(side / self.frame.smaller) for side in shape[:2])
        self.map = places  # (h, w), or (P,)
        # Where a place is, for convolutions hardly tell.
        self.places = nn.Parameter(torch.zeros(features, *places))
        nn.init.normal_(self.places, std=0.5)
        if inputs == "clips":
            self.time = Recurrent(cell, features * math.prod(places), hidden_size)
            self.told = nn.Linear(hidden_size, features)

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(S, B, D) and (B,).

        Args:
            frames: (F, height, width, C) or (F, P, D), as in the data.
            lengths: (B,) frames of each.
        """
        x = (frames - self.mean) / self.std
        if self.inputs == "features":
            return self.frame(x).relu().transpose(0, 1) + self.places.T[:, None], lengths * len(self.places.T)
        found = (self.frame(x.movedim(-1, 1).contiguous()) + self.places).flatten(2)  # (F, D, P)
        if self.inputs == "images":
            return found.movedim(2, 0), lengths * found.shape[2]
        steps = torch.arange(int(lengths.max()), device=lengths.device)[:, None]
        at = (lengths.cumsum(0) - lengths + steps).clamp(max=len(found) - 1)  # (T, B); padding is never looked at
        maps = found[at]
        story, _ = self.time(maps.flatten(2), lengths=lengths)
        maps = maps + self.told(story)[..., None]  # (T, B, D, P)
        return maps.permute(0, 3, 1, 2).flatten(0, 1), lengths * found.shape[2]


class CaptionNetwork(AttentionDecoder):
    """Scores each next word of a caption from the words before it and the places it then looks at.

    Args:
        cell: The recurrent cell of the decoder, which begins with the mean of all places.
        eye: What it looks with.
        channels: D, of a place.
        decoder: The sizes and rates of `AttentionDecoder`.

    Source: Xu et al. (2015), "Show, attend and tell", arXiv:1502.03044; Yao et al. (2015), "Describing videos by
    exploiting temporal structure", arXiv:1502.08029.
    """

    def __init__(self, cell: Cell, eye: Eye, channels: int, **decoder: Any):
        super().__init__(cell, places_size=channels, first_size=channels, attention_size=channels, **decoder)
        self.eye = eye
        self.layers.open_forget_gates()

    def look(self, batch: Batch) -> tuple[Tensor, Memory | None]:
        """Of each caption the mean of its image's places, and these.

        Args:
            batch: "frames" and "lengths" as of `Eye`; and where some images have several captions or none, "rows": of
                each caption the place of its image.
        """
        places, lengths = self.eye(batch["frames"], batch["lengths"])
        memory = self.memory(places, lengths)
        assert memory is not None  # there is attention
        mean = memory.values.sum(1) / lengths[:, None]
        if "rows" not in batch:
            return mean, memory
        return mean[batch["rows"]], taken(memory, batch["rows"])
