"""Sizes of a transcriber, chosen from the amount of data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...decoding.ctc import steps_needed
from ...errors import OptionError
from ..options import PRESETS, sized

if TYPE_CHECKING:
    from .options import TranscribeOptions

_STACKS = (3, 2, 1)
_ROOM = 0.7  # largest share of a sequence's steps that its characters may need, so that some steps are left over


@dataclass(frozen=True)
class Sizing:
    """Every size and rate of one training, chosen or given; see `Transcriber`."""

    hidden_size: int
    num_layers: int
    image_hidden_size: int
    dropout: float
    frequency_mask: float
    time_mask: float
    time_warp: float
    learning_rate: float
    epochs: float
    batch_size: int
    augmentation: float = 0.0  # of models that were made before there was any


# Up to this many frames of training data -> sizes, found by trials on validation data.
SOUND = (
    (100_000, Sizing(128, 2, 0, 0.2, 0.15, 0.05, 0.1, 3e-3, 40, 16, 1.0)),
    (1_000_000, Sizing(128, 2, 0, 0.2, 0.15, 0.05, 0.1, 3e-3, 20, 16, 1.0)),
    (2_000_000, Sizing(128, 2, 0, 0.2, 0.15, 0.05, 0.1, 3e-3, 10, 16, 1.0)),
    (float("inf"), Sizing(256, 3, 0, 0.2, 0.15, 0.05, 0.1, 2e-3, 10, 16, 0.5)),
)
OTHER = (
    (100_000, Sizing(96, 1, 0, 0.2, 0.0, 0.0, 0.0, 5e-3, 30, 16, 1.0)),
    (float("inf"), Sizing(128, 2, 0, 0.2, 0.0, 0.0, 0.0, 3e-3, 15, 16, 1.0)),
)
IMAGE_HIDDEN_SIZE = 8  # units per direction of the 2-D LSTM that reads images


def sizing(options: TranscribeOptions, frames: int, medium: str) -> Sizing:
    """Fill in what the user left open.

    Args:
        options: Checked; None where nothing was given.
        frames: Frames of the training data.
        medium: "sound", "images", "strokes" or "numbers".

    Raises:
        OptionError: `augmentation` is given, and nothing is known of the signals that could be varied.
    """
    if medium == "numbers" and options.augmentation:
        raise OptionError(
            f"augmentation={options.augmentation} varies sound, images and pen strokes, and these are other numbers. "
            "Leave it out"
        )
    wider, longer = PRESETS[options.sized_as]
    row = next(row for most, row in (SOUND if medium == "sound" else OTHER) if frames <= most)
    image_hidden_size = IMAGE_HIDDEN_SIZE if medium == "images" else 0
    defaults = replace(
        row,
        hidden_size=int(row.hidden_size * wider),
        image_hidden_size=int(image_hidden_size * wider),
        epochs=row.epochs * longer,
        augmentation=row.augmentation if medium in ("sound", "images") else 0.0,
    )
    return Sizing(**sized(options, vars(defaults)))


def stack_for(lengths: np.ndarray, targets: Sequence[np.ndarray], medium: str) -> int:
    """Frames that are read as one step: of sound up to three, as long as every text has room; else 1.

    Args:
        lengths: (N,) frames of each sequence.
        targets: The labels of each.
        medium: As for `sizing`.
    """
    if medium != "sound":
        return 1
    needed = np.array([steps_needed(own.tolist()) for own in targets])
    return next((n for n in _STACKS if (needed <= _ROOM * (lengths // n)).all()), 1)
