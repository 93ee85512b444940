"""Who holds memory, and how long: tapes, packed weights, what the calls share. And that no stale copy is ever read."""

import copy
import gc
import io
import pickle
import weakref

import pytest
import torch
from native_kit import child, run_inputs, same, succeeded, threads
from table import NATIVE, Inputs, Size, assert_close, cells, draw, reference

from gatewise import engine, nn
from gatewise.native import calls

SIZE = Size(T=5, B=7, D=20, H=40, P=9)
LSTM = cells.find("lstm")


def tracked(inputs):
    x, *rest = (t.detach().requires_grad_() for t in (inputs.x, *inputs.state, *inputs.weights))
    return x, rest[: len(inputs.state)], rest[len(inputs.state) :]


def loss_of(inputs):
    x, state, weights = tracked(inputs)
    every, last = engine.recurrence(LSTM, x, state, weights)
    return sum(v.square().sum() for v in (*every, *last)), [x, *state, *weights]


@pytest.fixture
def tapes(monkeypatch):
    """Weak references to the tape of every call from here on."""
    found = []

    class Native:
        def __getattr__(self, name):
            return getattr(real, name)

        @staticmethod
        def forward(calls):
            held = [tape and Held(tape) for tape in real.forward(calls)]
            found.extend(weakref.ref(tape) for tape in held if tape)
            return held

        @staticmethod
        def backward(calls):
            return real.backward([tuple(f.tape if isinstance(f, Held) else f for f in call) for call in calls])

    class Held:
        def __init__(self, tape):
            self.tape = tape

    real = calls._native
    monkeypatch.setattr(calls, "_native", Native())
    return found


def alive(references):
    gc.collect()
    return sum(reference() is not None for reference in references)


def test_a_tape_goes_with_the_backward_pass_or_the_results(tapes):
    inputs = draw(LSTM, SIZE, torch.float32)
    with torch.no_grad():
        loss_of(inputs)
    assert not tapes
    loss, _ = loss_of(inputs)
    assert alive(tapes) == 1
    loss.backward()
    assert alive(tapes) == 0  # though `loss` is still here
    loss, leaves = loss_of(inputs)
    assert alive(tapes) == 1
    del loss, leaves
    assert alive(tapes) == 0
    loss, leaves = loss_of(inputs)
    torch.autograd.grad(loss, leaves, retain_graph=True)
    assert alive(tapes) == 1
    torch.autograd.grad(loss, leaves)
    assert alive(tapes) == 0


def test_a_graph_that_is_kept_gives_equal_gradients_again():
    loss, leaves = loss_of(draw(LSTM, SIZE, torch.float32))
    first = torch.autograd.grad(loss, leaves, retain_graph=True)
    again = torch.autograd.grad(loss, leaves, retain_graph=True)
    last = torch.autograd.grad(loss, leaves)
    for one, two, three in zip(first, again, last, strict=True):
        assert torch.equal(one, two)
        assert torch.equal(one, three)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(loss, leaves)


@pytest.mark.parametrize("which", range(6), ids=["x", "h", "c", "W", "U", "b"])
def test_inputs_changed_between_forward_and_backward_are_noticed(which):
    loss, leaves = loss_of(draw(LSTM, SIZE, torch.float32))
    with torch.no_grad():
        leaves[which].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


GROWING = """
import resource, sys, torch
from table import Size, cells, draw
from gatewise import nn
torch.set_num_threads(1)
torch.manual_seed(0)

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

def once(i):
    layer = nn.LSTM(60, 90 + i % 5, num_layers=2)   # a new one each time, so packed weights and tapes both come and go
    y, _ = layer(torch.randn(40, 30 + i % 3, 60), lengths=torch.randint(1, 41, (30 + i % 3,)))
    if i % 3:
        y.sum().backward()

for i in range(150):
    once(i)
before = resident()
for i in range(150):
    once(i)
print((resident() - before) / 1e6, before / 1e6)
"""


@pytest.mark.slow
def test_memory_does_not_grow():
    """A tape is 20 MB here, a layer's packed weights 1 MB: either kept from 150 calls would be far more than this."""
    grown, _ = map(float, succeeded(child(GROWING)).split())
    assert grown < 60, f"{grown} MB more"


# Packed weights: a layer's next call sees whatever happened to its weights, by whatever way.


def check(inputs, label):
    every, last = run_inputs(LSTM, inputs)
    wide = inputs.to(torch.float64)
    want, end = reference.recurrence(LSTM, wide.x, wide.state, wide.weights)
    for one, other in zip((*every, *last), (*want, *end), strict=True):
        assert_close(one, other, 1e-5, label)


def one_element(tensor):
    tensor[3, 5] += 1


CHANGES = {
    "in place": lambda w: w.mul_(1.5),
    "one element": one_element,
    "by .data": lambda w: w.data.mul_(1.5),
    "one element by .data": lambda w: one_element(w.data),
    "by numpy": lambda w: w.detach().numpy().__imul__(1.5),
    "one element by numpy": lambda w: one_element(w.detach().numpy()),
    "the last element by .data": lambda w: w.data[-1, -1].add_(1),
    "replaced by .data": lambda w: setattr(w, "data", w.data * 1.5),
    "under inference mode": lambda w: torch.inference_mode()(w.mul_)(1.5),
    "by set_": lambda w: w.set_((w * 1.5).contiguous()),
    "by foreach": lambda w: torch._foreach_mul_([w], 1.5),
}
LAYOUTS = {
    "row by row": lambda w: w.clone(),
    "column by column": lambda w: w.t().contiguous().t(),
    "every second": lambda w: torch.stack([w, w], -1)[..., 0],
}


@torch.no_grad()
@pytest.mark.parametrize("which", [0, 1], ids=["W", "U"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_weights_is_seen(change, layout, which):
    inputs = draw(LSTM, SIZE, torch.float32)
    inputs = Inputs(inputs.x, inputs.state, [*map(LAYOUTS[layout], inputs.weights[:2]), inputs.weights[2]], SIZE)
    check(inputs, "before")
    CHANGES[change](inputs.weights[which])
    check(inputs, "after")


@torch.no_grad()
def test_new_weights_at_the_address_of_old_ones_are_seen():
    """A product of weights is made anew for each call, and often lies where the last one lay."""
    inputs = draw(LSTM, SIZE, torch.float32)
    W, U, b = inputs.weights
    mask = torch.ones_like(U)
    for turn in range(20):
        mask[3, turn] = turn % 2
        made = U * mask
        check(Inputs(inputs.x, inputs.state, [W, made, b], SIZE), f"turn {turn}")
        del made


def test_a_step_of_an_optimiser_is_seen():
    torch.manual_seed(0)
    layer, x = nn.LSTM(20, 40), torch.randn(5, 7, 20)
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.01)
    losses = []
    for _ in range(4):
        optimiser.zero_grad()
        loss = layer(x)[0].square().sum()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.9 * losses[0]


def test_one_tensor_as_two_weights():
    cell = next(c for c in NATIVE if c.name == "used_twice")
    inputs = draw(cell, Size(4, 5, 12, 12, 3), torch.float32)
    V = inputs.weights[2]
    twice = Inputs(inputs.x, inputs.state, [inputs.weights[0], V, V], inputs.size)
    apart = Inputs(inputs.x, inputs.state, [inputs.weights[0], V.clone(), V.clone()], inputs.size)
    same(run_inputs(cell, twice), run_inputs(cell, apart))
    weights = [w.clone().requires_grad_() for w in apart.weights]
    shared = V.clone().requires_grad_()
    engine.recurrence(cell, inputs.x, inputs.state, weights)[0][0].sum().backward()
    engine.recurrence(cell, inputs.x, inputs.state, [weights[0].detach(), shared, shared])[0][0].sum().backward()
    assert_close(shared.grad, (weights[1].grad + weights[2].grad).double(), 1e-5, "dL/dV")


def test_packed_weights_go_when_the_weights_go():
    gc.collect()
    before = len(calls._cache)
    layer = nn.LSTM(20, 40, num_layers=2, bidirectional=True)
    for rows in (1, 7):
        layer(torch.randn(5, rows, 20))[0].sum().backward()
    with threads(2, "units"):
        layer(torch.randn(5, 7, 20))[0].sum().backward()
    assert len(calls._cache) == before + 4
    del layer
    gc.collect()
    assert len(calls._cache) == before


def test_packed_weights_that_are_never_used_again_do_not_pile_up():
    """One layer, many versions of its weights."""
    layer, x = nn.LSTM(20, 40), torch.randn(5, 7, 20)
    entries = calls._cache
    for _ in range(10):
        with torch.no_grad():
            layer.weight_hh_l0.mul_(0.9)
        layer(x)[0].sum().backward()
    assert len(entries[id(layer.weight_ih_l0)]) == 2  # a forward and a backward program


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda layer: pickle.loads(pickle.dumps(layer)),
    "torch.save": lambda layer: torch.load(_saved(layer), weights_only=False),
}


def _saved(layer):
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    return file


@pytest.mark.parametrize("way", COPIES)
def test_a_layer_that_has_run_can_be_copied(way):
    torch.manual_seed(0)
    layer, x = nn.LSTM(20, 40, num_layers=2), torch.randn(5, 7, 20)
    want, _ = layer(x)
    want.sum().backward()
    other = COPIES[way](layer)
    got, _ = other(x)
    assert torch.equal(got, want)
    with torch.no_grad():
        other.weight_hh_l0.zero_()
    assert not torch.equal(other(x)[0], want)
    assert torch.equal(layer(x)[0], want)
