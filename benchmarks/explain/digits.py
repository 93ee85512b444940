"""Spoken digits, of which it is known when each was said."""

from __future__ import annotations

import csv
import tempfile
import wave
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.explanation.question import Ask, Question
from gatewise.tasks import Transcriber

from ..quality.transcribe import RATE, TAKES, Recordings, pieces, takes
from ..record import ROOT
from .planted import COSTLY, ROWS, Planted

FSDD = ROOT.parent / "shared" / "data" / "fsdd"
UTTERANCES = {"train": 1500, "validation": 100}
MOST = 3  # digits of an utterance
SPARE = ROWS // 5  # utterances that may be heard wrongly


@cache
def recordings() -> dict[str, Recordings]:
    return takes(FSDD)


def written(folder: Path, part: str, count: int, seed: int) -> list[tuple[str, np.ndarray]]:
    """Sound files, and PART.csv which says what is said in each.

    Returns:
        Of each, the digits, and (digits, 2) from when to when each is said, in seconds.
    """
    random, found = np.random.default_rng([seed, list(TAKES).index(part)]), []
    with open(folder / f"{part}.csv", "w", newline="") as table:
        rows = csv.writer(table)
        rows.writerow(("file", "text"))
        for number in range(count):
            speaker = recordings()[part][random.choice(sorted(recordings()[part]))]
            digits = random.integers(0, 10, random.integers(1, MOST + 1)).tolist()
            said = list(pieces(speaker, digits, random))
            with wave.open(str(folder / f"{part}_{number}.wav"), "wb") as sound:
                sound.setparams((1, 2, RATE, 0, "NONE", ""))
                sound.writeframes(np.concatenate(said).astype("<i2").tobytes())
            text = "".join(map(str, digits))
            rows.writerow((f"{part}_{number}.wav", text))
            ends = np.cumsum([len(piece) for piece in said]) / RATE
            found.append((text, np.stack([ends[:-1:2], ends[1::2]], 1)))
    return found


def spoken(epochs: int) -> Planted:
    """Up to three digits that are said one after the other, with pauses: which one is said where the network hears it?

    Of the utterances that are transcribed rightly; of each, one digit. It is responsible while it is said, though not
    every frame of it need be.
    """
    rows = ROWS + SPARE

    @cache
    def test() -> tuple[tempfile.TemporaryDirectory[str], list[tuple[str, np.ndarray]]]:
        folder = tempfile.TemporaryDirectory()
        return folder, written(Path(folder.name), "test", rows, 0)

    def fit(seed: int) -> Any:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for part in ("train", "validation"):
                written(folder, part, UTTERANCES[part], seed)
            model = Transcriber(epochs=epochs, hidden_size=48, seed=seed)
            return model.fit(folder / "train.csv", validation=folder / "validation.csv")

    def read(model: Any) -> Any:
        return model._predictor().read(Path(test()[0].name) / "test.csv")

    asked = [int(at) for at in np.random.default_rng(0).integers(0, [len(text) for text, _ in test()[1]])]

    def right(model: Any) -> list[int]:
        heard = model.predict(read(model))
        return [row for row, (text, _) in enumerate(test()[1]) if heard[row] == text]

    def known(row: int, question: Question) -> np.ndarray:
        """The steps that begin while it is said."""
        begins = np.array([float(label.split()[0]) for label in question.inputs[0].labels])
        start, stop = test()[1][row][1][asked[row]]
        return (begins >= start) & (begins < stop)

    return Planted(
        fit,
        ("accuracy", lambda model: len(right(model)) / rows),
        read,
        lambda model: [(row, Ask(step=asked[row])) for row in right(model)[:ROWS]],
        known,
        COSTLY,
    )
