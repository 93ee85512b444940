"""How large a detector's networks are, and how long they train."""

from __future__ import annotations

from dataclasses import dataclass

from ..options import PRESETS, given_or
from .options import DetectOptions


@dataclass(frozen=True)
class Sizing:
    """Every size and rate of one training, chosen or given; as in `Detector`."""

    hidden_size: int
    learning_rate: float
    epochs: float
    batch_size: int


# (most steps of training data, sizing). The first row was found by trials on the beginnings of eight series of NAB; the
# others extrapolate it to more data.
ROWS = (
    (2_000, Sizing(32, 5e-3, 160, 8)),
    (20_000, Sizing(32, 5e-3, 30, 16)),
    (200_000, Sizing(64, 3e-3, 10, 32)),
    (float("inf"), Sizing(128, 2e-3, 3, 64)),
)


def sizing(options: DetectOptions, steps: int) -> Sizing:
    """What the user left open, for so many training steps."""
    wider, longer = PRESETS[options.sized_as]
    row = next(row for most, row in ROWS if steps <= most)
    return Sizing(
        hidden_size=int(given_or(options.hidden_size, row.hidden_size * wider)),
        learning_rate=options.rate_or(row.learning_rate),
        epochs=float(given_or(options.epochs, row.epochs * longer)),
        batch_size=int(given_or(options.batch_size, row.batch_size)),
    )
