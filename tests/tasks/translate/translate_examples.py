"""A small language, and options with which a translator learns it quickly."""

import random

import numpy as np

SPELLED = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIGITS = dict(zip(SPELLED, "0123456789", strict=True))
SMALL = {
    "tokens": "words",
    "embedding_size": 16,
    "hidden_size": 32,
    "epochs": 2,
    "batch_tokens": 100,
    "dropout": 0.0,
    "learning_rate": 0.01,
    "label_smoothing": 0.0,
    "split": (0.8, 0.1, 0.1),
}


def numbers(count, seed=0):
    """Numbers spelled out, and as digits in the other order."""
    draw = random.Random(seed)
    words = [draw.choices(list(DIGITS), k=draw.randint(1, 4)) for _ in range(count)]
    return [" ".join(some) for some in words], [" ".join(DIGITS[word] for word in some[::-1]) for some in words]


SOURCES = [np.array([1, 5, 7]), np.array([2]), np.array([10, 3, 3, 4, 0])]
TARGETS = [np.array([4, 2]), np.array([1, 1, 6, 7]), np.array([], np.int64)]
