"""Rows of the table of quality for `tag`."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.data.readers.conll import read_conll
from gatewise.data.sequences import Column, Sequences
from gatewise.tasks.tag.estimator import Tagger

from .row import Row


def sentences(files: tuple[str, str, str], measure: str, data: Path, seed: int) -> dict[str, Any]:
    """Default settings: the training file is learned from, the dev file chooses the best weights.

    Spans that break their scheme (four in the resumes' training file) are read as conlleval reads them.
    """
    train, dev, test = (read_conll(data / file, repair=True) for file in files)
    tagger = Tagger(seed=seed).fit(train, validation=dev)
    found = tagger.evaluate(test)
    return answer(found["all"], found["baselines"], measure, {})


def commands(data: Path, seed: int) -> dict[str, Any]:
    """The first 60 % of the drive are learned from, the next 15 % choose the best weights, the last quarter is the
    test. The tagger does not look ahead, so it could have steered: its `stream` gives the same commands."""
    options = {"bidirectional": False, "split": (0.6, 0.15, 0.25)}
    found = Tagger(**options, seed=seed).fit(drive(data / "wall_following" / "sensor_readings_24.data.gz")).metrics_
    return answer(found["test"], found["baselines"], "accuracy", options)


def drive(path: Path) -> Sequences:
    """One sequence: 24 distances and the command of each step."""
    with gzip.open(path, "rt", encoding="ascii") as file:
        names, *rows = [line.split(",") for line in file.read().split()]
    levels = sorted({row[-1] for row in rows})
    distances = np.array([row[:-1] for row in rows], np.float32)
    steps = {name: Column(name, "number", distances[:, place]) for place, name in enumerate(names[:-1])}
    codes = np.array([levels.index(row[-1]) for row in rows], np.int32)
    return Sequences(np.array([0, len(rows)]), {**steps, "label": Column("label", "category", codes, tuple(levels))})


def answer(found: dict[str, Any], baselines: dict[str, Any], measure: str, options: dict[str, Any]) -> dict[str, Any]:
    """What a row's `run` returns."""
    kept = ("f1", "precision", "recall", "accuracy", "macro_f1", "types")
    return {
        **{name: found[name] for name in kept if name in found},
        "baselines": {name: figures[measure] for name, figures in baselines.items()},
        "options": options,
    }


def row(name: str, files: tuple[str, str, str], measure: str, goal: float, yardstick: str, **rest: Any) -> Row:
    split = f"{files[0].split('/')[0]}: its own train, dev and test files"
    return Row(
        name,
        "tag",
        split,
        measure,
        goal,
        "more",
        lambda d, s: sentences(files, measure, d, s),
        yardstick=yardstick,
        **rest,
    )


ROWS = (
    row(
        "ud_en_ewt",
        tuple(f"ud_en_ewt/en_ewt-ud-{part}.conllu.gz" for part in ("train", "dev", "test")),
        "accuracy",
        0.935,
        "96.4 averaged over languages, with pretrained vectors (Plank et al. 2016)",
    ),
    row(
        "resume_ner_zh",
        tuple(f"resume_ner_zh/{part}.char.bmes.gz" for part in ("train", "dev", "test")),
        "f1",
        0.925,
        "BiLSTM-CRF 93.5 with pretrained characters (Zhang & Yang 2018)",
    ),
    row(
        "wnut17",
        ("wnut17/wnut17train.conll.gz", "wnut17/emerging.dev.conll.gz", "wnut17/emerging.test.annotated.gz"),
        "f1",
        0.22,
        "38-45 with pretrained vectors (Derczynski et al. 2017, the shared task)",
        seeds=(0, 1, 2),
    ),
    Row(
        "wall_following",
        "tag",
        "wall_following: by time, 60 % training, 15 % validation, the last quarter test",
        "accuracy",
        0.95,
        "more",
        commands,
        (0, 1, 2),
        "Elman network 96.4, but on a random split (Freire et al. 2009)",
    ),
)
