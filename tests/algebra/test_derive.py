"""Symbolic gradients against central differences, and against torch's autograd."""

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from table import CELLS, ODD, draw, on_diagonal

from gatewise.algebra import cell
from gatewise.algebra.derive import DERIVATIVE, backward, results
from gatewise.algebra.expression import MAPS, OPERATIONS, as_node, evaluate, order, pointwise
from gatewise.engine import reference

# The operations on plain floats: a cell of one unit.
FLOATS = {
    "constant": float,
    "matmul": lambda weight, v: weight * v,
    "matmul_t": lambda weight, v: weight * v,
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "neg": lambda a: -a,
    "sigmoid": lambda a: 1 / (1 + math.exp(-a)),
    "tanh": math.tanh,
    "relu": lambda a: max(a, 0.0),
    "step": lambda a: float(a > 0),
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "softplus": lambda a: math.log1p(math.exp(a)),
    "maximum": max,
    "minimum": min,
}

# How far the arguments are from a place where the function jumps or bends.
KINK = {
    "relu": lambda a: abs(a),
    "step": lambda a: abs(a),
    "maximum": lambda a, b: abs(a - b),
    "minimum": lambda a, b: abs(a - b),
}

# Keeps what is generated inside the domain; the guards are expressions too, so they are differentiated with the rest.
GUARD = {
    "log": lambda v: (v * v + 0.5,),
    "sqrt": lambda v: (v * v + 0.5,),
    "div": lambda a, b: (a, b * b + 0.5),
    "exp": lambda v: (pointwise("tanh", v),),
}

NUMBERS = st.floats(-2, 2).map(lambda number: round(number, 2))
LEAVES = ("h_prev", "c_prev", "p", "W @ x", "U @ h_prev", "U @ c_prev")
TREES = st.recursive(
    st.sampled_from(LEAVES) | NUMBERS,
    lambda inner: st.one_of(*(st.tuples(st.just(op), *[inner] * arity) for op, arity in OPERATIONS.items())),
    max_leaves=12,
)


def operations_in(tree):
    return {tree[0]}.union(*map(operations_in, tree[1:])) if isinstance(tree, tuple) else set()


def declared(tree):
    """A cell of one unit whose next c is the tree, and whose h reads it again."""

    @cell(carry="h c")
    def generated(x, h_prev, c_prev, W, U, p):
        leaves = {
            "h_prev": h_prev,
            "c_prev": c_prev,
            "p": p,
            "W @ x": W @ x,
            "U @ h_prev": U @ h_prev,
            "U @ c_prev": U @ c_prev,
        }

        def build(tree):
            if not isinstance(tree, tuple):
                return leaves[tree] if isinstance(tree, str) else tree
            op, *args = tree
            args = [build(arg) for arg in args]
            if all(isinstance(arg, float) for arg in args):  # numbers alone are no expression
                args[0] = args[0] + h_prev
            return pointwise(op, *GUARD.get(op, lambda *args: args)(*args))

        c = build(tree) + 0.5 * (W @ x) + U @ c_prev
        h = pointwise("tanh", c) * h_prev + p
        return h, c

    return generated


def check_against_differences(tree, numbers):
    """False if the numbers are too close to a kink, or too large, for differences to mean anything."""
    generated = declared(tree)
    leaves = [generated.x, *generated.before, *(p.blocks[0] for p in generated.parameters)]
    at = dict(zip(leaves, numbers, strict=True))
    found = backward(generated)
    arriving = dict(zip(found.seeds, (0.7, -0.4), strict=True))

    nodes = order(generated.after)
    values = dict(zip(nodes, evaluate(nodes, at, FLOATS), strict=True))
    bends = any(node.op in KINK and KINK[node.op](*(values[arg] for arg in node.args)) < 1e-3 for node in nodes)
    if bends or any(abs(value) > 30 for value in values.values()):
        return False

    def loss(moved):
        return sum(s * v for s, v in zip(arriving.values(), evaluate(generated.after, moved, FLOATS), strict=True))

    x, h_prev, c_prev, W, U, p = leaves
    one = as_node(1.0)
    symbolic = {
        x: [(found.x, one)],
        h_prev: [(found.before[0], one)],
        c_prev: [(found.before[1], one)],
        p: [(found.vectors[p], one)],
        W: found.matrices[W],
        U: found.matrices[U],
    }
    for leaf, terms in symbolic.items():
        got = sum(math.prod(evaluate(term, {**at, **arriving}, FLOATS)) for term in terms)
        step = 1e-5
        want = (loss({**at, leaf: at[leaf] + step}) - loss({**at, leaf: at[leaf] - step})) / (2 * step)
        assert got == pytest.approx(want, rel=1e-4, abs=1e-5), f"dL/d{leaf!r} of {tree}"
    return True


AWAY = st.floats(0.1, 1.5).flatmap(lambda size: st.sampled_from([size, -size]))


@settings(derandomize=True, deadline=None, max_examples=400)
@given(TREES, st.tuples(*[AWAY] * 6))
def test_gradients_of_generated_expressions_are_central_differences(tree, numbers):
    assume(check_against_differences(tree, numbers))


@pytest.mark.parametrize("op", OPERATIONS)
def test_each_operation_alone(op):
    tree = (op, *("h_prev", "U @ c_prev")[: OPERATIONS[op]])
    assert check_against_differences(tree, (0.3, -0.8, 0.6, 0.9, 1.1, -0.2))
    assert check_against_differences(tree, (0.3, 0.8, -0.6, 0.9, 1.1, -0.2))


def test_the_generator_reaches_every_operation():
    seen = set()

    @settings(derandomize=True, deadline=None, max_examples=200, database=None)
    @given(TREES)
    def collect(tree):
        seen.update(operations_in(tree))

    collect()
    assert seen == set(OPERATIONS) == set(DERIVATIVE) - set(MAPS)  # which the cells have, below


@pytest.mark.parametrize("cell", CELLS, ids=lambda c: c.name)
def test_backward_of_a_cell_is_autograd(cell):
    inputs = draw(cell, ODD)
    x, state, weights = inputs.x[0], inputs.state, inputs.weights
    leaves = [t.requires_grad_() for t in (x.clone(), *state, *weights)]
    after = reference.step(cell, leaves[0], leaves[1 : 1 + len(state)], leaves[1 + len(state) :])
    arriving = [torch.linspace(-1, 1, a.numel(), dtype=a.dtype).reshape(a.shape) for a in after]
    wanted = torch.autograd.grad(after, leaves, arriving, allow_unused=True)
    wanted = [torch.zeros_like(leaf) if w is None else w for leaf, w in zip(leaves, wanted, strict=True)]

    operations = reference.operations_of(cell, state)
    found = backward(cell)
    values = {cell.x: x, **dict(zip(cell.before, state, strict=True)), **reference.blocks(cell, weights)}
    values |= dict(zip(found.seeds, arriving, strict=True))

    def value(*nodes):
        return [v.expand(ODD.B, -1) if v.dim() else v for v in evaluate(nodes, values, operations)]

    want_x, *want_rest = wanted
    torch.testing.assert_close(value(found.x)[0], want_x)
    for node, want in zip(found.before, want_rest[: len(state)], strict=True):
        torch.testing.assert_close(value(node)[0].expand_as(want), want)
    for block, want in reference.blocks(cell, want_rest[len(state) :]).items():
        if block.columns is None:
            got = value(found.vectors[block])[0].sum(0)
        else:
            got = sum(g.T @ v for g, v in (value(*pair) for pair in found.matrices[block]))
            got = got * on_diagonal(cell, block, got)
        torch.testing.assert_close(got, want, msg=lambda text, block=block: f"dL/d{block!r}: {text}")


def test_nothing_is_said_twice_about_what_must_be_saved():
    for each in CELLS:
        found = backward(each)
        inside = set(order(each.after))
        assert len(set(found.saves)) == len(found.saves)
        assert set(found.saves) <= inside - set(each.after)
        assert {node for node in found.saves if node.leaf} == set()
        # From leaves, seeds, carried values and saves alone, everything can be computed by pointwise operations.
        needed = order(results(found), known=[*found.saves, *each.after])
        assert not [node for node in needed if node.op == "matmul"], each.name
