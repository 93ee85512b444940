"""When each part of a step can run: matrix products that wait for nothing, then what waits for them.

In `W.i @ x`, `U.i @ h_prev`, `P @ (o * tanh(c))` the operand of `@` decides the stage. A product of the input or of a
carried value can start at once (stage 0). A product of a value computed inside the step opens a new stage, and so does
a mean over its units. Products that only ever appear summed share one accumulator, biases included. All else is
pointwise, one value per unit, and runs as a short program over what the accumulators of its stage hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import count

from .cell import Cell
from .derive import backward, results
from .expression import MAPS, PRODUCTS, Node, linear, order, pointwise


@dataclass(frozen=True)
class Product:
    """`weight @ vector`, or its transpose's. It can start when the vector is known: before its stage's program."""

    weight: Node
    vector: Node
    transposed: bool
    stage: int


@dataclass(frozen=True)
class Accumulator:
    """A sum of products and biases; its summation order is the order of `products`."""

    node: Node
    products: tuple[Product, ...]
    biases: tuple[Node, ...]


@dataclass(frozen=True)
class Instruction:
    """`out = op(*args)`, pointwise or one of `MAPS`. Besides `OPERATIONS` there is fma(a, b, c) = a * b + c."""

    out: Node
    op: str
    args: tuple[Node, ...]


@dataclass(frozen=True)
class Stage:
    """Accumulators that are complete now, and the program that may then run."""

    accumulators: tuple[Accumulator, ...]
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True)
class Gradient:
    """Adds to a weight's gradient: the outer product with `vector`, or without one the value itself."""

    weight: Node
    value: Node
    vector: Node | None


@dataclass(frozen=True)
class Program:
    """One step, ready to run.

    Attributes:
        stages: In order.
        outputs: Name and value of each result: carried values forward; dx and the carried gradients backward.
        gradients: What to add to the weights' gradients; empty in a forward program.
        saves: Values that the backward program reads beside inputs and carried values.
        names: A name, unique in this program, for every value.
    """

    stages: tuple[Stage, ...]
    outputs: tuple[tuple[str, Node], ...]
    gradients: tuple[Gradient, ...]
    saves: tuple[Node, ...]
    names: Mapping[Node, str]


@lru_cache(maxsize=256)  # engines ask for it at every step
def forward_program(cell: Cell) -> Program:
    """The program of one step of a cell."""
    kept = backward(cell).saves
    lowered = _Lowering(_as_written(cell), cell.names, keep=(*cell.after, *kept))
    outputs = tuple(zip(cell.carry, map(lowered.value, cell.after), strict=True))
    saves = tuple(map(lowered.value, kept))
    return Program(lowered.stages, outputs, (), saves, lowered.names)


def backward_program(cell: Cell) -> Program:
    """The program that takes gradients of the carried values one step back."""
    found = backward(cell)
    ahead = forward_program(cell)
    saved = {node: ahead.names[value] for node, value in zip(found.saves, ahead.saves, strict=True)}
    given = [*saved, *(node for node in cell.after if not node.leaf)]
    lowered = _Lowering(results(found), {**cell.names, **saved, **found.names}, known=given)
    labels = ("dx", *(f"d{name}_prev" for name in cell.carry))
    outputs = tuple(zip(labels, map(lowered.value, (found.x, *found.before)), strict=True))
    gradients = [
        Gradient(weight, lowered.value(value), lowered.value(vector))
        for weight, pairs in found.matrices.items()
        for value, vector in pairs
    ]
    gradients += [Gradient(weight, lowered.value(value), None) for weight, value in found.vectors.items()]
    place = {block: i for i, block in enumerate(b for p in cell.parameters for b in p.blocks)}
    gradients.sort(key=lambda gradient: place[gradient.weight])
    return Program(lowered.stages, outputs, tuple(gradients), found.saves, lowered.names)


def _as_written(cell: Cell) -> tuple[Node, ...]:
    """Named values in the order of the cell's text, so that its program reads like its equations."""
    return tuple(dict.fromkeys((*cell.names, *cell.after)))


class _Lowering:
    """Rewrites expressions: sums of products become accumulators, `a * b + c` becomes fma.

    Args:
        roots: What to compute, in the order to compute it.
        names: What expressions are called.
        known: Values that are there already.
        keep: Values that must come out, if that is not all the roots.
    """

    def __init__(
        self, roots: Iterable[Node], names: Mapping[Node, str], known: Iterable[Node] = (), keep: Iterable[Node] = ()
    ):
        self._roots, self._known = list(roots), frozenset(known)
        nodes = order(self._roots, self._known)
        self._kept = set(keep) or set(self._roots)
        self._uses = Counter(arg for node in nodes for arg in node.args)
        self._uses.update(self._kept)
        self._called = names
        self._accumulators: dict[Node, Accumulator] = {}
        self._values: dict[Node, Node] = {node: node for node in self._known}
        self._stage: dict[Node, int] = {}  # of each value that is not there from the start
        self._sums, inside = self._find_sums(nodes)
        for node in nodes:  # arguments first, so that no recursion goes deep
            if node not in inside:
                self.value(node)
        self._fused: set[Node] = set()  # products that became part of an fma
        self.stages = self._staged()
        self.names = self._named()

    def _find_sums(self, nodes: list[Node]) -> tuple[set[Node], set[Node]]:
        """Additions that have a product among their terms, and the nodes inside such a sum and nowhere else."""
        sums: set[Node] = set()
        for node in nodes:
            if node.op == "add" and any(self._own(arg) and (arg.op in PRODUCTS or arg in sums) for arg in node.args):
                sums.add(node)
        inside: set[Node] = set()
        for node in reversed(nodes):
            if node in sums or (node in inside and node.op == "add"):
                inside.update(arg for arg in node.args if self._own(arg) and arg.op in ("add", *PRODUCTS))
        return sums, inside

    def _own(self, node: Node) -> bool:
        """Whether it serves a single other node, so that nobody misses it when that one takes it apart."""
        return self._uses[node] == 1 and node not in self._known

    def value(self, node: Node) -> Node:
        """The node that stands for this one in the program."""
        if node not in self._values:
            self._values[node] = node if node.leaf else self._lower(node)
        return self._values[node]

    def _lower(self, node: Node) -> Node:
        if node.op in PRODUCTS:
            return self._accumulate([node], [], self._called.get(node, ""))
        if node.op in MAPS:
            whole = self.value(node.args[0])
            result = linear(node.op, whole)
            self._stage[result] = self._ready(whole)
            return result
        if node not in self._sums:
            return self._pointwise(node.op, *map(self.value, node.args))
        terms = list(self._terms(node))
        products = [term for term in terms if term.op in PRODUCTS and self._own(term)]
        biases = [term for term in terms if term.op == "weight"]
        rest = [term for term in terms if term not in products and term not in biases]
        total = self._accumulate(products, biases, "" if rest else self._called.get(node, ""))
        for term in rest:
            total = self._pointwise("add", total, self.value(term))
        return total

    def _terms(self, node: Node) -> Iterator[Node]:
        """What is added up, from left to right."""
        stack = [*node.args[::-1]]
        while stack:
            term = stack.pop()
            if term.op == "add" and self._own(term):
                stack.extend(term.args[::-1])
            else:
                yield term

    def _pointwise(self, op: str, *args: Node) -> Node:
        node = pointwise(op, *args)
        self._stage[node] = max(self._stage.get(arg, 0) for arg in args)
        return node

    def _accumulate(self, products: list[Node], biases: list[Node], name: str) -> Node:
        vectors = [self.value(product.args[1]) for product in products]
        node = Node("accumulator", tuple(vectors), label=name, size=products[0].size)
        self._accumulators[node] = Accumulator(
            node,
            tuple(
                Product(p.args[0], v, p.op == "matmul_t", self._ready(v))
                for p, v in zip(products, vectors, strict=True)
            ),
            tuple(biases),
        )
        self._stage[node] = max(product.stage for product in self._accumulators[node].products)
        return node

    def _ready(self, vector: Node) -> int:
        """The first stage before which all units of a vector are there."""
        return 0 if self._given(vector) else self._stage[vector] + 1

    def _given(self, node: Node) -> bool:
        return node.leaf or node in self._known

    def _program_nodes(self) -> list[Node]:
        # A root that is missing here became part of a sum.
        return order([self._values[root] for root in self._roots if root in self._values], self._known)

    def _staged(self) -> tuple[Stage, ...]:
        nodes = [node for node in self._program_nodes() if not self._given(node)]
        uses = Counter(arg for node in nodes for arg in node.args)
        uses.update(self._values[node] for node in self._kept)
        written = [self._instruction(node, uses) for node in nodes if node not in self._accumulators]
        last = max((self._stage[node] for node in nodes), default=0)
        needed = set(nodes)
        return tuple(
            Stage(
                tuple(a for a in self._accumulators.values() if a.node in needed and self._stage[a.node] == stage),
                tuple(i for i in written if i.out not in self._fused and self._stage[i.out] == stage),
            )
            for stage in range(last + 1)
        )

    def _instruction(self, node: Node, uses: Counter[Node]) -> Instruction:
        if node.op == "add":
            for product, other in (node.args, node.args[::-1]):
                if product.op == "mul" and uses[product] == 1 and not self._given(product):
                    self._fused.add(product)
                    return Instruction(node, "fma", (*product.args, other))
        return Instruction(node, node.op, node.args)

    def _named(self) -> dict[Node, str]:
        """Names of the cell file where it has any; `zi` for what gate i is taken of; `ig` for i * g; else t1, t2."""
        nodes = [node for node in self._program_nodes() if node not in self._fused]
        names = {node: node.label for node in nodes if node.leaf}
        taken = set(names.values())
        spare = (f"t{i}" for i in count(1))

        def give(node: Node, wish: str = "") -> None:
            while not wish or wish in taken:
                wish = next(spare)
            names[node] = wish
            taken.add(wish)

        for original, node in self._values.items():
            if original in self._called and not node.leaf and node not in names:
                give(node, self._called[original])
        for node in nodes:
            for arg in node.args:
                if arg in self._accumulators and arg not in names and node in names:
                    give(arg, f"z{names[node]}")
        for node in nodes:
            if node not in names:
                parts = [names.get(arg, "") for arg in node.args]
                short = node.op == "mul" and all(len(part) == 1 for part in parts)
                give(node, "".join(parts) if short else "")
        return names
