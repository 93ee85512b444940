"""Rows of the table of quality for `generate` of numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gatewise.data.readers.strokes import read_strokes
from gatewise.data.readers.ts import read_ts
from gatewise.data.sequences import Sequences
from gatewise.tasks.generate.estimator import Generator

from .classify import by_writer
from .row import Row


def drawings(data: Path, seed: int) -> dict[str, Any]:
    """Writers 17 to 20 are the test, 15 and 16 choose the best weights, the other fourteen are learned from."""
    parts = by_writer(read_strokes(data / "omniglot_small1" / "strokes_background_small1.zip"))
    return fitted(*parts, seed)


def motions(data: Path, seed: int) -> dict[str, Any]:
    """The archive's training file is learned from, but for every fifth recording, which chooses the best weights."""
    train, test = (read_ts(data / "ucr_uea/BasicMotions" / f"BasicMotions_{part}.ts.gz") for part in ("TRAIN", "TEST"))
    held = [row for row in range(len(train)) if row % 5 == 4]
    kept = [row for row in range(len(train)) if row % 5 != 4]
    return fitted(train.take(kept), train.take(held), test, seed)


def fitted(train: Sequences, validation: Sequences, test: Sequences, seed: int) -> dict[str, Any]:
    found = Generator(seed=seed).fit(train, validation=validation).evaluate(test)
    return {
        **found["all"],
        "baselines": {name: figures["loss"] for name, figures in found["baselines"].items()},
        "options": {},
    }


# The goals are what the best of the plain methods gives on the test, rounded; each run computes it too.
SEEDS = (0, 1, 2)
ROWS = (
    Row(
        "omniglot_drawn",
        "generate",
        "omniglot_small1, writers 17 to 20 are the test",
        "loss",
        -2.4,
        "less",
        drawings,
        SEEDS,
    ),
    Row(
        "basicmotions_continued",
        "generate",
        "ucr_uea, BasicMotions, given split",
        "loss",
        13.7,
        "less",
        motions,
        SEEDS,
    ),
)
