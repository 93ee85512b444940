"""A recurrent layer of any cell as one `Scan`, from the graph of its equations.

Products of the input are taken for all steps at once, before the loop, with the biases in them. In the loop there is
one product for each operand, and one sigmoid over all gates. All engines that were tried agree on it, which cannot be
said of the recurrent operators; see `operators`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...algebra.expression import MAPS, Node, order
from ...algebra.stages import Accumulator, Instruction, Stage, forward_program
from ...errors import OptionError
from ...runtime.recording import Layer
from .graph import BOOL, FLOAT, Graph

POINTWISE = {  # operation -> operator of as many inputs
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "neg": "Neg",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "Relu",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "softplus": "Softplus",
    "maximum": "Max",
    "minimum": "Min",
}


def above_zero(graph: Graph, value: str) -> str:
    """1 where a number is above 0, else 0: the operation `step`."""
    return graph.op("Cast", graph.op("Greater", value, graph.constant(0.0)), to=FLOAT)


def scan(
    graph: Graph, layer: Layer, x: str, states: Sequence[str], inside: str | None = None, reverse: bool = False
) -> tuple[str, list[str]]:
    """Run a layer over time.

    Args:
        x: (T, B, D).
        states: Before the first step, (B, H) per carried name.
        inside: (T, B, 1) whether a step counts for a row; all do if omitted.
        reverse: From the last step to the first.

    Returns:
        (T, B, H), zero where a step does not count; and the states after.
    """
    if layer.cell.extras:
        raise OptionError(f"its cell '{layer.cell.name}' draws random numbers at each step")
    cell, body = layer.cell, _Body(graph, layer, x)
    reached = set(order(cell.after))
    # An engine refuses states that no step reads. The output may be one: its last one is known after the loop.
    looped = [place > 0 or inside is not None or node in reached for place, node in enumerate(cell.before)]
    named = zip(cell.carry, cell.before, looped, strict=True)
    before = [body.given(f"{name}_prev", node) for name, node, kept in named if kept]
    after, scans = body.run()
    y = after[0]
    if inside is not None:
        mask = body.graph.input("inside", BOOL, None)
        scans.append(inside)
        y = body.graph.op("Where", mask, y, graph.constant(0.0))
        after = [body.graph.op("Where", mask, new, old) for new, old in zip(after, before, strict=True)]
    own = [value for value, kept in zip(after, looped, strict=True) if kept]
    sizes = [state.size for state, kept in zip(layer.states, looped, strict=True) if kept]
    body.graph.yields([*own, y], [*sizes, layer.states[0].size])
    found = graph.ops(
        "Scan",
        *(state for state, kept in zip(states, looped, strict=True) if kept),
        *scans,
        outputs=len(own) + 1,
        body=body.graph.graph("step"),
        num_scan_inputs=len(scans),
        scan_input_directions=[int(reverse)] * len(scans),
        scan_output_directions=[int(reverse)],
    )
    *ends, values = found
    if not looped[0]:
        ends.insert(0, _last(graph, states[0], values, reverse))
    return values, ends


def _last(graph: Graph, before: str, values: str, reverse: bool) -> str:
    """Of a value (T, B, H) the one after the last step; the one before the first if there is none."""
    start = graph.op("Unsqueeze", before, graph.whole(0))
    joined = graph.op("Concat", *([values, start] if reverse else [start, values]), axis=0)
    return graph.op("Gather", joined, graph.constant(0 if reverse else -1, np.int64), axis=0)


class _Body:
    """A step of a layer as nodes."""

    def __init__(self, outer: Graph, layer: Layer, x: str):
        self.graph, self._outer, self._layer, self._x = outer.body(), outer, layer, x
        self._program = forward_program(layer.cell)
        self._names: dict[Node, str] = {}
        self._scans: list[str] = []  # what the loop reads step by step
        self._reads: list[tuple[str, str]] = []  # names inside of that, in its order
        instructions = [i for stage in self._program.stages for i in stage.instructions]
        read = [arg for i in instructions for arg in i.args]
        read += [p.vector for stage in self._program.stages for a in stage.accumulators for p in a.products]
        read += [node for _, node in self._program.outputs]
        self._uses = Counter(read)
        self._reader = {arg: i for i in instructions for arg in i.args}

    def given(self, name: str, node: Node) -> str:
        """Declare a carried value."""
        self._names[node] = self.graph.input(name, FLOAT, None)
        return self._names[node]

    def run(self) -> tuple[list[str], list[str]]:
        """The carried values after the step; and what the loop has to read, (T, B, ...) each."""
        x = self._layer.cell.x
        operands = [p for stage in self._program.stages for a in stage.accumulators for p in a.products]
        if self._uses[x] > sum(p.vector is x for p in operands):
            self._names[x] = self._read(self._x)
        for stage in self._program.stages:
            done = self._sums(stage)
            for instruction in stage.instructions:
                if instruction.out not in done:
                    self._names[instruction.out] = self._instruction(instruction)
        return [self._value(node) for _, node in self._program.outputs], self._scans

    def _read(self, value: str) -> str:
        self._scans.append(value)
        return self.graph.input("read", FLOAT, None)

    def _value(self, node: Node) -> str:
        if node.op == "constant":
            return self.graph.constant(float(node.label))
        if node.op == "weight":
            return self.graph.constant(self._layer.weights[node.label])
        return self._names[node]

    def _sums(self, stage: Stage) -> set[Node]:
        """The accumulators of a stage; and what follows from many of them alike, such as gates, which is then done."""
        groups: dict[tuple[Node, ...], list[Accumulator]] = {}
        for accumulator in stage.accumulators:
            key = tuple(dict.fromkeys(p.vector for p in accumulator.products))
            groups.setdefault(key, []).append(accumulator)
        for group in groups.values():
            group.sort(key=self._follower)
        x, done = self._layer.cell.x, set[Node]()
        parts: dict[tuple[Node, ...], list[str]] = {key: [] for key in groups}
        for vector in dict.fromkeys(v for key in groups for v in key if v is not x):
            own = [key for key in groups if vector in key]
            matrices = [self._matrix(a, vector) for key in own for a in groups[key]]
            product = self.graph.op("MatMul", self._value(vector), self.graph.constant(np.concatenate(matrices).T))
            sizes = [sum(map(self._size, groups[key])) for key in own]
            for key, part in zip(own, self.graph.split(product, sizes), strict=True):
                parts[key].append(part)
        for key, group in groups.items():
            bias = self._bias(group)
            if x in key:
                matrix = np.concatenate([self._matrix(a, x) for a in group]).T
                product = self._outer.op("MatMul", self._x, self._outer.constant(matrix))
                hoisted = product if bias is None else self._outer.op("Add", product, self._outer.constant(bias))
                parts[key].insert(0, self._read(hoisted))
            elif bias is not None:
                parts[key].append(self.graph.constant(bias))
            total = parts[key][0]
            for part in parts[key][1:]:
                total = self.graph.op("Add", total, part)
            done |= self._followed(group, total)
        return done

    def _followed(self, group: Sequence[Accumulator], total: str) -> set[Node]:
        """Cuts a sum into those of its accumulators, after what follows from several of them has been computed."""
        kinds = list(dict.fromkeys(map(self._follower, group)))
        runs = [[a for a in group if self._follower(a) == kind] for kind in kinds]
        done = set[Node]()
        cuts = self.graph.split(total, [sum(map(self._size, run)) for run in runs])
        for kind, run, cut in zip(kinds, runs, cuts, strict=True):
            value = self.graph.op(POINTWISE[kind], cut) if kind else cut
            for a, part in zip(run, self.graph.split(value, list(map(self._size, run))), strict=True):
                target = self._reader[a.node].out if kind else a.node
                self._names[target] = part
                done.add(target)
        return done

    def _follower(self, accumulator: Accumulator) -> str:
        """The operation of one argument that is all that reads it; else ""."""
        node = accumulator.node
        reader = self._reader.get(node)
        alone = reader is not None and self._uses[node] == 1 and len(reader.args) == 1 and reader.op in POINTWISE
        return reader.op if reader is not None and alone else ""

    def _matrix(self, accumulator: Accumulator, vector: Node) -> Any:
        found = [self._layer.weights[p.weight.label] for p in accumulator.products if p.vector is vector]
        return sum(found[1:], found[0])

    def _bias(self, group: Sequence[Accumulator]) -> Any:
        """(n,) of a group of accumulators; None if they have none."""
        if not any(a.biases for a in group):
            return None
        parts = [np.zeros(self._size(a), np.float32) for a in group]
        for part, a in zip(parts, group, strict=True):
            for bias in a.biases:
                part += self._layer.weights[bias.label]
        return np.concatenate(parts)

    def _size(self, accumulator: Accumulator) -> int:
        return len(self._layer.weights[accumulator.products[0].weight.label])

    def _instruction(self, instruction: Instruction) -> str:
        graph, values = self.graph, [self._value(arg) for arg in instruction.args]
        if instruction.op in MAPS:
            return self._map(instruction.op, values[0])
        if instruction.op == "fma":
            return graph.op("Add", graph.op("Mul", *values[:2]), values[2])
        if instruction.op == "step":
            return above_zero(graph, values[0])
        return graph.op(POINTWISE[instruction.op], *values)

    def _map(self, op: str, v: str) -> str:
        """One of `MAPS`; units of a head lie side by side, its matrix row by row."""
        N, K, H = (self._layer.sizes[letter] for letter in "NKH")
        graph = self.graph

        def shaped(value: str, *dims: int) -> str:
            return graph.op("Reshape", value, graph.whole(-1, *dims))

        def spread(*dims: int, over: tuple[int, ...], size: int) -> str:
            return shaped(graph.op("Expand", shaped(v, *dims), graph.whole(1, *over)), size)

        def total(*dims: int, axis: int) -> str:
            return graph.op("ReduceSum", shaped(v, *dims), graph.whole(axis), keepdims=0)

        match op:
            case "mean":
                return graph.op("ReduceMean", v, axes=[-1], keepdims=1)
            case "spread":
                return spread(N, 1, over=(N, K), size=H)
            case "rows":
                return spread(N, K, 1, over=(N, K, K), size=N * K * K)
            case "columns":
                return spread(N, 1, K, over=(N, K, K), size=N * K * K)
            case "head_sum":
                return total(N, K, axis=-1)
            case "row_sum":
                return shaped(total(N, K, K, axis=-1), H)
        return shaped(total(N, K, K, axis=-2), H)  # column_sum
