"""From a cell's programs to what the native engine runs: phases, streams and scratch slots. See program.hpp.

A stage of the algebra becomes one phase per size of vector. Values that only their own phase reads live in scratch;
whatever a later phase, another step or the other direction reads is a stream in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from itertools import pairwise
from typing import Any

from ..algebra import Cell
from ..algebra.derive import backward
from ..algebra.expression import MAPS, Node, order
from ..algebra.stages import Accumulator, Program, backward_program, forward_program

# The order of `Op` in kernels.hpp. fma(a, b, c) = a * b + c, fnma(a, b, c) = c - a * b.
OPERATIONS = (
    "add", "sub", "mul", "div", "neg", "sigmoid", "tanh", "relu", "step", "exp", "log", "sqrt", "softplus", "maximum",
    "minimum", "fma", "fnma", "copy",
)  # fmt: skip
COLUMNS = 4  # accumulators that one tile of the matrix kernel holds


class Place(IntEnum):
    """Where a value lives, as `Place` in program.hpp."""

    SLOT = 0
    STREAM = 1
    BEFORE = 2
    AFTER = 3
    ARRIVING = 4
    LEAVING = 5
    WEIGHT = 6
    CONSTANT = 7
    MEAN = 8


class Source(IntEnum):
    """Where a stream comes from, as `Source` in program.hpp."""

    INPUT = 0
    SAVED = 1
    LOCAL = 2


class When(IntEnum):
    """When a phase runs, as `When` in program.hpp: before all steps of a chunk, at each, after all."""

    ADVANCE = 0
    STEP = 1
    DEFERRED = 2


Location = tuple[Place, int]


def letters(cell: Cell) -> list[str]:
    """The size letters of a cell, in the order in which the engine counts them."""
    used = {node.size.letter for node in _all_nodes(cell)}
    heads = {"K"} if any(parameter.diagonal for parameter in cell.parameters) else set()
    return ["D", "H", "P", *sorted((used | heads) - {"D", "H", "P"})]


def lower_forward(cell: Cell, keep: bool, hoist: bool) -> tuple[Any, ...]:
    """Arguments of the engine's `Program` for the forward pass.

    Args:
        keep: Keep what the backward pass reads.
        hoist: Multiply the inputs of many steps at once, before the steps: faster if a step has few rows.
    """
    return _Forward(cell, keep, hoist).finished()


def lower_backward(cell: Cell) -> tuple[Any, ...]:
    """The same for the backward pass. Its one output is dL/dx."""
    return _Backward(cell).finished()


@lru_cache(maxsize=1024)
def extra_sizes(cell: Cell) -> list[int]:
    """Of each further input, which of the letters its size is."""
    return [letters(cell).index(node.size.letter) for node in cell.extras]


@lru_cache(maxsize=1024)
def runs(cell: Cell) -> bool:
    """Whether this engine knows all that the cell does: it has no values that are matrices or one number per head."""
    return all(node.op not in MAPS or node.op == "mean" for node in order(cell.after))


def gives_dx(cell: Cell) -> bool:
    """Whether the output depends on the input at all; if not, nothing writes dL/dx."""
    return backward(cell).x.op != "constant"


@dataclass
class _Phase:
    when: When
    letter: str
    accumulators: list[Accumulator] = field(default_factory=list)
    starts: dict[Node, int] = field(default_factory=dict)  # accumulator -> stream that it starts from
    instructions: list[tuple[str, Any, tuple[Node, ...]]] = field(default_factory=list)  # op, out, args
    arrivals: dict[Node, int] = field(default_factory=dict)  # seed -> carried value
    emissions: list[tuple[Any, int]] = field(default_factory=list)
    reductions: list[tuple[Node, int]] = field(default_factory=list)


@dataclass(frozen=True)
class _Target:
    """A place that a copy is written to, where a value has to be in two."""

    location: Location


@dataclass(frozen=True)
class _Mean:
    """The mean of a vector, which is there before a phase's program runs."""

    vector: Node


class _Lowering:
    is_backward = False

    def __init__(self, cell: Cell, program: Program):
        self.cell = cell
        self.letters = letters(cell)
        self.location: dict[Node, Location] = {}
        self.streams: list[tuple[int, Source]] = []
        self.phases: list[_Phase] = []
        self.outers: list[tuple[Any, ...]] = []
        self.totals: list[tuple[int, int, int]] = []
        self.home: dict[Node, _Phase] = {}  # the phase that computes a value
        self.blocks = {block: i for i, block in enumerate(b for p in cell.parameters for b in p.blocks)}
        for node in (cell.x, *cell.extras):
            self.location[node] = (Place.STREAM, self.stream(node.size.letter, Source.INPUT))
        for k, node in enumerate(cell.before):
            self.location[node] = (Place.BEFORE, k)
        for block, i in self.blocks.items():
            self.location[block] = (Place.WEIGHT, i)
        self.make_phases(program)
        # Products of x come first in a sum, as they may be taken in advance, then those of what is carried.
        products = (p for stage in program.stages for a in stage.accumulators for p in a.products)
        vectors = dict.fromkeys((cell.x, *cell.before, *(p.vector for p in products)))
        self.ranks = {vector: i for i, vector in enumerate(vectors)}

    def size(self, letter: str) -> int:
        return self.letters.index(letter)

    def stream(self, letter: str, source: Source) -> int:
        self.streams.append((self.size(letter), source))
        return len(self.streams) - 1

    def make_phases(self, program: Program) -> None:
        for stage in program.stages:
            here: dict[str, _Phase] = {}

            def phase(node: Node, here: dict[str, _Phase] = here) -> _Phase:
                found = here.setdefault(node.size.letter, _Phase(When.STEP, node.size.letter))
                self.home[node] = found
                return found

            for accumulator in stage.accumulators:
                phase(accumulator.node).accumulators.append(accumulator)
            for instruction in stage.instructions:
                phase(instruction.out).instructions.append((instruction.op, instruction.out, instruction.args))
            self.phases += here.values()

    def phase_for(self, node: Node) -> _Phase:
        """Where a value can be copied: the phase that computes it, or for one that is there already any of its size."""
        if node in self.home:
            return self.home[node]
        letter = node.size.letter
        for phase in reversed(self.phases):
            if phase.letter == letter and phase.when == When.STEP:
                return phase
        self.phases.append(_Phase(When.STEP, letter))
        return self.phases[-1]

    def put(self, node: Node, location: Location, phase: _Phase | None = None) -> Any:
        """Have the value at this place when its phase is done; the key by which the phase knows it there."""
        if node not in self.location and node in self.home:
            self.location[node] = location
            return node
        if self.location.get(node) == location:
            return node
        target = _Target(location)
        (phase or self.phase_for(node)).instructions.append(("copy", target, (node,)))
        return target

    def materialise(self) -> None:
        """Give a stream to every value that a product or a mean reads, or a phase that does not compute it."""
        for phase in self.phases:
            for accumulator in phase.accumulators:
                for product in accumulator.products:
                    self.in_memory(product.vector)
            for op, _, args in phase.instructions:
                for arg in args:
                    if op == "mean" or self.home.get(arg, phase) is not phase:
                        self.in_memory(arg)

    def in_memory(self, node: Node) -> Location:
        if node not in self.location:
            self.location[node] = (Place.STREAM, self.stream(node.size.letter, Source.LOCAL))
        return self.location[node]

    def finished(self) -> tuple[Any, ...]:
        """The arguments of the engine's `Program`."""
        self.fuse_complements()
        written = [self.write(phase) for phase in self.phases]
        blocks = [
            (
                p,
                i,
                self.size(block.size.letter),
                -1 if block.columns is None else self.size(block.columns.letter),
                self.size("K") if block.diagonal else -1,
            )
            for p, parameter in enumerate(self.cell.parameters)
            for i, block in enumerate(parameter.blocks)
        ]
        return (
            [self.size(letter) for letter in self.cell.carry_sizes],
            [(size, int(source)) for size, source in self.streams],
            blocks,
            [phase for phase, _ in written],
            self.outers,
            self.totals,
            max((slots for _, slots in written), default=0),
            len(self.cell.parameters),
            self.is_backward,
        )

    def fuse_complements(self) -> None:
        """a * (1 - y), which the derivative of every gate has, becomes a - a * y: one instruction instead of two."""
        reads = Counter(arg for phase in self.phases for _, _, args in phase.instructions for arg in args)
        reads.update(node for phase in self.phases for node, _ in (*phase.emissions, *phase.reductions))
        for phase in self.phases:
            of = {
                out: args[1]
                for op, out, args in phase.instructions
                if op == "sub" and args[0].label == "1.0" and reads[out] == 1 and out not in self.location
            }
            fused = set()
            for i, (op, out, args) in enumerate(phase.instructions):
                if op == "mul" and (found := next((a for a in args if a in of), None)) is not None:
                    other = args[0] if args[1] is found else args[1]
                    phase.instructions[i] = ("fnma", out, (other, of[found], other))
                    fused.add(found)
            phase.instructions = [instruction for instruction in phase.instructions if instruction[1] not in fused]

    def write(self, phase: _Phase) -> tuple[Any, int]:
        """A phase as the engine takes it, and how many scratch slots it needs."""
        values: dict[Any, int] = {}
        places: list[list[Any]] = []  # place, index, number, read, written
        means: list[Location] = []

        def value(key: Any) -> int:
            if key not in values:
                values[key] = len(places)
                if isinstance(key, _Mean):
                    places.append([Place.MEAN, len(means), 0.0, True, False])
                    means.append(self.location[key.vector])
                elif isinstance(key, _Target):
                    places.append([*key.location, 0.0, False, True])
                elif key.op == "constant":
                    places.append([Place.CONSTANT, 0, float(key.label), True, False])
                elif key in phase.arrivals:
                    places.append([Place.SLOT, 0, 0.0, True, False])
                else:
                    computed = self.home.get(key) is phase
                    place, index = self.location.get(key, (Place.SLOT, 0))
                    assert computed or place != Place.SLOT, key
                    places.append([place, index, 0.0, not computed, computed])
            return values[key]

        arrivals = [(value(seed), carry) for seed, carry in phase.arrivals.items()]
        groups = [self.write_group(phase, accumulators, value) for accumulators in _split(phase.accumulators)]
        program = []
        for op, out, args in phase.instructions:
            numbers = [value(_Mean(arg) if op == "mean" else arg) for arg in args]
            number = OPERATIONS.index("copy" if op == "mean" else op)
            program.append((number, value(out), *(numbers + numbers[:1] * 3)[:3]))
        emissions = [(value(key), output) for key, output in phase.emissions]
        reductions = [(value(node), total) for node, total in phase.reductions]
        last = [v for v, _ in (*emissions, *reductions)]
        first = [v for v, _ in arrivals] + [v for accumulators, *_ in groups for v in accumulators]
        slots, count = _slots(places, program, first, last)
        rows = [
            (int(place), index, number, slot, read, written)
            for (place, index, number, read, written), slot in zip(places, slots, strict=True)
        ]
        size = self.size(phase.letter)
        located = [(int(place), index) for place, index in means]
        return (int(phase.when), size, rows, located, groups, program, arrivals, emissions, reductions), count

    def write_group(self, phase: _Phase, accumulators: list[Accumulator], value: Any) -> tuple[Any, ...]:
        """Accumulators that share tiles. Whatever the group, every sum is taken in the order of `self.ranks`."""
        kinds = {(product.vector, product.weight.diagonal) for a in accumulators for product in a.products}
        shares = []
        for vector, diagonal in sorted(kinds, key=lambda kind: (self.ranks[kind[0]], kind[1])):
            queues = [
                [p for p in a.products if p.vector is vector and p.weight.diagonal == diagonal] for a in accumulators
            ]
            place, index = self.location[vector]
            while any(queues):
                products = [(i, queue.pop(0)) for i, queue in enumerate(queues) if queue]
                shares.append(
                    (
                        int(place),
                        index,
                        self.size(vector.size.letter),
                        [(i, self.blocks[product.weight], product.transposed) for i, product in products],
                    )
                )
        starts = [phase.starts.get(a.node, -1) for a in accumulators]
        biases = [
            [] if start >= 0 else [self.blocks[bias] for bias in a.biases]
            for a, start in zip(accumulators, starts, strict=True)
        ]
        return [value(a.node) for a in accumulators], biases, starts, shares


class _Forward(_Lowering):
    def __init__(self, cell: Cell, keep: bool, hoist: bool):
        program = forward_program(cell)
        super().__init__(cell, program)
        outputs = [(node, (Place.AFTER, k)) for k, (_, node) in enumerate(program.outputs)]
        wanted = list(outputs)
        if keep:
            wanted += [(n, (Place.STREAM, self.stream(n.size.letter, Source.SAVED))) for n in program.saves]
        else:
            self.drop_all_but([node for node, _ in outputs])
        for i, (node, location) in enumerate(wanted):
            key = self.put(node, location)
            if i < len(outputs):
                self.phase_for(node).emissions.append((key, i))
        self.materialise()
        if hoist:
            self.take_inputs_in_advance()

    def drop_all_but(self, roots: Iterable[Node]) -> None:
        """Without the backward pass nobody reads what was computed for it alone."""
        needed = set(roots)
        for phase in reversed(self.phases):
            for instruction in reversed(phase.instructions):
                if instruction[1] in needed:
                    needed.update(instruction[2])
            phase.instructions = [i for i in phase.instructions if i[1] in needed]
            phase.accumulators = [a for a in phase.accumulators if a.node in needed]
            needed.update(p.vector for a in phase.accumulators for p in a.products)

    def take_inputs_in_advance(self) -> None:
        """Split the products of x off their sums, into phases that run over many steps at once."""
        x = self.cell.x
        for phase in list(self.phases):
            early = _Phase(When.ADVANCE, phase.letter)
            for place, accumulator in enumerate(phase.accumulators):
                of_x = tuple(p for p in accumulator.products if p.vector is x)
                rest = tuple(p for p in accumulator.products if p.vector is not x)
                if not of_x:
                    continue
                begun = Node("accumulator", size=accumulator.node.size)
                stream = self.stream(phase.letter, Source.LOCAL)
                self.location[begun] = (Place.STREAM, stream)
                self.home[begun] = early
                early.accumulators.append(Accumulator(begun, of_x, accumulator.biases))
                phase.accumulators[place] = Accumulator(accumulator.node, rest, ())
                phase.starts[accumulator.node] = stream
                if not rest:  # nothing is left to add: the value is there already
                    phase.instructions.insert(0, ("copy", accumulator.node, (begun,)))
            phase.accumulators = [a for a in phase.accumulators if a.products]
            if early.accumulators:
                self.phases.insert(0, early)


class _Backward(_Lowering):
    is_backward = True

    def __init__(self, cell: Cell):
        found, program = backward(cell), backward_program(cell)
        super().__init__(cell, program)
        for k, node in enumerate(cell.after):
            if not node.leaf:
                self.location.setdefault(node, (Place.AFTER, k))
        for node in found.saves:
            self.location[node] = (Place.STREAM, self.stream(node.size.letter, Source.SAVED))
        self.seeds = {seed: k for k, seed in enumerate(found.seeds)}
        dx, *dcarry = [node for _, node in program.outputs]
        self.receive_seeds(program, [dx, *dcarry])
        self.gradients(program)
        self.materialise()
        for k, node in enumerate(dcarry):
            if node.op == "constant":
                self.zero(k)
            else:
                self.put(node, (Place.LEAVING, k), self.arrival_phase(node))
        if dx.op != "constant":
            self.emit_dx(dx)

    def arrival_phase(self, node: Node) -> _Phase | None:
        return next((phase for phase in self.phases if node in phase.arrivals), None)

    def receive_seeds(self, program: Program, results: list[Node]) -> None:
        """Gradients arrive where they are read: in one phase, or ahead of all phases if several read them."""
        for seed, k in self.seeds.items():
            readers = [p for p in self.phases if any(seed in args for _, _, args in p.instructions)]
            shared = any(p.vector is seed for phase in self.phases for a in phase.accumulators for p in a.products)
            shared |= any(gradient.value is seed for gradient in program.gradients)
            shared |= any(op == "mean" and seed in args for p in readers for op, _, args in p.instructions)
            if len(readers) == 1 and not shared:
                readers[0].arrivals[seed] = k
            elif readers or shared or seed in results:
                ahead = next((p for p in self.phases if p.letter == seed.size.letter and p.when == When.STEP), None)
                waits = ahead is not None and (ahead.accumulators or any(i[0] == "mean" for i in ahead.instructions))
                if ahead is None or ahead is not self.phases[0] or waits:
                    ahead = _Phase(When.STEP, seed.size.letter)
                    self.phases.insert(0, ahead)
                ahead.arrivals[seed] = k
                if readers or shared:
                    stream = (Place.STREAM, self.stream(seed.size.letter, Source.LOCAL))
                    ahead.instructions.insert(0, ("copy", _Target(stream), (seed,)))
                    self.location[seed] = stream

    def zero(self, k: int) -> None:
        """The step does not read this carried value, so none of its gradient goes back."""
        letter = self.cell.carry_sizes[k]
        phase = next((p for p in self.phases if p.letter == letter and p.when == When.STEP), None)
        if phase is None:
            phase = _Phase(When.STEP, letter)
            self.phases.append(phase)
        phase.instructions.append(("copy", _Target((Place.LEAVING, k)), (backward(self.cell).before[k],)))

    def gradients(self, program: Program) -> None:
        outers: dict[tuple[Location, str, str, bool], list[tuple[int, int]]] = {}
        for gradient in program.gradients:
            block, value, vector = self.blocks[gradient.weight], gradient.value, gradient.vector
            if vector is None or vector.op == "weight":
                phase = self.arrival_phase(value) or self.phase_for(value)
                weight = -1 if vector is None else self.blocks[vector]
                phase.reductions.append((value, len(self.totals)))
                self.totals.append((self.size(value.size.letter), block, weight))
                continue
            place, stream = self.in_memory(value)
            if place != Place.STREAM:  # where another step's value lies too
                copied = (Place.STREAM, self.stream(value.size.letter, Source.LOCAL))
                self.phase_for(value).instructions.append(("copy", _Target(copied), (value,)))
                stream = copied[1]
            key = (self.in_memory(vector), vector.size.letter, value.size.letter, gradient.weight.diagonal)
            outers.setdefault(key, []).append((stream, block))
        for ((place, index), letter, value_letter, _), values in outers.items():
            self.outers.append((int(place), index, self.size(letter), self.size(value_letter), values))

    def emit_dx(self, dx: Node) -> None:
        """dL/dx leaves for the caller: after the steps of a chunk, for all of them at once, where no step waits."""
        phase = self.arrival_phase(dx) or self.phase_for(dx)
        accumulator = next((a for a in phase.accumulators if a.node is dx), None)
        read = any(dx in args for p in self.phases for _, _, args in p.instructions)
        free = accumulator is not None and all(
            self.location[p.vector][0] in (Place.STREAM, Place.WEIGHT) for p in accumulator.products
        )
        if accumulator is None or read or not free or any(node is dx for node, _ in phase.reductions):
            phase.emissions.append((dx, 0))
            return
        phase.accumulators.remove(accumulator)
        deferred = _Phase(When.DEFERRED, phase.letter, [accumulator], emissions=[(dx, 0)])
        self.home[dx] = deferred
        self.phases.append(deferred)
        if not phase.accumulators and not phase.instructions and not phase.arrivals:
            self.phases.remove(phase)


def _all_nodes(cell: Cell) -> Iterator[Node]:
    for program in (forward_program(cell), backward_program(cell)):
        yield from program.names


def _split(accumulators: list[Accumulator]) -> list[list[Accumulator]]:
    """Into groups of about equal size, none larger than a tile."""
    groups = -(-len(accumulators) // COLUMNS)
    ends = [len(accumulators) * i // groups for i in range(groups + 1)] if groups else []
    return [accumulators[a:b] for a, b in pairwise(ends)]


def _slots(
    places: list[list[Any]], program: list[tuple[int, ...]], first: list[int], last: list[int]
) -> tuple[list[int], int]:
    """A scratch slot per value: of its own for what is in memory, or else free again after its last use."""
    end = {v: i for i, (_, *used) in enumerate(program) for v in used}
    end.update(dict.fromkeys(last, len(program)))
    slots = [-1] * len(places)
    free: list[int] = []
    count = 0

    def take(v: int) -> None:
        nonlocal count
        if slots[v] < 0:
            if not free:
                free.append(count)
                count += 1
            slots[v] = free.pop()

    temporary = [place == Place.SLOT for place, *_ in places]
    for v in [v for v in range(len(places)) if not temporary[v]] + first:
        take(v)
    for i, (_, out, *args) in enumerate(program):
        take(out)
        free += {slots[v] for v in {out, *args} if temporary[v] and end.get(v, i) == i}
    for v in range(len(places)):
        take(v)
    return slots, count
