"""The scan over time: which cells it takes, and what it is beyond agreeing with the reference (`test_agree.py`)."""

import pytest
import torch
from table import (
    CELLS,
    LARGE,
    ODD,
    Row,
    Size,
    assert_all_close,
    assert_close,
    authority,
    draw,
    ragged,
    restarts,
    tolerance,
)
from torch.autograd import gradcheck, gradgradcheck

from gatewise import cells, engine
from gatewise.algebra import cell, exp, maximum, relu, sigmoid, tanh
from gatewise.engine import operators, reference, scan

LINEAR = [c for c in CELLS if scan.fits(c)]
MINGRU = cells.find("mingru")
TINY = Size(T=5, B=2, D=2, H=3, P=2)
WAYS = {
    "plain": lambda size: {},
    "reverse": lambda size: {"reverse": True},
    "all": lambda size: {"lengths": ragged(size), "resets": restarts(size), "reverse": True},
    "all-forward": lambda size: {"lengths": ragged(size), "resets": restarts(size)},
}
each_way = pytest.mark.parametrize("way", WAYS)
each_cell = pytest.mark.parametrize("cell", LINEAR, ids=lambda c: c.name)


def test_cells_are_recognised_by_their_equations():
    assert {c.name for c in LINEAR} == {"minlstm", "mingru", "triangle", "learned_decay", "delayed"}

    @cell(carry="h", pack="z n")
    def another_name(x, h_prev, W, b):
        z = sigmoid(W.z @ x + b.z)
        return z * (W.n @ x + b.n - h_prev) + h_prev

    assert scan.fits(another_name)


@cell(carry="h")
def a_product(x, h_prev, W, U):
    return W @ x + U @ h_prev


@cell(carry="h c")
def two_that_need_each_other(x, h_prev, c_prev, W):
    z = sigmoid(W @ x)
    return z * h_prev + c_prev, h_prev + z * c_prev


def of(function):
    """A cell whose state is this function of the one before and of a gate."""
    return cell(carry="h", name=function.__name__)(lambda x, h_prev, W: function(h_prev, sigmoid(W @ x)))


NOT_LINEAR = {
    "a product": a_product,
    "two that need each other": two_that_need_each_other,
    "a function": of(lambda h, z: tanh(h) * z),
    "a square": of(lambda h, z: h * (z + h)),
    "a division by it": of(lambda h, z: z / h),
    "the larger of the two": of(lambda h, z: maximum(h, z)),
    "a gate that reads it": of(lambda h, z: sigmoid(h) * z + h),
}


@pytest.mark.parametrize("kind", NOT_LINEAR)
def test_what_is_not_linear_is_not_scanned(kind):
    assert not scan.fits(NOT_LINEAR[kind])


EVEN, ODD_ALL_THE_WAY = Size(T=64, B=2, D=3, H=4, P=2), Size(T=127, B=1, D=3, H=4, P=2)


@pytest.mark.parametrize("size", [TINY, LARGE, EVEN, ODD_ALL_THE_WAY], ids=str)
@each_way
@each_cell
def test_it_is_used_where_the_native_engine_is_not(cell, way, size, monkeypatch):
    inputs, options = draw(cell, size), WAYS[way](size)
    want = authority(cell, inputs, **options)
    monkeypatch.setattr(reference, "recurrence", None)
    every, last = engine.recurrence(cell, inputs.x, inputs.state, inputs.weights, **options, history=True)
    for (name, value), got in zip(want[:1], every, strict=False):
        assert_close(got, value, tolerance(torch.float64, size.T), name)
    for (name, value), got in zip(want[1 : 1 + len(last)], last, strict=True):
        assert_close(got, value, tolerance(torch.float64, size.T), name)


@each_cell
def test_steps_one_by_one_are_the_sequence(cell):
    inputs = draw(cell, LARGE)
    every, last = scan.recurrence(cell, inputs.x, inputs.state, inputs.weights)
    state = inputs.state
    for t, x in enumerate(inputs.x):
        state = engine.step(cell, x, state, inputs.weights)
        for got, want in zip(every, state, strict=True):
            assert_close(got[t], want, tolerance(torch.float64, LARGE.T), f"step {t}")
    for got, want in zip(last, state, strict=True):
        assert_close(got, want, tolerance(torch.float64, LARGE.T), "last")


@each_way
@each_cell
def test_derivatives_of_every_order(cell, way):
    inputs, options = draw(cell, TINY), WAYS[way](TINY)
    carried = len(inputs.state)

    def run(*tensors):
        every, last = scan.recurrence(cell, tensors[0], tensors[1 : 1 + carried], tensors[1 + carried :], **options)
        return [*every, *last]

    leaves = [t.requires_grad_() for t in (inputs.x, *inputs.state, *inputs.weights)]
    assert gradcheck(run, leaves, fast_mode=True)
    assert gradgradcheck(run, leaves, fast_mode=True)


def test_a_long_sequence_with_gates_that_are_all_but_shut():
    """Products of slopes fall below the smallest number long before T; nothing is divided by them."""
    inputs = draw(MINGRU, Size(T=3000, B=2, D=3, H=4, P=2))
    W, b = inputs.weights
    inputs.weights[1] = b + torch.tensor([25.0, 0.0]).repeat_interleave(4)  # 1 - z is about 1e-11
    want = authority(MINGRU, inputs)
    x, (h,) = inputs.x.requires_grad_(), inputs.state
    (y,), (last,) = scan.recurrence(MINGRU, x, [h], [W, inputs.weights[1]])
    assert_close(y.detach(), dict(want)["h[1..T]"], tolerance(torch.float64, 3000), "y")
    assert torch.autograd.grad(last.sum(), x)[0].isfinite().all()


def test_slopes_above_one_overflow_only_where_the_loop_does():
    @cell(carry="h")
    def growing(x, h_prev, a, W):
        return a * h_prev + W @ x

    x = torch.zeros(3000, 1, 2, dtype=torch.float64)
    x[1500:] = 1.0
    weights = [torch.tensor([2.0, 0.5], dtype=torch.float64), torch.full((2, 2), 1e-300, dtype=torch.float64)]
    start = [torch.zeros(1, 2, dtype=torch.float64)]
    (got,), _ = scan.recurrence(growing, x, start, weights)
    (want,), _ = reference.recurrence(growing, x, start, weights)
    assert not got[:1500].any()
    assert torch.equal(got.isfinite(), want.isfinite())
    finite = want.isfinite()
    torch.testing.assert_close(got[finite], want[finite], rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("rubbish", [float("nan"), float("inf")])
def test_a_reset_wipes_even_what_is_no_number(rubbish, reverse):
    inputs = draw(MINGRU, ODD)
    resets = torch.zeros(ODD.T, ODD.B, dtype=torch.bool)
    resets[2] = True
    clean = authority(MINGRU, inputs, resets=resets, reverse=reverse)
    early = slice(2, None) if reverse else slice(0, 2)  # what runs before the reset
    x = inputs.x.clone()
    x[early] = rubbish
    x.requires_grad_()
    (y,), _ = scan.recurrence(MINGRU, x, inputs.state, inputs.weights, resets=resets, reverse=reverse)
    late = slice(0, 2) if reverse else slice(2, None)
    assert_close(y[late].detach(), dict(clean)["h[1..T]"][late], tolerance(torch.float64, ODD.T), "y")
    (dx,) = torch.autograd.grad(y[late].sum(), x)
    assert dx[late].isfinite().all()


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")  # torch's own, from inside jvp
def test_other_ways_to_differentiate():
    """torch.func's transforms go through the plain operations of the scan."""
    inputs = draw(MINGRU, TINY)

    def loss(weight, x, h):
        (y,), _ = engine.recurrence(MINGRU, x[:, None], [h[None]], [weight, inputs.weights[1]])
        return y.square().sum()

    weight, x, h = inputs.weights[0], inputs.x.transpose(0, 1), inputs.state[0]
    got = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))(weight, x, h)
    for row in range(TINY.B):
        leaf = weight.clone().requires_grad_()
        torch.testing.assert_close(got[row], torch.autograd.grad(loss(leaf, x[row], h[row]), leaf)[0])
    tangent = torch.ones_like(weight)
    _, along = torch.func.jvp(lambda w: loss(w, x[0], h[0]), (weight,), (tangent,))
    torch.testing.assert_close(along, (got[0] * tangent).sum())


def test_sixteen_bits_are_scanned_in_more():
    inputs = draw(MINGRU, LARGE)
    low = inputs.to(torch.float16)
    (y,), (last,) = scan.recurrence(MINGRU, low.x, low.state, low.weights)
    assert (y.dtype, last.dtype) == (torch.float16, torch.float16)
    (want,), _ = reference.recurrence(MINGRU, inputs.x, inputs.state, inputs.weights)
    assert_close(y, want, tolerance(torch.float16, 1), "y")


def test_in_a_captured_graph_too(monkeypatch):
    inputs = draw(MINGRU, TINY)
    monkeypatch.setattr(reference, "recurrence", None)
    leaves = [t.requires_grad_() for t in (inputs.x, *inputs.state, *inputs.weights)]
    y, last = operators.recurrence(MINGRU.key, leaves[0], leaves[1:2], leaves[2:], None, None, False, False, [])
    assert all(g.any() for g in torch.autograd.grad(y.sum() + last.sum(), leaves))


def test_rules_are_those_of_arithmetic():
    """Every shape that a linear form may take, against the loop."""

    @cell(carry="h", pack="a b")
    def tangled(x, h_prev, W):
        a, b = sigmoid(W.a @ x), relu(W.b @ x) + 1
        h = -(2 - (a - h_prev) * (0.5 / b)) / exp(a) + (h_prev - 0.25) * 3 * 0.1
        h = h - (-h_prev) / (4 * b) + (0.5 + 0 * h_prev)
        return h

    inputs = draw(tangled, LARGE)
    got = Row(tangled, "scan", torch.float64).run(inputs)
    assert_all_close(got, authority(tangled, inputs), tolerance(torch.float64, LARGE.T))
