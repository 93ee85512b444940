"""One pass of a recording: layers over time, what is remembered from step to step, all else for all steps at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Protocol

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
from .circles import Circles
from .graph import BOOL, FLOAT, Graph
from .operators import recurrence
from .steps import Value, joined, operation, places, raised
from .windows import Times, Windows, above, around, frame


class Model(Protocol):
    """What passes have in common; see `network.Printer`."""

    graph: Graph
    recording: Recording
    operator: str
    states: list[Vector]
    values: dict[Vector, Value]
    ends: dict[Vector, str]
    times: dict[int, Times]

    def sizes(self, level: int, stride: int = 1) -> str: ...
    def start(self, state: Vector) -> str: ...
    def nothing(self) -> str: ...
    def at_end(self, vector: Vector, values: str, backward: bool, stride: int) -> Value: ...


class PassPrinter:
    """Writes one pass."""

    def __init__(self, printer: Model, own: Pass, operations: Sequence[Operation]):
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
        self._circles = Circles(self._maker, self._kept)
        self._homes = printer.recording.homes if printer.recording.whole else {}

    def run(self) -> None:
        for op in self._operations:
            if not isinstance(op, Clear | Keep | Pass):
                self._make(op)
        for state, vector in self._kept.items():
            if state not in self._all.ends:
                self._shift(state, vector)

    def _value(self, vector: Vector) -> Value:
        """A vector at each step, or once."""
        whole = self._all
        if vector in self._maker and vector not in whole.values:
            self._make(self._maker[vector])
        if vector in self._kept:
            return self._state(vector)
        if vector in whole.states:  # of a pass before
            return Value(whole.ends[vector], 1)
        value = whole.values[vector]
        home = self._homes.get(vector)
        if self._own.way == "once" and home is not self._own and value.level == 2:
            return whole.at_end(
                vector, value.name, home is not None and home.way == "backward", 1 if home is None else home.stride
            )
        return value

    def _make(self, op: Operation) -> None:
        if op in self._done:
            return
        circle = self._circles.of(op)
        if circle:
            self._loop(circle)
            return
        if isinstance(op, Step):
            self._steps(op)
            return
        self._done.add(op)
        if isinstance(op, Frame | Around | Above):
            self._all.values[op.out] = self._of_whole(op)
            return
        assert not isinstance(op, Clear | Keep | Pass | Step)
        self._all.values[op.out] = operation(self._graph, op, self._value, self._sizes)

    def _of_whole(self, op: Frame | Around | Above) -> Value:
        """What reads a sequence of a pass before at several of its steps."""
        whole, source = self._all, op.source
        stride = self._homes[source].stride if source in self._homes else 1
        lengths = whole.times[stride].lengths
        assert lengths is not None
        windows = Windows(self._graph, raised(self._graph, whole.values[source], 2, whole.sizes), source.size, lengths)
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
        x = raised(self._graph, self._value(op.x), 2, self._sizes)
        # What a layer makes of padding is no matter where it comes last and only steps inside a row are read.
        bounded = self._backward
        y, ends = recurrence(
            self._graph,
            layer,
            x,
            [whole.start(state) for state in layer.states],
            operator=whole.operator,
            inside=self._times.inside if bounded else None,
            lengths=self._times.lengths if bounded else None,
            reverse=self._backward,
        )
        whole.ends.update(zip(layer.states, ends, strict=True))
        if op.out is not None:
            whole.values[op.out] = Value(y, 2)

    def _window(self, steps: Sequence[Step]) -> None:
        """Steps of a layer that begins anew, which are all there before any of them is made: a sequence in a step."""
        self._done.update(steps)
        graph, whole, layer = self._graph, self._all, steps[0].layer
        x, level = self._laid_out([step.x for step in steps])
        n, width = steps[0].x.size, layer.states[0].size
        flat = graph.op("Reshape", x, graph.whole(len(steps), -1, n))
        rows = graph.dim(flat, 1)
        states = [graph.op("Expand", graph.constant(0.0), graph.shape(rows, state.size)) for state in layer.states]
        y, _ = recurrence(graph, layer, flat, states, operator=whole.operator)
        if level == 2:
            y = graph.op(
                "Reshape", y, graph.op("Concat", graph.whole(len(steps)), self._sizes(2), graph.whole(width), axis=0)
            )
        for place, step in enumerate(steps):
            if step.out is not None and self._is_read(step.out):
                whole.values[step.out] = Value(graph.op("Gather", y, graph.constant(place, np.int64), axis=0), level)
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
            made = self._maker.get(self._kept[state])
            circle = [] if made is None else self._circles.of(made)
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
            whole.ends[state] = graph.op("Gather", line, graph.constant(end, np.int64), axis=0)
        else:
            whole.ends[state] = whole.at_end(vector, now, self._backward, self._own.stride).name

    def _loop(self, circle: Sequence[Operation]) -> None:
        """A `Scan` over what lies on a circle."""
        if any(isinstance(op, Step) for op in circle):
            raise OptionError("its layers read what they gave at the step before, which is not exported")
        self._done.update(circle)
        if self._counted(circle):
            return
        graph, whole, body = self._graph, self._all, self._graph.body()
        ordered = [op for op in self._operations if op in set(circle)]
        made = [op.out for op in ordered if not isinstance(op, Clear | Keep | Pass | Step)]
        states = [state for state, vector in self._kept.items() if vector in made]
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
            assert not isinstance(op, Clear | Keep | Pass | Step)
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
        # Copies, for one engine gives a shown value an axis wherever it is read.
        body.yields([*after, *(body.op("Identity", values[vector].name) for vector in shown)], sizes)
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
        whole.ends.update(zip(states, found, strict=False))
        for vector, name in zip(shown, found[len(states) :], strict=True):
            (self._earlier if vector in states else whole.values)[vector] = Value(name, 2)

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
        steps = graph.op("Unsqueeze", steps, graph.whole(1, 2))
        if self._backward:
            steps = graph.op("Sub", graph.op("Sub", T, graph.constant(1, np.int64)), steps)
        earlier = graph.op("Add", start, times(steps))
        lengths = self._times.lengths
        count = T if lengths is None else graph.op("Unsqueeze", lengths, graph.whole(1))
        self._earlier[state] = Value(earlier, 2)
        whole.values[out] = Value(graph.op("Add", earlier, each), 2)
        whole.ends[state] = graph.op("Add", start, times(count))
        return True

    def _is_read(self, vector: Vector, besides: Sequence[Operation] = ()) -> bool:
        """Whether an operation, or who asks for the outputs, reads it."""
        recording = self._all.recording
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
