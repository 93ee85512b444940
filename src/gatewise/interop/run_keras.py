"""Models in Keras itself, to compare with what was read, or written."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ..errors import OptionError
from .chain import Chain
from .proof import CannotRunError
from .write_keras import write

Array = np.ndarray


def answers(path: str | os.PathLike[str], chain: Chain, asked: Any = None) -> tuple[Callable[[Any], Array], str]:
    """The model of a file in Keras, as `chain.run` computes it: a function of x, and Keras with its version.

    Keras 3 takes a hard sigmoid of Keras 2 for one of its own and refuses many an older file. So what a version before
    3 wrote runs there as `write_keras` writes it again.

    Raises:
        ModuleNotFoundError: Keras, or what it computes with, is not installed.
        CannotRunError: Keras cannot run it.
    """
    if int(chain.version.partition(".")[0]) >= 3:
        return loaded(path)
    with TemporaryDirectory() as folder:
        again = Path(folder) / "model.keras"
        try:
            write(chain, None, again)
        except OptionError as error:
            raise CannotRunError(f"no Keras of today reads files of {chain.version}; {error}") from error
        answer, peer = loaded(again)
    return answer, f"{peer}, in a file written anew, for it does not read those of {chain.version}"


def loaded(path: str | os.PathLike[str]) -> tuple[Callable[[Any], Array], str]:
    """A file of Keras 3, as Keras loads it; see `answers`."""
    if find_spec("tensorflow") is None:
        os.environ.setdefault("KERAS_BACKEND", "jax" if find_spec("jax") else "torch")
    import keras

    try:
        # With its safe mode; and `read_keras` takes no code of a file.
        model = keras.saving.load_model(path, compile=False)
    except (ValueError, TypeError, NotImplementedError) as error:
        reason = " ".join(str(error).split())
        raise CannotRunError(f"Keras {keras.__version__} does not load '{os.fspath(path)}': {reason:.200}") from error
    rows = model.inputs[0].shape[0]

    def together(x: Array) -> Array:
        for layer in model.layers:
            if getattr(layer, "stateful", False):
                layer.reset_state()
        return np.asarray(keras.ops.convert_to_numpy(model(x)))

    def answer(x: Any) -> Array:
        given = np.asarray(x).swapaxes(0, 1)
        if rows is None:
            y = together(given)
        else:  # of a batch of so many rows, as a stateful model has
            padded = np.concatenate([given, given[:1].repeat(-len(given) % rows, 0)])
            y = np.concatenate([together(part) for part in np.split(padded, len(padded) // rows)])[: len(given)]
        return y if y.ndim == 2 else y.swapaxes(0, 1)

    return answer, f"keras {keras.__version__}"
