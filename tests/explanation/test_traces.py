"""Every value of every step: what the reference computes, of every cell."""

import numpy as np
import pytest
import torch
from table import CELLS, Size, draw, ragged

from gatewise import cells
from gatewise.algebra import cell, exp, sigmoid, tanh
from gatewise.algebra.expression import evaluate
from gatewise.engine import reference
from gatewise.errors import OptionError
from gatewise.explanation import trace, trace_layer
from gatewise.explanation.insides import streams_of
from gatewise.nn import Recurrent
from gatewise.runtime import network
from gatewise.runtime.layers import network_of

SIZE = Size(T=7, B=5, D=3, H=8, P=4)


def traced(cell, dtype=torch.float64, **options):
    """A trace, and the tensors that it was made of."""
    inputs = draw(cell, SIZE, dtype)
    lengths = ragged(SIZE)
    state, weights = ([v.numpy() for v in values] for values in (inputs.state, inputs.weights))
    return trace_layer(cell, inputs.x.numpy(), state, weights, lengths.numpy(), **options), inputs, lengths


def step_by_step(cell, inputs, lengths, reverse):
    """(T, B, size) of every name of the equations, each step evaluated by itself in torch."""
    weights = reference.blocks(cell, inputs.weights)
    table = reference.operations_of(cell, inputs.state)
    found = {}
    for row, count in enumerate(lengths.tolist()):
        state = [s[row] for s in inputs.state]
        for t in reversed(range(count)) if reverse else range(count):
            known = {cell.x: inputs.x[t, row], **dict(zip(cell.before, state, strict=True)), **weights}
            values = evaluate([*cell.names, *cell.after], known, table)
            state = values[len(cell.names) :]
            for name, value in zip(cell.names.values(), values, strict=False):
                found.setdefault(name, torch.zeros(SIZE.T, SIZE.B, value.shape[-1], dtype=value.dtype))[t, row] = value
    return found


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_every_value_is_that_of_the_reference(cell, reverse):
    found, inputs, lengths = traced(cell, reverse=reverse)
    every, _ = reference.recurrence(cell, inputs.x, inputs.state, inputs.weights, lengths, reverse=reverse)
    for got, want in zip(found.after, every, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)
    wanted = step_by_step(cell, inputs, lengths, reverse)
    assert found.values.keys() == wanted.keys() == set(cell.names.values())
    for name, want in wanted.items():
        np.testing.assert_allclose(found.values[name], want, rtol=1e-12, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_a_row_alone_has_the_bits_it_has_among_others_and_padding_has_nothing(cell, reverse):
    found, inputs, lengths = traced(cell, torch.float32, reverse=reverse)
    for values in (*found.before, *found.after, *found.values.values(), found.x):
        assert values.dtype == np.float32
        assert not values[np.arange(SIZE.T)[:, None] >= lengths.numpy()].any()
    state, weights = ([v.numpy() for v in values] for values in (inputs.state, inputs.weights))
    for row, count in enumerate(lengths.tolist()):
        if count:
            x = inputs.x[:count, row : row + 1].numpy()
            alone = trace_layer(cell, x, [s[row : row + 1] for s in state], weights, reverse=reverse)
            for name, values in alone.values.items():
                np.testing.assert_array_equal(values[:, 0], found.values[name][:count, row], err_msg=name)


def stack(cell, bidirectional):
    torch.manual_seed(1)
    module = Recurrent(cell, 3, 8, 2, bidirectional=bidirectional)
    part = network.Recurrent(cell=cell, input_size=3, hidden_size=8, num_layers=2, bidirectional=bidirectional)
    weights = {f"deep.0.layers.{name}": tensor.numpy() for name, tensor in module.state_dict().items()}
    return module, network_of(network.Block({"deep": [network.Block({"layers": part})]}), weights)


@pytest.mark.parametrize("name", ["lstm", "gru", "mlstm"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_network_answers_as_without_a_trace(name, bidirectional):
    module, net = stack(cells.find(name), bidirectional)
    x, lengths = np.random.default_rng(0).normal(size=(6, 4, 3)).astype(np.float32), np.array([6, 1, 3, 6])
    x[3:, 2] = np.nan  # padding
    y, state = net.deep[0].layers(x, lengths=lengths)
    (again, last), traces = trace(net, lambda net: net.deep[0].layers(x, lengths=lengths))
    if name == "mlstm":  # which numpy computes, and whose bits depend on the rows beside it
        np.testing.assert_allclose(again, y, atol=1e-6)
    else:
        np.testing.assert_array_equal(again, y)
    for one, other in zip(*((s if isinstance(s, tuple) else (s,)) for s in (state, last)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    ways = (False, True) if bidirectional else (False,)
    assert [(t.place, t.layer, t.reverse) for t in traces] == [
        ("deep.0.layers", layer, reverse) for layer in range(2) for reverse in ways
    ]
    with torch.no_grad():
        want, _ = module(torch.from_numpy(np.nan_to_num(x)), lengths=torch.from_numpy(lengths))
    np.testing.assert_allclose(np.concatenate([t.after[0] for t in traces[-len(ways) :]], -1), want, atol=1e-5)


def test_other_precisions_are_refused():
    with pytest.raises(OptionError, match="x is int64"):
        trace_layer(cells.find("lstm"), np.zeros((2, 1, 3), int), None, [])


@cell(carry="h", pack="f i")
def exponential(x, h_prev, W, U):
    f = sigmoid(W.f @ x + U.f @ h_prev)
    i = exp(W.i @ x + U.i @ h_prev)
    h = tanh(f * h_prev + i)
    return h


@pytest.mark.parametrize(("sign", "within"), [(1, False), (-1, True)])
def test_a_gate_that_goes_beyond_1_is_not_shown_as_a_part_of_1(sign, within):
    x, weights = np.ones((3, 1, 1)), [sign * np.ones((4, 1)), np.zeros((4, 2))]
    shown = {one.name: one.gate for one in streams_of([[trace_layer(exponential, x, None, weights)]])}
    assert shown == {"f": True, "i": within, "h": False}
