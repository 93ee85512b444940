"""Signals and their texts that several tests learn from."""

import numpy as np

from gatewise.data.sequences import Column, Sequences
from gatewise.tasks import Transcriber
from gatewise.tasks.transcribe.reading import read_signals

RATE = 8000
WORDS = {"a": (400,), "b": (900,), "c": (1600, 2500)}
SMALL = {"hidden_size": 24, "epochs": 14, "num_layers": 1, "batch_size": 4, "learning_rate": 0.01, "frame_stacking": 3}
SMALL |= {"frequency_mask": 0.0, "time_mask": 0.0, "augmentation": 0.0}


def sing(words, random):
    """Samples, and when each word begins and ends, in samples: tones between faint noise."""
    parts, spans, at = [], [], 0
    for word in words:
        pause, length = int(random.integers(300, 900)), int(random.integers(1200, 2000))
        tone = sum(np.sin(2 * np.pi * f * np.arange(length) / RATE) for f in WORDS[word]) * np.hanning(length)
        parts += [np.zeros(pause), 0.3 * tone]
        spans.append((at + pause, at := at + pause + length))
    signal = np.concatenate([*parts, np.zeros(400)])
    return (signal + 0.002 * random.normal(size=len(signal))).astype(np.float32), spans


def numbers(count=60, seed=0, channels=3):
    """Steps whose largest channel says a letter; equal letters follow each other too."""
    random, x, texts = np.random.default_rng(seed), [], []
    for _ in range(count):
        letters = random.integers(0, channels, random.integers(1, 5))
        steps = [row for letter in letters for row in [np.eye(channels)[letter]] * 3 + [np.zeros(channels)] * 2]
        x.append((np.array(steps) + 0.1 * random.normal(size=(len(steps), channels))).astype(np.float32))
        texts.append("".join("ack"[letter] for letter in letters))
    return x, texts


def from_list(x):
    offsets = np.concatenate([[0], np.cumsum([len(own) for own in x])])
    return Sequences(offsets, {"channels": Column("channels", "number", np.concatenate(x))})


def read_by(data, labelled=True, **options):
    return read_signals(data, None, Transcriber(**options), labelled=labelled)
