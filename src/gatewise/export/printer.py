"""A recording as the lines of a program. C and JavaScript are alike enough that one printer serves both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from ..algebra.expression import MAPS, Node
from ..algebra.stages import Instruction, forward_program
from ..errors import OptionError
from ..runtime.recording import (
    FIRST,
    Above,
    Affine,
    Around,
    Clear,
    Constant,
    Embed,
    Frame,
    Gather,
    Keep,
    Largest,
    Layer,
    Lookup,
    Nearest,
    OfWhole,
    Operation,
    Pass,
    Pointwise,
    Recording,
    Step,
    Stretch,
    Vector,
    inputs_of,
)

Array = np.ndarray
Lines = Iterator[str]

EXPRESSIONS = {  # pointwise operation -> its text
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "div": "{} / {}",
    "neg": "-{}",
    "fma": "{} * {} + {}",
    "sigmoid": "gw_sigmoid({})",
    "tanh": "gw_tanh({})",
    "relu": "gw_relu({})",
    "step": "gw_step_up({})",
    "exp": "gw_exp({})",
    "log": "gw_log({})",
    "sqrt": "gw_sqrt({})",
    "softplus": "gw_softplus({})",
    "arcsinh": "gw_arcsinh({})",
    "maximum": "gw_maximum({}, {})",
    "minimum": "gw_minimum({}, {})",
    "known": "gw_known({})",
    "or_else": "gw_or_else({}, {})",
}


class Language(Protocol):
    """What differs between the languages."""

    state: str  # what a name of a state begins with
    variable: str  # what declares a number
    fixed: str  # what declares one that does not change

    def loop(self, index: str, count: int) -> str: ...
    def runs(self, own: Pass) -> str:
        """The loop of a pass, over t."""

    def step_of(self, name: str, source: str, size: int, place: str, kind: str) -> str:
        """Declares the numbers of a step of a sequence that are "read" or "made", or its "token"."""

    def last(self, own: Pass) -> str:
        """The place of the last run of a pass."""

    def clipped(self, name: str, place: str) -> str:
        """Declares a place in the sequence, at the nearest end where it is beyond one."""

    def array(self, name: str, size: int) -> str: ...
    def number(self, value: float) -> str: ...
    def over(self, index: str, divisor: int) -> str: ...
    def matrix(self, matrix: Array) -> str:
        """What the calls below name a matrix (rows, columns) by."""

    def vector(self, values: Array) -> str:
        """The name of numbers that never change."""

    def add(self, y: str, matrix: str, x: str) -> str:
        """y += matrix @ x."""

    def row(self, y: str, matrix: str, token: str) -> str:
        """y = the row of a matrix that a token names."""

    def at(self, table: str, place: str, count: int) -> str:
        """The number of a table at a place, 0 or more, or the last one."""

    def integers(self, values: Array) -> str:
        """The name of whole numbers that never change."""

    def helper(self, name: str, *arguments: object) -> str:
        """A call of a function that is written by hand."""

    def call(self, layer: Layer, x: str) -> str:
        """A step of a layer."""


def network_lines(recording: Recording, language: Language) -> Lines:
    """The body of a step, or of a whole sequence, from the vectors of inputs to those of outputs, each an array of its
    name."""
    tokens = [vector for vector, _ in recording.tokens]
    inputs = [*recording.numbers, *tokens]
    names = {vector: vector.name for vector in inputs}
    states = set(recording.states)
    outputs = {vector: name for name, vector in recording.outputs.items()}
    arrays = set[str]()

    def name(vector: Vector) -> str:
        return f"{language.state}{vector.name}" if vector in states else names[vector]

    def lines(operations: Sequence[Operation]) -> Lines:
        for operation in operations:
            out = None if isinstance(operation, Clear | Keep | Pass) else operation.out
            if out is not None:
                if isinstance(operation, Constant):
                    names[out] = language.vector(operation.values)
                elif out not in names:
                    names[out] = outputs.get(out, out.name)
                    if out not in outputs:
                        arrays.add(language.array(out.name, out.size))
                        yield language.array(out.name, out.size)
            yield from _operation_lines(operation, name, language)

    if not recording.whole:
        yield from lines(recording.operations)
        return
    homes, tracks = recording.homes, set(recording.tracks)
    sources = {vector: f"{language.state}{vector.name}" for vector in tracks} | {v: v.name for v in inputs}
    sources |= {vector: output for vector, output in outputs.items() if homes[vector].way != "once"}
    for own, operations in recording.passes:
        made = {vector for vector, home in homes.items() if home is own}
        read = {vector for operation in operations for vector in inputs_of(operation)}
        crossing = [v for v in sources if v in made | read and v not in recording.single]
        places = dict.fromkeys(crossing, "t")
        if own.way == "once":
            places = {v: language.last(homes.get(v, FIRST)) for v in crossing}
        framed = {operation.source for operation in operations if isinstance(operation, OfWhole)}
        names.update({vector: f"at_{vector.name}" for vector in crossing})
        steps = [
            language.step_of(
                names[vector],
                sources[vector],
                vector.size,
                places[vector],
                "token" if vector in tokens else "made" if vector in made else "read",
            )
            for vector in crossing
            if vector not in framed
        ]
        names.update({vector: sources[vector] for vector in framed})
        yield language.runs(own)
        yield from (f"    {line}" for line in steps)
        # Arrays are declared outside of the loop, before what is indented.
        yield from (line if line in arrays else f"    {line}" for line in lines(operations))
        yield "}"


def _operation_lines(operation: Operation, name: object, language: Language) -> Lines:
    assert callable(name)
    match operation:
        case Embed(out, table, token):
            yield language.row(name(out), language.matrix(table), name(token))
        case Affine(out, weight, bias, x):
            yield _each(language, out.size, f"{name(out)}[k] = {language.vector(bias)}[k];")
            yield language.add(name(out), language.matrix(weight), name(x))
        case Clear(layer):
            for state in layer.states:
                yield _each(language, state.size, f"{name(state)}[k] = {language.number(0)};")
        case Step(out, layer, x):
            yield language.call(layer, name(x))
            if out is not None:
                yield _each(language, out.size, f"{name(out)}[k] = {name(layer.states[0])}[k];")
        case Lookup(out, table, place):
            found = language.at(language.vector(table), f"{name(place)}[0]", table.size)
            yield f"{name(out)}[0] = {found};"
        case Largest(out, x):
            most = EXPRESSIONS["maximum"].format("m", f"{name(x)}[k]")
            found = _each(language, x.size, f"m = {most};")
            yield f"{{ {language.variable} m = {name(x)}[0]; {found} {name(out)}[0] = m; }}"
        case Keep(state, value):
            yield _each(language, state.size, f"{name(state)}[k] = {name(value)}[k];")
        case Pointwise(out, op, args):
            values = [f"{name(arg)}[k]" if isinstance(arg, Vector) else language.number(arg) for arg in args]
            yield _each(language, out.size, f"{name(out)}[k] = {EXPRESSIONS[op].format(*values)};")
        case Frame(out, source, stride):
            n, at = source.size, f"t * {stride} + j - {stride // 2}"
            copied = _each(language, n, f"{name(out)}[j * {n} + k] = {name(source)}[p * {n} + k];")
            yield f"{language.loop('j', 2 * stride)} {{ {language.clipped('p', at)} {copied} }}"
        case Above(out, source, dilations, kernels, reads, thresholds, longest):
            tables = [language.integers(values) for values in (dilations, kernels, reads)]
            sizes = [len(dilations), len(kernels), source.size, thresholds.shape[-1], longest]
            yield language.helper(
                "gw_above", name(out), name(source), "steps", *tables, language.vector(thresholds), *sizes
            )
        case Stretch(out, source):
            sizes = [source.size, out.size // source.size]
            yield language.helper("gw_stretch", name(out), name(source), "steps", *sizes)
        case Around(out, source, reach, ahead):
            yield language.helper("gw_around", name(out), name(source), "steps", "t", source.size, reach, int(ahead))
        case Nearest(out, x, series, classes, band):
            N, T, C = series.shape
            tables = [language.vector(series), language.integers(classes)]
            yield language.helper("gw_nearest", name(out), name(x), *tables, N, T, C, out.size, band)
        case Gather(out, runs):
            start = 0
            for source, first, count in runs:
                yield _each(language, count, f"{name(out)}[{_plus('k', start)}] = {name(source)}[{_plus('k', first)}];")
                start += count


def _each(language: Language, count: int, statement: str) -> str:
    return f"{language.loop('k', count)} {statement}"


def _plus(index: str, offset: int) -> str:
    return f"{index} + {offset}" if offset else index


class LayerPrinter:
    """The body of a layer's step: its cell's program, from x and the states to the states."""

    def __init__(self, layer: Layer, language: Language):
        if layer.cell.extras:
            raise OptionError(f"its cell '{layer.cell.name}' draws random numbers at each step")
        self._layer, self._language, self._cell = layer, language, layer.cell
        self._program = forward_program(layer.cell)
        self._groups = [group for stage in self._program.stages for group in self._grouped(stage.instructions)]
        self._arrays = self._kept()

    def lines(self) -> Lines:
        """The lines, in order."""
        language, program = self._language, self._program
        accumulators = [accumulator.node for stage in program.stages for accumulator in stage.accumulators]
        for node in dict.fromkeys([*accumulators, *self._arrays]):
            yield language.array(self._name(node), self._size(node))
        for stage in program.stages:
            for accumulator in stage.accumulators:
                y, size = self._name(accumulator.node), self._size(accumulator.node)
                begin = " + ".join(self._value(bias, "k") for bias in accumulator.biases) or language.number(0)
                yield _each(language, size, f"{y}[k] = {begin};")
                for product in accumulator.products:
                    matrix = language.matrix(self._layer.weights[product.weight.label])
                    yield language.add(y, matrix, self._whole(product.vector))
            for group in self._grouped(stage.instructions):
                yield from self._group_lines(group)
        yield from self._end()

    def _grouped(self, instructions: Sequence[Instruction]) -> list[list[Instruction]]:
        """Runs of pointwise instructions on vectors of one size, which share a loop; maps alone."""
        found: list[list[Instruction]] = []
        for instruction in instructions:
            last = found[-1][-1] if found else None
            joins = (
                last is not None
                and not {last.op, instruction.op} & MAPS.keys()
                and self._size(last.out) == self._size(instruction.out)
            )
            found[-1].append(instruction) if joins else found.append([instruction])
        return found

    def _kept(self) -> list[Node]:
        """Values that are read outside the loop in which they are made."""
        home = {instruction.out: place for place, group in enumerate(self._groups) for instruction in group}
        read = [
            (place if instruction.op not in MAPS else -1, arg)
            for place, group in enumerate(self._groups)
            for instruction in group
            for arg in instruction.args
        ]
        read += [
            (-1, product.vector)
            for stage in self._program.stages
            for accumulator in stage.accumulators
            for product in accumulator.products
        ]
        read += [(-1, node) for _, node in self._program.outputs]
        of_maps = [group[0].out for group in self._groups if group[0].op in MAPS]
        return list(dict.fromkeys([*of_maps, *(node for place, node in read if node in home and home[node] != place)]))

    def _group_lines(self, group: Sequence[Instruction]) -> Lines:
        language = self._language
        if group[0].op in MAPS:
            yield from self._map_lines(group[0])
            return
        yield f"{language.loop('k', self._size(group[0].out))} {{"
        for instruction in group:
            text = EXPRESSIONS[instruction.op].format(*(self._value(arg, "k") for arg in instruction.args))
            name = self._name(instruction.out)
            left = f"{name}[k]" if instruction.out in self._arrays else f"{language.fixed} {name}"
            yield f"    {left} = {text};"
        yield "}"

    def _map_lines(self, instruction: Instruction) -> Lines:
        """One of `MAPS`; units of a head lie side by side, its matrix row by row."""
        language, [v], out = self._language, instruction.args, self._name(instruction.out)
        size, K, zero = self._size(instruction.out), self._layer.sizes["K"], language.number(0)

        def of(index: str) -> str:
            return self._value(v, index)

        def sums(index: str) -> str:
            total = f"{language.loop('j', K)} m += {of(index)};"
            return f"{language.loop('k', size)} {{ {language.variable} m = {zero}; {total} {out}[k] = m; }}"

        match instruction.op:
            case "mean":
                count = self._size(v)
                yield f"{{ {language.variable} m = {zero}; {language.loop('j', count)} m += {of('j')};"
                yield f"  {language.loop('k', size)} {out}[k] = m / {language.number(count)}; }}"
            case "spread" | "rows":
                yield _each(language, size, f"{out}[k] = {of(language.over('k', K))};")
            case "columns":
                index = f"{language.over('k', K * K)} * {K} + k % {K}"
                yield _each(language, size, f"{out}[k] = {of(index)};")
            case "head_sum" | "row_sum":
                yield sums(f"k * {K} + j")
            case "column_sum":
                yield sums(f"{language.over('k', K)} * {K * K} + j * {K} + k % {K}")

    def _end(self) -> Lines:
        """The states become what the step returns; of those that it returns as they came, copies first."""
        ends = []
        for state, (_, node) in zip(self._layer.states, self._program.outputs, strict=True):
            name = f"{self._language.state}{state.name}"
            if node.leaf:
                copy = f"new_{state.name}"
                yield self._language.array(copy, state.size)
                yield _each(self._language, state.size, f"{copy}[k] = {self._value(node, 'k')};")
                ends.append(_each(self._language, state.size, f"{name}[k] = {copy}[k];"))
            else:
                ends.append(_each(self._language, state.size, f"{name}[k] = {self._name(node)}[k];"))
        yield from ends

    def _size(self, node: Node) -> int:
        return self._layer.sizes[node.size.letter]

    def _name(self, node: Node) -> str:
        """A value as the equations call it, where that is possible everywhere."""
        called = self._program.names[node]
        return f"v_{called}" if called.isascii() else f"u_{list(self._program.names).index(node)}"

    def _whole(self, node: Node) -> str:
        """The array of a vector."""
        if node is self._cell.x:
            return "x"
        if node in self._cell.before:
            return f"{self._language.state}{self._layer.states[self._cell.before.index(node)].name}"
        if node.op == "weight":
            return self._language.vector(self._layer.weights[node.label])
        return self._name(node)

    def _value(self, node: Node, index: str) -> str:
        """One of its numbers."""
        if node.op == "constant":
            return self._language.number(float(node.label))
        if node.leaf or node in self._arrays or node.op == "accumulator":
            return f"{self._whole(node)}[{index}]"
        return self._name(node)
