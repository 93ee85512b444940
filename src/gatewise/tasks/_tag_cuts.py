"""Training, validation and test parts of sequences with a target per step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..data.batches import split
from ..data.sequences import Sequences
from ..errors import DataError

PARTS = ("train", "validation", "test")
_FEW_SEQUENCES = 10  # of fewer, each is cut in the order of time
_FEW_STEPS = 2000  # of fewer, a part held out for validation would choose nothing

Shares = tuple[float, ...]


def shares_of(given: Sequence[float], labels_apart: bool, validated_apart: bool) -> Shares:
    """Shares of the three parts; what is not held out is learned from.

    Args:
        given: The option `split`.
        labels_apart: Labels were given beside the data, as scikit-learn does, which tests on data of its own.
        validated_apart: So was validation data: files are cut already, then.
    """
    train, validation, test = (float(share) for share in given)
    if validated_apart:
        return (1.0, 0.0, 0.0)
    return (train + test, validation, 0.0) if labels_apart else (train, validation, test)


def parts_of(data: Sequences, shares: Shares, seed: int) -> dict[str, Sequences]:
    """The parts that are not empty, by name. Many sequences are dealt out at random; of few, each is cut, earlier steps
    for training and later ones for validation and test.

    Raises:
        DataError: There is nothing to learn from.
    """
    lengths = data.lengths
    if int(data.offsets[-1]) * shares[0] < 1:
        raise DataError(f"{data.name} has {int(data.offsets[-1])} steps, which leaves none to learn from")
    if int(data.offsets[-1]) * shares[0] < _FEW_STEPS:
        shares = (shares[0] + shares[1], 0.0, shares[2])
    found = {}
    if len(data) >= _FEW_SEQUENCES:
        order = np.random.default_rng(seed).permutation(len(data))
        for name, part in zip(PARTS, split(len(data), shares), strict=True):
            found[name] = data.take(np.sort(order[part]))
    else:
        cuts = [split(int(length), shares) for length in lengths]
        for place, name in enumerate(PARTS):
            rows = [
                np.arange(cut[place].start, cut[place].stop) + o for cut, o in zip(cuts, data.offsets[:-1], strict=True)
            ]
            found[name] = _rows(data, rows)
    return {name: part for name, part in found.items() if part.offsets[-1]}


def _rows(data: Sequences, rows: Sequence[np.ndarray]) -> Sequences:
    """These steps of each sequence."""
    which = np.concatenate(rows)
    offsets = np.concatenate([[0], np.cumsum([len(own) for own in rows])]).astype(np.int64)
    steps = {name: column[which] for name, column in data.steps.items()}
    return Sequences(offsets, steps, data.facts, data.name, None if data.lines is None else data.lines[which])
