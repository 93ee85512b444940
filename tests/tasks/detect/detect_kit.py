"""Data for the tests of `detect`."""

import numpy as np
import torch

from gatewise.data.sequences import Column, Sequences

TINY = {"hidden_size": 8, "epochs": 2, "batch_size": 4, "window": 16, "threads": 1}


def waves(n, channels=1, noise=0.1, seed=0):
    """Normal data: sines with noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(n)[:, None]
    clean = np.sin(2 * np.pi * t / (20 + 7 * np.arange(channels)))
    return 50 + 10 * (clean + noise * rng.standard_normal((n, channels)))


def weights(detector):
    return {name: tensor.clone() for name, tensor in detector.model_.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def table(n=1600, broken=()):
    """A table of two machines, as a reader gives it."""
    values = waves(2 * n, 2)
    labels = np.zeros(2 * n, np.float32)
    for step in broken:
        values[step] += 60
        labels[step] = 1
    timestamps = np.datetime64("2026-01-01", "us") + np.tile(np.arange(n), 2) * np.timedelta64(60_000_000, "us")
    steps = {
        "when": Column("when", "time", timestamps),
        "heat": Column("heat", "number", values[:, 0]),
        "load": Column("load", "number", values[:, 1]),
        "fault": Column("fault", "number", labels),
        "note": Column("note", "text", np.full(2 * n, None, object)),
    }
    static = {"machine": Column("machine", "category", np.array([0, 1], np.int32), ("a", "b"))}
    return Sequences(np.array([0, n, 2 * n]), steps, static, "machines")
