"""A process of its own that opens a file of Keras: HDF5's library, given a damaged file, may loop for ever or crash.

Of some 150 files with a few changed bytes, one kept `H5Aread` of HDF5 2.0 busy without end. No Python in the same
process could have stopped it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np

from ..errors import ModelFileError
from .keras_files import Saved, SavedLayer, read_here

PATIENCE = 20  # seconds of a processor, and one more for each 10 MB
_MEMORY = 4 << 30  # bytes of addresses that it may have, and 8 for each byte of the file
_BUSY = 20
_REFUSED = 2  # its exit code


def load(path: str | os.PathLike[str]) -> Saved:
    """What a `.keras` or `.h5` file holds.

    Raises:
        ModelFileError: It is damaged, no model of Keras, or wants what is refused.
    """
    if os.path.isdir(path):
        what = "a SavedModel of TensorFlow" if os.path.exists(os.path.join(path, "saved_model.pb")) else "a folder"
        how = "Load it with Keras and save it as .keras first: model.save('model.keras')"
        raise ModelFileError(f"'{os.fspath(path)}' is {what}. {how}")
    if not os.path.isfile(path):
        raise ModelFileError(f"there is no file '{os.fspath(path)}'. Check the path.")
    size = os.path.getsize(path)
    seconds = PATIENCE + size // 10_000_000
    limits = [str(seconds), str(_MEMORY + 8 * size)]
    command = [sys.executable, "-P", "-m", __name__, os.path.abspath(path), *limits]
    try:  # a busy machine takes more time for as many seconds of a processor
        done = subprocess.run(command, capture_output=True, check=False, timeout=_BUSY * seconds)
    except subprocess.TimeoutExpired as error:
        raise _endless(path) from error
    if done.returncode == _REFUSED:
        *_, message = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ModelFileError(f"'{os.fspath(path)}' {message}")
    if done.returncode:
        raise _endless(path)
    return _unpacked(done.stdout)


def _endless(path: str | os.PathLike[str]) -> ModelFileError:
    return ModelFileError(
        f"'{os.fspath(path)}' is damaged: HDF5 fails on it, or does not come to an end. Copy or download it again"
    )


def _packed(saved: Saved) -> bytes:
    from safetensors.numpy import save

    about = {
        "version": saved.version,
        "kind": saved.kind,
        "config": saved.config,
        "legacy": saved.legacy,
        "layers": [[one.kind, one.name, one.config, one.inbound, len(one.weights)] for one in saved.layers],
    }
    arrays = {
        f"{place}.{number}": np.ascontiguousarray(array)
        for place, layer in enumerate(saved.layers)
        for number, array in enumerate(layer.weights)
    }
    return json.dumps(about).encode() + b"\0" + save(arrays)


def _unpacked(data: bytes) -> Saved:
    from safetensors.numpy import load as arrays_of

    text, _, tensors = data.partition(b"\0")
    about: dict[str, Any] = json.loads(text)
    arrays = arrays_of(tensors)
    layers = [
        SavedLayer(kind, name, config, inbound, tuple(arrays[f"{place}.{number}"] for number in range(count)))
        for place, (kind, name, config, inbound, count) in enumerate(about["layers"])
    ]
    return Saved(about["version"], about["kind"], about["config"], tuple(layers), about["legacy"])


def _limit(seconds: int, memory: int) -> None:
    """Of this process, where the system has such limits."""
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _main(path: str, seconds: str, memory: str) -> int:
    _limit(int(seconds), int(memory))
    try:
        packed = _packed(read_here(path))
    except ModelFileError as error:
        sys.stderr.write(str(error).removeprefix(f"'{path}' "))
        return _REFUSED
    sys.stdout.buffer.write(packed)
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
