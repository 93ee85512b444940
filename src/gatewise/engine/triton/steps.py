"""A layer step by step, for matrices that no single program can hold: torch multiplies, kernels do what is pointwise.

Each stage of a step is as few matrix products as its accumulators allow, and one kernel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ...algebra import Cell
from ...algebra.expression import MAPS, Node
from ...algebra.stages import Stage
from . import emit
from .launch import Layer, accumulator_type, kernel
from .plan import Columns, Plan, backward_plan, forward_plan, plan_of

OPTIONS = {"num_warps": 4, "enable_fp_fusion": True}  # of Triton's compiler
_TILE = 512  # values of a program's tile
_WIDE = 256  # units of it, where units do not need one another


@dataclass(frozen=True)
class Pointwise:
    """The pointwise part of a stage: its kernel, what that reads and writes, in the order of its arguments."""

    function: Any
    given: tuple[Node, ...]
    results: tuple[Node, ...]
    whole: bool  # whether a program needs all units of its rows

    def sized(self, layer: Layer) -> tuple[dict[str, Any], int]:
        """What the kernel is compiled for, and how many programs share out the units of a row."""
        blocks = {letter: layer.block(letter, least=1) for letter in layer.sizes}
        if not self.whole:
            blocks = {letter: min(size, _WIDE) for letter, size in blocks.items()}
        used = [letter for letter in layer.sizes if f"BLOCK_{letter}" in self.function.arg_names]
        across = 1 if self.whole else max(-(-layer.sizes[letter] // blocks[letter]) for letter in used)
        constants = {**layer.sizes, **{f"BLOCK_{letter}": size for letter, size in blocks.items()}}
        constants |= {"BLOCK_B": max(1, _TILE // max(blocks[letter] for letter in used))}
        return constants | {"ACC": accumulator_type(layer.accumulates)}, across


@lru_cache(maxsize=512)
def pointwise(cell: Cell, back: bool) -> tuple[Pointwise | None, ...]:
    """Of each stage; None where a stage is nothing but sums."""
    plan = plan_of(cell, back)
    stages = plan.program.stages
    found: list[Pointwise | None] = []
    for number, stage in enumerate(stages):
        if not stage.instructions:
            found.append(None)
            continue
        made = {i.out for i in stage.instructions}
        args = dict.fromkeys(arg for i in stage.instructions for arg in i.args)
        given = tuple(arg for arg in args if arg not in made and arg.op != "constant")
        wanted = {*plan.kept.nodes, *(node for _, node in plan.program.outputs)}
        for later in stages[number + 1 :]:
            wanted |= {arg for i in later.instructions for arg in i.args}
            wanted |= {product.vector for a in later.accumulators for product in a.products}
        results = tuple(i.out for i in stage.instructions if i.out in wanted)
        name = emit.identifier(f"{cell.name}_{'backward' if back else 'forward'}_stage_{number}")
        text = emit.stage_text(plan, stage, given, results, name)
        whole = cell.heads > 1 or any(i.op in MAPS for i in stage.instructions)
        found.append(Pointwise(kernel(text, name), given, results, whole))
    return tuple(found)


def launch(layer: Layer, part: Pointwise, names: Mapping[Node, str], values: Mapping[Node, Tensor]) -> None:
    """Run the pointwise part of a stage; `values` has a (B, size) tensor for all that it reads and writes."""
    function, (constants, across) = part.function, part.sized(layer)
    arguments: dict[str, Any] = {"B": layer.B, **constants}
    for node in (*part.given, *part.results):
        tensor, name = values[node], names[node]
        arguments |= {f"{name}_ptr": tensor, f"{name}_width": tensor.stride(0)}
    known = {name: arguments[name] for name in function.arg_names}
    function[(-(-layer.B // constants["BLOCK_B"]), across)](**known, **OPTIONS)


@dataclass(frozen=True)
class Multiply:
    """Adds vector @ matrix to columns of a stage's sums; several vectors stand side by side."""

    vectors: tuple[Node, ...]
    matrix: Tensor
    ahead: bool  # whether the columns are those of `plan.sums`, or of the stage's own
    columns: slice


class Sums:
    """The accumulators of all stages of a plan."""

    def __init__(self, layer: Layer, plan: Plan, weights: Mapping[Node, Tensor]):
        self.plan, self.layer, self.weights = plan, layer, weights
        self.ahead = plan.sums.offsets(layer.sizes)
        made = {i.out for stage in plan.program.stages for i in stage.instructions}
        # Kernels write these where they stay, side by side; sums are copied there at the end of a step.
        self.kept = {node: ends for node, ends in plan.kept.offsets(layer.sizes).items() if node in made}
        self.stages = [self._stage(stage) for stage in plan.program.stages]

    def _stage(self, stage: Stage) -> tuple[Tensor | None, dict[Node, slice], list[Multiply]]:
        """What the accumulators begin with that do not begin with x, where each stands, and the products to make."""
        own = [a for a in stage.accumulators if a is not self.plan.after and a.node not in self.ahead]
        layout = Columns(tuple(a.node for a in own))
        places = {node: slice(*ends) for node, ends in layout.offsets(self.layer.sizes).items()}
        begin = None
        if own:
            begin = self.layer.empty(layout.width(self.layer.sizes)).zero_()
            for accumulator in own:
                for bias in accumulator.biases:
                    begin[places[accumulator.node]] += self.weights[bias]
        return begin, places, list(self._multiplications(stage, places))

    def _multiplications(self, stage: Stage, places: Mapping[Node, slice]) -> Iterator[Multiply]:
        single = []
        for accumulator in stage.accumulators:
            if accumulator is self.plan.after:
                continue
            ahead = accumulator.node in self.ahead
            columns = slice(*self.ahead[accumulator.node]) if ahead else places[accumulator.node]
            for product in self.plan.inside(accumulator):
                weight = self.weights[product.weight]
                single.append(Multiply((product.vector,), weight if product.transposed else weight.T, ahead, columns))
        return iter(self._side_by_side(self._behind_one_another(single)))

    def _behind_one_another(self, single: list[Multiply]) -> list[Multiply]:
        """Products for the same sum, whose vectors are neighbours in memory, become one."""
        single = sorted(single, key=lambda m: (m.ahead, m.columns.start, self.kept.get(m.vectors[0], (-1, 0))))
        found: list[Multiply] = []
        for this in single:
            last = found[-1] if found else None
            begin, _ = self.kept.get(this.vectors[0], (-1, 0))
            same = last and (last.ahead, last.columns) == (this.ahead, this.columns)
            if last and same and begin > 0 and self.kept.get(last.vectors[-1], (0, 0))[1] == begin:
                matrix = torch.cat([last.matrix, this.matrix])
                found[-1] = Multiply((*last.vectors, *this.vectors), matrix, this.ahead, this.columns)
            else:
                found.append(this)
        return found

    def _side_by_side(self, single: list[Multiply]) -> list[Multiply]:
        """Products of the same vectors, whose sums are neighbours, become one."""
        order = {vectors: i for i, vectors in enumerate(dict.fromkeys(m.vectors for m in single))}
        single = sorted(single, key=lambda m: (order[m.vectors], m.ahead, m.columns.start))
        found: list[Multiply] = []
        for this in single:
            last = found[-1] if found else None
            if last and (last.vectors, last.ahead, last.columns.stop) == (this.vectors, this.ahead, this.columns.start):
                matrix = torch.cat([last.matrix, this.matrix], 1)
                columns = slice(last.columns.start, this.columns.stop)
                found[-1] = Multiply(this.vectors, matrix, this.ahead, columns)
            else:
                found.append(this)
        return found

    def run(self, number: int, values: dict[Node, Tensor], ahead: Tensor | None, kept: Tensor) -> None:
        """Add the accumulators of a stage to the values.

        Args:
            ahead: (B, width), what `plan.sums` begin with at this step; added to.
            kept: (B, width), what the step leaves.
        """
        begin, places, products = self.stages[number]
        own = None if begin is None else begin.expand(self.layer.B, -1).clone()
        for product in products:
            if len(product.vectors) > 1:
                vector = kept[:, self.kept[product.vectors[0]][0] : self.kept[product.vectors[-1]][1]]
            else:
                vector = values[product.vectors[0]]
            total = ahead if product.ahead else own
            assert total is not None
            if vector.dim() == 1:  # a weight, the same for every row
                vector = vector.expand(self.layer.B, -1)
            total[:, product.columns].addmm_(vector, product.matrix)
        if own is not None:
            values |= {node: own[:, columns] for node, columns in places.items()}
        if ahead is not None:
            for accumulator in self.plan.program.stages[number].accumulators:
                if accumulator.node in self.ahead:
                    values[accumulator.node] = ahead[:, slice(*self.ahead[accumulator.node])]


class _Run:
    """One pass over a layer."""

    def __init__(self, layer: Layer, plan: Plan, back: bool, streams: Mapping[Node, Tensor]):
        self.layer, self.plan = layer, plan
        self.names, self.parts = emit.names_of(layer.cell, back), pointwise(layer.cell, back)
        weights = {block for parameter in layer.cell.parameters for block in parameter.blocks}
        self.weights = {node: tensor for node, tensor in streams.items() if node in weights}
        self.streams = {node: tensor for node, tensor in streams.items() if node not in weights}
        self.sums = Sums(layer, plan, self.weights)
        self.kept = plan.kept.offsets(layer.sizes)

    def moments(self, back: bool) -> range:
        steps = range(self.layer.T)
        return steps[::-1] if self.layer.reverse != back else steps

    def slots(self, t: int) -> tuple[int, int]:
        """Places in the history of the states before and after step t."""
        return (t + 1, t) if self.layer.reverse else (t, t + 1)

    def step(self, values: dict[Node, Tensor], ahead: Tensor | None, kept: Tensor | None) -> None:
        """All stages; what is kept goes to its columns."""
        layer = self.layer
        whole = layer.empty(layer.B, self.plan.kept.width(layer.sizes)) if kept is None else kept
        for number, part in enumerate(self.parts):
            self.sums.run(number, values, ahead, whole)
            if part is None:
                continue
            for node in part.results:
                if node in self.kept:
                    values[node] = whole[:, slice(*self.kept[node])]
                else:
                    values[node] = layer.empty(layer.B, layer.sizes[node.size.letter])
            launch(layer, part, self.names, values)
        for node, columns in self.kept.items():
            place = whole[:, slice(*columns)]
            if values[node].data_ptr() != place.data_ptr():
                place.copy_(values[node])

    def fresh(self, t: int, value: Tensor) -> Tensor:
        return value if self.layer.fresh is None else torch.where(self.layer.fresh[t][:, None], 0.0, value)

    def inside(self, t: int, value: Tensor, otherwise: Tensor | float) -> Tensor:
        return value if self.layer.inside is None else torch.where(self.layer.inside[t][:, None], value, otherwise)

    def value(self, node: Node, values: Mapping[Node, Tensor], like: Tensor) -> Tensor:
        return torch.full_like(like, float(node.label)) if node.op == "constant" else values[node]


def forward(
    layer: Layer, history: Mapping[str, Tensor], sums: Tensor, streams: Mapping[Node, Tensor], saved: Tensor | None
) -> None:
    """As `launch.forward`; `sums` are used up."""
    cell, plan = layer.cell, forward_plan(layer.cell)
    run = _Run(layer, plan, False, streams)
    for t in run.moments(back=False):
        before, after = run.slots(t)
        values = {node: stream[t] for node, stream in run.streams.items()} | run.weights
        for start, whole in zip(cell.before, history.values(), strict=True):
            values[start] = run.fresh(t, whole[before])
        run.step(values, sums[t], None if saved is None else saved[t])
        for (_, node), whole in zip(plan.program.outputs, history.values(), strict=True):
            whole[after] = run.inside(t, run.value(node, values, whole[before]), whole[before])


def backward(
    layer: Layer,
    history: Mapping[str, Tensor],
    saved: Tensor,
    streams: Mapping[Node, Tensor],
    arriving: Mapping[str, Tensor | None],
    gradients: Mapping[str, Tensor],
    left: Tensor,
) -> None:
    """As `launch.backward`."""
    cell, plan = layer.cell, backward_plan(layer.cell)
    run = _Run(layer, plan, True, streams)
    seeds = {node.label: node for node in plan.read() if node.op == "seed"}
    places = forward_plan(cell).kept.offsets(layer.sizes)
    carried = dict(gradients)
    for t in run.moments(back=True):
        before, after = run.slots(t)
        values = {node: stream[t] for node, stream in run.streams.items()} | run.weights
        values |= {node: saved[t][:, slice(*places[value])] for node, value in plan.saved}
        for c, start, end in zip(cell.carry, cell.before, cell.after, strict=True):
            values.setdefault(end, history[c][after])
            values[start] = run.fresh(t, history[c][before])
            if (seed := seeds.get(f"d{c}_in")) is not None:
                came = arriving[c]
                values[seed] = carried[c] if came is None else carried[c] + came[t]
        run.step(values, None, left[t])
        left[t] = run.inside(t, left[t], 0.0)
        for c, (_, node) in zip(cell.carry, plan.program.outputs[1:], strict=True):
            found = run.fresh(t, run.value(node, values, carried[c]))
            carried[c] = run.inside(t, found, carried[c])
    for c, gradient in gradients.items():
        gradient.copy_(carried[c])
