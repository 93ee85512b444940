"""Sizes and rates that suit the data, and how long training takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..options import PRESETS, given_or
from .inputs import Inputs

if TYPE_CHECKING:
    from .options import ClassifyOptions

LONGEST = 64  # steps that long numeric sequences are reduced to, by reading several as one


@dataclass(frozen=True)
class Sizing:
    """Every size and rate of one training, given or chosen.

    Attributes:
        input_dropout: Of the columns of a table whose sequences have one step: nothing repeats what a column says, so a
            network would come to rely on a single one.
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
    """What suits up to `sequences` training sequences; `examples` is how many training sees over all epochs."""

    sequences: float
    hidden_size: int
    num_layers: int
    ensemble: int
    dropout: float
    learning_rate: float
    examples: float
    batch_size: int


# Found by experiments on parts of training data. Few sequences are learned from often, by several networks whose errors
# differ.
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
# Rows of a table are sequences of one step. A small network, trained briefly with much dropout, still recognises kinds
# of attacks that it has not seen: found with seven kinds held out of NSL-KDD's training file.
ROWS = (
    Row(2_000, 64, 1, 3, 0.3, 3e-3, 60_000, 32),
    Row(float("inf"), 64, 1, 3, 0.5, 2e-3, 70_000, 256),
)


def sizing(options: ClassifyOptions, inputs: Inputs, sequences: int, typical_length: float) -> Sizing:
    """Choose what the user left open.

    Args:
        options: Checked options, None where nothing was given.
        sequences: Number of training sequences.
        typical_length: Steps of a typical one.
    """
    wider, longer = PRESETS[options.sized_as]
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
        learning_rate=options.rate_or(row.learning_rate),
        epochs=float(given_or(options.epochs, max(1.0, row.examples / sequences) * longer)),
        batch_size=batch,
    )


def training_steps(chosen: Sizing, per_epoch: int, validated: bool) -> tuple[int, int]:
    """Steps of a training, and steps between its validations.

    Args:
        per_epoch: Steps of an epoch.
        validated: Whether there is a validation part. Without one, the only validation is at the end, so that the last
            weights are kept.
    """
    steps = max(1, round(per_epoch * chosen.epochs))
    between = max(math.ceil(steps / 20), min(steps, math.ceil(per_epoch / 2)))
    return steps, between if validated else steps
