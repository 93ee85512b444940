"""A file of Keras 3 as Keras itself loads it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from .proof import Answers, CannotRunError

Array = np.ndarray


def keras_itself() -> Any:
    """The package, on TensorFlow where that is installed. ModuleNotFoundError if it has nothing to compute with."""
    if find_spec("tensorflow") is None:
        os.environ.setdefault("KERAS_BACKEND", "jax" if find_spec("jax") else "torch")
    import keras

    return keras


def loaded(path: str | os.PathLike[str]) -> tuple[Answers, str]:
    """A function of x as `chain.run` takes it, or of several in a tuple, and Keras with its version.

    Raises:
        ModuleNotFoundError: Keras, or what it computes with, is not installed.
        CannotRunError: Keras does not load the file.
    """
    keras = keras_itself()
    try:
        # With its safe mode; and `read_keras` takes no code of a file.
        model = keras.saving.load_model(path, compile=False)
    except (ValueError, TypeError, NotImplementedError) as error:
        reason = " ".join(str(error).split())
        raise CannotRunError(f"Keras {keras.__version__} does not load '{os.fspath(path)}': {reason:.200}") from error
    rows = model.inputs[0].shape[0]

    def together(x: Sequence[Array]) -> Array:
        for layer in model.layers:
            if getattr(layer, "stateful", False):
                layer.reset_state()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that a softmax over steps has a single one
            y = model(x[0] if len(x) == 1 else x)
        outputs = y if isinstance(y, list | tuple) else [y]  # of two directions, which we give beside one another
        return np.concatenate([keras.ops.convert_to_numpy(output) for output in outputs], -1)

    def answer(x: Any) -> Array:
        given = [np.asarray(one).swapaxes(0, 1) for one in (x if isinstance(x, tuple) else (x,))]
        if rows is None:
            y = together(given)
        else:  # of a batch of so many rows, as a stateful model has
            [own] = given
            padded = np.concatenate([own, own[:1].repeat(-len(own) % rows, 0)])
            y = np.concatenate([together([part]) for part in np.split(padded, len(padded) // rows)])[: len(own)]
        return y if y.ndim == 2 else y.swapaxes(0, 1)

    return answer, f"keras {keras.__version__}"
