"""Files of Keras are opened in a process of their own: HDF5's library, given a damaged one, may loop for ever or crash.

Of some 150 files with a few changed bytes, one kept `H5Aread` of HDF5 2.0 busy without end. No Python in the same
process could have stopped it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..errors import ModelFileError
from . import process
from .keras_files import Saved, SavedLayer, read_here

PATIENCE = 20  # seconds of a processor, and one more for each 10 MB
_MEMORY = 4 << 30  # bytes that it may have, and 8 for each byte of the file
_BUSY = 20  # seconds by the clock for each one of a processor: a busy machine takes more time for as many


def load(path: str | os.PathLike[str]) -> Saved:
    """What a `.keras` or `.h5` file holds.

    Raises:
        ModelFileError: It is damaged, no model of Keras, or wants what is refused.
    """
    if not os.path.isfile(path):
        raise ModelFileError(f"there is no file '{os.fspath(path)}'. Check the path.")
    size = os.path.getsize(path)
    seconds = PATIENCE + size // 10_000_000
    memory = _MEMORY + 8 * size
    try:
        about, arrays = process.call(
            __name__, {"path": os.fspath(path)}, memory=memory, processor=seconds, clock=_BUSY * seconds
        )
    except process.DiedError as error:
        raise ModelFileError(
            f"'{os.fspath(path)}' is damaged: HDF5 fails on it, or does not come to an end. Copy or download it again"
        ) from error
    layers = [
        SavedLayer(kind, name, config, inbound, tuple(arrays[f"{place}.{number}"] for number in range(count)))
        for place, (kind, name, config, inbound, count) in enumerate(about["layers"])
    ]
    return Saved(about["version"], about["kind"], about["config"], tuple(layers), about["legacy"])


def _read(asked: Mapping[str, Any], arrays: process.Arrays, started: Callable[[], None]) -> process.Answer:
    started()
    saved = read_here(asked["path"])
    about: dict[str, Any] = {
        "version": saved.version,
        "kind": saved.kind,
        "config": saved.config,
        "legacy": saved.legacy,
        "layers": [[one.kind, one.name, one.config, one.inbound, len(one.weights)] for one in saved.layers],
    }
    weights: dict[str, np.ndarray] = {
        f"{place}.{number}": array
        for place, layer in enumerate(saved.layers)
        for number, array in enumerate(layer.weights)
    }
    return about, weights


if __name__ == "__main__":
    process.serve(_read)
