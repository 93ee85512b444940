"""Chains as `.nam` files of Neural Amp Modeler, whose plug-in plays networks that learned to sound as an amplifier.

Layout: JSON with one flat list of weights: of each layer the rows of both products side by side, a bias, and the state
that it begins with; then the head. Source: sdatkinson/neural-amp-modeler, nam/models/recurrent.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import OptionError
from ..runtime.sequential import Dense, Recurrent
from . import layouts
from .cells import Recognised, recognised
from .chain import Chain, of_direction
from .proof import Answers, CannotRunError
from .write_rtneural import numbers

SUFFIXES = (".nam",)
_VERSION = "0.5.4"  # of the format


def write(chain: Chain, model: Any, path: Path, suffix: str) -> None:
    """Write it. OptionError if it is not LSTM layers of one size from one number a step to one number."""
    stack, head = chain.layers[:-1], chain.layers[-1]
    first = stack[0].layer if stack else None
    weights = []
    for placed in stack:
        layer = placed.layer
        if not isinstance(layer, Recurrent) or not isinstance(first, Recurrent) or not _fits(layer, first):
            raise _refused()
        weights += [*layouts.from_ours("nam", "lstm", of_direction(placed.weights)).values()]
    if not isinstance(first, Recurrent) or first.input_size != 1 or not _is_head(head.layer):
        raise _refused()
    weights += [head.weights["weight"].reshape(-1), head.weights.get("bias", np.zeros(1, np.float32))]
    document = {
        "version": _VERSION,
        "metadata": {},
        "architecture": "LSTM",
        "config": {"input_size": 1, "hidden_size": first.hidden_size, "num_layers": len(stack)},
        "weights": numbers(np.concatenate(weights)),
    }
    path.write_text(json.dumps(document), "utf-8")


def answers(path: Path, chain: Chain, suffix: str) -> tuple[Answers, str]:
    """Its player is no library of Python. CannotRunError says so."""
    raise CannotRunError("players of .nam are C++ and cannot be run from here. Compare with `gatewise predict`")


def _fits(layer: Recurrent, first: Recurrent) -> bool:
    found = recognised(layer.cell)
    usual = found == Recognised("lstm")
    return usual and (layer.direction, layer.outputs, layer.hidden_size) == ("forward", "steps", first.hidden_size)


def _is_head(layer: Any) -> bool:
    return isinstance(layer, Dense) and (layer.outputs, layer.activation) == (1, "linear")


def _refused() -> OptionError:
    return OptionError(
        "a .nam is LSTM layers of one size, which read one number a step, and a linear layer to one number; this model "
        "is another one. Export it to rtneural or onnx"
    )
