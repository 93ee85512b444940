"""Default sizes of a captioner, from the number of its images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..options import PRESETS, sized

if TYPE_CHECKING:
    from .options import CaptionOptions


@dataclass(frozen=True)
class Sizing:
    """Every size and rate of one training, given or default; see `Captioner`."""

    channels: int
    embedding_size: int
    hidden_size: int
    num_layers: int
    dropout: float
    learning_rate: float
    epochs: float
    batch_size: int


# Defaults for up to so many training images, found by trials on validation data.
ROWS = (
    (1_000, Sizing(64, 128, 128, 1, 0.1, 3e-3, 40, 16)),
    (5_000, Sizing(64, 128, 128, 1, 0.1, 3e-3, 15, 32)),
    (float("inf"), Sizing(64, 128, 128, 1, 0.1, 3e-3, 10, 32)),
)


def sizing(options: CaptionOptions, images: int, clips: bool) -> Sizing:
    """Sizes and rates, the defaults where no option was given.

    Args:
        options: Checked; None where nothing was given.
        images: Of the training data.
        clips: Whether they are clips, whose many frames allow for half the channels only.
    """
    wider, longer = PRESETS[options.sized_as]
    defaults = vars(next(row for most, row in ROWS if images <= most))
    defaults = {
        **defaults,
        "channels": int(defaults["channels"] * wider / (2 if clips else 1)),
        "hidden_size": int(defaults["hidden_size"] * wider),
        "epochs": defaults["epochs"] * longer,
    }
    return Sizing(**sized(options, defaults))
