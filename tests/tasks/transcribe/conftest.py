"""Transcribers that several tests ask."""

import wave

import numpy as np
import pytest
from transcribe_examples import RATE, SMALL, WORDS, numbers, sing

from gatewise.tasks import Transcriber


@pytest.fixture(scope="session")
def songs(tmp_path_factory):
    """A table of sound files and what is sung in them."""
    folder, random = tmp_path_factory.mktemp("songs"), np.random.default_rng(0)
    rows = ["file,text"]
    for number in range(90):
        words = random.choice(list(WORDS), random.integers(2, 5)).tolist()
        with wave.open(str(folder / f"{number}.wav"), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes((32767 * sing(words, random)[0]).astype("<i2").tobytes())
        rows.append(f"{number}.wav,{' '.join(words)}")
    (folder / "songs.csv").write_text("\n".join(rows))
    return folder / "songs.csv"


@pytest.fixture(scope="session")
def listener(songs):
    return Transcriber(bidirectional=False, seed=2, **SMALL).fit(songs)


@pytest.fixture(scope="session")
def reader():
    return Transcriber(**{**SMALL, "frame_stacking": 1, "learning_rate": 0.02, "batch_size": 8}).fit(*numbers())
