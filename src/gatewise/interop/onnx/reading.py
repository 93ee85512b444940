"""An ONNX file as a chain of layers, as far as it is one: what follows from its input, node by node."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import TensorProto

from ...errors import ModelFileError, OptionError
from ..chain import Chain
from ..formats import MOST_BYTES, Asked
from .recognising import READ
from .tracking import Data, State, Tracker, array_of, attributes_of, called

_MOST_NODES = 100_000


@dataclass
class Read:
    """What a file is.

    Attributes:
        chain: Its layers.
        input, output: Names of the input and the output, and their axes: "TB", "BTd".
        states: Inputs that are states, with their sizes, where 0 is that of B.
    """

    chain: Chain
    input: tuple[str, str]
    output: tuple[str, str]
    states: dict[str, tuple[int, ...]]


def read(path: str, asked: Asked) -> Chain:
    """The chain that a file is.

    Raises:
        ModelFileError: It is damaged, or no chain of layers that Gatewise has; the message names what is in the way.
    """
    return read_whole(path).chain


def read_whole(path: str) -> Read:
    """The same, with the names and axes of input and output."""
    try:
        return _chain(_loaded(path))
    except (ModelFileError, OptionError) as error:
        raise ModelFileError(f"'{path}': {error!s:.300}") from error
    except Exception as error:  # the file may be a stranger's: whatever is wrong in it is one kind of error
        reason = f"{type(error).__name__}: {error}".split("\n", 1)[0]
        raise ModelFileError(f"'{path}' cannot be read as an ONNX model ({reason:.200})") from error


def _loaded(path: str) -> Any:
    """The model with all of its numbers."""
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # of protobuf, which has several kinds
        raise ModelFileError("it is no ONNX file, or damaged. Copy or download it again") from error
    if len(model.graph.node) > _MOST_NODES:
        raise ModelFileError(
            f"it has {len(model.graph.node):,} nodes. Models of more than {_MOST_NODES:,} are not read"
        )
    if not model.graph.node:
        raise ModelFileError("it has no nodes, or is no ONNX file")
    folder = os.path.realpath(os.path.dirname(os.path.abspath(path)))
    left = MOST_BYTES
    for tensor in _tensors(model.graph):
        if tensor.data_location == TensorProto.EXTERNAL:
            left -= _load_beside(tensor, folder, left)
    return model


def _tensors(graph: Any) -> Iterator[Any]:
    """Those of a graph, its constants, and the bodies of its nodes."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for body in (attribute.g, *attribute.graphs):
                yield from _tensors(body)


def _load_beside(tensor: Any, folder: str, most: int) -> int:
    """Read numbers that lie in another file of the folder, and say how many bytes; many tensors may share them."""
    where = {entry.key: entry.value for entry in tensor.external_data}
    location = where.get("location", "")
    found = os.path.realpath(os.path.join(folder, location))
    which = f"its weights {tensor.name!r:.60}"
    if not location or os.path.commonpath([found, folder]) != folder:
        raise ModelFileError(f"{which} lie in {location!r:.60}, outside its folder, and are not read")
    if not os.path.isfile(found):
        raise ModelFileError(f"{which} lie in {location!r:.60}, which is not beside it")
    offset, length = int(where.get("offset", 0)), int(where.get("length", -1))
    size = os.path.getsize(found)
    if offset < 0 or offset > size or length > size - offset:
        raise ModelFileError(f"{which} go beyond the end of {location!r:.60}")
    length = size - offset if length < 0 else length
    if length > most:
        raise ModelFileError(f"its weights have more than {MOST_BYTES:,} bytes, and such models are not read")
    with open(found, "rb") as file:
        file.seek(offset)
        tensor.raw_data = file.read(length)
    tensor.data_location = TensorProto.DEFAULT
    del tensor.external_data[:]
    return length


def _chain(model: Any) -> Read:
    """What a graph is."""
    versions = [own.version for own in model.opset_import if own.domain in ("", "ai.onnx")]
    graph, tracker = model.graph, Tracker(opset=max(versions, default=1))
    tracker.values = {tensor.name: array_of(tensor) for tensor in graph.initializer}
    given = [value for value in graph.input if value.name not in tracker.values]
    if not given:
        raise ModelFileError("it has no input")
    first, *others = given
    read, tracker.width = _input(first)
    tracker.values[first.name] = read
    tracker.values |= {value.name: State(value.name) for value in others}
    for node in graph.node:
        _node(tracker, node)
    outputs = [value.name for value in graph.output if isinstance(tracker.values.get(value.name), Data)]
    if not outputs:
        raise ModelFileError("none of its outputs follows from its input")
    name = outputs[0]
    last = tracker.applied(tracker.values[name])
    axes, ins = tracker.oriented(last.axes), tracker.oriented(read.axes)
    if axes not in ("TBd", "BTd", "Bd"):
        raise ModelFileError(f"its output {name!r:.60} has axes that no layer gives")
    shapes = {value.name: value.type.tensor_type.shape.dim for value in others}
    states = {
        state: tuple(0 if dim.dim_param else int(dim.dim_value) for dim in shapes[state]) for state in tracker.states
    }
    chain = Chain(
        tuple(tracker.layers),
        "onnx",
        version=f"{model.producer_name} {model.producer_version}".strip(),
        name=graph.name,
        inputs=(first.name,),
        outputs=(name,),
    )
    return Read(chain, (first.name, ins), (name, axes), states)


def _input(value: Any) -> tuple[Data, int]:
    """What arrives, and how many features it has."""
    kind = value.type.tensor_type
    rank, whole = len(kind.shape.dim), kind.elem_type in (TensorProto.INT64, TensorProto.INT32)
    if rank != (2 if whole else 3):
        raise ModelFileError(
            f"its input {value.name!r:.60} has {rank} axes, where tokens have 2, steps and sequences, and features 3"
        )
    return Data("pq" if whole else "pqd"), 0 if whole else int(kind.shape.dim[-1].dim_value)


def _node(tracker: Tracker, node: Any) -> None:
    if not any(isinstance(tracker.values.get(name), Data) for name in node.input):
        tracker.aside(node)
        return
    read = READ.get(node.op_type)
    if read is None:
        raise ModelFileError(f"it computes {called(node)}, which Gatewise has no layer for")
    tracker.values |= dict(zip(node.output, read(tracker, node, attributes_of(node)), strict=False))
