"""The operators as torch sees them: schema, shapes, derivatives of every order, and what is kept for how long."""

import gc
import weakref

import pytest
import torch
from table import CELLS, FAMILY, HOMEMADE, ODD, SIZES, STANDARD, Size, assert_close, draw, ragged, restarts, tolerance
from torch.autograd import gradcheck, gradgradcheck

from gatewise import cells, engine
from gatewise.engine import aten, operators
from gatewise.nn import GRU, LSTM

LSTM_CELL, GRU_CELL, PROJECTED = map(cells.find, ("lstm", "gru", "lstmp"))
TINY = Size(T=3, B=2, D=2, H=3, P=2)
WAYS = {
    "plain": lambda size: (None, None, False, False, []),
    "lengths": lambda size: (ragged(size), None, False, False, []),
    "resets": lambda size: (None, restarts(size), False, False, []),
    "reverse": lambda size: (None, None, True, False, []),
    "all": lambda size: (ragged(size), restarts(size), True, True, []),
}

each_cell = pytest.mark.parametrize("cell", CELLS, ids=lambda c: c.name)
each_way = pytest.mark.parametrize("way", WAYS)


def leaves(inputs):
    return [t.detach().clone().requires_grad_() for t in (inputs.x, *inputs.state, *inputs.weights)]


def parts(cell, tensors):
    return tensors[0], list(tensors[1 : 1 + len(cell.carry)]), list(tensors[1 + len(cell.carry) :])


CHECKED = [*STANDARD, *HOMEMADE]  # an operator's own rules depend on what kind of cell it is given, on no more


@pytest.mark.parametrize(
    ("cell", "way"),
    [(cell, way) for cell in CHECKED for way in WAYS if cell in STANDARD or way == "all"],
    ids=lambda v: getattr(v, "name", v),
)
def test_opcheck_recurrence(cell, way):
    x, state, weights = parts(cell, leaves(draw(cell, TINY, torch.float32)))
    torch.library.opcheck(operators.recurrence, (cell.key, x, state, weights, *WAYS[way](TINY)))


@pytest.mark.parametrize("cell", CHECKED, ids=lambda c: c.name)
def test_opcheck_step(cell):
    x, state, weights = parts(cell, leaves(draw(cell, TINY, torch.float32)))
    torch.library.opcheck(operators.step, (cell.key, x[0].detach().requires_grad_(), state, weights))


@pytest.mark.parametrize("cell", [LSTM_CELL, GRU_CELL, cells.find("peephole")], ids=lambda c: c.name)
def test_opcheck_pointwise(cell):
    _, state, weights = parts(cell, leaves(draw(cell, TINY, torch.float32)))
    sums = torch.randn(TINY.B, 4 * TINY.H, requires_grad=True)
    read = [w for p, w in zip(cell.parameters, weights, strict=True) if p in engine.pointwise_parameters(cell)]
    torch.library.opcheck(operators.pointwise, (cell.key, sums, state, read))


def test_opcheck_without_gradients():
    inputs = draw(LSTM_CELL, TINY, torch.float32)
    arguments = (LSTM_CELL.key, inputs.x, inputs.state, inputs.weights, None, None, False, False, [])
    torch.library.opcheck(operators.recurrence, arguments)


@pytest.mark.parametrize("size", SIZES, ids=str)
@each_cell
def test_shapes_are_known_beforehand(cell, size):
    from torch._subclasses.fake_tensor import FakeTensorMode

    inputs = draw(cell, size, torch.float32)
    for history in (False, True):
        real = operators.recurrence(cell.key, inputs.x, inputs.state, inputs.weights, None, None, False, history, [])
        with FakeTensorMode(allow_non_fake_inputs=True) as mode:
            x, state, weights = parts(cell, list(map(mode.from_tensor, (inputs.x, *inputs.state, *inputs.weights))))
            fake = operators.recurrence(cell.key, x, state, weights, None, None, False, history, [])
        assert [(f.shape, f.dtype, f.stride()) for f in fake] == [(r.shape, r.dtype, r.stride()) for r in real]


def raw(cell, way):
    def run(*tensors):
        return operators.recurrence(cell.key, *parts(cell, tensors), *WAYS[way](TINY))

    return run


def eager(cell, way):
    def run(*tensors):
        every, last = engine.recurrence(cell, *parts(cell, tensors), *WAYS[way](TINY))
        return [*every, *last]

    return run


@pytest.mark.parametrize("through", [raw, eager])
@each_way
@pytest.mark.parametrize("cell", [LSTM_CELL, GRU_CELL, PROJECTED], ids=lambda c: c.name)
def test_first_and_second_derivatives(cell, way, through):
    inputs = leaves(draw(cell, TINY))
    assert gradcheck(through(cell, way), inputs, fast_mode=True)
    assert gradgradcheck(through(cell, way), inputs, fast_mode=True)


OTHERS = [c for c in CELLS if c in FAMILY or c.name in ("stabilised", "the_same_twice", "delayed", "triangle")]


@pytest.mark.parametrize("cell", [c for c in OTHERS if c not in STANDARD], ids=lambda c: c.name)
def test_first_and_second_derivatives_of_other_cells(cell):
    inputs = leaves(draw(cell, TINY))
    assert gradcheck(raw(cell, "all"), inputs, fast_mode=True)
    assert gradgradcheck(raw(cell, "all"), inputs, fast_mode=True)


LAYERS = {
    "lstm": lambda: LSTM(2, 3, num_layers=2, bidirectional=True),
    "gru": lambda: GRU(2, 3, num_layers=2, bidirectional=True),
    "projected": lambda: LSTM(2, 3, proj_size=2, bidirectional=True),
}


@pytest.mark.parametrize(
    ("name", "way"), [*(("lstm", way) for way in WAYS), ("gru", "lengths"), ("gru", "all"), ("projected", "all")]
)
def test_first_and_second_derivatives_of_layers(name, way):
    torch.manual_seed(1)
    layer = LAYERS[name]().double()
    lengths, resets, *_ = WAYS[way](TINY)
    x = torch.randn(TINY.T, TINY.B, TINY.D, dtype=torch.float64, requires_grad=True)
    names = [name for name, _ in layer.named_parameters()]

    def run(x, *weights):
        parameters = dict(zip(names, weights, strict=True))
        y, state = torch.func.functional_call(layer, parameters, (x,), {"lengths": lengths, "resets": resets})
        return [y, *(state if isinstance(state, tuple) else [state])]

    inputs = [x, *(p.detach().requires_grad_() for p in layer.parameters())]
    assert gradcheck(run, inputs, fast_mode=True)
    assert gradgradcheck(run, inputs, fast_mode=True)


def second_derivative(run, tensors):
    y, *_ = run(*tensors)
    gradients = torch.autograd.grad(y.square().sum(), tensors, create_graph=True)
    return torch.autograd.grad(sum(g.square().sum() for g in gradients), tensors)


@pytest.mark.parametrize("through", [raw, eager])
@pytest.mark.parametrize("cell", [LSTM_CELL, GRU_CELL, PROJECTED], ids=lambda c: c.name)
def test_second_derivatives_in_float32(cell, through):
    """PyTorch's own kernels have none."""
    inputs = draw(cell, TINY)
    want = second_derivative(through(cell, "plain"), leaves(inputs))
    got = second_derivative(through(cell, "plain"), leaves(inputs.to(torch.float32)))
    for g, w in zip(got, want, strict=True):
        assert_close(g, w, 10 * tolerance(torch.float32, TINY.T), "second derivative")


@pytest.mark.parametrize("through", [raw, eager])
def test_one_tensor_in_two_places(through):
    """The same tensor as h and as c, as W and as U: its gradient is the sum, once."""
    x, (start, _), (W, _, b) = parts(LSTM_CELL, leaves(draw(LSTM_CELL, Size(T=3, B=2, D=3, H=3, P=2))))

    def tied(x, start, W, b):
        return through(LSTM_CELL, "plain")(x, start, start, W, W, b)

    inputs = [x, start, W, b]
    assert gradcheck(tied, inputs, fast_mode=True)
    assert gradgradcheck(tied, inputs, fast_mode=True)
    once = torch.autograd.grad(tied(*inputs)[0].sum(), inputs)
    differentiable = torch.autograd.grad(tied(*inputs)[0].sum(), inputs, create_graph=True)
    torch.testing.assert_close(differentiable, once)


@pytest.mark.parametrize("through", [raw, eager])
@pytest.mark.parametrize("cell", [LSTM_CELL, GRU_CELL, PROJECTED], ids=lambda c: c.name)
def test_gradients_only_where_asked(cell, through):
    everything = leaves(draw(cell, TINY))
    full = torch.autograd.grad(through(cell, "plain")(*everything)[0].sum(), everything)
    for place, (tensor, want) in enumerate(zip(everything, full, strict=True)):
        alone = [t.detach() for t in everything]
        alone[place] = tensor.detach().requires_grad_()
        outputs = through(cell, "plain")(*alone)
        (got,) = torch.autograd.grad(outputs[0].sum(), alone[place], create_graph=True)
        torch.testing.assert_close(got, want)
        for t in alone:
            assert t.grad is None
        if got.requires_grad:  # and on to the second, where everything else is frozen
            torch.autograd.grad(got.square().sum(), alone[place], allow_unused=True)


@pytest.mark.parametrize("through", [raw, eager])
def test_a_loss_may_read_the_last_state_alone(through):
    inputs = leaves(draw(LSTM_CELL, TINY))
    outputs = through(LSTM_CELL, "plain")(*inputs)
    found = torch.autograd.grad(outputs[2].sum(), inputs)
    assert all(g.any() for g in found)


def test_nothing_is_kept_where_no_gradient_is_wanted():
    inputs = draw(LSTM_CELL, TINY)
    (y,), last = engine.recurrence(LSTM_CELL, inputs.x, inputs.state, inputs.weights)
    assert y.grad_fn is None
    tracked = leaves(inputs)
    with torch.no_grad():
        (y,), last = engine.recurrence(LSTM_CELL, *parts(LSTM_CELL, tracked))
    assert not any(t.requires_grad for t in (y, *last))


@pytest.mark.parametrize("through", [raw, eager])
def test_back_twice_with_a_graph_that_was_kept(through):
    inputs = leaves(draw(LSTM_CELL, TINY))
    y = through(LSTM_CELL, "plain")(*inputs)[0].sum()
    first = torch.autograd.grad(y, inputs, retain_graph=True)
    again = torch.autograd.grad(y, inputs, retain_graph=True)
    last = torch.autograd.grad(y, inputs)
    for one, two, three in zip(first, again, last, strict=True):
        assert torch.equal(one, two)
        assert torch.equal(one, three)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(y, inputs)


@pytest.mark.parametrize("cell", [LSTM_CELL, GRU_CELL], ids=lambda c: c.name)
def test_what_backward_needs_is_let_go_after_it(cell):
    """Not only when the loss goes: that one often lives until the next step of training."""
    y = engine.recurrence(cell, *parts(cell, leaves(draw(cell, TINY))))[0][0]
    kept = weakref.ref(y.grad_fn.leaves[0])
    loss = y.sum()
    loss.backward(retain_graph=True)
    gc.collect()
    assert kept() is not None
    loss.backward()
    gc.collect()
    assert kept() is None
    assert loss.grad_fn is not None  # the loss is still there, and its graph with it


def test_a_weight_that_changed_in_between_is_noticed():
    inputs = leaves(draw(LSTM_CELL, TINY))
    for through in (raw, eager):
        y = through(LSTM_CELL, "plain")(*inputs)[0].sum()
        with torch.no_grad():
            inputs[3].add_(1.0)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            torch.autograd.grad(y, inputs)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing(reentrant):
    from torch.utils.checkpoint import checkpoint

    inputs = leaves(draw(LSTM_CELL, TINY))
    want = torch.autograd.grad(eager(LSTM_CELL, "plain")(*inputs)[0].sum(), inputs)
    y = checkpoint(lambda *t: eager(LSTM_CELL, "plain")(*t)[0], *inputs, use_reentrant=reentrant).sum()
    y.backward()
    for tensor, expected in zip(inputs, want, strict=True):
        torch.testing.assert_close(tensor.grad, expected)


def test_backends_are_recognised_by_their_equations():
    from gatewise.algebra import cell, sigmoid, tanh

    @cell(carry="h c", pack="i f g o")
    def another_name(x, h_prev, c_prev, W, U, b):
        i = sigmoid(W.i @ x + U.i @ h_prev + b.i)
        f = sigmoid(W.f @ x + U.f @ h_prev + b.f)
        g = tanh(W.g @ x + U.g @ h_prev + b.g)
        o = sigmoid(W.o @ x + U.o @ h_prev + b.o)
        c = f * c_prev + i * g
        return o * tanh(c), c

    assert aten.fits(another_name, None, False)
    assert not aten.fits(another_name, None, True)
    assert not aten.fits(CELLS[-1], None, False)


@pytest.mark.parametrize("size", [ODD], ids=str)
def test_the_same_inputs_give_the_same_bits(size):
    inputs = draw(LSTM_CELL, size, torch.float32)
    runs = [engine.recurrence(LSTM_CELL, inputs.x, inputs.state, inputs.weights)[0][0] for _ in range(3)]
    assert torch.equal(runs[0], runs[1])
    assert torch.equal(runs[0], runs[2])
