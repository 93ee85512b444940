"""States in a folder, from the end of one server to the beginning of the next."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ..data.readers.files import read_bytes
from ..errors import DataError, ModelFileError, OptionError
from ..files import atomic
from .hall import Hall
from .models import Served

_KEY = "gatewise_states"


def check_folder(folder: Path) -> None:
    """Make it, for its owner alone. OptionError if that cannot be done."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f"cannot keep states in '{folder}': {error.strerror or error}") from error


async def write(hall: Hall, folder: Path) -> int:
    """Write the states of all sessions and responses, one file for each model; returns how many there are.

    Raises:
        OptionError: A file cannot be written.
    """
    count = 0
    for model in hall.models:
        if model.sessions is None:
            continue
        found, steps = {}, {}
        for session in model.sessions:
            found[session.id], steps[session.id] = await model.sessions.state(session), session.steps
        found |= {id: kept.state for id, kept in hall.responses.items() if kept.model == model.name}
        count += len(found)
        about = json.dumps({"digest": model.digest, "steps": steps})
        arrays = {id: np.frombuffer(state, np.uint8) for id, state in found.items()}
        try:
            with atomic(path := _path(folder, model)) as temporary:
                temporary.write_bytes(save(arrays, metadata={_KEY: about}))
            path.chmod(0o600)  # what people wrote
        except OSError as error:
            raise OptionError(f"cannot write the states of '{model.name}': {error.strerror or error}") from error
    return count


async def read(hall: Hall, folder: Path) -> int:
    """Go on with what `write` wrote; returns how many states there are.

    Raises:
        ModelFileError: A file is damaged, or of another model.
    """
    count = 0
    for model in hall.models:
        path = _path(folder, model)
        if model.sessions is None or not path.exists():
            continue
        try:
            data = read_bytes(path)
            arrays = load(data)
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            about = json.loads(header["__metadata__"][_KEY])
            digest, steps = about["digest"], {str(id): int(n) for id, n in about["steps"].items()}
        except (DataError, SafetensorError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelFileError(f"'{path}' is damaged, or does not hold states. Move it away") from error
        if digest != model.digest:
            raise ModelFileError(f"'{path}' holds states of another model called '{model.name}'. Move it away")
        for id, array in arrays.items():
            if id in steps:
                await model.sessions.open(array.tobytes(), id, steps[id])
            else:
                hall.responses.keep(id, model.name, array.tobytes())
        count += len(arrays)
    return count


def _path(folder: Path, model: Served) -> Path:
    return folder / f"{model.name}.states"
