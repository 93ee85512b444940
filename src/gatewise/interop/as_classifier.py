"""A chain that says of texts what they are, as a `Classifier`, where a classifier of ours can be that very network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..data.tables.schema import ColumnSchema, Schema
from ..errors import OptionError
from ..runtime.network import checked
from ..runtime.sequential import Dense, Embedding, Pooling, Recurrent
from ..tasks.classify.estimator import Classifier
from ..tasks.classify.inputs import Inputs, Text
from ..tasks.classify.sizing import Sizing
from ..tasks.classify.targets import Targets
from ..tasks.document import cell_from
from ..tasks.options import names
from ..tasks.sequential.texts import Tokens
from .as_ours import numbered, special, stacked
from .chain import Chain, Placed

Array = np.ndarray


def classifier(
    chain: Chain, tokens: Tokens, classes: Sequence[str], training: Mapping[str, Any], **columns: Any
) -> tuple[Classifier, Array]:
    """The same model as one of ours, and of each of our tokens its number in the file, -1 where it has none.

    Args:
        columns: Options of tables, as of `Sequential`.

    Raises:
        OptionError: It is another network than embedding, recurrent layers of one size, their last state, mean or
            maximum, and scores of classes; or its tokens are none of ours.
    """
    embedding, stack, pooling, output = _parts(chain)
    first = stack[0].layer
    assert isinstance(first, Recurrent)
    assert isinstance(embedding.layer, Embedding)
    rows, words = _words(tokens, embedding.layer)
    weights = {
        "words.weight": np.where(rows[:, None] < 0, np.float32(0), embedding.weights["weight"][np.maximum(rows, 0)]),
        **_scores(output, len(classes)),
        **stacked(stack),
    }
    model = Classifier(
        cell=cell_from({"cell": first.program}),
        bidirectional=first.direction == "both",
        pooling=pooling,
        tokens=tokens.kind,
        **{name: value for name, value in columns.items() if name != "columns"},
    )
    read = list(names(columns.get("columns"))) or ["text"]
    text = Text(read, False, tokens.kind, words, "")
    model.inputs_, model.targets_ = (
        Inputs([], [], text),
        Targets("category", names(model.target) or ("label",), tuple(classes)),
    )
    model.sizing_ = Sizing(
        embedding_size=embedding.weights["weight"].shape[1],
        hidden_size=first.hidden_size,
        num_layers=len(stack),
        stride=1,
        ensemble=1,
        dropout=0.0,
        input_dropout=0.0,
        augmentation=0.0,
        learning_rate=0.001,
        epochs=1.0,
        batch_size=32,
    )
    model.sound_, model.baselines_, model.levelled_ = None, None, False
    # Else a few short texts would look like categories.
    model.schema_ = Schema({name: ColumnSchema("text", "VARCHAR") for name in read})
    model.blend_weight_, model.temperature_ = 1.0, 1.0
    model._set_attributes(None)
    data = {**training["data"], "held_out": False}
    model.provenance_, model.metrics_, model.history_ = {**training, "data": data}, {}, {}
    model._read_weights = checked(
        model._architecture(), {f"members.0.{name}": np.asarray(array, np.float32) for name, array in weights.items()}
    )
    return model, rows


def _parts(chain: Chain) -> tuple[Placed, list[Placed], str, Placed]:
    """Embedding, recurrent layers, how their steps are pooled, output. OptionError if it is something else."""
    layers = list(chain.layers)
    kinds = ", ".join(placed.layer.kind for placed in layers)
    other = OptionError(f"a classifier of ours has an embedding, recurrent layers of one size and a pool, not {kinds}")
    embedding, output = layers[0], layers[-1]
    stack = [placed for placed in layers[1:-1] if isinstance(placed.layer, Recurrent)]
    pools = layers[1 + len(stack) : -1]
    if not isinstance(embedding.layer, Embedding) or not isinstance(output.layer, Dense) or not stack or len(pools) > 1:
        raise other
    first, last = stack[0].layer, stack[-1].layer
    assert isinstance(first, Recurrent)
    assert isinstance(last, Recurrent)
    pool = pools[0].layer if pools else None
    pooling = "last" if pool is None and last.outputs == "end" else pool.of if isinstance(pool, Pooling) else ""
    if pooling not in ("last", "mean", "max") or (pool is not None and pooling == "last") or first.proj_size:
        raise other
    for number, placed in enumerate(stack):
        layer = placed.layer
        assert isinstance(layer, Recurrent)
        alike = all(getattr(layer, name) == getattr(first, name) for name in ("program", "hidden_size", "direction"))
        ends = layer.outputs == "end"
        whole = layer.direction != "backward" and layer.merge == "concat"
        if not alike or not whole or (ends and (number < len(stack) - 1 or pool is not None)):
            raise other
    if output.layer.activation not in ("linear", "softmax", "sigmoid"):
        raise other
    return embedding, stack, pooling, output


def _words(tokens: Tokens, layer: Embedding) -> tuple[Array, list[str]]:
    """Of our tokens, their numbers in the file; and those of them that are words. OptionError if some have no name."""
    place = numbered(tokens, layer)
    padding, unknown = special(place, layer)
    if tokens.kind == "words" and any(word != word.lower() for word in place):
        raise OptionError("a classifier of ours reads words in small letters, and the vocabulary has large ones")
    if layer.mask_zero and 0 in (unknown, *place.values()):
        raise OptionError("token 0 stands for no step in this model, and for a word in the vocabulary")
    return np.array([padding, unknown, *place.values()]), list(place)


def _scores(output: Placed, classes: int) -> dict[str, Array]:
    """The output layer with a score for each class: of two classes and one number, that of the first is 0."""
    layer = output.layer
    assert isinstance(layer, Dense)
    weight = output.weights["weight"]
    bias = output.weights.get("bias", np.zeros(len(weight), np.float32))
    if (layer.outputs, classes) == (1, 2) and layer.activation in ("linear", "sigmoid"):
        weight, bias = np.concatenate([np.zeros_like(weight), weight]), np.concatenate([np.zeros_like(bias), bias])
    elif layer.activation == "sigmoid":
        raise OptionError(f"it answers with {layer.outputs} sigmoids, which are labels, and no chances of classes")
    elif layer.outputs != classes:
        raise OptionError(
            f"there are {classes} classes, but the model answers with {layer.outputs} numbers. Name as many"
        )
    return {"output.weight": weight, "output.bias": bias}
