"""How the network of `caption` is trained."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...runtime.network import Block
from ..attention_decoder import Batch
from ..decoder_network import AttentionDecoder
from ..network import Block as Modules
from ..network import module_of
from .architecture import encode

_FRAME = 10  # steps of the decoder that take about as long as a frame does


class CaptionNetwork(AttentionDecoder):
    """Scores each next word of a caption.

    Args:
        block: See `architecture`.
    """

    def __init__(self, block: Block):
        encoder = _drawn(block.parts["encoder"])
        super().__init__(block, encode, encoder=("encoder",))
        self.encoder = encoder
        self.layers.open_forget_gates()

    # What `training.Trainable` calls rows are images, each with those of its captions that are in the batch.

    axes: ClassVar = {"lengths": 0}

    def work(self, batch: Batch) -> list[float]:
        steps, words = _FRAME * batch["lengths"].cpu(), batch["target_lengths"].cpu()
        found: list[float] = steps.index_add_(0, batch["rows"].cpu(), words).tolist()
        return found

    def rows(self, batch: Batch, places: Tensor) -> Batch:
        lengths, image, device = batch["lengths"].cpu(), batch["rows"].cpu(), batch["rows"].device
        own = torch.isin(image, places).nonzero()[:, 0]
        captions = {
            name: batch[name].index_select(axis, own.to(device))
            for name, axis in {"inputs": 1, "targets": 1, "target_lengths": 0}.items()
        }
        frames = torch.isin(torch.arange(len(lengths)).repeat_interleave(lengths), places)
        return {
            **super().rows(batch, places),
            **captions,
            "rows": torch.searchsorted(places, image[own]).to(device),
            "frames": batch["frames"][frames.to(device)],
            "longest": int(lengths.max()),
        }


def _drawn(encoder: Block) -> Any:
    """The modules of an encoder: what reads a clip over time is drawn after the places."""
    last = ("time", "time_output")
    found = Modules({name: part for name, part in encoder.parts.items() if name not in last})
    nn.init.normal_(found.places, std=0.5)
    for name in last:
        if name in encoder.parts:
            setattr(found, name, module_of(encoder.parts[name]))
    return found
