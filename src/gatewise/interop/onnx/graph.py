"""An ONNX graph as it is written: nodes in order, numbers that never change, names that are never given twice.

Opset 17 and IR 9 are what engines have understood since 2022.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray

OPSET, IR = 17, 9
FLOAT, INT64, INT32, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL

Dims = Sequence[int | str | None]


@dataclass
class _Shared:
    """What a graph and the bodies inside it have together."""

    names: set[str] = field(default_factory=set)
    reserved: set[str] = field(default_factory=set)
    numbers: count[int] = field(default_factory=count)
    initializers: list[Any] = field(default_factory=list)
    known: dict[Any, str] = field(default_factory=dict)


class Graph:
    """Nodes, each of which reads what those before it made; all values go by their names.

    Example:
        >>> graph = Graph()
        >>> graph.input("x", FLOAT, ["T", "B", 4])
        >>> graph.output("y", graph.op("Tanh", "x"), FLOAT, ["T", "B", 4])
        >>> onnx.save(graph.model("squash"), "squash.onnx")
    """

    def __init__(self, shared: _Shared | None = None):
        self._shared, self._is_body = shared or _Shared(), shared is not None
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def body(self) -> Graph:
        """The graph of a step, inside this one: with nodes of its own, and the same constants."""
        return Graph(self._shared)

    def name(self, wish: str) -> str:
        """A name that nothing else has."""
        found = wish
        while found in self._shared.names:
            found = f"{wish}_{next(self._shared.numbers)}"
        self._shared.names.add(found)
        return found

    def reserve(self, names: Iterable[str]) -> None:
        """Keep names for inputs and outputs."""
        self._shared.names.update(names)
        self._shared.reserved.update(names)

    def _reserved(self, name: str) -> str:
        if self._is_body or name not in self._shared.reserved:
            return self.name(name)
        self._shared.reserved.discard(name)
        return name

    def input(self, name: str, kind: int, dims: Dims | None) -> str:
        """Declare an input; dims may be left out inside bodies."""
        found = self._reserved(name)
        self.inputs.append(helper.make_tensor_value_info(found, kind, dims))
        return found

    def output(self, name: str, value: str, kind: int, dims: Dims | None) -> str:
        """Declare that a value comes out under this name."""
        found = self._reserved(name)
        self.nodes.append(helper.make_node("Identity", [value], [found]))
        self.outputs.append(helper.make_tensor_value_info(found, kind, dims))
        return found

    def yields(self, values: Sequence[str], sizes: Sequence[int]) -> None:
        """Declare what a body gives, (B, size) each, in its order; what it was given, or gives twice, is copied."""
        taken = {value.name for value in (*self.inputs, *self.outputs)}
        for value, size in zip(values, sizes, strict=True):
            inside = {name for node in self.nodes for name in node.output}
            own = value if value in inside - taken else self.op("Identity", value)
            taken.add(own)
            self.outputs.append(helper.make_tensor_value_info(own, FLOAT, [None, size]))

    def constant(self, values: Any, kind: Any = np.float32) -> str:
        """The name of numbers that never change; equal ones are stored once."""
        array = np.array(values, kind, order="C")
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._shared.known:
            name = self.name("constant" if array.ndim < 2 else "weight")
            self._shared.initializers.append(numpy_helper.from_array(array, name))
            self._shared.known[key] = name
        return self._shared.known[key]

    def whole(self, *values: int) -> str:
        """Whole numbers (n,): shapes, axes, places."""
        return self.constant(values, np.int64)

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """The one output of a node."""
        return self.ops(kind, *inputs, outputs=1, **attributes)[0]

    def ops(self, kind: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        """The outputs of a node."""
        names = [self.name(kind.lower()) for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return names

    def split(self, value: str, sizes: Sequence[int]) -> list[str]:
        """Parts of these sizes of the last axis."""
        if len(sizes) == 1:
            return [value]
        return self.ops("Split", value, self.whole(*sizes), outputs=len(sizes), axis=-1)

    def dim(self, value: str, axis: int) -> str:
        """How long an axis is: a whole number without axes."""
        return self.op("Gather", self.op("Shape", value), self.constant(axis, np.int64))

    def shape(self, *dims: str | int) -> str:
        """(n,) of known lengths, and of those that `dim` gives."""
        parts = [self.whole(dim) if isinstance(dim, int) else self.op("Unsqueeze", dim, self.whole(0)) for dim in dims]
        return parts[0] if len(parts) == 1 else self.op("Concat", *parts, axis=0)

    def inside(self, x: str, lengths: str) -> str:
        """(T, B, 1) whether a step of x (T, B, ...) is one of its row's first `lengths` (B,)."""
        steps = self.op(
            "Range", self.constant(0, np.int64), self.dim(x, 0), self.constant(1, np.int64)
        )  # of numbers without axes, as some engines want them
        column = self.op("Unsqueeze", lengths, self.whole(1))
        return self.op("Less", self.op("Unsqueeze", steps, self.whole(1, 2)), column)

    def _needed(self) -> list[Any]:
        """The nodes that outputs follow from."""
        read, found = {value.name for value in self.outputs}, []
        for node in reversed(self.nodes):
            if not read.isdisjoint(node.output):
                read.update(node.input)
                found.append(node)
        return found[::-1]

    def graph(self, name: str) -> Any:
        """As a body has it."""
        return helper.make_graph(self.nodes, name, self.inputs, self.outputs)

    def model(self, name: str, metadata: Mapping[str, str] | None = None, doc: str = "") -> Any:
        """The checked model. Its metadata are texts by name."""
        graph = helper.make_graph(
            self._needed(), name, self.inputs, self.outputs, self._shared.initializers, doc_string=doc
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR, producer_name="gatewise"
        )
        helper.set_model_props(model, dict(metadata or {}))
        onnx.checker.check_model(model, full_check=True)
        return model
