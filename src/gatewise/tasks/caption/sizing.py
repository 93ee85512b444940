"""How large a captioner its images deserve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..options import PRESETS, sized

if TYPE_CHECKING:
    from .options import CaptionOptions


@dataclass(frozen=True)
class Sizing:
    """Every size and rate of one training, chosen or given; see `Captioner`."""

    channels: int
    embedding_size: int
    hidden_size: int
    num_layers: int
    dropout: float
    learning_rate: float
    epochs: float
    batch_size: int


# What suits up to so many images of training, found by trials on validation data.
ROWS = (
    (1_000, Sizing(64, 128, 128, 1, 0.1, 3e-3, 40, 16)),
    (5_000, Sizing(64, 128, 128, 1, 0.1, 3e-3, 15, 32)),
    (float("inf"), Sizing(64, 128, 128, 1, 0.1, 3e-3, 10, 32)),
)


def sizing(options: CaptionOptions, images: int, clips: bool) -> Sizing:
    """Fill in what the user left open.

    Args:
        options: The estimator, its options checked, None where nothing was given.
        images: Of the training data.
        clips: Whether they are clips, each with so many frames to look at that half the channels must do.
    """
    wider, longer = PRESETS[options.preset or "medium"]
    usual = vars(next(row for most, row in ROWS if images <= most))
    usual = {
        **usual,
        "channels": int(usual["channels"] * wider / (2 if clips else 1)),
        "hidden_size": int(usual["hidden_size"] * wider),
        "epochs": usual["epochs"] * longer,
    }
    return Sizing(**sized(options, usual))
