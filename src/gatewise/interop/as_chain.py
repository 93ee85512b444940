"""Models of ours as chains, which is what writers take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import OptionError
from ..runtime.sequential import Dense, Embedding, Pooling, Recurrent, said
from ..tasks.options import names
from .chain import Chain, Placed


def chain_of(model: Any, masks: bool = False) -> Chain:
    """A trained estimator as layers that read one another's output.

    Args:
        masks: Whether the embedding of a classifier says that its first token, with which short texts are filled up, is
            no step. (A maximum over steps counts these in any library, so it is never said there.)

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
    if model.task == "classify" and (found := chain_of_classifier(model, masks)) is not None:
        return found
    raise OptionError(
        f"this model of the task '{model.task}' is no chain of layers, as are those that write text, those that were "
        "imported, and classifiers of words with one network, one pooling and no plain method. Export it to onnx, c or "
        "html instead"
    )


def _of_generator(model: Any) -> Chain:
    """Embedding, recurrent layers, and a score for each token of the vocabulary."""
    weights: Mapping[str, np.ndarray] = {**model._weights()}
    weights = {**weights, **{name: weights[same] for name, same in model._tied.items() if name not in weights}}
    sizes = model.sizing_
    first = _embedding(weights["embedding.weight"])
    how = {"hidden_size": sizes.hidden_size, "proj_size": sizes.proj_size, "stateful": True}
    layers = stack(weights, model._cells()["cell"], sizes.embedding_size, sizes.num_layers, how)
    return Chain((first, *layers, dense(weights, "output")), source="gatewise", outputs=("scores",))


def chain_of_classifier(model: Any, masks: bool) -> Chain | None:
    """Embedding, recurrent layers, a pool and the probabilities of classes; None where there is more to it."""
    inputs, sizes, pooling = model.inputs_, model.sizing_, names(model.pooling)
    alone = model._net is not None and (model.baselines_ is None or model.blend_weight_ == 1) and sizes.ensemble == 1
    text = inputs.text is not None and inputs.text.tokens != "both" and not inputs.numbers and not inputs.categories
    if not alone or not text or model.targets_.kind != "category" or pooling not in (("last",), ("mean",), ("max",)):
        return None
    weights = {name.removeprefix("members.0."): array for name, array in model._weights().items()}
    for name in ("output.weight", "output.bias"):
        weights[name] = weights[name] / np.float32(model.temperature_)
    direction, masked = "both" if model.bidirectional else "forward", masks and pooling != ("max",)
    how = {"hidden_size": sizes.hidden_size, "direction": direction, "zero_masked": masked}
    layers = stack(weights, model._cells()["cell"], sizes.embedding_size, sizes.num_layers, how)
    if pooling == ("last",):
        layer: Any = layers[-1].layer
        layers[-1] = replace(layers[-1], layer=replace(layer, outputs="end", zero_masked=False))
        pool = []
    else:
        pool = [Placed(Pooling(of=pooling[0]))]
    found = (_embedding(weights["words.weight"], masked), *layers, *pool, dense(weights, "output", "softmax"))
    return Chain(found, source="gatewise", outputs=("probabilities",))


def _embedding(table: np.ndarray, mask_zero: bool = False) -> Placed:
    count, size = table.shape
    return Placed(Embedding(count=count, size=size, mask_zero=mask_zero), {"weight": table}, "embedding")


def stack(
    weights: Mapping[str, np.ndarray],
    program: Mapping[str, Any],
    width: int,
    count: int,
    how: Mapping[str, Any],
    place: str = "layers",
) -> list[Placed]:
    """Recurrent layers above one another.

    Args:
        width: Features that the first one reads.
        how: Options of each.
        place: What the names of their weights begin with.
    """
    found = []
    for number in range(count):
        layer = Recurrent(program=program, input_size=width, **how)
        own = {name: weights[f"{place}.{name.replace('_l0', f'_l{number}')}"] for name, _ in layer.part.weights()}
        found.append(Placed(layer, own, f"{place} {number}"))
        width = layer.width(width)
    return found


def dense(weights: Mapping[str, np.ndarray], name: str, activation: str = "linear") -> Placed:
    """The dense layer of this name."""
    own = {part: weights[f"{name}.{part}"] for part in ("weight", "bias")}
    outputs, inputs = own["weight"].shape
    return Placed(Dense(inputs=inputs, outputs=outputs, activation=activation), own, name)


def documents_of(chain: Chain) -> list[dict[str, Any]]:
    """The layers as other programs may read them, without the equations of their cells."""
    return [{name: value for name, value in said(kind).items() if name != "program"} for kind in chain.kinds]
