"""The network of `caption`: an encoder that makes features of each place of an image or clip, and a decoder that
attends to them word by word.

Letters: B images, F frames of them all, T frames of the longest, P places of a frame, S = T P places to attend to, C
channels, D features of a place.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ...algebra import Cell
from ...nn import Recurrent
from ...nn.attention import Memory
from ..attention_decoder import AttentionDecoder, Batch, DecoderOptions
from .predictor import encode, encode_places

MAP = 8  # places that a side of an image is brought down to, about
_WIDER = 2  # convolutions of the map, so that a place sees what surrounds it


class Convolutions(nn.Module):
    """A map of features of each frame: a convolution, others that halve its sides until they are about `MAP`, and some
    that let a place see what surrounds it.

    With batch normalisation (Ioffe & Szegedy 2015) they learned shapes in a third of the steps that normalising over
    the channels of one image took, most of which is background. When predicting, a frame depends on no other.

    Shape:
        frames: (F, C, height, width).
        returns: (F, D, h, w).
    """

    def __init__(self, channels: int, side: int, features: int):
        super().__init__()
        halvings = max(1, round(math.log2(side / MAP))) if side > MAP else 0
        self.reduction = 2**halvings  # of each side
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


class ImageEncoder(nn.Module):
    """Features of every place of every frame, for a decoder to attend to, and how many places each image has.

    A recurrent layer reads the maps of a clip in the order of time, and adds what it knows by then to each place of a
    frame, so that the decoder attends to a place at a moment of the story.

    Args:
        inputs: "images", "clips" or "features".
        shape: Of a frame, (height, width, C); or of features, (P, D).
        mean, std: (C,) of the training data, which standardise the inputs.
        features: D.
        cell, hidden_size: Of the layer over time.
    """

    def __init__(
        self,
        inputs: str,
        shape: tuple[int, ...],
        *,
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
            places = tuple(math.ceil(side / self.frame.reduction) for side in shape[:2])
        self.map = places  # (h, w), or (P,)
        # Position embeddings, as convolutions hardly know where they are.
        self.places = nn.Parameter(torch.zeros(features, *places))
        nn.init.normal_(self.places, std=0.5)
        if inputs == "clips":
            self.time = Recurrent(cell, features * math.prod(places), hidden_size)
            self.time_output = nn.Linear(hidden_size, features)

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(S, B, D) and (B,); see `encode_places`."""
        found: tuple[Tensor, Tensor] = encode_places(self, frames, lengths)
        return found

    # Parts.

    def project(self, x: Tensor) -> Tensor:
        """(P, F, D) of features (F, P, D) that were given."""
        return self.frame(x).relu().transpose(0, 1) + self.places.T[:, None]

    def convolve(self, x: Tensor) -> Tensor:
        """(F, D, P) of frames (F, height, width, C)."""
        return (self.frame(x.movedim(-1, 1).contiguous()) + self.places).flatten(2)

    def by_clip(self, maps: Tensor, lengths: Tensor) -> Tensor:
        """(T, B, D, P) of the maps (F, D, P) of all clips; what pads a shorter clip is never attended to."""
        steps = torch.arange(int(lengths.max()), device=lengths.device)[:, None]
        return maps[(lengths.cumsum(0) - lengths + steps).clamp(max=len(maps) - 1)]

    def read_in_time(self, maps: Tensor, lengths: Tensor) -> Tensor:
        """What the layer over time adds to the maps of each step, (T, B, D, 1)."""
        y, _ = self.time(maps.flatten(2), lengths=lengths)
        return self.time_output(y)[..., None]

    def places_first(self, maps: Tensor) -> Tensor:
        """(S, B, D) of maps (B, D, P), or (T, B, D, P)."""
        return maps.movedim(2, 0) if maps.dim() == 3 else maps.permute(0, 3, 1, 2).flatten(0, 1)


class CaptionNetwork(AttentionDecoder):
    """Scores each next word of a caption given the words before it and the places that the decoder attends to.

    Args:
        cell: The recurrent cell of the decoder, which starts from the mean of all places.
        encoder: Of images, clips or features.
        channels: D, of a place.
        options: Sizes and rates of the decoder.

    Source: Xu et al. (2015), "Show, attend and tell", arXiv:1502.03044; Yao et al. (2015), "Describing videos by
    exploiting temporal structure", arXiv:1502.08029.
    """

    def __init__(self, cell: Cell, encoder: ImageEncoder, channels: int, options: DecoderOptions):
        super().__init__(cell, options, encoded_size=channels, initial_size=channels)
        self.encoder = encoder
        self.layers.open_forget_gates()

    def encode(self, batch: Batch) -> tuple[Tensor, Memory | None]:
        found: tuple[Tensor, Memory | None] = encode(self, batch)
        return found
