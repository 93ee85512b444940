"""How large a detector's networks are, and how long they learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..options import PRESETS

if TYPE_CHECKING:
    from .options import DetectOptions


@dataclass(frozen=True)
class Sizing:
    """Every size and rate of one training, chosen or given; as in `Detector`."""

    hidden_size: int
    learning_rate: float
    epochs: float
    batch_size: int


# (steps of training data, Sizing). The first row was found by trials on the beginnings of eight series, those that
# benchmarks/quality/detect.py sets aside; the others carry it on to more data.
ROWS = (
    (2_000, Sizing(32, 5e-3, 160, 8)),
    (20_000, Sizing(32, 5e-3, 30, 16)),
    (200_000, Sizing(64, 3e-3, 10, 32)),
    (float("inf"), Sizing(128, 2e-3, 3, 64)),
)


def sizing(options: DetectOptions, steps: int) -> Sizing:
    """Fill in what the user left open, for so many training steps."""
    wider, longer = PRESETS[options.preset or "medium"]
    row = next(row for most, row in ROWS if steps <= most)

    def given(name: str, usual: Any) -> Any:
        value = getattr(options, name)
        return usual if value is None else value

    return Sizing(
        hidden_size=int(given("hidden_size", row.hidden_size * wider)),
        learning_rate=float(given("learning_rate", row.learning_rate)),
        epochs=float(given("epochs", row.epochs * longer)),
        batch_size=int(given("batch_size", row.batch_size)),
    )
