"""A recording as a graph over whole sequences: what of a step waits for no step before it is computed for all at once.

A step of a recurrent layer becomes that layer over time. What else a model remembers is either what a vector was at the
step before, which is the same array a step later; or it depends on itself, and then a small `Scan` has what lies on
that circle and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from ...errors import OptionError
from ...runtime.recording import (
    Above,
    Around,
    Clear,
    Frame,
    Gather,
    Keep,
    Operation,
    Pass,
    Pointwise,
    Recording,
    Step,
    Vector,
    inputs_of,
)
from .graph import BOOL, FLOAT, INT64, Graph
from .operators import recurrence
from .steps import Value, joined, operation, places, raised
from .windows import Times, Windows, above, around, frame


def build(recording: Recording, operator: str = "auto") -> Graph:
    """The graph of a model.

    A model that is run step by step has inputs (T, B, n), and its states as inputs (B, n) and outputs, which are named
    with "_next". One that reads whole sequences has "lengths" (B,) besides. Where nothing is remembered there is no T.

    Args:
        operator: Of recurrent layers; see `operators.recurrence`.
    """
    graph = Graph()
    printer = Printer(graph, recording, operator)
    printer.declare()
    printer.run()
    printer.give()
    return graph


def remembered(recording: Recording) -> list[Vector]:
    """The states that a step has from the one before: of layers that do not begin anew at each, and besides."""
    cleared = {op.layer for op in recording.operations if isinstance(op, Clear)}
    anew = {state for layer in cleared for state in layer.states}
    return [state for state in recording.states if state not in anew]


class Printer:
    """Writes a recording into a graph."""

    def __init__(self, graph: Graph, recording: Recording, operator: str):
        self.graph, self._recording, self._operator = graph, recording, operator
        self._values: dict[Vector, Value] = {}
        self._ends: dict[Vector, str] = {}  # states after the last step
        self._before: dict[Vector, str] = {}  # states before the first one
        self._picked: dict[tuple[Vector, bool], Value] = {}
        self._raised: dict[tuple[Vector, int], str] = {}
        self.states = remembered(recording)
        self.stepwise = recording.whole or bool(self.states)
        self.times: dict[int, Times] = {}  # by stride of passes

    # What goes in.

    def declare(self) -> None:
        """Inputs of the model."""
        recording = self._recording
        for vector in recording.numbers:
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
        self._values[vector] = value
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
        return 1 if vector in self._recording.single else self._highest

    def _axes(self, level: int) -> list[str]:
        return ["T", "B"][-level:]

    def sizes(self, level: int, stride: int = 1) -> str:
        """(level,): B, or T and B."""
        graph, shape = self.graph, self.graph.op("Shape", self.times[stride].example)
        return graph.op("Slice", shape, graph.whole(self._highest - level), graph.whole(self._highest))

    def nothing(self) -> str:
        """(T, B, 1) zeros; of an input, from which all engines know how many axes it has."""
        graph, kind = self.graph, np.int64
        first = self.times[1].example
        if first in {vector.name for vector in self._recording.numbers}:
            first, kind = graph.op("Slice", first, graph.whole(0), graph.whole(1), graph.whole(-1)), np.float32
        else:
            first = graph.op("Unsqueeze", first, graph.whole(-1))
        return graph.op("Cast", graph.op("Less", graph.op("Abs", first), graph.constant(0, kind)), to=FLOAT)

    # What comes out.

    def give(self) -> None:
        """Outputs of the model."""
        for name, vector in self._recording.outputs.items():
            found, level = self.output(vector)
            self.graph.output(name, found, FLOAT, [*self._axes(level), vector.size])
        if not self._recording.whole:
            for state in self.states:
                self.graph.output(f"{state.name}_next", self._ends[state], FLOAT, ["B", state.size])

    def output(self, vector: Vector) -> tuple[str, int]:
        """An output, zero beyond a row's length; and its level."""
        value, whole = self._values[vector], self._recording.whole
        level = 1 if whole and self._recording.is_once(vector) else self._highest
        stride = self._recording.homes[vector].stride if whole else 1
        found = raised(self.graph, value, level, partial(self.sizes, stride=stride))
        inside = self.times[stride].inside
        if inside is not None and level == 2:
            found = self.graph.op("Where", inside, found, self.graph.constant(0.0))
        return found, level

    # Passes.

    def run(self) -> None:
        """All passes over the sequence."""
        for own, operations in self._recording.passes:
            _PassPrinter(self, own, operations).run()

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


class _PassPrinter:
    """Writes one pass."""

    def __init__(self, printer: Printer, own: Pass, operations: Sequence[Operation]):
        self._all, self._own, self._operations = printer, own, operations
        self._graph, self._backward = printer.graph, own.way == "backward"
        self._kept = {op.state: op.value for op in operations if isinstance(op, Keep)}
        self._maker: dict[Vector, Operation] = {}
        for op in operations:
            if not isinstance(op, Clear | Keep | Pass) and op.out is not None:
                self._maker[op.out] = op
        self._done: set[Operation] = set()
        self._earlier: dict[Vector, Value] = {}  # states of this pass, at the step before
        self._windows = _windows(operations)
        self._sizes = partial(printer.sizes, stride=own.stride)
        self._sequences: dict[tuple[Vector | None, ...], tuple[str, int]] = {}  # (n, ..., size) of n vectors
        self._circles: dict[Operation, list[Operation]] = {}
        self._reached: dict[Operation, dict[Operation, None]] = {}
        self._homes = printer._recording.homes if printer._recording.whole else {}

    def run(self) -> None:
        for op in self._operations:
            if not isinstance(op, Clear | Keep | Pass):
                self._make(op)
        for state, vector in self._kept.items():
            if state not in self._all._ends:
                self._shift(state, vector)

    def _value(self, vector: Vector) -> Value:
        """A vector at each step, or once."""
        whole = self._all
        if vector in self._maker and vector not in whole._values:
            self._make(self._maker[vector])
        if vector in self._kept:
            return self._state(vector)
        if vector in whole.states:  # of a pass before
            return Value(whole._ends[vector], 1)
        value = whole._values[vector]
        home = self._homes.get(vector)
        if self._own.way == "once" and home is not self._own and value.level == 2:
            return whole.at_end(
                vector, value.name, home is not None and home.way == "backward", 1 if home is None else home.stride
            )
        return value

    def _make(self, op: Operation) -> None:
        if op in self._done:
            return
        if isinstance(op, Step):
            self._steps(op)
            return
        circle = self._circle(op)
        if circle:
            self._loop(circle)
            return
        self._done.add(op)
        if isinstance(op, Frame | Around | Above):
            self._all._values[op.out] = self._of_whole(op)
            return
        assert not isinstance(op, Clear | Keep | Pass)
        self._all._values[op.out] = operation(self._graph, op, self._value, self._sizes)

    def _of_whole(self, op: Frame | Around | Above) -> Value:
        """What reads a sequence of a pass before at several of its steps."""
        whole, source = self._all, op.source
        stride = self._homes[source].stride if source in self._homes else 1
        lengths = whole.times[stride].lengths
        assert lengths is not None
        windows = Windows(self._graph, raised(self._graph, whole._values[source], 2, whole.sizes), source.size, lengths)
        if isinstance(op, Frame):
            framed, whole.times[op.stride] = frame(windows, op)
            return Value(framed, 2)
        if isinstance(op, Around):
            return Value(around(windows, op), 2)
        return Value(above(windows, op), 1)

    @property
    def _times(self) -> Times:
        return self._all.times[self._own.stride]

    # Layers.

    def _steps(self, op: Step) -> None:
        window = self._windows.get(op)
        if window is not None:
            self._window(window)
            return
        self._done.add(op)
        layer, whole = op.layer, self._all
        if self._circle(op):
            raise OptionError("its layers read what they gave at the step before, which is not exported")
        x = raised(self._graph, self._value(op.x), 2, self._sizes)
        # What a layer makes of padding is no matter where it comes last and only steps inside a row are read.
        bounded = self._backward
        y, ends = recurrence(
            self._graph,
            layer,
            x,
            [whole.start(state) for state in layer.states],
            operator=whole._operator,
            inside=self._times.inside if bounded else None,
            lengths=self._times.lengths if bounded else None,
            reverse=self._backward,
        )
        whole._ends.update(zip(layer.states, ends, strict=True))
        if op.out is not None:
            whole._values[op.out] = Value(y, 2)

    def _window(self, steps: Sequence[Step]) -> None:
        """Steps of a layer that begins anew, which are all there before any of them is made: a sequence in a step."""
        self._done.update(steps)
        graph, whole, layer = self._graph, self._all, steps[0].layer
        x, level = self._laid_out([step.x for step in steps])
        n, width = steps[0].x.size, layer.states[0].size
        flat = graph.op("Reshape", x, graph.whole(len(steps), -1, n))
        rows = graph.dim(flat, 1)
        states = [graph.op("Expand", graph.constant(0.0), graph.shape(rows, state.size)) for state in layer.states]
        y, _ = recurrence(graph, layer, flat, states, operator=whole._operator)
        if level == 2:
            y = graph.op(
                "Reshape", y, graph.op("Concat", graph.whole(len(steps)), self._sizes(2), graph.whole(width), axis=0)
            )
        for place, step in enumerate(steps):
            if step.out is not None and self._is_read(step.out):
                whole._values[step.out] = Value(graph.op("Gather", y, graph.constant(place, np.int64), axis=0), level)
        self._sequences[tuple(step.out for step in steps)] = y, level

    def _laid_out(self, xs: Sequence[Vector]) -> tuple[str, int]:
        """(n, ..., size) of n vectors, and their level."""
        graph = self._graph
        if tuple(xs) in self._sequences:
            return self._sequences[tuple(xs)]
        runs = []
        for x in xs:
            maker = self._maker.get(x)
            runs.append(maker.runs if isinstance(maker, Gather) else ((x, 0, x.size),))
        sources = list(dict.fromkeys(vector for each in runs for vector, _, _ in each))
        values = [self._value(vector) for vector in sources]
        level = max(1, *(value.level for value in values))
        whole = (
            joined(graph, values, level, self._sizes)
            if len(values) > 1
            else raised(graph, values[0], level, self._sizes)
        )
        index = np.stack([places(sources, each) for each in runs])
        picked = graph.op("Gather", whole, graph.constant(index, np.int64), axis=-1)  # (..., n, size)
        return graph.op("Transpose", picked, perm=[level, *range(level), level + 1]), level

    # What is remembered.

    def _state(self, state: Vector) -> Value:
        """At each step, what it was before it."""
        if state not in self._earlier:
            circle = self._circle(self._maker[self._kept[state]])
            if circle:
                self._loop(circle)
            else:
                self._shift(state, self._kept[state])
        return self._earlier[state]

    def _shift(self, state: Vector, vector: Vector) -> None:
        """A state that is what a vector was a step ago."""
        graph, whole = self._graph, self._all
        now = raised(graph, self._value(vector), 2, self._sizes)
        start = graph.op("Unsqueeze", whole.start(state), graph.whole(0))
        most = np.iinfo(np.int64).max
        if self._backward:
            line = graph.op("Concat", now, start, axis=0)
            cut, end = (1, most), 0
        else:
            line = graph.op("Concat", start, now, axis=0)
            cut, end = (0, -1), -1
        earlier = graph.op("Slice", line, graph.whole(cut[0]), graph.whole(cut[1]), graph.whole(0))
        self._earlier[state] = Value(earlier, 2)
        if self._times.inside is None:
            whole._ends[state] = graph.op("Gather", line, graph.constant(end, np.int64), axis=0)
        else:
            whole._ends[state] = whole.at_end(vector, now, self._backward, self._own.stride).name

    def _circle(self, op: Operation) -> list[Operation]:
        """The operations that need one another's results of the step before; none if it stands on no circle."""
        if not self._kept:
            return []
        if op not in self._circles:
            found = [each for each in self._reach(op) if op in self._reach(each)]
            for each in found or [op]:
                self._circles[each] = found
        return self._circles[op]

    def _reach(self, op: Operation) -> dict[Operation, None]:
        """The operations of this pass that it needs the results of, at this step or before."""
        if op not in self._reached:
            found: dict[Operation, None] = {}
            stack = [op]
            while stack:
                for vector in inputs_of(stack.pop()):
                    made = self._maker.get(self._kept.get(vector, vector))
                    if made is not None and made not in found:
                        found[made] = None
                        stack.append(made)
            self._reached[op] = found
        return self._reached[op]

    def _loop(self, circle: Sequence[Operation]) -> None:
        """A `Scan` over what lies on a circle."""
        self._done.update(circle)
        if self._counted(circle):
            return
        graph, whole, body = self._graph, self._all, self._graph.body()
        ordered = [op for op in self._operations if op in set(circle)]
        made = {op.out for op in ordered if not isinstance(op, Clear | Keep | Pass)}
        states = [state for state, vector in self._kept.items() if vector in made]
        # Also what lies outside of it and is remembered for its sake alone is read step by step.
        values: dict[Vector, Value] = {
            state: Value(body.input(f"{state.name}_before", FLOAT, None), 1) for state in states
        }
        outer: dict[Vector, Value] = {}
        for op in ordered:
            for vector in inputs_of(op):
                if vector not in values and vector not in made and vector not in outer:
                    outer[vector] = self._value(vector)
        scans = []
        for vector, value in outer.items():
            if value.level == 0:
                values[vector] = value
            else:
                scans.append(raised(graph, value, 2, self._sizes))
                values[vector] = Value(body.input(f"{vector.name}_now", FLOAT, None), 1)

        def rows(level: int) -> str:
            return body.op("Slice", body.op("Shape", values[states[0]].name), body.whole(0), body.whole(1))

        for op in ordered:
            assert not isinstance(op, Clear | Keep | Pass)
            values[op.out] = operation(body, op, values.__getitem__, rows)
        after = [values[self._kept[state]].name for state in states]
        if self._times.inside is not None:
            mask = body.input("inside", BOOL, None)
            scans.append(self._times.inside)
            before = [values[state].name for state in states]
            after = [body.op("Where", mask, new, old) for new, old in zip(after, before, strict=True)]
        if not scans:  # nothing else says how many steps there are
            scans.append(whole.nothing())
            after[0] = body.op("Add", after[0], body.input("nothing", FLOAT, [None, 1]))
        shown = [vector for vector in [*states, *made] if self._is_read(vector, besides=circle)]
        sizes = [vector.size for vector in [*states, *shown]]
        body.yields([*after, *(values[vector].name for vector in shown)], sizes)
        found = graph.ops(
            "Scan",
            *(whole.start(state) for state in states),
            *scans,
            outputs=len(states) + len(shown),
            body=body.graph("step"),
            num_scan_inputs=len(scans),
            scan_input_directions=[int(self._backward)] * len(scans),
            scan_output_directions=[int(self._backward)] * len(shown),
        )
        whole._ends.update(zip(states, found, strict=False))
        for vector, name in zip(shown, found[len(states) :], strict=True):
            (self._earlier if vector in states else whole._values)[vector] = Value(name, 2)

    def _counted(self, circle: Sequence[Operation]) -> bool:
        """A circle that adds the same number at each step needs no loop; whether it is one."""
        match circle:
            case [Pointwise(out=out, op="add", args=(Vector() as state, float(number)))] if self._kept[state] is out:
                pass
            case _:
                return False
        graph, whole = self._graph, self._all
        start, T = whole.start(state), graph.dim(self._times.example, 0)
        each = graph.constant(number)

        def times(counts: str) -> str:
            return graph.op("Mul", graph.op("Cast", counts, to=FLOAT), each)

        steps = graph.op("Range", graph.constant(0, np.int64), T, graph.constant(1, np.int64))
        steps = graph.op("Reshape", steps, graph.whole(-1, 1, 1))
        if self._backward:
            steps = graph.op("Sub", graph.op("Sub", T, graph.constant(1, np.int64)), steps)
        earlier = graph.op("Add", start, times(steps))
        lengths = self._times.lengths
        count = T if lengths is None else graph.op("Unsqueeze", lengths, graph.whole(1))
        self._earlier[state] = Value(earlier, 2)
        whole._values[out] = Value(graph.op("Add", earlier, each), 2)
        whole._ends[state] = graph.op("Add", start, times(count))
        return True

    def _is_read(self, vector: Vector, besides: Sequence[Operation] = ()) -> bool:
        """Whether an operation, or who asks for the outputs, reads it."""
        recording = self._all._recording
        if vector in recording.outputs.values():
            return True
        return any(vector in inputs_of(op) for op in recording.operations if op not in set(besides))


def _windows(operations: Sequence[Operation]) -> dict[Step, list[Step]]:
    """The steps of layers that are cleared before, each with all that belong to it."""
    found: dict[Step, list[Step]] = {}
    open_: dict[str, list[Step]] = {}
    for op in operations:
        if isinstance(op, Clear):
            open_[op.layer.name] = []
        elif isinstance(op, Step) and op.layer.name in open_:
            open_[op.layer.name].append(op)
            found[op] = open_[op.layer.name]
    return found
