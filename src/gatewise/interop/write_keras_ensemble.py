"""Classifiers that are no chain as functional models of Keras 3, written without Keras.

What fills up sequences of a batch is told from steps where it matters, and by what Keras itself would not lose on the
way: recurrent layers and means get the mask by name, and before a maximum and a softmax over steps the rest is so small
that it counts for nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .as_ensemble import Ensemble, Member, scaling
from .cells import recognised
from .chain import Placed
from .write_keras import Written, answers, archive_of, dense_layer, recurrent_layer, serialised

__all__ = ["answers", "batches", "write"]

Array = np.ndarray

FILLING = float(np.float32(-1e30))  # all numbers of what is no step, and what is beyond any score
_OPERATIONS = "keras.src.ops.numpy"  # where Keras's own files have what `keras.ops` does


@dataclass(frozen=True)
class _Tensor:
    """What a layer gives: the layer's name, and which of its outputs."""

    layer: str
    output: int = 0

    def said(self) -> dict[str, Any]:
        # Keras finds shape and dtype again as it builds the model; it only wants to see some.
        config = {"shape": [None], "dtype": "float32", "keras_history": [self.layer, 0, self.output]}
        return {"class_name": "__keras_tensor__", "config": config}


class _Graph:
    """Layers of a functional model, and the tensors between them."""

    def __init__(self) -> None:
        self.layers: list[Written] = []
        self.said: list[dict[str, Any]] = []

    def add(self, layer: Written, *reads: Any, module: str = "keras.layers", **named: Any) -> _Tensor:
        """Add a layer that reads these tensors, lists of them, or plain values."""
        name = layer.options["name"]
        nodes = [{"args": [_said(one) for one in reads], "kwargs": {key: _said(one) for key, one in named.items()}}]
        self.layers.append(layer)
        self.said.append(
            {**serialised(layer.kind, layer.options, module), "name": name, "inbound_nodes": nodes if reads else []}
        )
        return _Tensor(name)

    def plain(self, kind: str, name: str, *reads: Any, **options: Any) -> _Tensor:
        """Add a layer without weights."""
        return self.add(Written(kind, {"name": name, **options}, {}), *reads)

    def operation(self, kind: str, name: str, *reads: Any, **options: Any) -> _Tensor:
        """Add a function of `keras.ops`."""
        return self.add(Written(kind, {"name": name, **options}, {}), *reads, module=_OPERATIONS)


def _said(value: Any) -> Any:
    if isinstance(value, list):
        return [_said(one) for one in value]
    return value.said() if isinstance(value, _Tensor) else value


def write(ensemble: Ensemble, model: Any, path: str | os.PathLike[str]) -> None:
    """Write a file of Keras; see `write_keras.write`. OptionError if Keras has no such cell."""
    graph = _Graph()
    x, counts = _tokens(graph) if ensemble.inputs.text is not None else _series(graph, ensemble)
    # Keras finds the weights of a layer by its class and its place among those of its class, from the inputs to the
    # output. So members go level by level.
    members = [(f"member_{number}", own) for number, own in enumerate(ensemble.members)]
    spelled = _spelled(graph, members)
    read = [_embedded(graph, own, name, x, more) for (name, own), more in zip(members, spelled, strict=True)]
    ends: list[list[_Tensor]] = []
    for level in range(len(ensemble.members[0].layers)):
        run = [
            _recurrent(graph, own.layers[level], f"{name}_layer_{level}", y, counts)
            for (name, own), y in zip(members, read, strict=True)
        ]
        read, ends = [y for y, _ in run], [states for _, states in run]
    scores = read
    for level, what in enumerate(("question", "score")[: len(ensemble.members[0].question)]):
        scores = [
            graph.add(dense_layer(own.question[level], f"{name}_{what}", False), y)
            for (name, own), y in zip(members, scores, strict=True)
        ]
    pooled = [
        _pooled(graph, ensemble.pooling, name, y, last, score, counts)
        for (name, _), y, last, score in zip(members, read, ends, scores, strict=True)
    ]
    outputs = [
        graph.add(dense_layer(own.output, f"{name}_output", False), y)
        for (name, own), y in zip(members, pooled, strict=True)
    ]
    output = _predicted(graph, ensemble, outputs)
    inputs = [[one["name"], 0, 0] for one in graph.said if one["class_name"] == "InputLayer"]
    said = {
        "name": "classifier",
        "trainable": True,
        "layers": graph.said,
        "input_layers": inputs if len(inputs) > 1 else inputs[0],
        "output_layers": [output.layer, 0, 0],
    }
    archive_of(path, serialised("Functional", said, "keras.src.models.functional"), graph.layers, model)


def batches(ensemble: Ensemble) -> Iterator[tuple[tuple[Array, ...], Array]]:
    """The examples as Keras gets them, steps first, and what is predicted of them.

    Those of different lengths are together, filled up, where that is allowed; then one by one.
    """
    longest = max(len(read[0]) for read, _ in ensemble.examples)
    if ensemble.inputs.stride == 1:
        found = []
        for each in zip(*(read for read, _ in ensemble.examples), strict=True):
            filling, shape = 0 if each[0].dtype.kind == "i" else FILLING, (longest, len(each), *each[0].shape[1:])
            found.append(np.full(shape, filling, each[0].dtype))
            for place, x in enumerate(each):
                found[-1][: len(x), place] = x
        yield _given(*found), np.stack([y for _, y in ensemble.examples])
    for read, y in ensemble.examples[: 1 if ensemble.inputs.stride == 1 else 3]:
        yield _given(*(x[:, None] for x in read)), y[None]


def _given(x: Array, letters: Array | None = None) -> tuple[Array, ...]:
    """What the model reads; of letters (T, B, L) those of different words (L, U), and which of them each word is."""
    if letters is None:
        return (x,)
    spelling, place = np.unique(letters.reshape(-1, letters.shape[-1]), axis=0, return_inverse=True)
    return x, spelling.T, place.reshape(x.shape)


def _input(graph: _Graph, name: str, dtype: str, *shape: int | None) -> _Tensor:
    return graph.plain("InputLayer", name, batch_shape=[None, None, *shape], dtype=dtype)


def _tokens(graph: _Graph) -> tuple[_Tensor, _Tensor]:
    """(B, T) tokens, and which of them count."""
    tokens = _input(graph, "tokens", "int32")
    return tokens, graph.operation("NotEqual", "counts", tokens, 0)


def _series(graph: _Graph, ensemble: Ensemble) -> tuple[_Tensor, _Tensor | None]:
    """(B, T, D) what the networks read of numbers, and which steps count; None where several are read as one: there
    all sequences of a batch have one length."""
    how, stride = scaling(ensemble.inputs), ensemble.inputs.stride
    series = raw = _input(graph, "series", "float32", len(how["mean"]))
    counts = None
    if stride == 1:
        counts = graph.operation("Any", "counts", graph.operation("NotEqual", "given", series, FILLING), axis=-1)
        raw = _where_steps(graph, "steps", counts, series, 0.0)
    x = raw
    if how["heavy"].any():
        size = graph.operation("Log1p", "log_size", graph.operation("Absolute", "size", x))
        logarithm = graph.plain("Multiply", "logarithm", [graph.operation("Sign", "sign", x), size])
        x = graph.plain(
            "Add",
            "tamed",
            [_times(graph, "heavy", logarithm, how["heavy"]), _times(graph, "others", x, ~how["heavy"])],
        )
    x = graph.plain("Rescaling", "centred", x, scale=1.0, offset=_floats(-how["mean"]))
    x = graph.operation("NanToNum", "scaled", _times(graph, "divided", x, 1 / how["scale"]), nan=0.0)
    parts = [x]
    if how["missing"].any():
        missing = graph.operation("Isnan", "missing", raw)
        marks = graph.operation("Where", "marks", missing, 1.0, 0.0)
        parts.append(_some(graph, "marks_read", marks, np.flatnonzero(how["missing"]), len(how["missing"])))
    if stride > 1:
        read = graph.plain("Concatenate", "numbers", parts) if len(parts) > 1 else x
        return _framed(graph, read, stride, len(how["mean"]) + int(how["missing"].sum())), None
    if len(how["changes"]):
        before = graph.plain("Cropping1D", "before", _edges(graph, x, 1, 0), cropping=[0, 1])
        changes = graph.plain("Subtract", "changes", [x, before])
        changes = _some(graph, "changes_read", changes, how["changes"], len(how["mean"]))
        parts.append(_times(graph, "changes_scaled", changes, 1 / how["pace"]))
    return graph.plain("Concatenate", "numbers", parts) if len(parts) > 1 else x, counts


def _floats(values: Array) -> list[float]:
    return np.asarray(values, np.float32).tolist()


def _times(graph: _Graph, name: str, x: _Tensor, factors: Array) -> _Tensor:
    return graph.plain("Rescaling", name, x, scale=_floats(factors), offset=0.0)


def _some(graph: _Graph, name: str, x: _Tensor, which: Array, of: int) -> _Tensor:
    """Some of the last axis."""
    return x if len(which) == of else graph.operation("Take", name, x, which.tolist(), axis=-1)


def _edges(graph: _Graph, x: _Tensor, before: int, after: int) -> _Tensor:
    """The first step so many times before, the last one so many times behind."""
    width = [[0, 0], [before, after], [0, 0]]
    return graph.operation("Pad", "with_edges", x, pad_width=width, mode="edge")


def _framed(graph: _Graph, x: _Tensor, stride: int, width: int) -> _Tensor:
    """Frames of twice `stride` steps, one every `stride`, as a convolution that takes each number as it is."""
    count = 2 * stride
    kernel = np.eye(count * width, dtype=np.float32).reshape(count, width, count * width)
    edges = _edges(graph, x, stride // 2, count - 1 - stride // 2)
    options = {"name": "frames", "filters": count * width, "kernel_size": [count], "strides": [stride]}
    return graph.add(Written("Conv1D", {**options, "use_bias": False, "trainable": False}, {"": [kernel]}), edges)


def _where_steps(graph: _Graph, name: str, counts: _Tensor | None, x: _Tensor, other: float) -> _Tensor:
    """x where steps count, and a number elsewhere. What comes out has none of Keras's masks."""
    if counts is None:
        return x
    each = graph.operation("ExpandDims", f"{name}_counts", counts, axis=-1)
    return graph.operation("Where", name, each, x, other)


def _spelled(graph: _Graph, members: Sequence[tuple[str, Member]]) -> list[_Tensor | None]:
    """(B, T, size) what each of them reads of the letters of words; None where it reads none."""
    if members[0][1].letters is None:
        return [None] * len(members)
    # Spellings stand in an input of their own: Keras would unroll a layer that runs over the letters of each step.
    letters, words = _input(graph, "spelling", "int32"), _input(graph, "word_of", "int32")
    ones = graph.operation("OnesLike", "ones", letters)
    first = graph.operation("Equal", "first", graph.operation("Cumsum", "places", ones, axis=-1), 1)
    # An empty word has one letter, which is none.
    counts = graph.operation("LogicalOr", "letters_count", graph.operation("NotEqual", "written", letters, 0), first)
    tables = [(name, own.letters) for name, own in members if own.letters is not None]
    read = [_embedding(graph, table, f"{name}_letters", letters) for name, table in tables]
    found: list[_Tensor | None] = []
    for (name, own), x in zip(members, read, strict=True):
        end = graph.add(recurrent_layer(own.speller[0], f"{name}_speller", True), x, mask=counts)
        found.append(graph.operation("Take", f"{name}_spelled", end, words, axis=0))
    return found


def _embedded(graph: _Graph, member: Member, name: str, x: _Tensor, spelled: _Tensor | None) -> _Tensor:
    if member.table is None:
        return x
    found = _embedding(graph, member.table, f"{name}_embedding", x)
    return found if spelled is None else graph.plain("Concatenate", f"{name}_words", [found, spelled])


def _embedding(graph: _Graph, table: Array, name: str, x: _Tensor) -> _Tensor:
    count, size = table.shape
    return graph.add(Written("Embedding", {"name": name, "input_dim": count, "output_dim": size}, {"": [table]}), x)


def _recurrent(
    graph: _Graph, placed: Placed, name: str, x: _Tensor, counts: _Tensor | None
) -> tuple[_Tensor, list[_Tensor]]:
    """(B, T, H) outputs, and (B, H) that of each direction after its last step."""
    written, cell = recurrent_layer(placed, name, True), recognised(placed.layer.cell)  # type: ignore[attr-defined]
    assert cell is not None  # or there had been an error
    ways = [written.options[key]["config"] for key in ("layer", "backward_layer") if key in written.options]
    options: dict[str, Any] = {**written.options, **({} if ways else {"return_state": True})}
    for own in ways:
        own["return_state"] = True
    mask: dict[str, Any] = {} if counts is None else {"mask": counts}
    y = graph.add(replace(written, options=options), x, **mask)
    states = 2 if cell.kind == "lstm" else 1
    return y, [_Tensor(y.layer, 1 + way * states) for way in range(len(ways) or 1)]


def _pooled(
    graph: _Graph,
    pooling: Sequence[str],
    name: str,
    y: _Tensor,
    ends: Sequence[_Tensor],
    scores: _Tensor,
    counts: _Tensor | None,
) -> _Tensor:
    """(B, H) for each of the pools, beside one another.

    Args:
        scores: (B, T, 1) of attention; not read where there is none.
    """
    found: list[_Tensor] = []
    mask: dict[str, Any] = {} if counts is None else {"mask": counts}
    for pool in pooling:
        own = f"{name}_{pool}"
        match pool:
            case "last":
                found += ends
            case "mean":
                layer = Written("GlobalAveragePooling1D", {"name": own}, {})
                found.append(graph.add(layer, y, **mask))
            case "max":
                steps = _where_steps(graph, f"{own}_steps", counts, y, FILLING)
                found.append(graph.plain("GlobalMaxPooling1D", own, steps))
            case "attention":
                steps = _where_steps(graph, f"{own}_scores", counts, scores, FILLING)
                weights = graph.plain("Softmax", f"{own}_weights", steps, axis=1)
                found.append(graph.plain("Flatten", own, graph.plain("Dot", f"{own}_sum", [weights, y], axes=[1, 1])))
    return graph.plain("Concatenate", f"{name}_pools", found) if len(found) > 1 else found[0]


def _predicted(graph: _Graph, ensemble: Ensemble, outputs: list[_Tensor]) -> _Tensor:
    """What the model answers, of the outputs of its members."""
    found = graph.plain("Average", "average", outputs) if len(outputs) > 1 else outputs[0]
    if ensemble.kind == "number":
        return graph.plain("Rescaling", "number", found, scale=ensemble.scale, offset=ensemble.mean)
    if ensemble.temperature == 1:
        return found
    logits = graph.operation("Log", "log_average", found)
    if ensemble.kind == "labels":
        others = graph.plain("Rescaling", "without", found, scale=-1.0, offset=1.0)
        logits = graph.plain("Subtract", "odds", [logits, graph.operation("Log", "log_without", others)])
    logits = graph.plain("Rescaling", "tempered", logits, scale=1 / ensemble.temperature, offset=0.0)
    return graph.plain(
        "Activation", "probabilities", logits, activation="sigmoid" if ensemble.kind == "labels" else "softmax"
    )
