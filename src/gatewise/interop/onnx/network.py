"""A recording as a graph over whole sequences: what of a step waits for no step before it is computed for all at once.

A step of a recurrent layer becomes that layer over time. What else a model remembers is either what a vector was at the
step before, which is the same array a step later; or it depends on itself, and then a small `Scan` has what lies on
that circle and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from ...runtime.recording import (
    LETTER_COUNTS,
    LETTERS,
    Clear,
    Recording,
    Vector,
)
from .graph import FLOAT, INT64, Graph
from .passes import PassPrinter
from .steps import Value, raised
from .windows import Times, Windows


def build(recording: Recording, operator: str = "auto", spelling: Recording | None = None) -> Graph:
    """The graph of a model.

    A model that is run step by step has inputs (T, B, n), and its states as inputs (B, n) and outputs, which are named
    with "_next". One that reads whole sequences has "lengths" (B,) besides. Where nothing is remembered there is no T.

    Args:
        operator: Of recurrent layers; see `operators.recurrence`.
        spelling: What is made of the letters of each word; they are then inputs, "letters" (T, B, L) and
            "letter_counts" (T, B), instead of what is made of them.
    """
    graph = Graph()
    printer = Printer(graph, recording, operator)
    given = [vector.name for vector in recording.numbers] + [vector.name for vector, _ in recording.tokens]
    graph.reserve([*given, *recording.outputs, *printer.state_names])
    printer.declare({} if spelling is None else _spelled(graph, spelling, operator))
    printer.run()
    printer.give()
    return graph


def _spelled(graph: Graph, spelling: Recording, operator: str) -> dict[str, str]:
    """(T, B, n) of what is made of the letters of words, by name."""
    letters, counts = graph.input(LETTERS, INT64, ["T", "B", "L"]), graph.input(LETTER_COUNTS, INT64, ["T", "B"])
    each = graph.op("Transpose", letters, perm=[2, 0, 1])
    flat = graph.op("Reshape", each, graph.op("Concat", graph.shape(graph.dim(letters, 2)), graph.whole(-1), axis=0))
    printer = Printer(graph, spelling, operator)
    [(vector, _)] = spelling.tokens
    printer.given(vector, Value(flat, 2))
    printer.bounded(graph.op("Reshape", counts, graph.whole(-1)))
    printer.run()
    shape = graph.op("Shape", counts)
    return {
        name: graph.op("Reshape", printer.output(own)[0], graph.op("Concat", shape, graph.whole(own.size), axis=0))
        for name, own in spelling.outputs.items()
    }


def remembered(recording: Recording) -> list[Vector]:
    """The states that a step has from the one before: of layers that do not begin anew at each, and besides."""
    cleared = {op.layer for op in recording.operations if isinstance(op, Clear)}
    anew = {state for layer in cleared for state in layer.states}
    return [state for state in recording.states if state not in anew]


class Printer:
    """Writes a recording into a graph."""

    def __init__(self, graph: Graph, recording: Recording, operator: str):
        self.graph, self.recording, self.operator = graph, recording, operator
        self.values: dict[Vector, Value] = {}
        self.ends: dict[Vector, str] = {}  # states after the last step
        self._before: dict[Vector, str] = {}  # states before the first one
        self._picked: dict[tuple[Vector, bool], Value] = {}
        self._raised: dict[tuple[Vector, int], str] = {}
        self.states = remembered(recording)
        self.stepwise = recording.whole or bool(self.states)
        self.times: dict[int, Times] = {}  # by stride of passes

    @property
    def state_names(self) -> list[str]:
        """Of the states before and after; none where sequences are read whole."""
        own = [] if self.recording.whole else self.states
        return [f"{state.name}{end}" for state in own for end in ("", "_next")]

    # What goes in.

    def declare(self, made: Mapping[str, str]) -> None:
        """Inputs of the model, but for those that were made already."""
        recording = self.recording
        for vector in recording.numbers:
            if vector.name in made:
                self.given(vector, Value(made[vector.name], 2))
                continue
            level = self._level(vector)
            axes = [*self._axes(level), vector.size]
            self.given(vector, Value(self.graph.input(vector.name, FLOAT, axes), level))
        for vector, _ in recording.tokens:
            level = self._level(vector)
            self.given(vector, Value(self.graph.input(vector.name, INT64, self._axes(level)), level))
        if recording.whole:
            self.bounded(self.graph.input("lengths", INT64, ["B"]))
        else:
            for state in self.states:
                self._before[state] = self.graph.input(state.name, FLOAT, ["B", state.size])

    def given(self, vector: Vector, value: Value) -> None:
        """What an input is."""
        self.values[vector] = value
        if value.level == self._highest:
            self.times[1] = Times(value.name)

    def bounded(self, lengths: str) -> None:
        """How many steps each row has, (B,)."""
        example = self.times[1].example
        self.times[1] = Times(example, lengths, self.graph.inside(example, lengths))

    @property
    def _highest(self) -> int:
        return 2 if self.stepwise else 1

    def _level(self, vector: Vector) -> int:
        return 1 if vector in self.recording.single else self._highest

    def _axes(self, level: int) -> Sequence[int | str]:
        return ["T", "B"][-level:]

    def sizes(self, level: int, stride: int = 1) -> str:
        """(level,): B, or T and B."""
        graph, example = self.graph, self.times[stride].example
        return graph.shape(*(graph.dim(example, axis) for axis in range(self._highest - level, self._highest)))

    def nothing(self) -> str:
        """(T, B, 1) zeros; of an input, from which all engines know how many axes it has."""
        graph, first = self.graph, self.times[1].example
        if first in {vector.name for vector in self.recording.numbers}:
            first, zero = graph.op("Slice", first, graph.whole(0), graph.whole(1), graph.whole(-1)), graph.constant(0.0)
        else:
            first, zero = graph.op("Unsqueeze", first, graph.whole(-1)), graph.constant(0, np.int64)
        return graph.op("Cast", graph.op("Less", graph.op("Abs", first), zero), to=FLOAT)

    # What comes out.

    def give(self) -> None:
        """Outputs of the model."""
        for name, vector in self.recording.outputs.items():
            found, level = self.output(vector)
            self.graph.output(name, found, FLOAT, [*self._axes(level), vector.size])
        if not self.recording.whole:
            for state in self.states:
                self.graph.output(f"{state.name}_next", self.ends[state], FLOAT, ["B", state.size])

    def output(self, vector: Vector) -> tuple[str, int]:
        """An output, zero beyond a row's length; and its level."""
        value, whole = self.values[vector], self.recording.whole
        level = 1 if whole and self.recording.is_once(vector) else self._highest
        stride = self.recording.homes[vector].stride if whole else 1
        found = raised(self.graph, value, level, partial(self.sizes, stride=stride))
        inside = self.times[stride].inside
        if inside is not None and level == 2:
            found = self.graph.op("Where", inside, found, self.graph.constant(0.0))
        return found, level

    # Passes.

    def run(self) -> None:
        """All passes over the sequence."""
        for own, operations in self.recording.passes:
            PassPrinter(self, own, operations).run()

    def start(self, state: Vector) -> str:
        """(B, n) what a state is before the first step."""
        if state not in self._before:
            shape = self.graph.op("Concat", self.sizes(1), self.graph.whole(state.size), axis=0)
            self._before[state] = self.graph.op("Expand", self.graph.constant(0.0), shape)
        return self._before[state]

    def at_end(self, vector: Vector, values: str, backward: bool, stride: int) -> Value:
        """What of its values (T, B, n) a vector was made last, (B, n)."""
        if (vector, backward) not in self._picked:
            graph = self.graph
            if backward:
                found = graph.op("Gather", values, graph.constant(0, np.int64), axis=0)
            else:
                lengths = self.times[stride].lengths
                assert lengths is not None
                windows = Windows(graph, values, vector.size, lengths)
                found = windows.at(graph.op("Sub", lengths, graph.whole(1)))
            self._picked[vector, backward] = Value(found, 1)
        return self._picked[vector, backward]
