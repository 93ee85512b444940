"""What of a cell's programs runs inside a kernel, and what for all steps at once outside of it.

Products of the input wait for no step: one large product before the kernel makes them, biases included. Going
backward, a kernel leaves behind what the weights' gradients are outer products of, and what only dx is a product of;
large products after the kernel do the rest. So a kernel multiplies nothing but what a step has to wait for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from ...algebra import Cell
from ...algebra.expression import Node
from ...algebra.stages import Accumulator, Product, Program, backward_program, forward_program


@dataclass(frozen=True)
class Columns:
    """Vectors side by side in the rows of one tensor."""

    nodes: tuple[Node, ...]

    def offsets(self, sizes: Mapping[str, int]) -> dict[Node, tuple[int, int]]:
        """First column of each vector, and the one behind its last."""
        found, end = {}, 0
        for node in self.nodes:
            begin, end = end, end + sizes[node.size.letter]
            found[node] = begin, end
        return found

    def width(self, sizes: Mapping[str, int]) -> int:
        return sum(sizes[node.size.letter] for node in self.nodes)

    def text(self, before: Node | None = None) -> str:
        """The width of all, or of those before one, in the letters of their sizes: "2 * H + D"."""
        count: dict[str, int] = {}
        for node in self.nodes:
            if node is before:
                break
            count[node.size.letter] = count.get(node.size.letter, 0) + 1
        return " + ".join(letter if n == 1 else f"{n} * {letter}" for letter, n in count.items()) or "0"


@dataclass(frozen=True)
class Plan:
    """A program of one step, divided.

    Attributes:
        cell: Whose program it is.
        program: Of `algebra/stages.py`.
        sums: Accumulators that begin with products of x; what they begin with is there before the first step.
        kept: What a step leaves in memory: forward what the backward pass reads, backward what gradients are made of.
        after: The accumulator that is dx, if that can wait until all steps are done.
        saved: Going backward, values that the forward pass kept, and which of its values each of them is.
    """

    cell: Cell
    program: Program
    sums: Columns
    kept: Columns
    after: Accumulator | None = None
    saved: tuple[tuple[Node, Node], ...] = ()

    def inside(self, accumulator: Accumulator) -> list[Product]:
        """The products of an accumulator that a step makes."""
        ahead = accumulator.node in self.sums.nodes
        return [p for p in accumulator.products if not (ahead and p.vector is self.cell.x)]

    def accumulators(self) -> Iterator[Accumulator]:
        for stage in self.program.stages:
            yield from (a for a in stage.accumulators if a is not self.after)

    def matrices(self) -> list[tuple[Node, bool]]:
        """Matrices that a step multiplies, and whether by their transposes."""
        return list(dict.fromkeys((p.weight, p.transposed) for a in self.accumulators() for p in self.inside(a)))

    def read(self) -> list[Node]:
        """Every value that a step reads or hands on."""
        found: list[Node] = []
        for stage in self.program.stages:
            for accumulator in stage.accumulators:
                if accumulator is not self.after:
                    found += [product.vector for product in self.inside(accumulator)]
                    found += [] if accumulator.node in self.sums.nodes else accumulator.biases
            found += [arg for instruction in stage.instructions for arg in instruction.args]
        found += [node for _, node in self.program.outputs if self.after is None or node is not self.after.node]
        return list(dict.fromkeys([*found, *self.kept.nodes]))


def plan_of(cell: Cell, back: bool) -> Plan:
    """The backward program of a cell, divided, or the forward one."""
    return backward_plan(cell) if back else forward_plan(cell)


@lru_cache(maxsize=256)
def forward_plan(cell: Cell) -> Plan:
    """The forward program, divided."""
    program = forward_program(cell)
    ahead = [
        accumulator.node
        for stage in program.stages
        for accumulator in stage.accumulators
        if any(product.vector is cell.x for product in accumulator.products)
    ]
    return Plan(cell, program, Columns(tuple(ahead)), Columns(tuple(dict.fromkeys(program.saves))))


@lru_cache(maxsize=256)
def backward_plan(cell: Cell) -> Plan:
    """The backward program, divided."""
    program = backward_program(cell)
    dx = dict(program.outputs)["dx"]
    after = next((a for stage in program.stages for a in stage.accumulators if a.node is dx), None)
    inner = [arg for stage in program.stages for i in stage.instructions for arg in i.args]
    inner += [p.vector for stage in program.stages for a in stage.accumulators for p in a.products]
    inner += [node for _, node in program.outputs[1:]] + [gradient.value for gradient in program.gradients]
    if after is not None and (dx in inner or after.biases):
        after = None
    given = {cell.x, *cell.extras, *cell.before, *cell.after, *program.saves}
    given |= {block for parameter in cell.parameters for block in parameter.blocks}
    left: Iterable[Node] = [
        *(gradient.value for gradient in program.gradients),
        *(gradient.vector for gradient in program.gradients if gradient.vector is not None),
        *([product.vector for product in after.products] if after else [dx]),
    ]
    kept = dict.fromkeys(node for node in left if node not in given and node.op != "constant")
    saved = tuple(zip(program.saves, forward_program(cell).saves, strict=True))
    return Plan(cell, program, Columns(()), Columns(tuple(kept)), after, saved)
