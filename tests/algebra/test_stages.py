"""Programs: what they print, and that running them is running the equations.

Listings are kept in `golden/`. After a change that is meant, write them anew and review the difference:

    GATEWISE_WRITE_GOLDEN=1 python -m pytest tests/algebra/test_stages.py
"""

import os
from collections import Counter
from pathlib import Path

import pytest
import torch
from table import CELLS, FAMILY, LARGE, ODD, draw, on_diagonal

from gatewise.algebra import Cell, cell, tanh
from gatewise.algebra.listing import listing
from gatewise.algebra.stages import backward_program, forward_program
from gatewise.engine import reference

GOLDEN = Path(__file__).parent / "golden"
REWRITE = "GATEWISE_WRITE_GOLDEN=1 python -m pytest tests/algebra/test_stages.py"

each_cell = pytest.mark.parametrize("cell", CELLS, ids=lambda c: c.name)


@pytest.mark.parametrize("cell", FAMILY, ids=lambda c: c.name)
def test_listing_is_golden(cell):
    path = GOLDEN / f"{cell.name}.txt"
    if os.environ.get("GATEWISE_WRITE_GOLDEN"):
        path.write_text(listing(cell))
    assert path.exists(), f"{path.name} is missing. If that is meant, run: {REWRITE}"
    assert listing(cell) == path.read_text(), f"the program of {cell.name} changed. If that is meant, run: {REWRITE}"


def test_no_golden_listing_is_left_over():
    assert {path.stem for path in GOLDEN.iterdir()} == {cell.name for cell in FAMILY}


def run(program, given, operations):
    """Interpret a program. Whatever it reads must be given, or have been computed by then."""
    operations = {**operations, "fma": lambda a, b, c: a * b + c}
    values = dict(given)

    def read(node):
        if node.op == "constant":
            return operations["constant"](float(node.label))
        return values[node]

    for stage in program.stages:
        for accumulator in stage.accumulators:
            total = 0.0
            for product in accumulator.products:
                multiply = operations["matmul_t" if product.transposed else "matmul"]
                total = total + multiply(values[product.weight], read(product.vector))
            values[accumulator.node] = sum((values[bias] for bias in accumulator.biases), start=total)
        for instruction in stage.instructions:
            values[instruction.out] = operations[instruction.op](*map(read, instruction.args))
    return read


@pytest.mark.parametrize("size", [ODD, LARGE], ids=str)
@each_cell
def test_running_the_programs_is_running_the_equations(cell, size):
    inputs = draw(cell, size)
    leaves = [t.clone().requires_grad_() for t in (inputs.x[0], *inputs.state, *inputs.weights)]
    state, weights = leaves[1 : 1 + len(cell.carry)], leaves[1 + len(cell.carry) :]
    want = reference.step(cell, leaves[0], state, weights)
    arriving = [torch.linspace(-1, 1, w.numel(), dtype=w.dtype).reshape(w.shape) for w in want]
    gradients = torch.autograd.grad(want, leaves, arriving, allow_unused=True)
    dx, *rest = [torch.zeros_like(leaf) if g is None else g for leaf, g in zip(leaves, gradients, strict=True)]

    operations = reference.operations_of(cell, inputs.state)
    given = {cell.x: inputs.x[0], **dict(zip(cell.before, inputs.state, strict=True))}
    given |= reference.blocks(cell, inputs.weights)
    forward, back = forward_program(cell), backward_program(cell)
    read = run(forward, given, operations)
    assert [name for name, _ in forward.outputs] == list(cell.carry)
    for (name, node), wanted in zip(forward.outputs, want, strict=True):
        torch.testing.assert_close(read(node), wanted.detach(), msg=lambda text, name=name: f"{name}: {text}")

    # What the backward program may see: leaves, carried values before and after, what was saved, what arrives.
    seen = {**given, **dict(zip(back.saves, map(read, forward.saves), strict=True))}
    seen |= {node: read(value) for node, (_, value) in zip(cell.after, forward.outputs, strict=True)}
    arrives = {f"d{name}_in": value for name, value in zip(cell.carry, arriving, strict=True)}
    seen |= {node: arrives[node.label] for node in leaves_of(back) if node.op == "seed"}
    read = run(back, seen, operations)
    assert [name for name, _ in back.outputs] == ["dx", *(f"d{name}_prev" for name in cell.carry)]
    for (name, node), wanted in zip(back.outputs, [dx, *rest], strict=False):
        got = read(node).expand_as(wanted)
        torch.testing.assert_close(got, wanted, msg=lambda text, name=name: f"{name}: {text}")

    found = Counter()
    for gradient in back.gradients:
        value = read(gradient.value).expand(size.B, -1)
        vector = None if gradient.vector is None else read(gradient.vector).expand(size.B, -1)
        found[gradient.weight] += value.sum(0) if vector is None else value.T @ vector
    for block, wanted in reference.blocks(cell, rest[len(cell.carry) :]).items():
        if block.diagonal:
            found[block] = found[block] * on_diagonal(cell, block, wanted)
        torch.testing.assert_close(found[block], wanted, msg=lambda text, block=block: f"dL/d{block!r}: {text}")


def programs(cell):
    return {"forward": forward_program(cell), "backward": backward_program(cell)}.items()


def instructions(program):
    return [instruction for stage in program.stages for instruction in stage.instructions]


def results(program):
    """Everything a program is for."""
    wanted = [node for _, node in program.outputs]
    for gradient in program.gradients:
        wanted += [gradient.value] if gradient.vector is None else [gradient.value, gradient.vector]
    return wanted


def leaves_of(program):
    read = [arg for instruction in instructions(program) for arg in instruction.args]
    read += [p.vector for stage in program.stages for a in stage.accumulators for p in a.products]
    return {node for node in [*read, *results(program)] if node.leaf}


def written(stage):
    return [a.node for a in stage.accumulators] + [i.out for i in stage.instructions]


@each_cell
def test_each_instruction_uses_only_what_is_ready(cell):
    for kind, program in programs(cell):
        everywhere = {node: s for s, stage in enumerate(program.stages) for node in written(stage)}
        for number, stage in enumerate(program.stages):
            for accumulator in stage.accumulators:
                assert accumulator.products
                assert max(product.stage for product in accumulator.products) == number
                for product in accumulator.products:
                    # Given from the start, or a value of an earlier stage; and the product can start right after it.
                    assert product.stage == everywhere.get(product.vector, -1) + 1, f"{kind} {product}"
            ready = {node for node, s in everywhere.items() if s < number} | {a.node for a in stage.accumulators}
            for instruction in stage.instructions:
                for arg in instruction.args:
                    assert arg in ready or arg not in everywhere, f"{kind} {instruction}"
                ready.add(instruction.out)


@each_cell
def test_nothing_is_computed_twice_or_in_vain(cell):
    for kind, program in programs(cell):
        outs = [node for stage in program.stages for node in written(stage)]
        assert len(outs) == len(set(outs))
        read = {arg for instruction in instructions(program) for arg in instruction.args}
        read |= {p.vector for stage in program.stages for a in stage.accumulators for p in a.products}
        read |= {*results(program), *(program.saves if kind == "forward" else ())}
        assert set(outs) <= read, f"{kind}: {set(outs) - read}"
        products = [
            (p.weight, p.vector, p.transposed) for s in program.stages for a in s.accumulators for p in a.products
        ]
        assert len(products) == len(set(products)), kind


@each_cell
def test_names_are_unique_and_complete(cell):
    for kind, program in programs(cell):
        nodes = {node for stage in program.stages for node in written(stage)} | leaves_of(program)
        names = [program.names[node] for node in nodes if node in program.names]
        assert len(names) == len(set(names)), kind
        assert {node for node in nodes if node not in program.names and not node.leaf} == set()


@each_cell
def test_a_program_survives_the_file(cell):
    assert listing(Cell.from_json(cell.to_json())) == listing(cell)


def test_names_that_repeat_are_told_apart():
    @cell(carry="h", pack="n")
    def hostile(x, h_prev, W, U):
        zh = U.n @ h_prev  # the name that the sum below would get
        t1 = tanh(zh)
        dh_in = t1 * t1  # what arrives in the backward program is called so
        x = tanh(W.n @ x)  # not the input any more
        h = tanh(x * dh_in + zh)
        return h

    for _, program in programs(hostile):
        names = list(program.names.values())
        assert len(names) == len(set(names))


def test_a_product_of_what_the_step_computes_opens_a_stage():
    stages = {c.name: len(forward_program(c).stages) for c in CELLS}
    for name, expected in {"lstm": 1, "gru": 1, "lstmp": 2, "gru_2014": 2, "three_stages": 3, "linear": 1}.items():
        assert stages[name] == expected, name


def test_a_long_cell_is_quick():
    """Time grows with the length of the equations, though every value is used many times: no path is walked twice."""

    @cell(carry="h", pack="n")
    def long(x, h_prev, W, U):
        h = W.n @ x
        total = h
        for _ in range(700):
            h = h * h + h
            total = total + U.n @ h_prev + h
        return total

    assert len(instructions(forward_program(long))) > 700
    assert len(instructions(backward_program(long))) > 700
    assert Cell.from_key(long.key).key == long.key
