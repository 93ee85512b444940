"""A file in its own library, which gets it in a process of its own: a file may be made to crash or to exhaust it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib import import_module
from typing import Any

import numpy as np

from ..errors import ModelFileError
from .formats import Asked, chosen
from .process import Answer, Arrays, DiedError, call, serve
from .proof import CannotRunError

PATIENCE = 600  # seconds, and one more for each MB of the file
_MEMORY = 8 << 30  # bytes that it may have, and 8 for each byte of the file
_OF_THREADS = 64 << 20  # bytes more for each core, of which libraries have threads with stacks of their own


def answers(name: str, path: str, asked: Asked, inputs: Sequence[np.ndarray]) -> tuple[str, list[np.ndarray]] | None:
    """The library with its version, and what it answers to inputs, each as `chain.run` takes it.

    Args:
        name: Of the format; see `formats.FORMATS`.

    Returns:
        None where the library is not installed.

    Raises:
        CannotRunError: The library does not start here, or does not take what it should.
        ModelFileError: It refuses the file, or does not survive it.
    """
    form, size = chosen(name), os.path.getsize(path)
    limits = {
        "memory": _MEMORY + 8 * size + _OF_THREADS * (os.cpu_count() or 1),
        "clock": PATIENCE + size // 1_000_000,
    }
    given = {str(number): array for number, array in enumerate(inputs)}
    question = {"format": name, "path": path, "asked": asdict(asked)}
    try:
        about, found = call(__name__, question, given, **limits)
    except DiedError as error:
        library = form.packages[0]
        if not error.started:
            raise CannotRunError(f"{library} does not start here ({error})") from error
        raise ModelFileError(
            f"{library}, which was to prove it, fails on '{path}' ({error}). The file may be damaged, or made to do "
            "harm, so nothing was kept"
        ) from error
    if "unable" in about:
        raise CannotRunError(about["unable"])
    if "peer" not in about:
        return None
    return about["peer"], [found[number] for number in given]


def _run(question: Mapping[str, Any], inputs: Arrays, started: Callable[[], None]) -> Answer:
    form = chosen(question["format"])
    runner = import_module(f".{form.runner}", __package__)
    try:
        runner.start()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in form.packages:
            return {}, {}
        raise
    started()
    try:
        run, peer = runner.answers(question["path"], Asked(**question["asked"]))
        return {"peer": peer}, {number: run(x) for number, x in inputs.items()}
    except CannotRunError as error:
        return {"unable": str(error)}, {}


if __name__ == "__main__":
    serve(_run)
