"""Kernels as text, written from a cell's program with the names of its equations.

`recurrence_text` is a whole layer in one launch: a program of the grid owns a block of rows and all units, holds the
recurrent matrices and what is carried, and goes through time. `stage_text` is the pointwise part of a stage of a step.

T, B = steps, rows; D, H, P = input, hidden and projected size; N, K, M = heads, units of a head, values of the matrices
of all heads. A tile is (BLOCK_B, BLOCK_size): sizes are padded to powers of two, and what only fills up is never
stored, multiplied or summed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from keyword import iskeyword
from math import isfinite

from ...algebra import Cell
from ...algebra.expression import MAPS, TRANSPOSE, Node
from ...algebra.stages import Accumulator, Instruction, Stage
from .plan import Plan, forward_plan, plan_of

TEXT: dict[str, Callable[..., str]] = {
    "add": "{} + {}".format,
    "sub": "{} - {}".format,
    "mul": "{} * {}".format,
    "div": "{} / {}".format,
    "fma": "{} * {} + {}".format,  # ptxas makes one instruction of it
    "neg": "-{}".format,
    "sigmoid": "sigmoid({})".format,
    "tanh": "tanh({})".format,
    "relu": "tl.maximum({}, 0.0)".format,
    "step": "step({})".format,
    "exp": "tl.exp({})".format,
    "log": "tl.log({})".format,
    "sqrt": "tl.sqrt({})".format,
    "softplus": "softplus({})".format,
    "maximum": "tl.maximum({}, {})".format,
    "minimum": "tl.minimum({}, {})".format,
    "mean": "mean({0}, held_{1}[None, :], {1})".format,
    "spread": "spread({0}, BLOCK_B, BLOCK_N, BLOCK_K)".format,
    "rows": "rows({0}, BLOCK_B, BLOCK_N, BLOCK_K)".format,
    "columns": "columns({0}, BLOCK_B, BLOCK_N, BLOCK_K)".format,
    "head_sum": "head_sum({0}, held_{1}[None, :], BLOCK_B, BLOCK_N, BLOCK_K)".format,
    "row_sum": "row_sum({0}, held_{1}[None, :], BLOCK_B, BLOCK_N, BLOCK_K)".format,
    "column_sum": "column_sum({0}, held_{1}[None, :], BLOCK_B, BLOCK_N, BLOCK_K)".format,
}

HELPERS = {"columns", "column_sum", "head_sum", "mean", "product", "row_sum", "rows", "sigmoid", "softplus", "spread"}
HELPERS |= {"step", "tanh"}
# Names that a kernel has besides the cell's.
_OWN = HELPERS | {"T", "B", "D", "H", "P", "N", "K", "M", "ACC", "KEEP", "LENGTHS", "RESETS", "REVERSE", "PRECISION"}
_OWN |= {"tl", "triton", "range", "row", "here", "unit", "line", "moment", "t", "at", "before", "after", "inside"}
_OWN |= {"fresh"}


def recurrence_text(plan: Plan, name: str) -> str:
    """A whole layer, forward or, of a backward plan, backward."""
    return _Recurrence(plan, name).text()


def stage_text(plan: Plan, stage: Stage, given: Sequence[Node], results: Sequence[Node], name: str) -> str:
    """The pointwise program of one stage.

    Args:
        given: What it reads: accumulators, inputs, carried values, what earlier stages made.
        results: What it writes. The order of both is that of the kernel's arguments.
    """
    return _Stage(plan, stage, given, results, name).text()


@lru_cache(maxsize=512)
def names_of(cell: Cell, back: bool) -> dict[Node, str]:
    """Of the values in the kernels of a cell."""
    return identifiers(plan_of(cell, back))


def identifiers(plan: Plan) -> dict[Node, str]:
    """The name of every value in a kernel's text: that of the program, but for those that a kernel uses itself."""
    carry, read = plan.cell.carry, plan.read()
    labels = {node: c for c, node in zip(carry, plan.cell.after, strict=True) if node in read}
    labels |= {node: node.label for node in [*read, *(matrix for matrix, _ in plan.matrices())] if node.label}
    labels |= plan.program.names
    taken = _OWN | {f"{d}{c}_{when}" for d in ("", "d") for c in carry for when in ("carried", "next")}
    names: dict[Node, str] = {}
    for node, label in labels.items():
        if node.op == "constant":
            names[node] = label if isfinite(float(label)) else f'float("{label}")'
            continue
        wish = identifier(label)
        while wish in taken or iskeyword(wish):
            wish += "_"
        taken.add(wish)
        names[node] = wish
    return names


def identifier(label: str) -> str:
    """A label as a name in Python. A model file may be a stranger's, and what it calls things gets into no program."""
    name = re.sub(r"[^a-zA-Z0-9_]", "_", label)
    return name if name.isidentifier() else f"_{name}"


class _Kernel:
    """The parts that all kernels are made of."""

    def __init__(self, plan: Plan, name: str):
        self.plan, self.cell, self.name = plan, plan.cell, identifier(name)
        self.names = identifiers(plan)
        self.weights = {block for parameter in self.cell.parameters for block in parameter.blocks}
        self.lines: list[str] = []

    def add(self, line: str, depth: int = 1) -> None:
        self.lines.append("    " * depth + line)

    def finish(self, pointers: Sequence[str], scalars: Sequence[str], constants: Sequence[str]) -> str:
        used = "\n".join(self.lines)
        helpers = ", ".join(h for h in sorted(HELPERS) if re.search(rf"(?<![\w.]){h}\(", used))
        head = ["import triton", "import triton.language as tl", "", ""]
        if helpers:
            head[2:2] = [f"from gatewise.engine.triton.functions import {helpers}"]
        arguments = [*pointers, *scalars, *(f"{constant}: tl.constexpr" for constant in constants)]
        signature = [f"    {argument}," for argument in arguments]
        return "\n".join([*head, "@triton.jit", f"def {self.name}(", *signature, "):", *self.lines, ""])

    def places(self, letters: Sequence[str], along: str = "") -> None:
        """For each size where a tile's units stand in memory, and which of them are units at all."""
        for letter in letters:
            block = f"tl.arange(0, BLOCK_{letter})"
            if letter == "H" and self.cell.heads > 1:
                self.add(f"unit = {block}")
                self.add("unit_H = unit // BLOCK_K * K + unit % BLOCK_K")
                self.add("held_H = (unit // BLOCK_K < N) & (unit % BLOCK_K < K)")
            elif letter == "M":
                self.add(f"unit = {block}")
                self.add("line = unit // BLOCK_K % BLOCK_K")
                self.add("unit_M = (unit // (BLOCK_K * BLOCK_K) * K + line) * K + unit % BLOCK_K")
                self.add("held_M = (unit // (BLOCK_K * BLOCK_K) < N) & (line < K) & (unit % BLOCK_K < K)")
            else:
                self.add(f"unit_{letter} = {along.format(letter)}{block}")
                self.add(f"held_{letter} = unit_{letter} < {letter}")

    def vectors(self, nodes: Sequence[Node]) -> None:
        """Weights that are used unit by unit, the same for every row."""
        for node in nodes:
            name, letter = self.names[node], node.size.letter
            self.add(f"{name} = tl.load({name}_ptr + unit_{letter}, mask=held_{letter}, other=0.0).to(ACC)[None, :]")
            self.add(f"{name} = tl.broadcast_to({name}, (BLOCK_B, BLOCK_{letter}))")

    def instructions(self, instructions: Sequence[Instruction], depth: int) -> None:
        for i in instructions:
            # A map sums over the units of what it takes; `mean` and `head_sum` must not see those that fill up.
            letter = i.args[0].size.letter
            text = TEXT[i.op](*(self.names[arg] for arg in i.args), *([letter] if i.op in MAPS else []))
            self.add(f"{self.names[i.out]} = {text}", depth)


def load(pointer: str, at: str, width: str, offset: str, letter: str) -> str:
    """A tile of (BLOCK_B, BLOCK_letter) out of rows of this width."""
    first = f"{pointer} + {at} * {_inside(width)}" + ("" if offset == "0" else f" + {offset}")
    return f"tl.load({first} + unit_{letter}[None, :], mask=here & held_{letter}[None, :], other=0.0).to(ACC)"


def store(pointer: str, at: str, width: str, offset: str, letter: str, value: str) -> str:
    first = f"{pointer} + {at} * {_inside(width)}" + ("" if offset == "0" else f" + {offset}")
    return f"tl.store({first} + unit_{letter}[None, :], {value}, mask=here & held_{letter}[None, :])"


def _inside(width: str) -> str:
    return f"({width})" if " " in width else width


def _letters(nodes: Sequence[Node]) -> list[str]:
    found = {node.size.letter for node in nodes if node.op != "constant"}
    found |= {node.columns.letter for node in nodes if node.columns is not None}
    return sorted(found)


class _Recurrence(_Kernel):
    def text(self) -> str:
        plan, cell = self.plan, self.cell
        back = plan.program.outputs[0][0] == "dx"
        read = plan.read()
        matrices = plan.matrices()
        vectors = [node for node in read if node in self.weights and node.columns is None]
        streams = [node for node in (cell.x, *cell.extras) if node in read]
        made = [i.out for stage in plan.program.stages for i in stage.instructions]
        summed = [a.node for a in plan.accumulators()]
        carried = list(cell.before)
        letters = _letters([*read, *made, *summed, *carried, *(matrix for matrix, _ in matrices)])

        self.add("row = tl.program_id(0).to(tl.int64) * BLOCK_B + tl.arange(0, BLOCK_B)[:, None]")
        self.add("here = row < B")
        self.places(letters)
        for matrix, transposed in matrices:
            self._matrix(matrix, transposed)
        self.vectors(vectors)
        which, start = ("d", "row") if back else ("", "(row + REVERSE * T * B)")
        for c, node in zip(cell.carry, carried, strict=True):
            letter = node.size.letter
            self.add(f"{which}{c}_carried = {load(f'{which}{c}_ptr', start, letter, '0', letter)}")
        self.add("for moment in range(T):")
        self._moment(back)
        for node in streams:
            letter = node.size.letter
            self.add(f"{self.names[node]} = {load(f'{self.names[node]}_ptr', 'at', letter, '0', letter)}", 2)
        if back:
            self._given(read)
        else:
            for c, node in zip(cell.carry, carried, strict=True):
                if node not in read:
                    continue
                self.add(f"{self.names[node]} = {c}_carried", 2)
                self.add("if RESETS:", 2)
                self.add(f"{self.names[node]} = tl.where(fresh, 0.0, {self.names[node]})", 3)
        for stage in plan.program.stages:
            self._sums(stage)
            self.instructions(stage.instructions, 2)
        if back:
            self._leave_gradients()
        else:
            self._leave_states()
        if back:
            for c, node in zip(cell.carry, carried, strict=True):
                letter = node.size.letter
                self.add(store(f"d{c}_ptr", "row", letter, "0", letter, f"d{c}_carried"))

        pointers = [f"{self.names[m]}_ptr" for m in dict.fromkeys(m for m, _ in matrices)]
        pointers += [f"{self.names[node]}_ptr" for node in [*vectors, *streams]]
        pointers += [f"{c}_ptr" for c in cell.carry]
        constants = []
        if back:
            pointers += [f"d{c}_ptr" for c in cell.carry] + [f"d{c}_arriving_ptr" for c in cell.carry]
            pointers += ["saved_ptr", "left_ptr"]
            constants += [f"ARRIVES_{c}" for c in cell.carry]
        else:
            pointers += ["sums_ptr", "saved_ptr"]
            constants += ["KEEP"]
        constants += ["LENGTHS", "RESETS", "REVERSE", *sizes_of(letters, cell), "ACC", "PRECISION", "BLOCK_B"]
        constants += blocks_of(letters, cell)
        return self.finish([*pointers, "flags_ptr"], ["T", "B"], constants)

    def _matrix(self, matrix: Node, transposed: bool) -> None:
        """A matrix as a product needs it, (taken, given); `M @ v` of a row v is v @ M.T."""
        assert matrix.columns is not None
        rows, columns = matrix.size.letter, matrix.columns.letter
        taken, given = (rows, columns) if transposed else (columns, rows)
        name = self._held(matrix, transposed)
        if transposed:
            at = f"unit_{taken}[:, None] * {columns} + unit_{given}[None, :]"
        else:
            at = f"unit_{taken}[:, None] + unit_{given}[None, :] * {columns}"
        mask = f"held_{taken}[:, None] & held_{given}[None, :]"
        self.add(f"{name} = tl.load({self.names[matrix]}_ptr + {at}, mask={mask}, other=0.0)")

    def _held(self, matrix: Node, transposed: bool) -> str:
        return f"{self.names[matrix]}_{'back' if transposed else 'on'}"

    def _moment(self, back: bool) -> None:
        """Which step it is, and where what is carried into it and out of it stands."""
        self.add("t = T - 1 - moment" if back else "t = moment", 2)
        self.add("if REVERSE:", 2)
        self.add("t = moment" if back else "t = T - 1 - moment", 3)
        self.add("at = row + t * B", 2)
        self.add("before = at + REVERSE * B", 2)
        self.add("after = at + (1 - REVERSE) * B", 2)
        for kind, bit in (("LENGTHS", 1), ("RESETS", 2)):
            self.add(f"if {kind}:", 2)
            name = "inside" if kind == "LENGTHS" else "fresh"
            self.add(f"{name} = (tl.load(flags_ptr + at, mask=here, other=0) & {bit}) != 0", 3)

    def _sums(self, stage: Stage) -> None:
        for accumulator in stage.accumulators:
            if accumulator is self.plan.after:
                continue
            name, letter = self.names[accumulator.node], accumulator.node.size.letter
            self.add(f"{name} = {self._begin(accumulator, letter)}", 2)
            for product in self.plan.inside(accumulator):
                vector, matrix = product.vector, self._held(product.weight, product.transposed)
                held = f"held_{vector.size.letter}[None, :]"
                self.add(f"{name} = product({self.names[vector]}, {matrix}, {held}, {name}, PRECISION)", 2)

    def _begin(self, accumulator: Accumulator, letter: str) -> str:
        sums = self.plan.sums
        if accumulator.node in sums.nodes:
            return load("sums_ptr", "at", sums.text(), sums.text(accumulator.node), letter)
        biases = [self.names[bias] for bias in accumulator.biases]
        return " + ".join(biases) or f"tl.zeros((BLOCK_B, BLOCK_{letter}), ACC)"

    def _given(self, read: Sequence[Node]) -> None:
        """What the forward pass has left, and the gradients that arrive."""
        cell, seen = self.cell, set()
        for c, start, end in zip(cell.carry, cell.before, cell.after, strict=True):
            letter = start.size.letter
            if start in read:
                self.add(f"{self.names[start]} = {load(f'{c}_ptr', 'before', letter, '0', letter)}", 2)
                self.add("if RESETS:", 2)
                self.add(f"{self.names[start]} = tl.where(fresh, 0.0, {self.names[start]})", 3)
            if end in read and not end.leaf and end not in seen:
                seen.add(end)
                self.add(f"{self.names[end]} = {load(f'{c}_ptr', 'after', letter, '0', letter)}", 2)
        saved = forward_plan(cell).kept
        for node, value in self.plan.saved:
            if node in read:
                text = load("saved_ptr", "at", saved.text(), saved.text(value), node.size.letter)
                self.add(f"{self.names[node]} = {text}", 2)
        seeds = {node.label: node for node in read if node.op == "seed"}
        for c, start in zip(cell.carry, cell.before, strict=True):
            seed = seeds.get(f"d{c}_in")
            if seed is None:
                continue
            name, letter = self.names[seed], start.size.letter
            self.add(f"{name} = d{c}_carried", 2)
            self.add(f"if ARRIVES_{c}:", 2)
            self.add(f"{name} += {load(f'd{c}_arriving_ptr', 'at', letter, '0', letter)}", 3)

    def _value(self, node: Node, letter: str) -> str:
        return f"tl.full((BLOCK_B, BLOCK_{letter}), {node.label}, ACC)" if node.op == "constant" else self.names[node]

    def _leave_states(self) -> None:
        cell, kept = self.cell, self.plan.kept
        for c, (_, node), start in zip(cell.carry, self.plan.program.outputs, cell.before, strict=True):
            self.add(f"{c}_next = {self._value(node, start.size.letter)}", 2)
        for c, start in zip(cell.carry, cell.before, strict=True):
            letter = start.size.letter
            self.add("if LENGTHS:", 2)
            self.add(f"{c}_next = tl.where(inside, {c}_next, {c}_carried)", 3)
            self.add(f"{c}_carried = {c}_next", 2)
            self.add(store(f"{c}_ptr", "after", letter, "0", letter, f"{c}_next"), 2)
        if kept.nodes:
            self.add("if KEEP:", 2)
        for node in kept.nodes:
            letter, name = node.size.letter, self.names[node]
            self.add(store("saved_ptr", "at", kept.text(), kept.text(node), letter, name), 3)

    def _leave_gradients(self) -> None:
        cell, kept = self.cell, self.plan.kept
        for node in kept.nodes:
            letter, name = node.size.letter, self.names[node]
            self.add("if LENGTHS:", 2)
            self.add(f"{name} = tl.where(inside, {name}, 0.0)", 3)
            self.add(store("left_ptr", "at", kept.text(), kept.text(node), letter, name), 2)
        for c, (_, node), start in zip(cell.carry, self.plan.program.outputs[1:], cell.before, strict=True):
            self.add(f"d{c}_next = {self._value(node, start.size.letter)}", 2)
        for c in cell.carry:
            self.add("if RESETS:", 2)
            self.add(f"d{c}_next = tl.where(fresh, 0.0, d{c}_next)", 3)
            self.add("if LENGTHS:", 2)
            self.add(f"d{c}_next = tl.where(inside, d{c}_next, d{c}_carried)", 3)
            self.add(f"d{c}_carried = d{c}_next", 2)


class _Stage(_Kernel):
    def __init__(self, plan: Plan, stage: Stage, given: Sequence[Node], results: Sequence[Node], name: str):
        super().__init__(plan, name)
        self.stage, self.given, self.results = stage, given, results

    def text(self) -> str:
        nodes = [*self.given, *self.results, *(i.out for i in self.stage.instructions)]
        letters = _letters(nodes)
        self.add("row = tl.program_id(0).to(tl.int64) * BLOCK_B + tl.arange(0, BLOCK_B)[:, None]")
        self.add("here = row < B")
        whole = any(i.op in MAPS for i in self.stage.instructions) or self.cell.heads > 1
        self.places(letters, "" if whole else "tl.program_id(1) * BLOCK_{} + ")
        self.vectors([node for node in self.given if node in self.weights])
        scalars = []
        for node in self.given:
            if node not in self.weights:
                name, letter = self.names[node], node.size.letter
                self.add(f"{name} = {load(f'{name}_ptr', 'row', f'{name}_width', '0', letter)}")
                scalars.append(f"{name}_width")
        self.instructions(self.stage.instructions, 1)
        for node in self.results:
            name, letter = self.names[node], node.size.letter
            self.add(store(f"{name}_ptr", "row", f"{name}_width", "0", letter, name))
            scalars.append(f"{name}_width")
        pointers = [f"{self.names[node]}_ptr" for node in (*self.given, *self.results)]
        constants = [*sizes_of(letters, self.cell), "ACC", "BLOCK_B", *blocks_of(letters, self.cell)]
        return self.finish(pointers, ["B", *scalars], constants)


def sizes_of(letters: Sequence[str], cell: Cell) -> list[str]:
    """The sizes that a kernel has to know."""
    heads = ["N", "K"] if cell.heads > 1 or {"N", "M"} & {*letters} else []
    return sorted({*letters, *heads})


def blocks_of(letters: Sequence[str], cell: Cell) -> list[str]:
    """The padded ones."""
    return [f"BLOCK_{letter}" for letter in sizes_of(letters, cell)]


assert set(MAPS) == set(TRANSPOSE) <= set(TEXT)
