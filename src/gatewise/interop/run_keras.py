"""Models that were read, in Keras itself."""

from __future__ import annotations

import os
import re
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..errors import OptionError
from .keras_files import read_here
from .keras_loaded import keras_itself, loaded
from .proof import Answers, CannotRunError
from .read_keras import chain_of
from .write_keras import write

# Older versions run code or read other files that a stranger's file names, in spite of their safe mode. 3.8.0 starts
# programs and 3.12.0 takes weights from other files, as tried; the last fixes of such holes came with 3.15.1.
_SAFE = (3, 15, 1)


def start() -> None:
    """Import Keras. ModuleNotFoundError if it, or what it computes with, is not installed."""
    keras_itself()


def answers(path: str | os.PathLike[str], asked: Any = None) -> tuple[Answers, str]:
    """The model of a file in Keras, as `chain.run` computes it: a function of x, and Keras with its version.

    Keras 3 takes a hard sigmoid of Keras 2 for one of its own and refuses many an older file. So what a version before
    3 wrote runs there as `write_keras` writes it again.

    Raises:
        CannotRunError: Keras cannot run it, or not without danger.
    """
    chain = chain_of(read_here(path))
    if int(chain.version.partition(".")[0]) >= 3:
        installed = version("keras")
        if tuple(map(int, re.findall(r"\d+", installed)[:3])) < _SAFE:
            raise CannotRunError(
                f"Keras {installed} may run code or read files that a file names. Update it: pip install -U keras"
            )
        return loaded(path)
    with TemporaryDirectory() as folder:
        again = Path(folder) / "model.keras"
        try:
            write(chain, None, again)
        except OptionError as error:
            raise CannotRunError(f"no Keras of today reads files of {chain.version}; {error}") from error
        answer, peer = loaded(again)
    return answer, f"{peer}, in a file written anew, for it does not read those of {chain.version}"
