"""How the network of `caption` is trained."""

from __future__ import annotations

from typing import Any

from torch import nn

from ...runtime.network import Block
from ..decoder_network import AttentionDecoder
from ..network import Block as Modules
from ..network import module_of
from .architecture import encode


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


def _drawn(encoder: Block) -> Any:
    """The modules of an encoder: what reads a clip over time is drawn after the places."""
    last = ("time", "time_output")
    found = Modules({name: part for name, part in encoder.parts.items() if name not in last})
    nn.init.normal_(found.places, std=0.5)
    for name in last:
        if name in encoder.parts:
            setattr(found, name, module_of(encoder.parts[name]))
    return found
