"""Values of a graph that is read, and the layers that are found in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from ...errors import ModelFileError
from ...runtime.sequential import Dense, Recurrent
from ..chain import Placed

Array = np.ndarray


@dataclass(frozen=True)
class Data:
    """A value that follows from the input.

    Attributes:
        axes: A letter for each: p and q of the input, until it is known which are T, steps, and B, sequences; d,
            features; R, directions; one that was T, of which one step is left, is t.
        layers: How many have been applied.
        end: Whether it is the last state of each direction, not the outputs of all steps.
        memory: Whether it is one that a layer does not show.
        way: Of which direction it is, if of one.
        matrix, bias: A product that is not applied yet, for what comes next may be a `Scan` that has it inside.
        name: Of the node that made it.
    """

    axes: str
    layers: int = 0
    end: bool = False
    matrix: Array | None = None
    bias: Array | None = None
    name: str = ""
    memory: bool = False
    way: int | None = None


class Zeros:
    """Zeros of any shape: states before the first step."""


class Shape:
    """What follows from shapes alone."""


@dataclass(frozen=True)
class State:
    """An input that is a state before the first step."""

    name: str


def attributes_of(node: Any) -> dict[str, Any]:
    """The attributes of a node by name."""
    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def called(node: Any) -> str:
    """What a node is, for messages."""
    return f"{node.op_type} ({node.name!r:.60})" if node.name else str(node.op_type)


def array_of(tensor: Any) -> np.ndarray:
    """The numbers of a tensor. ModelFileError if they do not fill its shape."""
    try:
        return numpy_helper.to_array(tensor)
    except ValueError as error:
        shape = tuple(tensor.dims)
        raise ModelFileError(f"its weights {tensor.name!r:.60} do not fill their shape {shape} ({error})") from error


@dataclass
class Tracker:
    """What is known of each value of a graph, and the layers that were found.

    Attributes:
        layers: So far.
        values: By name: `Data`, numbers that never change, or what states begin as.
        orientation: Which of the axes p and q are steps and which sequences, once that is known.
        width: Features of the input; 0 if it does not say.
        states: Inputs that are states.
        opset: Version of the operators.
    """

    layers: list[Placed] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    orientation: dict[str, str] = field(default_factory=dict)  # p, q -> T, B
    width: int = 0
    states: list[str] = field(default_factory=list)
    opset: int = 17

    def aside(self, node: Any) -> None:
        """What does not follow from the input."""
        attributes, inputs = attributes_of(node), [self.values.get(name) for name in node.input if name]
        found: Any = Shape()
        if node.op_type == "Constant" and "value" in attributes:
            found = array_of(attributes["value"])
        elif node.op_type == "Constant":
            found = np.array(next(iter(attributes.values())))
        elif node.op_type == "ConstantOfShape":
            value = attributes.get("value")
            found = Zeros() if value is None or not array_of(value).any() else Shape()
        elif inputs and isinstance(inputs[0], State):
            found = inputs[0]
        elif inputs and (isinstance(inputs[0], Zeros) or (_is_zero(inputs[0]) and node.op_type == "Expand")):
            found = Zeros()
        elif node.op_type == "Identity" and inputs:
            found = inputs[0]
        self.values |= dict.fromkeys(node.output, found)

    def known(self, name: str, node: Any) -> Array:
        """Numbers that never change."""
        found = self.values.get(name)
        if not isinstance(found, np.ndarray):
            raise ModelFileError(f"{name!r:.60} of {called(node)} changes, where weights are wanted")
        return found

    def data(self, name: str, node: Any) -> Data:
        """A value that follows from the input, with all that came before it applied."""
        found = self.values.get(name)
        if not isinstance(found, Data):
            raise ModelFileError(f"{name!r:.60} of {called(node)} does not follow from its input")
        found = self.applied(found)
        self.values[name] = found
        return found

    def applied(self, data: Data) -> Data:
        """After the product that was put off."""
        if data.matrix is None:
            self.on(data)
            return data
        layer = Dense(inputs=data.matrix.shape[0], outputs=data.matrix.shape[1], bias=data.bias is not None)
        weights = {"weight": data.matrix.T} | ({} if data.bias is None else {"bias": data.bias})
        return self.append(replace(data, matrix=None, bias=None), layer, weights)

    def loose(self, name: str, node: Any) -> Data:
        """The same, but what only turns a last state about does not read it: it may be an output that nobody needs."""
        found = self.values.get(name)
        return found if isinstance(found, Data) and found.end and found.matrix is None else self.data(name, node)

    def on(self, data: Data) -> None:
        """It has to be what the last layer gives."""
        where = f"{data.name!r:.60}" if data.name else "its input"
        branch = ModelFileError(f"it branches behind {where}: it is no chain of layers")
        if data.layers != len(self.layers):
            raise branch
        last = self.layers[-1] if self.layers else None
        if last is not None and isinstance(last.layer, Recurrent):
            if data.memory:
                raise ModelFileError("it reads the memory of a layer, of which Gatewise shows the output alone")
            if last.layer.outputs == "end" and not data.end:
                raise branch
            if data.way is not None and last.layer.direction == "both":
                raise ModelFileError("it reads one direction of a layer that has two")
            if data.end and last.layer.outputs == "steps":
                self.layers[-1] = replace(last, layer=replace(last.layer, outputs="end"))

    def append(self, data: Data, layer: Any, weights: Mapping[str, Array] | None = None, axes: str = "") -> Data:
        """A layer that reads a value, and what it gives."""
        self.on(data)
        own = {name: np.asarray(array, np.float32) for name, array in (weights or {}).items()}
        self.layers.append(Placed(layer, own, data.name))
        return Data(axes or data.axes, data.layers + 1, name=data.name)

    def steps_first(self, data: Data, node: Any) -> Data:
        """What a recurrent layer reads, (T, B, d): this tells which axis is which."""
        p, q, *rest = [*data.axes]
        if rest != ["d"] or not {p, q} <= {"p", "q", "T", "B"}:
            raise ModelFileError(f"{called(node)} reads axes {data.axes}, where steps come first")
        for axis, meaning in ((p, "T"), (q, "B")):
            if self.orientation.setdefault(axis, meaning) != meaning and axis in "pq":
                raise ModelFileError(f"{called(node)} reads sequences as steps")
            if axis in "TB" and axis != meaning:
                raise ModelFileError(f"{called(node)} reads sequences as steps")
        return replace(data, axes="TBd")

    def oriented(self, axes: str) -> str:
        """Axes by their meaning, as far as it is known."""
        return "".join(self.orientation.get(axis, axis) for axis in axes)

    def started(self, name: str, node: Any) -> None:
        """The state before the first step has to be zero, or an input."""
        found = self.values.get(name) if name else None
        if isinstance(found, State):
            self.states.append(found.name)
        elif name and not isinstance(found, Zeros) and not _is_zero(found):
            raise ModelFileError(f"{called(node)} begins in a state that is not zero")


def _is_zero(value: Any) -> bool:
    return isinstance(value, np.ndarray) and not value.any()
