"""The network of `caption`, said once: an encoder that makes features of each place of an image or clip, and a decoder
that attends to them word by word.

Letters: B images, F frames of them all, T frames of the longest, P places of a frame, S = T P places to attend to, C
channels, D features of a place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ...algebra import Cell
from ...runtime.network import (
    BatchNormalisation,
    Block,
    Chain,
    Constant,
    Convolution,
    Linear,
    Recurrent,
    ReLU,
    Weight,
)
from ..attention_decoder import TIED, DecoderOptions, decoder_parts, memory_of, selected

MAP = 8  # places that a side of an image is brought down to, about
_WIDER = 2  # convolutions of the map, so that a place sees what surrounds it


def architecture(cell: Cell, encoder: Block, channels: int, options: DecoderOptions) -> Block:
    """What scores each next word of a caption given the words before it and the places that the decoder attends to.

    Args:
        cell: The recurrent cell of the decoder, which starts from the mean of all places.
        encoder: See `image_encoder`.
        channels: D, of a place.
        options: Sizes and rates of the decoder.

    Source: Xu et al. (2015), "Show, attend and tell", arXiv:1502.03044; Yao et al. (2015), "Describing videos by
    exploiting temporal structure", arXiv:1502.08029.
    """
    decoder = decoder_parts(cell, options, encoded_size=channels, initial_size=channels)
    return Block({**decoder, "encoder": encoder}, TIED)


def image_encoder(
    inputs: str,
    shape: tuple[int, ...],
    *,
    mean: Sequence[float],
    std: Sequence[float],
    features: int,
    cell: Cell,
    hidden_size: int,
) -> Block:
    """Features of every place of every frame, for a decoder to attend to.

    A recurrent layer reads the maps of a clip in the order of time, and adds what it knows by then to each place of a
    frame, so that the decoder attends to a place at a moment of the story.

    Args:
        inputs: "images", "clips" or "features".
        shape: Of a frame, (height, width, C); or of features, (P, D).
        mean, std: (C,) of the training data, which standardise the inputs.
        features: D.
        cell, hidden_size: Of the layer over time.
    """
    frame: Any
    places: tuple[int, ...]
    if inputs == "features":
        frame, places = Linear(shape[1], features, exact=True), (shape[0],)
    else:
        frame, reduction = convolutions(shape[2], max(shape[:2]), features)
        places = tuple(math.ceil(side / reduction) for side in shape[:2])
    time = {}
    if inputs == "clips":
        width = features * math.prod(places)
        layer = Recurrent(cell=cell, input_size=width, hidden_size=hidden_size)
        time = {"time": layer, "time_output": Linear(hidden_size, features, exact=True)}
    return Block(
        {
            # Position embeddings, as convolutions hardly know where they are.
            "places": Weight((features, *places)),
            "mean": Constant(mean),
            "std": Constant(std),
            "frame": frame,
            **time,
            "inputs": inputs,
            "map": places,  # (h, w), or (P,)
        }
    )


def convolutions(channels: int, side: int, features: int) -> tuple[Block, int]:
    """A map of features of each frame, from (F, C, height, width) to (F, D, h, w); and how many times shorter its sides
    are: a convolution, others that halve the sides until they are about `MAP`, and some that let a place see what
    surrounds it.

    With batch normalisation (Ioffe & Szegedy 2015) they learned shapes in a third of the steps that normalising over
    the channels of one image took, most of which is background. When predicting, a frame depends on no other.
    """
    halvings = max(1, round(math.log2(side / MAP))) if side > MAP else 0
    widths = [max(16, features >> (halvings - place)) for place in range(halvings + 1)]
    layers: list[Any] = []
    for place, width in enumerate([*widths, *[features] * _WIDER]):
        stride = 2 if 0 < place <= halvings else 1
        layers += [Convolution(channels, width, stride), BatchNormalisation(width), ReLU()]
        channels = width
    return Block({"layers": Chain(layers)}), 2**halvings


# The forward pass.


def encode(net: Any, batch: Mapping[str, Any]) -> tuple[Any, Any]:
    """The mean of the places of each image, (B, D), from which the decoder starts; and these as the memory that the
    decoder attends to.

    Args:
        net: The parts of `architecture`.
        batch: "frames" and "lengths" as of `encode_places`; where some images have several captions or none, "rows":
            the image of each caption; and of some clips of a batch "longest": the frames of the longest one of all.
    """
    places = encode_places(net.encoder, batch["frames"], batch["lengths"], batch.get("longest"))
    mean, memory = _remembered(net, *places)
    if "rows" not in batch:
        return mean, memory
    return mean[batch["rows"]], selected(memory, batch["rows"])


def encode_filled(net: Any, batch: Mapping[str, Any]) -> tuple[Any, Any]:
    """The same of clips whose frames (T, B, height, width, C) are filled up, as graphs of other engines read them."""
    frames, encoder = batch["frames"], net.encoder
    maps = _maps(encoder, frames.reshape(-1, *frames.shape[2:]))
    maps = maps.reshape(*frames.shape[:2], *maps.shape[1:])
    return _remembered(net, *_over_time(encoder, maps, batch["lengths"]))


def _remembered(net: Any, places: Any, lengths: Any) -> tuple[Any, Any]:
    memory = memory_of(net, places, lengths)
    return memory.values.sum(1) / net.ops.as_float(lengths)[:, None], memory


def encode_places(encoder: Any, frames: Any, lengths: Any, longest: int | None = None) -> tuple[Any, Any]:
    """Features (S, B, D) of all places of each image, and how many places each has, (B,).

    Args:
        encoder: The parts of `image_encoder`.
        frames: (F, height, width, C) or (F, P, D), as in the data.
        lengths: (B,) frames of each.
        longest: Frames that clips are filled up to; those of the longest, if omitted.
    """
    ops = encoder.ops
    if encoder.inputs == "features":
        x = (ops.as_float(frames) - encoder.mean) / encoder.std
        places = ops.relu(encoder.frame(x)).swapaxes(0, 1) + encoder.places.T[:, None]
        return places, lengths * len(places)
    maps = _maps(encoder, frames)
    if encoder.inputs == "clips":
        return _over_time(encoder, _by_clip(ops, maps, lengths, longest), lengths)
    return ops.moveaxis(maps, 2, 0), lengths * maps.shape[2]


def _maps(encoder: Any, frames: Any) -> Any:
    """(F, D, P) of frames (F, height, width, C)."""
    ops = encoder.ops
    x = (ops.as_float(frames) - encoder.mean) / encoder.std
    maps = encoder.frame.layers(ops.contiguous(ops.moveaxis(x, -1, 1))) + encoder.places
    return maps.reshape(*maps.shape[:2], -1)


def _over_time(encoder: Any, maps: Any, lengths: Any) -> tuple[Any, Any]:
    """The places of the maps (T, B, D, P) of clips, as of `encode_places`."""
    y, _ = encoder.time(maps.reshape(*maps.shape[:2], -1), lengths=lengths)
    maps = maps + encoder.time_output(y)[..., None]
    first = encoder.ops.permute(maps, (0, 3, 1, 2))
    return first.reshape(-1, *first.shape[2:]), lengths * maps.shape[3]


def _by_clip(ops: Any, maps: Any, lengths: Any, longest: int | None) -> Any:
    """(T, B, D, P) of the maps (F, D, P) of all clips; what pads a shorter clip is never attended to."""
    steps = ops.arange(longest or int(lengths.max()), lengths)[:, None]
    return maps[ops.clip(lengths.cumsum(0) - lengths + steps, 0, len(maps) - 1)]
