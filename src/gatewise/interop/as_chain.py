"""Models of ours as chains, which is what writers take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import OptionError
from ..runtime.sequential import Dense, Embedding, Pooling, Recurrent, said
from ..tasks.options import names
from .chain import Chain, Placed

TASKS = ("generate", "classify", "sequential")  # of which models are chains


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
    if model.task == "classify":
        return _of_classifier(model)
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


def _of_classifier(model: Any) -> Chain:
    """Embedding of words, recurrent layers, their mean, maximum or last state, and probabilities.

    Raises:
        OptionError: It is more than that.
    """
    inputs, targets, sizes, pooling = model.inputs_, model.targets_, model.sizing_, tuple(names(model.pooling))
    alone = not (inputs.numbers or inputs.categories) and inputs.text is not None and inputs.text.tokens != "both"
    for fits, what in (
        (model.baselines_ is None or model.blend_weight_ == 1, "plain methods have a share in its answers (--share 1)"),
        (alone, "it reads something else than words, or letters (--tokens words)"),
        (sizes is not None and sizes.ensemble == 1, "it is several networks (--ensemble 1)"),
        (len(pooling) == 1 and pooling[0] in ("mean", "max", "last"), "it pools in several ways (--pooling mean)"),
        (targets.kind in ("category", "labels"), "it answers with numbers"),
    ):
        if not fits:
            raise OptionError(f"this classifier is no chain of layers: {what}. Export it to onnx, c or html instead")
    start = "members.0."
    weights = {name.removeprefix(start): array for name, array in model._weights().items() if name.startswith(start)}
    program, both = model._cells()["cell"], bool(model.bidirectional)
    pool: Any = pooling[0]
    count, width = weights["words.weight"].shape
    # The first token is what short texts are filled up with. The largest of all steps would count it in any library.
    embedding = Embedding(count=count, size=width, mask_zero=pool != "max")
    placed = [Placed(embedding, {"weight": weights["words.weight"]}, "words")]
    for number in range(sizes.num_layers):
        ends = pool == "last" and number == sizes.num_layers - 1
        layer = Recurrent(
            program=program,
            input_size=width,
            hidden_size=sizes.hidden_size,
            direction="both" if both else "forward",
            outputs="end" if ends else "steps",
            zero_masked=not ends,
        )
        own = {
            f"{name}_l0{way}": weights[f"layers.{name}_l{number}{way}"]
            for name in _names(layer)
            for way in ("", "_reverse")[: 1 + both]
        }
        placed.append(Placed(layer, own, f"layers {number}"))
        width = sizes.hidden_size * (1 + both)
    if pool != "last":
        placed.append(Placed(Pooling(of=pool), {}, "pooling"))
    scores = {name: weights[f"output.{name}"] / np.float32(model.temperature_) for name in ("weight", "bias")}
    activation = "softmax" if targets.kind == "category" else "sigmoid"
    placed.append(Placed(Dense(inputs=width, outputs=targets.outputs, activation=activation), scores, "output"))
    return Chain(tuple(placed), source="gatewise", outputs=("probabilities",))


def _names(layer: Recurrent) -> list[str]:
    return [name for names in layer.cell.stored() for name in names]


def documents_of(chain: Chain) -> list[dict[str, Any]]:
    """The layers as other programs may read them, without the equations of their cells."""
    return [{name: value for name, value in said(kind).items() if name != "program"} for kind in chain.kinds]
