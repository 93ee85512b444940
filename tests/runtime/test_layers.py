"""Recurrent layers on numpy's arrays, one step at a time, beside torch's own and a user's cell."""

import numpy as np
import pytest
import torch
from torch import nn

from gatewise import cells
from gatewise.algebra import cell, sigmoid, tanh
from gatewise.nn import Recurrent
from gatewise.runtime import network
from gatewise.runtime.equations import OPERATIONS
from gatewise.runtime.layers import network_of

T, D, H = 9, 5, 7


def layers_of(cell, module):
    """Our layers over the weights of a module of torch, or of one of ours."""
    part = network.Recurrent(
        cell=cell,
        input_size=D,
        hidden_size=H,
        num_layers=module.num_layers,
        proj_size=module.proj_size,
    )
    weights = {f"layers.{name}": tensor.numpy() for name, tensor in module.state_dict().items()}
    return network_of(network.Block({"layers": part}), weights).layers


def stream(layers, x):
    state, outputs = None, []
    for row in x:
        y, state = layers(row[None, None], state)
        outputs.append(y[0, 0])
    return np.stack(outputs), state


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("name", ["lstm", "gru", "lstmp"])
def test_step_by_step_as_torch(name, num_layers):
    torch.manual_seed(num_layers)
    kind = nn.GRU if name == "gru" else nn.LSTM
    theirs = kind(D, H, num_layers, **({"proj_size": 3} if name == "lstmp" else {}))
    x = torch.randn(T, D)
    with torch.no_grad():
        want, last = theirs(x)
    got, state = stream(layers_of(cells.find(name), theirs), x.numpy())
    np.testing.assert_allclose(got, want, atol=1e-6, rtol=0)
    pairs = [(state, last)] if name == "gru" else zip(state, last, strict=True)
    for own, values in pairs:
        np.testing.assert_allclose(own[:, 0], values, atol=1e-6, rtol=0)
        assert own.dtype == np.float32
    assert got.dtype == np.float32


def test_any_cell_as_the_reference():
    @cell(carry="h c", pack="i f g", source="this test")
    def odd(x, h_prev, c_prev, W, U, b, p):
        i = sigmoid(W.i @ x + U.i @ h_prev + p.i * c_prev + b.i)
        f = sigmoid(W.f @ x + U.f @ (i * h_prev) + b.f)
        g = tanh(W.g @ x + b.g)
        c = f * c_prev + i * g - 0.5 * c_prev
        h = (1 - f) * tanh(c)
        return h, c

    torch.manual_seed(0)
    module = Recurrent(odd, D, H, 2)
    x = torch.randn(T, D)
    with torch.no_grad():
        want, _ = module(x)
    got, _ = stream(layers_of(odd, module), x.numpy())
    np.testing.assert_array_equal(got, want)  # steps by themselves have the bits of the whole


def test_a_step_changes_nothing_it_was_given():
    layers = layers_of(cells.find("lstm"), nn.LSTM(D, H))
    x, state = np.ones((1, 1, D), np.float32), layers.start(1)
    first, _ = layers(x, state)
    assert all((value == 0).all() for value in state)
    assert (x == 1).all()
    again, _ = layers(x, state)
    assert np.array_equal(first, again)


def test_gates_that_are_firmly_shut_are_silent():
    found = OPERATIONS["sigmoid"](np.array([-200, -30, 0, 30, 200], np.float32))
    np.testing.assert_allclose(found, [0, 0, 0.5, 1, 1], atol=1e-7)
    assert OPERATIONS["softplus"](np.float32(200)) == 200
