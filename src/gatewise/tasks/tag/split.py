"""Training, validation and test parts of sequences with a target per step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...data.batches import PARTS, dealt, split
from ...data.sequences import Sequences
from ...errors import DataError

_FEW_SEQUENCES = 10  # of fewer, each is cut in the order of time
_FEW_STEPS = 2000  # of fewer, a part held out for validation would choose nothing


def parts_of(data: Sequences, shares: Sequence[float], seed: int) -> dict[str, Sequences]:
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
    if len(data) >= _FEW_SEQUENCES:
        found = {name: data.take(places) for name, places in dealt(len(data), shares, seed).items()}
    else:
        found = {}
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
