"""Sequences that the tests of `classify` learn from."""

import numpy as np

from gatewise.data.sequences import Column, Sequences

TINY = {"hidden_size": 4, "num_layers": 1, "ensemble": 1, "epochs": 2, "batch_size": 16}


def number(name, values):
    return Column(name, "number", np.asarray(values, np.float32))


def category(name, words):
    levels = sorted({word for word in words if word is not None})
    codes = [-1 if word is None else levels.index(word) for word in words]
    return Column(name, "category", np.array(codes, np.int32), tuple(levels))


def text(name, values):
    column = np.empty(len(values), object)
    column[:] = values
    return Column(name, "text", column)


def reviews(*texts, labels=None):
    static = {"text": text("text", texts)}
    if labels is not None:
        static["label"] = category("label", labels)
    return Sequences(np.zeros(len(texts) + 1, np.int64), static=static)


def mixed(count=24, seed=0):
    """Sequences of 2 to 5 steps: numbers (some missing) and a category per step, static columns; one is the label."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(2, 6, count))])
    total = offsets[-1]
    heat = rng.normal(20, 5, total)
    heat[::7] = np.nan
    shops = rng.choice(["north", "south"], count)
    steps = {"heat": number("heat", heat), "state": category("state", rng.choice(["on", "off"], total))}
    static = {"shop": category("shop", shops), "size": number("size", rng.normal(size=count))}
    return Sequences(offsets, steps, {**static, "label": category("label", shops)})


def rows_of(data):
    return np.arange(len(data))


def waves(count, seed):
    """Series of one channel: rising or falling, from a random height."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, count)
    return np.where(y, 1, -1)[:, None] * np.linspace(-1, 1, 9) + rng.normal(size=(count, 1)), y
