"""Models of ours as chains, which is what writers take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import OptionError
from ..runtime.sequential import Dense, Embedding, Recurrent, said
from .chain import Chain, Placed

TASKS = ("generate", "sequential")  # of which models are chains


def chain_of(model: Any) -> Chain:
    """A trained estimator as layers that read one another's output.

    Raises:
        OptionError: It is something else.
    """
    if model.task == "sequential":
        tensors, placed = model._weights(), []
        for number, layer in enumerate(model.layers_):
            prefix = f"layers.{number}."
            own = {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}
            placed.append(Placed(layer, own, f"{number}"))
        return Chain(tuple(placed), source="gatewise")
    if model.task == "generate" and model.numbers_ is None and model._net is not None:
        return _of_generator(model)
    raise OptionError(
        f"this model of the task '{model.task}' is no chain of layers, as are those that write text and those that "
        "were imported. Export it to onnx, c or html instead"
    )


def _of_generator(model: Any) -> Chain:
    """Embedding, recurrent layers, and a score for each token of the vocabulary."""
    weights: Mapping[str, np.ndarray] = {**model._weights()}
    weights = {**weights, **{name: weights[same] for name, same in model._tied.items() if name not in weights}}
    sizes, program = model.sizing_, model._cells()["cell"]
    count, size = weights["embedding.weight"].shape
    placed = [Placed(Embedding(count=count, size=size), {"weight": weights["embedding.weight"]}, "embedding")]
    width = size
    for number in range(sizes.num_layers):
        layer = Recurrent(
            program=program, input_size=width, hidden_size=sizes.hidden_size, proj_size=sizes.proj_size, stateful=True
        )
        own = {f"{name}_l0": weights[f"layers.{name}_l{number}"] for name in _names(layer)}
        placed.append(Placed(layer, own, f"layers {number}"))
        width = sizes.proj_size or sizes.hidden_size
    output = {name: weights[f"output.{name}"] for name in ("weight", "bias")}
    placed.append(Placed(Dense(inputs=width, outputs=count), output, "output"))
    return Chain(tuple(placed), source="gatewise", outputs=("scores",))


def _names(layer: Recurrent) -> list[str]:
    return [name for names in layer.cell.stored() for name in names]


def documents_of(chain: Chain) -> list[dict[str, Any]]:
    """The layers as other programs may read them, without the equations of their cells."""
    return [{name: value for name, value in said(kind).items() if name != "program"} for kind in chain.kinds]
