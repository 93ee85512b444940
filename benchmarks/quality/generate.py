"""Rows of the table of quality for `generate`."""

from __future__ import annotations

import gzip
import io
from functools import partial
from pathlib import Path
from typing import Any

from gatewise.data.readers.strokes import read_strokes
from gatewise.data.readers.ts import read_ts
from gatewise.data.sequences import Sequences
from gatewise.tasks.generate.estimator import Generator

from .classify import by_writer
from .row import Row, judgement


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
        **judgement(found),
        "baselines": {name: figures["loss"] for name, figures in found["baselines"].items()},
        "options": {},
    }


def text(file: str, options: dict[str, Any], most: int | None, data: Path, seed: int) -> dict[str, Any]:
    """The first nine tenths of a text are learned from, the next twentieth chooses the weights, and the last is the
    test.

    Args:
        most: Characters of the file that are taken; all if None.
    """
    path = data / file
    written = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    generator = Generator(seed=seed, **options).fit(io.StringIO(written.decode("utf-8")[:most]))
    metrics = generator.metrics_
    return {
        **metrics["test"],
        **judgement(metrics),
        "baselines": {name: figures["bits_per_character"] for name, figures in metrics["baselines"].items()},
        "validation": metrics["validation"]["bits_per_character"],
        "training_seconds": generator.provenance_["seconds"],
        "options": options,
    }


def of_text(name: str, file: str, most: int | None = None) -> tuple[Row, Row]:
    """A row with the defaults, and one with the preset "small"."""
    folder = file.partition("/")[0]
    what = folder if most is None else f"{folder}, the first {most:,} characters"
    return tuple(
        Row(
            f"{name}{suffix}",
            "generate",
            f"{what}: shares 0.9, 0.05, 0.05 in order",
            "bits_per_character",
            "less",
            partial(text, file, options, most),
        )
        for suffix, options in (("", {}), ("_small", {"preset": "small"}))
    )


SEEDS = (0, 1, 2)
ROWS = (
    Row(
        "omniglot_drawn",
        "generate",
        "omniglot_small1, writers 17 to 20 are the test",
        "loss",
        "less",
        drawings,
        SEEDS,
    ),
    Row(
        "basicmotions_continued",
        "generate",
        "ucr_uea, BasicMotions, given split",
        "loss",
        "less",
        motions,
        SEEDS,
    ),
    *of_text("alice", "alice/wonderland.txt"),
    *of_text("sonnets", "sonnets/sonnets.txt.gz"),
    *of_text("tinyshakespeare", "tinyshakespeare/input.txt"),
    *of_text("war_and_peace", "war_and_peace/warpeace_input.txt.gz", 1_200_000),
    *of_text("shell_commands", "nl2bash/all.cm.gz"),
    *of_text("tang_poems", "tang_poems/tang_poems.txt.gz"),
)
