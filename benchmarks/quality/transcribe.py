"""Rows of the table of quality for `transcribe`."""

from __future__ import annotations

import csv
import io
import tarfile
import tempfile
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.tasks.transcribe import Transcriber

from .row import Row

RATE = 8000
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TAKES = {"train": range(10, 50), "validation": range(5, 10), "test": range(5)}
STRINGS = {"train": 3000, "validation": 200, "test": 300}

Recordings = dict[str, dict[int, list[np.ndarray]]]  # by speaker and digit


def spoken(data: Path, seed: int, **options: Any) -> dict[str, Any]:
    """Strings of one to seven digits, each string of one speaker, with short pauses of faint noise between.

    The strings of training, validation and test have no recording in common; they are the same for every seed.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name, recordings in takes(data / "fsdd").items():
            write_strings(Path(folder), name, recordings)
        tables = {name: Path(folder) / f"{name}.csv" for name in TAKES}
        transcriber = Transcriber(seed=seed, **options).fit(tables["train"], validation=tables["validation"])
        return answer(transcriber, transcriber.evaluate(tables["test"]), "wer", options)


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


def answer(transcriber: Transcriber, metrics: dict[str, Any], measure: str, options: dict[str, Any]) -> dict[str, Any]:
    """What a row's `run` returns."""
    return {
        **metrics["all"],
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
        0.05,
        "less",
        spoken,
    ),
)
