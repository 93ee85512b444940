"""Sequences of numbers that several tests learn from."""

import zipfile

import numpy as np
import torch

from gatewise.tasks.generate.numbers.mixture import NARROWEST

TINY = {"hidden_size": 12, "mixtures": 3, "epochs": 4, "batch_size": 4, "learning_rate": 0.02, "dropout": 0.1}


def wave(rng, length=30):
    """A pen on its way around, lifted now and then."""
    turn = np.cumsum(0.3 + 0.05 * rng.standard_normal(length))
    up = (np.arange(length) % 10 == 9).astype(float)
    return np.column_stack([np.cos(turn), 3 * np.sin(turn) + 5, up])


def parts(found, layout):
    K, D = layout.mixtures, layout.real
    scores, means, widths, couplings, *_ = found.split(layout.sizes, -1)
    width = NARROWEST + torch.nn.functional.softplus(widths).unflatten(-1, (K, D))
    slant = torch.eye(D, dtype=found.dtype).expand(*found.shape[:-1], K, D, D).clone()
    rows, columns = layout.lower
    slant[..., rows, columns] = couplings.unflatten(-1, (K, -1)) if len(rows) else 0.0
    return scores, means.unflatten(-1, (K, D)), width, width[..., None] * slant


def read(sequences):
    from gatewise.data.sources import read as door

    return door(sequences)


def strokes(path, rng, count=30):
    with zipfile.ZipFile(path, "w") as file:
        for number in range(count):
            steps = wave(rng, 20)
            lines = [f"{x},{y},0" + ("\nBREAK" if up else "") for x, y, up in steps]
            file.writestr(f"all/hand{number % 3}/{number}_0.txt", "\n".join(["START", *lines, ""]))
    return path
