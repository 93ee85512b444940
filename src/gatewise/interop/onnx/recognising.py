"""Operators of ONNX as layers: a row for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from onnx import TensorProto

from ...errors import CellError, ModelFileError
from ...runtime.sequential import Activation, Dense, Embedding, Pooling, Recurrent, Scaling, last_width
from .. import layouts
from ..cells import cell_of as named_cell
from ..chain import directed
from .bodies import cell_of
from .tracking import Data, Shape, Tracker, array_of, called

Array = np.ndarray

_ACTIVATIONS = {
    "Relu": "relu",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
    "Softsign": "softsign",
    "Softplus": "softplus",
    "Elu": "elu",
    "Selu": "selu",
    "Exp": "exponential",
    "HardSigmoid": "hard_sigmoid",
    "LeakyRelu": "leaky_relu",
}
_PASSING = ("Identity", "Dropout")
_FLOATS, _WHOLE = (TensorProto.FLOAT, TensorProto.DOUBLE), (TensorProto.INT32, TensorProto.INT64)
_KINDS = {"LSTM": "lstm", "RNN": "rnn"}  # operator -> kind of `layouts`; GRU is one of two
_GATES = {"LSTM": ("sigmoid", "tanh", "tanh"), "GRU": ("sigmoid", "tanh"), "RNN": ("tanh",)}


Attributes = Mapping[str, Any]
READ: dict[str, Callable[[Tracker, Any, Attributes], Sequence[Any]]] = {}  # operator -> what reads it


def _reads(*kinds: str) -> Callable[[Any], Any]:
    def declare(function: Any) -> Any:
        READ.update(dict.fromkeys(kinds, function))
        return function

    return declare


@_reads(*_PASSING)
def _passing(tracker: Tracker, node: Any, attributes: Attributes) -> list[Any]:
    return [tracker.values[node.input[0]]]


@_reads("Cast")
def _cast(tracker: Tracker, node: Any, attributes: Attributes) -> list[Any]:
    data = tracker.values[node.input[0]]
    if attributes.get("to") not in (_FLOATS if data.axes.endswith("d") else _WHOLE):
        raise ModelFileError(f"{called(node)} makes other numbers of what it reads")
    return [data]


@_reads("Shape")
def _shape(tracker: Tracker, node: Any, attributes: Attributes) -> list[Any]:
    return [Shape()]


@_reads("Transpose")
def _transpose(tracker: Tracker, node: Any, attributes: Attributes) -> list[Any]:
    data = tracker.values[node.input[0]]
    order = attributes.get("perm") or range(len(data.axes))[::-1]
    return [replace(tracker.loose(node.input[0], node), axes="".join(data.axes[place] for place in order))]


@_reads("Squeeze")
def _squeeze(tracker: Tracker, node: Any, attributes: Attributes) -> list[Any]:
    data = tracker.loose(node.input[0], node)
    axes = attributes.get("axes")
    places = tracker.known(node.input[1], node).ravel().tolist() if axes is None and len(node.input) > 1 else axes
    if places is None:
        raise ModelFileError(f"{called(node)} does not say which axes it leaves out")
    left = list(data.axes)
    for place in sorted({place % len(left) for place in places}, reverse=True):
        if left[place] not in "Rt":
            raise ModelFileError(f"{called(node)} leaves out an axis of more than one")
        del left[place]
    return [replace(data, axes="".join(left))]


@_reads("Unsqueeze")
def _unsqueeze(tracker: Tracker, node: Any, attributes: Attributes) -> list[Any]:
    """A last state gets an axis of directions, or of layers."""
    data = tracker.loose(node.input[0], node)
    places = attributes.get("axes") or tracker.known(node.input[1], node).ravel().tolist()
    if not data.end or places != [0] or data.axes != "Bd":
        raise ModelFileError(f"{called(node)} adds an axis that no layer has")
    return [replace(data, axes="RBd")]


@_reads("Reshape", "Flatten")
def _reshape(tracker: Tracker, node: Any, attributes: Attributes) -> list[Any]:
    """Directions become features: (T, B, R, d) to (T, B, R d)."""
    data = tracker.loose(node.input[0], node)
    joined = data.axes.replace("Rd", "d").replace("t", "")
    shape = tracker.values.get(node.input[1]) if len(node.input) > 1 else None
    rank = len(shape) if isinstance(shape, np.ndarray) else len(joined)
    ends = (-1, last_width([placed.layer for placed in tracker.layers])) if tracker.layers else ()
    cut = isinstance(shape, np.ndarray) and int(shape.ravel()[-1]) not in ends
    if joined == data.axes or rank != len(joined) or cut or attributes.get("axis", 1) != 1:
        raise ModelFileError(f"{called(node)} joins or cuts axes {data.axes}, which no layer does")
    return [replace(data, axes=joined)]


@_reads("Gather")
def _gather(tracker: Tracker, node: Any, attributes: Attributes) -> list[Any]:
    table, index = (tracker.values.get(name) for name in node.input)
    axis = attributes.get("axis", 0)
    axis %= max(1, len(table.axes)) if isinstance(table, Data) else 2
    if isinstance(table, np.ndarray):
        data = tracker.data(node.input[1], node)
        if table.ndim != 2 or axis:
            raise ModelFileError(f"{called(node)} reads a table of shape {table.shape}, where tokens have rows")
        layer = Embedding(count=len(table), size=table.shape[1])
        return [tracker.append(replace(data, name=node.name), layer, {"weight": table}, f"{data.axes}d")]
    data = tracker.loose(node.input[0], node)
    if not isinstance(index, np.ndarray) or index.size != 1:
        raise ModelFileError(f"{called(node)} picks what no layer does")
    if data.axes[axis] == "R" and data.end and not index.ndim:
        return [replace(data, axes=data.axes.replace("R", ""), way=int(index))]
    data = tracker.data(node.input[0], node)
    if tracker.oriented(data.axes[axis]) != "T":
        raise ModelFileError(f"{called(node)} picks what no layer does")
    return [_one_step(tracker, data, int(index.ravel()[0]), axis, keep=index.ndim > 0)]


def _one_step(tracker: Tracker, data: Data, place: int, axis: int, keep: bool) -> Data:
    """The first or the last step."""
    if place not in (0, -1):
        raise ModelFileError(f"it picks step {place}, and only the first and the last one can be picked")
    axes = data.axes[:axis] + "t" * keep + data.axes[axis + 1 :]
    return tracker.append(data, Pooling(of="last" if place else "first"), axes=axes)


@_reads("Concat")
def _concat(tracker: Tracker, node: Any, attributes: Attributes) -> list[Any]:
    """The last states of both directions side by side."""
    parts = [tracker.values.get(name) for name in node.input]
    ends = [part for part in parts if isinstance(part, Data) and part.end and part.axes == "Bd"]
    if len(ends) != 2 or len(parts) != 2 or [part.way in (k, k - 2) for k, part in enumerate(ends)] != [True, True]:
        raise ModelFileError(f"it branches before {called(node)}: it is no chain of layers")
    if attributes.get("axis") not in (1, -1) or ends[0].layers != ends[1].layers:
        raise ModelFileError(f"{called(node)} joins what no layer does")
    return [replace(ends[0], way=None)]


@_reads("Slice")
def _slice(tracker: Tracker, node: Any, attributes: Attributes) -> list[Any]:
    data = tracker.data(node.input[0], node)
    starts, ends, *rest = (tracker.known(name, node).ravel() for name in node.input[1:4])
    axes = rest[0] % len(data.axes) if rest else np.arange(len(starts))
    strides = tracker.known(node.input[4], node).ravel() if len(node.input) > 4 and node.input[4] else np.ones(1)
    if (strides != 1).any():
        raise ModelFileError(f"{called(node)} leaves out steps, or turns them around")
    if len(starts) != 1 or tracker.oriented(data.axes[axes[0]]) != "T":
        raise ModelFileError(f"{called(node)} cuts what no layer does")
    place = int(starts[0])
    if (place == -1 and ends[0] < 1 << 30) or (place == 0 and ends[0] != 1):
        raise ModelFileError(f"{called(node)} picks more steps than one")
    return [_one_step(tracker, data, place, int(axes[0]), keep=True)]


@_reads("ReduceMean", "ReduceMax")
def _pool(tracker: Tracker, node: Any, attributes: Attributes) -> list[Any]:
    data = tracker.data(node.input[0], node)
    axes = attributes.get("axes")
    places = tracker.known(node.input[1], node).ravel().tolist() if axes is None and len(node.input) > 1 else axes
    if not places or len(places) != 1 or tracker.oriented(data.axes[places[0]]) != "T":
        raise ModelFileError(f"{called(node)} is not over steps")
    left = data.axes.replace(data.axes[places[0]], "t" * attributes.get("keepdims", 1))
    return [tracker.append(data, Pooling(of="mean" if node.op_type == "ReduceMean" else "max"), axes=left)]


@_reads("MatMul")
def _matmul(tracker: Tracker, node: Any, attributes: Attributes) -> list[Any]:
    matrix = tracker.known(node.input[1], node)
    data = tracker.data(node.input[0], node)
    if matrix.ndim != 2 or not data.axes.endswith("d"):
        raise ModelFileError(f"{called(node)} is no product of features with a matrix")
    return [replace(data, matrix=matrix.astype(np.float32), bias=None, name=node.name)]


@_reads("Gemm")
def _gemm(tracker: Tracker, node: Any, attributes: Attributes) -> list[Any]:
    data, matrix = tracker.data(node.input[0], node), tracker.known(node.input[1], node)
    if attributes.get("alpha", 1.0) != 1 or attributes.get("beta", 1.0) != 1 or attributes.get("transA"):
        raise ModelFileError(f"{called(node)} scales or transposes what it reads")
    matrix = matrix.T if attributes.get("transB") else matrix
    bias = tracker.known(node.input[2], node).reshape(-1) if len(node.input) > 2 and node.input[2] else None
    if matrix.ndim != 2 or data.axes != "Bd":
        raise ModelFileError(f"{called(node)} is no product of features with a matrix")
    return [replace(data, matrix=matrix.astype(np.float32), bias=bias, name=node.name)]


@_reads("Add", "Mul")
def _add(tracker: Tracker, node: Any, attributes: Attributes) -> list[Any]:
    names = [name for name in node.input if isinstance(tracker.values.get(name), Data)]
    if len(names) != 1:
        raise ModelFileError(f"it branches at {called(node)}: it is no chain of layers")
    [other] = [name for name in node.input if name not in names]
    constant, data = tracker.known(other, node), tracker.values[names[0]]
    if constant.shape[-1:] not in ((), (constant.size,)):
        raise ModelFileError(f"{called(node)} has a number for each step or sequence, not each feature")
    if (
        node.op_type == "Add"
        and data.matrix is not None
        and data.bias is None
        and constant.size == data.matrix.shape[1]
    ):
        return [replace(data, bias=constant.reshape(-1))]
    data = tracker.data(names[0], node)
    size = constant.size
    weight, bias = (np.ones(size), constant) if node.op_type == "Add" else (constant, np.zeros(size))
    return [tracker.append(data, Scaling(size=size), {"weight": weight.reshape(-1), "bias": bias.reshape(-1)})]


@_reads(*_ACTIVATIONS)
def _activation(tracker: Tracker, node: Any, attributes: Attributes) -> list[Any]:
    data, name = tracker.data(node.input[0], node), _named_activation(node.op_type, attributes)
    usual = -1 if tracker.opset >= 13 else 1
    if name in ("softmax", "log_softmax") and attributes.get("axis", usual) not in (-1, len(data.axes) - 1):
        raise ModelFileError(f"{called(node)} is not over features")
    last = tracker.layers[-1] if tracker.layers else None
    if last is not None and isinstance(last.layer, Dense) and last.layer.activation == "linear":
        tracker.layers[-1] = replace(last, layer=replace(last.layer, activation=name))
        return [data]
    return [tracker.append(data, Activation(name=name))]


def _named_activation(kind: str, attributes: Attributes) -> str:
    alpha, beta = attributes.get("alpha"), attributes.get("beta")
    if kind == "HardSigmoid":
        if beta in (None, 0.5) and (alpha is None or abs(alpha - 0.2) < 1e-6):
            return "hard_sigmoid"
        if beta == 0.5 and alpha is not None and abs(alpha - 1 / 6) < 1e-6:
            return "hard_sigmoid_6"
        raise ModelFileError(f"its HardSigmoid has a slope of {alpha}, which Gatewise does not have")
    usual = {"LeakyRelu": 0.01, "Elu": 1.0, "Selu": 1.6732632}.get(kind)
    if usual is not None and alpha is not None and abs(alpha - usual) > 1e-6:
        raise ModelFileError(f"its {kind} has alpha={alpha:.6g}, and Gatewise has {usual:g} alone")
    return _ACTIVATIONS[kind]


@_reads("LSTM", "GRU", "RNN")
def _recurrent(tracker: Tracker, node: Any, attributes: Attributes) -> list[Any]:
    kind, name = node.op_type, called(node)
    data = tracker.steps_first(tracker.data(node.input[0], node), node)
    inputs = [*node.input, *[""] * 8][:8]
    if inputs[4]:
        raise ModelFileError(f"{name} reads lengths of sequences, and Gatewise cuts them itself. Leave them out")
    for option in ("clip", "input_forget", "layout"):
        if attributes.get(option):
            raise ModelFileError(f"{name} has {option}={attributes[option]}, which Gatewise has no layer for")
    for state in inputs[5:7]:
        tracker.started(state, node)
    W = tracker.known(inputs[1], node)
    direction = (attributes.get("direction") or b"forward").decode()
    ways = 2 if direction == "bidirectional" else 1
    if W.ndim != 3 or len(W) != ways:
        raise ModelFileError(f"{name} has weights of shape {W.shape}, where it has {ways} directions")
    own = (
        "gru"
        if kind == "GRU" and attributes.get("linear_before_reset")
        else "gru_2014"
        if kind == "GRU"
        else _KINDS[kind]
    )
    usual = _GATES[kind]
    activations = [text.decode().lower() for text in attributes.get("activations") or ()] or [*usual] * ways
    given = [
        tuple(_gate(each) for each in activations[way * len(usual) : (way + 1) * len(usual)]) for way in range(ways)
    ]
    if (
        len({*given}) > 1
        or len(activations) != len(usual) * ways
        or {"activation_alpha", "activation_beta"} & {*attributes}
    ):
        raise ModelFileError(f"{name} has activations of its own for each direction, or with parameters")
    gates = given[0] if kind != "RNN" else ("sigmoid", *given[0])
    peephole = bool(inputs[7])
    cell = named_cell(own, *gates, peephole=peephole)
    weights: dict[str, Array] = {}
    for way in range(ways):
        arrays = {
            key: tracker.known(each, node)[way : way + 1] for key, each in zip("WRB", inputs[1:4], strict=True) if each
        }
        found = layouts.to_ours("onnx", own, arrays)
        if peephole:
            P = tracker.known(inputs[7], node)[way]
            _, gates_of_P = layouts.layout("onnx").peephole
            parts = dict(zip(gates_of_P, np.split(P, len(gates_of_P)), strict=True))
            found |= {"weight_p": np.concatenate([parts[gate] for gate in "ifo"])}
        weights |= directed(found, way)
    layer = Recurrent(
        program=cell.to_json(),
        input_size=W.shape[2],
        hidden_size=W.shape[1] // len(layouts.OURS[own]),
        direction={"forward": "forward", "reverse": "backward"}.get(direction, "both"),  # type: ignore[arg-type]
    )
    return _outputs(tracker, replace(data, name=node.name or kind), layer, weights, 1 if kind != "LSTM" else 2)


def _gate(name: str) -> str:
    known = {
        "hardsigmoid": "hard_sigmoid",
        "relu": "relu",
        "sigmoid": "sigmoid",
        "tanh": "tanh",
        "softsign": "softsign",
    }
    known |= {"softplus": "softplus", "affine": "linear"}
    if name not in known:
        raise ModelFileError(f"its recurrent layers have the activation {name}, which Gatewise has none for")
    return known[name]


def _outputs(tracker: Tracker, data: Data, layer: Recurrent, weights: Mapping[str, Array], states: int) -> list[Any]:
    """Y (T, R, B, d), and the last states, (R, B, d) each."""
    after = tracker.append(data, layer, weights)
    steps = replace(after, axes="TRBd")
    one = None if layer.direction == "both" else 0
    ends = [replace(after, axes="RBd", end=True, memory=k > 0, way=one) for k in range(states)]
    return [steps, *ends]


@_reads("Scan")
def _scan(tracker: Tracker, node: Any, attributes: Attributes) -> list[Any]:
    body, count = attributes["body"], int(attributes["num_scan_inputs"])
    states, scans = list(node.input[:-count]), list(node.input[-count:])
    ways = {*attributes.get("scan_input_directions", [0]), *attributes.get("scan_output_directions", [0])}
    axes = [*attributes.get("scan_input_axes", []), *attributes.get("scan_output_axes", [])]
    if len(ways) > 1 or any(axes) or len(body.output) != len(states) + 1:
        raise ModelFileError(f"{called(node)} is none of a recurrent layer")
    read = [tracker.values.get(name) for name in scans]
    if not all(isinstance(each, Data) for each in read):
        raise ModelFileError(f"{called(node)} reads lengths of sequences, or what does not follow from its input")
    base = [replace(each, matrix=None, bias=None, name="") for each in read if isinstance(each, Data)]
    if len({*base}) > 1:
        raise ModelFileError(f"{called(node)} reads two values: it is no chain of layers")
    tracker.on(base[0])
    data = tracker.steps_first(base[0], node)
    for state in states:
        tracker.started(state, node)
    names = [value.name for value in body.input]
    sizes = [int(value.type.tensor_type.shape.dim[-1].dim_value) for value in body.output]
    width = _width(read, tracker)
    known = {name: value for name, value in tracker.values.items() if isinstance(value, np.ndarray)}
    known |= {tensor.name: array_of(tensor) for tensor in body.initializer}
    try:
        found = cell_of(
            body.node,
            dict(zip(names, sizes[:-1], strict=False)),
            {
                name: (each.matrix, each.bias)
                for name, each in zip(names[len(states) :], read, strict=True)
                if isinstance(each, Data)
            },
            [value.name for value in body.output[:-1]],
            body.output[-1].name,
            known,
            width,
        )
    except CellError as error:
        raise ModelFileError(f"{called(node)}: {error}") from error
    hidden = sizes[1] if len(sizes) > 2 else sizes[0]
    layer = Recurrent(
        program=found.cell.to_json(),
        input_size=width,
        hidden_size=hidden,
        proj_size=sizes[0] if found.cell.projected else 0,
        direction="backward" if ways == {1} else "forward",
    )
    after = tracker.append(replace(data, name=node.name or "Scan"), layer, directed(found.weights))
    ends = [replace(after, axes="Bd", end=True, memory=k > 0) for k in range(len(states))]
    return [*ends, replace(after, axes="TBd")]


def _width(read: Sequence[Any], tracker: Tracker) -> int:
    """Features of what a `Scan` reads."""
    for each in read:
        if each.matrix is not None:
            return int(each.matrix.shape[0])
    return last_width([placed.layer for placed in tracker.layers]) if tracker.layers else tracker.width
