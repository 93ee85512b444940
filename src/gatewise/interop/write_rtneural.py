"""Chains as JSON of RTNeural, which runs networks sample by sample in C++, in plug-ins for sound.

Layout: `in_shape` and `layers`, each with `type`, `activation`, `shape`, `weights`; kernels (inputs, outputs), gates as
in Keras. Source: jatinchowdhury18/RTNeural, python/model_utils.py and RTNeural/model_loader.h.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ..errors import OptionError
from ..runtime.sequential import Activation, Dense, Recurrent, first_width
from . import layouts
from .cells import recognised
from .chain import Chain, Placed, of_direction
from .proof import Answers, CannotRunError

SUFFIXES = (".json",)
_ACTIVATIONS = {"linear": "", **{name: name for name in ("tanh", "relu", "sigmoid", "softmax", "elu")}}


def write(chain: Chain, model: Any, path: Path, suffix: str) -> None:
    """Write it. OptionError if RTNeural has no such layers."""
    if first_width(chain.kinds) is None:
        raise OptionError("RTNeural reads numbers, and this model reads tokens. Export it to onnx")
    document = {"in_shape": [None, None, first_width(chain.kinds)], "layers": list(map(_said, chain.layers))}
    path.write_text(json.dumps(document), "utf-8")


def answers(path: Path, chain: Chain, suffix: str) -> tuple[Answers, str]:
    """RTNeural is no library of Python. CannotRunError says so."""
    raise CannotRunError("RTNeural is C++ and cannot be run from here. Compare its answers with `gatewise predict`")


def numbers(array: np.ndarray) -> list[Any]:
    """An array as lists of the shortest numbers that float32 reads back to the bit."""
    return [numbers(one) if one.ndim else float(str(one)) for one in np.asarray(array, np.float32)]


def _said(placed: Placed) -> dict[str, Any]:
    match placed.layer:
        case Recurrent() as layer:
            found = recognised(layer.cell)
            usual = found is not None and (found.gate, found.candidate) == ("sigmoid", "tanh")
            plain = layer.direction == "forward" and layer.outputs == "steps"
            if found is None or not usual or found.peephole or found.projected or found.kind not in ("lstm", "gru"):
                _refuse(placed, f"has the cell {layer.cell.name}, and RTNeural has LSTM and GRU alone")
            if not plain:
                _refuse(placed, "needs a sequence to its end, and RTNeural answers to each sample")
            arrays = layouts.from_ours("rtneural", found.kind, of_direction(placed.weights)).values()
            return _layer(layouts.layout("rtneural").called[found.kind], "", layer.hidden_size, [*arrays])
        case Dense() as layer:
            bias = placed.weights.get("bias", np.zeros(layer.outputs, np.float32))
            return _layer(
                "dense", _activation(layer.activation, placed), layer.outputs, [placed.weights["weight"].T, bias]
            )
        case Activation(name=name) if name in _ACTIVATIONS:
            return _layer("activation", name, None, [])
    _refuse(placed, "is none of RTNeural's: LSTM, GRU, dense layers and activations")


def _activation(name: str, placed: Placed) -> str:
    if name not in _ACTIVATIONS:
        _refuse(placed, f"has the activation {name}, which RTNeural does not have")
    return _ACTIVATIONS[name]


def _layer(kind: str, activation: str, units: int | None, arrays: list[np.ndarray]) -> dict[str, Any]:
    return {
        "type": kind,
        "activation": activation,
        "shape": [None, None, units],
        "weights": list(map(numbers, arrays)),
    }


def _refuse(placed: Placed, what: str) -> NoReturn:
    raise OptionError(f"its layer {placed.name or placed.layer.kind} {what}. Export it to onnx")
