"""Data and small networks for the tests of `forecast`."""

import numpy as np

from gatewise import cells
from gatewise.data.sequences import Column, Sequences
from gatewise.tasks.forecast.architecture import Shape, architecture
from gatewise.tasks.forecast.heads import head_of
from gatewise.tasks.forecast.inputs import Inputs
from gatewise.tasks.forecast.windows import Window

NOTHING = Inputs({}, {}, (), {})


def sequences(*series, timestamps=False, columns=("y",), static=None, **others):
    """Series (n,) or (n, C) as a reader gives them."""
    values = np.concatenate([np.asarray(s, float).reshape(len(s), -1) for s in series])
    offsets = np.concatenate([[0], np.cumsum([len(s) for s in series])]).astype(np.int64)
    steps = {name: Column(name, "number", values[:, place].copy()) for place, name in enumerate(columns)}
    if timestamps:
        hours = np.concatenate([np.arange(len(s)) for s in series]) * np.timedelta64(3_600_000_000, "us")
        steps["at"] = Column("at", "time", np.datetime64("2024-01-01", "us") + hours)
    steps |= {name: Column(name, "number", np.asarray(given, float)) for name, given in others.items()}
    return Sequences(offsets, steps, static or {}, "sales")


def wave(n=150, noise=0.1, seed=0, level=5.0):
    t = np.arange(n)
    return level + 2 * np.sin(2 * np.pi * t / 6) + noise * np.random.default_rng(seed).normal(size=n)


def window(context_length, horizon, scaling, inputs=NOTHING):
    """How windows are cut."""
    return Window(context_length=context_length, horizon=horizon, scaling=scaling, inputs=inputs)


def small(head="quantiles", direct=True, **sizes):
    """The block of a small network without covariates, and its head."""
    given = {"columns": 1, "joint": False, "patch": 1, "covariates": 0, "ahead": 0, "static": 0, "hidden_size": 4}
    shape = Shape(**{**given, "direct": direct, "learn_variance": True, "num_layers": 1, "dropout": 0.0, **sizes})
    head = head_of(head, (0.5,))
    return architecture(shape, cells.find("lstm"), head.location_mask, {}), head
