"""Rows of the table of quality for `tag`."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.data.readers.conll import read_conll
from gatewise.data.sequences import Column, Sequences, offsets_of, text_column
from gatewise.tasks.tag.estimator import Tagger

from .row import Row, judgement


def sentences(files: tuple[str, str, str], measure: str, data: Path, seed: int) -> dict[str, Any]:
    """Default settings: the training file is learned from, the dev file chooses the best weights.

    Spans that break their scheme (four in the resumes' training file) are read as conlleval reads them.
    """
    train, dev, test = (read_conll(data / file, repair=True) for file in files)
    tagger = Tagger(seed=seed).fit(train, validation=dev)
    found = tagger.evaluate(test)
    return answer(found, "all", measure, {})


def commands(data: Path, seed: int) -> dict[str, Any]:
    """The first 60 % of the drive are learned from, the next 15 % choose the best weights, the last quarter is the
    test. The tagger does not look ahead, so it could have steered: its `stream` gives the same commands."""
    options = {"bidirectional": False, "split": (0.6, 0.15, 0.25)}
    found = Tagger(**options, seed=seed).fit(drive(data / "wall_following" / "sensor_readings_24.data.gz")).metrics_
    return answer(found, "test", "accuracy", options)


def unseen(recordings: dict[str, list[Sequences]], left_out: int, options: dict[str, Any]) -> dict[str, Any]:
    """A person is left out: the tagger learns from the recordings of all others.

    Args:
        recordings: Of each person, by name.
        left_out: Place of the person who is left out.
    """
    person = sorted(recordings)[left_out]
    others = joined([own for name, some in recordings.items() if name != person for own in some])
    found = Tagger(**options).fit(others).evaluate(joined(recordings[person]))
    return {**answer(found, "all", "accuracy", options), "left out": person}


def walkers(data: Path, seed: int) -> dict[str, Any]:
    """The seed-th of ten persons is left out; of the others, whole persons choose the best weights."""
    files = sorted((data / "chest_accelerometer").glob("*.csv.gz"))
    recordings = {}
    for file in files:
        rows = np.loadtxt(file, delimiter=",")
        person = file.name.partition(".")[0]
        recordings[person] = [
            recording(rows[:, 1:4], rows[:, 4].astype(int).astype(str).tolist(), ["x", "y", "z"], person)
        ]
    return unseen(recordings, seed, {"group": "person", "split": (0.8, 0.2, 0.0)})


def speakers(data: Path, seed: int) -> dict[str, Any]:
    """The seed-th of three users is left out; of the recordings of the two others, the later parts choose."""
    recordings: dict[str, list[Sequences]] = {}
    for file in sorted((data / "gesture_phase").glob("*_raw.csv.gz")):
        with gzip.open(file, "rt", encoding="utf-8-sig") as lines:
            names, *rows = csv.reader(lines)
        phases = [row[19].replace("Preparação", "Preparation") for row in rows]
        places = np.array([row[:18] for row in rows], np.float64)
        recordings.setdefault(file.name[0], []).append(recording(places, phases, names[:18], file.name[0]))
    return unseen(recordings, seed, {})


def recording(values: np.ndarray, labels: list[str], names: list[str], person: str) -> Sequences:
    """One sequence of a person."""
    columns = {name: Column(name, "number", values[:, place].astype(np.float32)) for place, name in enumerate(names)}
    columns["label"] = text_column("label", labels)
    return Sequences(np.array([0, len(labels)]), columns, {"person": text_column("person", [person])})


def joined(recordings: list[Sequences]) -> Sequences:
    """All of them, with the labels as categories."""
    first = recordings[0]
    steps = {
        name: Column(name, "number", np.concatenate([own.steps[name].values for own in recordings]))
        for name, column in first.steps.items()
        if column.kind == "number"
    }
    labels = [label for own in recordings for label in own.steps["label"].strings()]
    levels = sorted({label for label in labels if label})
    steps["label"] = Column(
        "label", "category", np.array([levels.index(label) for label in labels], np.int32), tuple(levels)
    )
    persons = [name for own in recordings for name in own.static["person"].strings()]
    return Sequences(
        offsets_of([len(own.steps["label"]) for own in recordings]), steps, {"person": text_column("person", persons)}
    )


def drive(path: Path) -> Sequences:
    """One sequence: 24 distances and the command of each step."""
    with gzip.open(path, "rt", encoding="ascii") as file:
        names, *rows = [line.split(",") for line in file.read().split()]
    levels = sorted({row[-1] for row in rows})
    distances = np.array([row[:-1] for row in rows], np.float32)
    steps = {name: Column(name, "number", distances[:, place]) for place, name in enumerate(names[:-1])}
    codes = np.array([levels.index(row[-1]) for row in rows], np.int32)
    return Sequences(np.array([0, len(rows)]), {**steps, "label": Column("label", "category", codes, tuple(levels))})


def answer(metrics: dict[str, Any], part: str, measure: str, options: dict[str, Any]) -> dict[str, Any]:
    """What a row's `run` returns."""
    found = metrics[part]
    kept = ("f1", "precision", "recall", "accuracy", "macro_f1", "types")
    return {
        **{name: found[name] for name in kept if name in found},
        "baselines": {name: figures[measure] for name, figures in metrics["baselines"].items()},
        "options": options,
        **judgement(metrics),
    }


def row(name: str, files: tuple[str, str, str], measure: str, yardstick: str, **rest: Any) -> Row:
    split = f"{files[0].split('/')[0]}: its own train, dev and test files"
    return Row(
        name,
        "tag",
        split,
        measure,
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
        "96.4 averaged over languages, with pretrained vectors (Plank et al. 2016)",
    ),
    row(
        "resume_ner_zh",
        tuple(f"resume_ner_zh/{part}.char.bmes.gz" for part in ("train", "dev", "test")),
        "f1",
        "BiLSTM-CRF 93.5 with pretrained characters (Zhang & Yang 2018)",
    ),
    row(
        "wnut17",
        ("wnut17/wnut17train.conll.gz", "wnut17/emerging.dev.conll.gz", "wnut17/emerging.test.annotated.gz"),
        "f1",
        "38-45 with pretrained vectors (Derczynski et al. 2017, the shared task)",
        seeds=(0, 1, 2),
    ),
    row(
        "weibo_ner",
        tuple(f"weibo_ner/weiboNER_2nd_conll.{part}.gz" for part in ("train", "dev", "test")),
        "f1",
        "",
    ),
    Row(
        "chest_accelerometer",
        "tag",
        "chest_accelerometer: each of ten persons left out in turn; of the others whole persons, a fifth, validate",
        "accuracy",
        "more",
        walkers,
        tuple(range(10)),
    ),
    Row(
        "gesture_phase",
        "tag",
        "gesture_phase: each of three users left out in turn; of the others the last tenth of each is held out",
        "accuracy",
        "more",
        speakers,
        (0, 1, 2),
    ),
    Row(
        "wall_following",
        "tag",
        "wall_following: by time, 60 % training, 15 % validation, the last quarter test",
        "accuracy",
        "more",
        commands,
        (0, 1, 2),
        "Elman network 96.4, but on a random split (Freire et al. 2009)",
        seen="same drive",
    ),
)
