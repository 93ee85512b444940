"""Rows of the table of quality for `transcribe`."""

from __future__ import annotations

import csv
import io
import tarfile
import tempfile
import wave
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.data.readers.strokes import read_strokes, vary_strokes
from gatewise.data.sequences import Column, Sequences
from gatewise.decoding import CTCDecoding
from gatewise.tasks.generate.estimator import Generator
from gatewise.tasks.transcribe.estimator import Transcriber

from .classify import by_writer
from .row import Row, judgement

RATE = 8000
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TAKES = {"train": range(10, 50), "validation": range(5, 10), "test": range(5)}
LINES = {"train": 1500, "validation": 150, "test": 300}
FIRST = 0x4E00  # the characters of 136 classes stand from here on
HANDS = 6
LANGUAGE = {"hidden_size": 64, "epochs": 2, "batch_size": 16, "chunk_length": 64, "learning_rate": 5e-3}
STRINGS = {"train": 3000, "validation": 200, "test": 300}

Recordings = dict[str, dict[int, list[np.ndarray]]]  # by speaker and digit


def spoken(data: Path, seed: int, **options: Any) -> dict[str, Any]:
    """Strings of one to seven digits, each string of one speaker, with short pauses of faint noise between.

    The strings of training, validation and test have no recording in common; they are the same for every seed. The
    figure is that of the likeliest symbol of each step; those of a beam, and of a language model of the training texts,
    stand beside it.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name, recordings in takes(data / "fsdd").items():
            write_strings(Path(folder), name, recordings)
        tables = {name: Path(folder) / f"{name}.csv" for name in TAKES}
        transcriber = Transcriber(seed=seed, **options).fit(tables["train"], validation=tables["validation"])
        found = answer(transcriber, transcriber.evaluate(tables["test"]), "wer", options)
        with open(tables["train"], newline="") as file:
            texts = "".join(f"{row['text']}\n" for row in csv.DictReader(file))
        language = Generator(**LANGUAGE, seed=seed).fit(io.StringIO(texts)).writer()
        for name, model in (("beam", None), ("language_model", language)):
            search = CTCDecoding(beam_size=16, language_model=model)
            found[f"wer_with_{name}"] = transcriber.evaluate(tables["test"], decoding=search)["all"]["wer"]
        return found


def takes(folder: Path) -> dict[str, Recordings]:
    """The recordings of each part."""
    found: dict[str, Recordings] = {name: {} for name in TAKES}
    for archive in sorted(folder.glob("*.tar.gz")):
        with tarfile.open(archive) as file:
            for member in sorted(file, key=lambda member: member.name):
                if not member.name.endswith(".wav"):
                    continue
                digit, speaker, take = Path(member.name).stem.split("_")
                part = next(name for name, numbers in TAKES.items() if int(take) in numbers)
                with wave.open(io.BytesIO(file.extractfile(member).read())) as sound:
                    samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
                found[part].setdefault(speaker, {}).setdefault(int(digit), []).append(samples)
    return found


def write_strings(folder: Path, name: str, recordings: Recordings) -> None:
    """Sound files, and NAME.csv which says what is said in each."""
    random = np.random.default_rng(list(TAKES).index(name))
    rows = []
    for number in range(STRINGS[name]):
        speaker = recordings[random.choice(sorted(recordings))]
        digits = random.integers(0, 10, random.integers(1, 8)).tolist()
        file = f"{name}_{number}.wav"
        with wave.open(str(folder / file), "wb") as sound:
            sound.setparams((1, 2, RATE, 0, "NONE", ""))
            sound.writeframes(np.concatenate(list(pieces(speaker, digits, random))).astype("<i2").tobytes())
        rows.append((file, " ".join(DIGITS[digit] for digit in digits)))
    with open(folder / f"{name}.csv", "w", newline="") as table:
        csv.writer(table).writerows([("file", "text"), *rows])


def pieces(speaker: dict[int, list[np.ndarray]], digits: list[int], random: np.random.Generator) -> Iterator[Any]:
    """Recordings, and the pauses around them: up to a quarter of a second."""
    for digit in [*digits, None]:
        yield np.rint(random.normal(0, 10, random.integers(0, RATE // 4)))
        if digit is not None:
            yield speaker[digit][random.integers(len(speaker[digit]))]


def lines(data: Path, seed: int, **options: Any) -> dict[str, Any]:
    """Lines of one to six of scikit-learn's digits, 8 by 8 pixels each, with up to three empty columns between.

    The first 1,000 images make the lines of training, the next 297 those of validation, the last 500 those of the
    test; they are the same for every seed. The 2-D LSTM reads them.
    """
    from sklearn.datasets import load_digits

    images, digits = load_digits(return_X_y=True)
    parts = {"train": slice(0, 1000), "validation": slice(1000, 1297), "test": slice(1297, None)}
    found = {
        name: line_sequences(images[part].reshape(-1, 8, 8) / 16, digits[part], LINES[name], number)
        for number, (name, part) in enumerate(parts.items())
    }
    transcriber = Transcriber(seed=seed, **options).fit(found["train"], validation=found["validation"])
    return answer(transcriber, transcriber.evaluate(found["test"]), "cer", options)


def line_sequences(images: np.ndarray, digits: np.ndarray, count: int, seed: int) -> Sequences:
    """Lines as their columns, as `data.readers.images` gives them, and their digits as text."""
    random = np.random.default_rng(seed)
    columns, texts = [], []
    for _ in range(count):
        which = random.integers(0, len(images), random.integers(1, 7))
        texts.append("".join(str(digits[i]) for i in which))
        columns.append(np.concatenate([np.pad(images[i], ((0, 0), (0, random.integers(0, 4)))) for i in which], 1).T)
    offsets = np.concatenate([[0], np.cumsum([len(own) for own in columns])])
    pixels = Column("pixels", "number", np.concatenate(columns).astype(np.float32))
    return Sequences(offsets, {"pixels": pixels}, {"text": Column("text", "text", np.array(texts, object))})


def drawn(data: Path, seed: int, **options: Any) -> dict[str, Any]:
    """Omniglot's characters, one a drawing, as texts of one character each.

    Writers 1 to 14 are learned from, each drawing as six other hands might have made it (`strokes.vary_strokes`), 15
    and 16 choose the best weights, 17 to 20 are the test; the drawings are the same for every seed.
    """
    found = read_strokes(data / "omniglot_small1" / "strokes_background_small1.zip")
    known = {name: chr(FIRST + place) for place, name in enumerate(sorted(set(found.static["label"].strings())))}
    texts = np.array([known[label] for label in found.static["label"].strings()], object)
    train, validation, test = by_writer(replace(found, static={**found.static, "text": Column("text", "text", texts)}))
    train = vary_strokes(train.take(np.tile(np.arange(len(train)), HANDS)), np.random.default_rng(0))
    transcriber = Transcriber(seed=seed, **options).fit(train, validation=validation)
    metrics = transcriber.evaluate(test)
    metrics["all"]["accuracy"] = metrics["all"]["exact"]
    return answer(transcriber, metrics, "exact", options)


def answer(transcriber: Transcriber, metrics: dict[str, Any], measure: str, options: dict[str, Any]) -> dict[str, Any]:
    """What a row's `run` returns."""
    return {
        **metrics["all"],
        **judgement(metrics),
        "baselines": {name: figures[measure] for name, figures in metrics["baselines"].items()},
        "options": options,
        "sizes": vars(transcriber.sizing_),
    }


ROWS = (
    Row(
        "spoken_digits",
        "transcribe",
        "fsdd: strings of 1 to 7 digits; takes 0 to 4 are the test, 5 to 9 validation, the others training",
        "wer",
        "less",
        spoken,
    ),
    Row(
        "spoken_digits_heard",
        "transcribe",
        "fsdd: the same strings, forward only and measured by what was heard so far, as a stream needs",
        "wer",
        "less",
        lambda data, seed: spoken(data, seed, bidirectional=False, normalisation="running"),
    ),
    Row(
        "omniglot_written",
        "transcribe",
        "omniglot_small1, 136 characters by CTC: writers 17 to 20 are the test, 15 and 16 validation",
        "accuracy",
        "more",
        drawn,
    ),
    Row(
        "digit_lines",
        "transcribe",
        "scikit-learn's digits in lines of 1 to 6; images 1,297 to 1,796 are the test, 1,000 to 1,296 validation",
        "cer",
        "less",
        lambda data, seed: lines(data, seed, frame_stacking=2),
        (0, 1, 2),
    ),
)
