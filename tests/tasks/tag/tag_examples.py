"""Sentences and series that the tests of `tag` learn from."""

import random

import numpy as np

from gatewise.data.readers.arrays import from_arrays

# The share is given, for to find it out takes a network for each fold of so few steps.
SIZES = {"hidden_size": 16, "embedding_size": 12, "char_hidden_size": 6, "epochs": 6, "batch_size": 8}
SMALL = {**SIZES, "share": 1.0}


NAMES, PLACES = ["Ann", "Bob", "Cleo", "Dan"], ["York", "Delft", "Nice"]


def sentences(count, seed=0):
    """Tokens and labels: persons of one or two words, places behind "in"."""
    draw = random.Random(seed)
    tokens, labels = [], []
    for _ in range(count):
        person = draw.sample(NAMES, draw.choice([1, 2]))
        words = [*person, draw.choice(["lives", "sat", "works"]), "in", draw.choice(PLACES)]
        marks = ["B-PER", *["I-PER"] * (len(person) - 1), "O", "O", "B-LOC"]
        if draw.random() < 0.5:
            words, marks = [*words, "today", "."], [*marks, "O", "O"]
        tokens.append(words)
        labels.append(marks)
    return tokens, labels


def series(count=3, steps=400, seed=0):
    """Two sensors; the label says which was larger in sum over the last two steps, the number is the difference."""
    random = np.random.default_rng(seed)
    x = [random.normal(2, 3, (steps, 2)).astype(np.float32) for _ in range(count)]
    difference = [row[:, 0] - row[:, 1] for row in x]
    difference = [d + np.concatenate([[0], d[:-1]]) for d in difference]
    return x, [np.where(d > 0, "left", "right").tolist() for d in difference], difference


def tagged(count=120, seed=0):
    return from_arrays(*sentences(count, seed), per_step=True)
