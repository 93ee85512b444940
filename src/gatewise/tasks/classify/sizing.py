"""How large a classifier its data deserves, and how long it is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..options import PRESETS, given_or
from .inputs import Inputs

if TYPE_CHECKING:
    from .options import ClassifyOptions

LONGEST = 64  # steps that long numeric sequences are brought down to, by reading several as one


@dataclass(frozen=True)
class Sizing:
    """Every size and rate of one training, chosen or given.

    Attributes:
        input_dropout: Of what a table says of a sequence of one step: nothing else says it again, so that a network
            would come to rely on a single column.
        others: As in `Classifier`.
    """

    embedding_size: int
    hidden_size: int
    num_layers: int
    stride: int
    ensemble: int
    dropout: float
    input_dropout: float
    augmentation: float
    learning_rate: float
    epochs: float
    batch_size: int


@dataclass(frozen=True)
class Row:
    """What suits up to `sequences` sequences to learn from; `examples` is how many are seen in all, counting each
    every time it is."""

    sequences: float
    hidden_size: int
    num_layers: int
    ensemble: int
    dropout: float
    learning_rate: float
    examples: float
    batch_size: int


# Found by trials on parts of training data. Few sequences are seen often, by several networks whose mistakes differ.
TEXT = (
    Row(2_000, 96, 1, 3, 0.5, 2e-3, 20_000, 32),
    Row(20_000, 128, 1, 5, 0.5, 2e-3, 40_000, 32),
    Row(float("inf"), 256, 1, 1, 0.3, 1e-3, 400_000, 64),
)
SERIES = (
    Row(1_000, 64, 2, 3, 0.3, 3e-3, 9_600, 16),
    Row(20_000, 128, 2, 1, 0.3, 2e-3, 40_000, 32),
    Row(float("inf"), 128, 2, 1, 0.2, 2e-3, 400_000, 128),
)
# Of a table, sequences of one step. Small, short and with much left out, a network still knows an attack of a kind that
# it has not seen: found with seven kinds held out of NSL-KDD's training file.
ROWS = (
    Row(2_000, 64, 1, 3, 0.3, 3e-3, 60_000, 32),
    Row(float("inf"), 64, 1, 3, 0.5, 2e-3, 70_000, 256),
)


def sizing(options: ClassifyOptions, inputs: Inputs, sequences: int, typical_length: float) -> Sizing:
    """Fill in what the user left open.

    Args:
        options: The estimator, its options checked, None where nothing was given.
        sequences: How many are learned from.
        typical_length: Steps of most of them.
    """
    wider, longer = PRESETS[options.preset or "medium"]
    table = TEXT if inputs.text is not None else ROWS if typical_length <= 1 else SERIES
    row = next(row for row in table if sequences <= row.sequences)
    batch = int(given_or(options.batch_size, min(row.batch_size, max(1, sequences // 2))))
    dropout = float(given_or(options.dropout, row.dropout))
    stride = max(1, math.floor(typical_length / LONGEST)) if inputs.only_numbers else 1
    return Sizing(
        embedding_size=int(given_or(options.embedding_size, 200)),
        hidden_size=int(given_or(options.hidden_size, row.hidden_size * wider)),
        num_layers=int(given_or(options.num_layers, row.num_layers)),
        stride=int(given_or(options.stride, stride)),
        ensemble=int(given_or(options.ensemble, row.ensemble)),
        dropout=dropout,
        input_dropout=dropout if table is ROWS else 0.0,
        augmentation=float(given_or(options.augmentation, 1.0 if table is SERIES and sequences <= 20_000 else 0.0)),
        learning_rate=float(given_or(options.learning_rate, row.learning_rate)),
        epochs=float(given_or(options.epochs, max(1.0, row.examples / sequences) * longer)),
        batch_size=batch,
    )


def course(chosen: Sizing, per_epoch: int, chooses: bool) -> tuple[int, float, int]:
    """Steps, learning rate, and steps between validations.

    Args:
        per_epoch: Steps in a pass.
        chooses: Whether there is a validation part; without one, the only validation is at the end, so that the last
            weights are kept.
    """
    steps = max(1, round(per_epoch * chosen.epochs))
    often = max(math.ceil(steps / 20), min(steps, math.ceil(per_epoch / 2)))
    return steps, chosen.learning_rate, often if chooses else steps
