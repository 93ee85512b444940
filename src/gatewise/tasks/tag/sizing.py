"""Sizes and rates that suit the amount of data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..options import PRESETS, sized

if TYPE_CHECKING:
    from .options import TagOptions


@dataclass(frozen=True)
class Sizing:
    """Every size and rate of one training, given or chosen; see `Tagger`."""

    embedding_size: int
    char_hidden_size: int
    hidden_size: int
    num_layers: int
    dropout: float
    learning_rate: float
    epochs: float
    batch_size: int
    chunk_length: int


# What suits up to so many training steps, found by experiments on validation data; in the order of `Sizing`.
TOKENS = (
    (20_000, Sizing(64, 32, 100, 1, 0.5, 5e-3, 30, 8, 256)),
    (80_000, Sizing(64, 50, 128, 1, 0.5, 2e-3, 15, 16, 256)),
    (150_000, Sizing(100, 50, 200, 1, 0.5, 2e-3, 10, 16, 256)),
    (1_000_000, Sizing(100, 50, 200, 1, 0.5, 3e-3, 6, 32, 256)),
    (float("inf"), Sizing(128, 64, 256, 2, 0.3, 2e-3, 4, 32, 256)),
)
NUMBERS = (
    (10_000, Sizing(16, 16, 64, 1, 0.1, 5e-3, 60, 16, 32)),
    (200_000, Sizing(16, 16, 128, 1, 0.2, 3e-3, 30, 32, 128)),
    (float("inf"), Sizing(16, 16, 128, 2, 0.1, 3e-3, 5, 64, 128)),
)


def sizing(options: TagOptions, steps: int, tokens: bool) -> Sizing:
    """Choose what the user left open.

    Args:
        options: Checked options, None where nothing was given.
        steps: Number of training steps.
        tokens: Whether words are read.
    """
    wider, longer = PRESETS[options.sized_as]
    defaults = vars(next(row for most, row in (TOKENS if tokens else NUMBERS) if steps <= most))
    hidden_size, epochs = int(defaults["hidden_size"] * wider), defaults["epochs"] * longer
    return Sizing(**sized(options, {**defaults, "hidden_size": hidden_size, "epochs": epochs}))
