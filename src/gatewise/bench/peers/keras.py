"""Keras: `keras.layers.LSTM` on the installed backend, which chooses its own number of threads."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

from torch import Tensor

from ..contest import Contestant, as_tensor
from ..problem import Problem


def enter(problem: Problem) -> Contestant:
    keras = _keras()
    shape = problem.shape
    layers = [keras.layers.LSTM(shape.H, return_sequences=True) for _ in range(shape.layers)]
    model = keras.Sequential([keras.Input((shape.T, shape.D)), *layers])
    for n, layer in enumerate(layers):
        W, U, b, b_h = (
            problem.weights[f"{name}_l{n}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )  # Keras has the same order of gates, but one bias
        layer.set_weights([W.T.numpy(), U.T.numpy(), (b + b_h).numpy()])
    x = problem.x.transpose(0, 1).contiguous().numpy()

    def read(y: Any) -> dict[str, Tensor]:
        return {"y": as_tensor(y).transpose(0, 1)}

    return Contestant("keras", lambda: model.predict_on_batch(x), read, detail=f"backend {keras.backend.backend()}")


def _keras() -> Any:
    """Keras on its default backend, TensorFlow, or on another one that is installed."""
    if find_spec("tensorflow") is None:
        os.environ.setdefault("KERAS_BACKEND", "jax" if find_spec("jax") else "torch")
    import keras

    return keras
