"""Sizes of a model of numbers, chosen from the amount of data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ....errors import OptionError
from ...options import PRESETS, given_or

if TYPE_CHECKING:
    from ..options import GenerateOptions


@dataclass(frozen=True)
class Sizing:
    """Every size and rate of one training, chosen or given; see `Generator`."""

    hidden_size: int
    num_layers: int
    proj_size: int
    mixtures: int
    dropout: float
    learning_rate: float
    epochs: float
    batch_size: int
    chunk_length: int


@dataclass(frozen=True)
class Row:
    """What suits up to `steps` steps of training data; `seen` is how many are read in all epochs together."""

    steps: float
    hidden_size: int
    num_layers: int
    dropout: float
    learning_rate: float
    seen: float
    batch_size: int


# The last by trials on two held-out writers of Omniglot; the others shrink with the data.
ROWS = (
    Row(20_000, 128, 1, 0.3, 5e-3, 600_000, 8),
    Row(100_000, 256, 1, 0.3, 3e-3, 2_000_000, 16),
    Row(float("inf"), 256, 1, 0.15, 4e-3, 4_500_000, 32),
)


def sizing(options: GenerateOptions, steps: int) -> Sizing:
    """Fill in what the user left open.

    Args:
        options: Checked; None where nothing was given.
        steps: Number of steps in the training data.

    Raises:
        OptionError: The sizes contradict each other.
    """
    wider, longer = PRESETS[options.sized_as]
    row = next(row for row in ROWS if steps <= row.steps)
    hidden, proj = int(given_or(options.hidden_size, row.hidden_size * wider)), int(options.proj_size)
    if proj >= hidden:
        raise OptionError(f"proj_size must be below hidden_size, which is {hidden}, not {proj}")
    batch = int(given_or(options.batch_size, row.batch_size))
    return Sizing(
        hidden_size=hidden,
        num_layers=int(given_or(options.num_layers, row.num_layers)),
        proj_size=proj,
        mixtures=int(given_or(options.mixtures, 20)),
        dropout=float(given_or(options.dropout, row.dropout)),
        learning_rate=options.rate_or(row.learning_rate),
        epochs=float(given_or(options.epochs, max(1.0, row.seen / steps) * longer)),
        batch_size=batch,
        chunk_length=int(given_or(options.chunk_length, 128)),
    )
