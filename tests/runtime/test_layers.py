"""The layers in numpy, held against torch's own and against `gatewise.nn`."""

import numpy as np
import pytest
import torch
from torch import nn

from gatewise import cells
from gatewise.algebra import cell, sigmoid, tanh
from gatewise.errors import ModelFileError
from gatewise.nn import Recurrent
from gatewise.runtime.equations import OPERATIONS, Layers

T, D, H = 9, 5, 7


def numpy_weights(module):
    return {name: tensor.detach().numpy() for name, tensor in module.state_dict().items()}


def stream(layers, x):
    state, outputs = layers.start(), []
    for row in x:
        y, state = layers.step(row, state)
        outputs.append(y)
    return np.stack(outputs), state


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("name", ["lstm", "gru", "lstmp"])
def test_step_by_step_as_torch(name, num_layers, bias):
    torch.manual_seed(num_layers)
    kind = nn.GRU if name == "gru" else nn.LSTM
    theirs = kind(D, H, num_layers, bias=bias, **({"proj_size": 3} if name == "lstmp" else {}))
    x = torch.randn(T, D)
    with torch.no_grad():
        want, last = theirs(x)
    got, state = stream(Layers(cells.find(name), numpy_weights(theirs), num_layers), x.numpy())
    np.testing.assert_allclose(got, want, atol=1e-6, rtol=0)
    for place, values in enumerate(last if isinstance(last, tuple) else (last,)):
        for layer in range(num_layers):
            np.testing.assert_allclose(state[layer][place], values[layer], atol=1e-6, rtol=0)
    assert got.dtype == np.float32
    assert all(value.dtype == np.float32 for layer in state for value in layer)


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
    got, _ = stream(Layers(odd, numpy_weights(module), 2), x.numpy())
    np.testing.assert_allclose(got, want, atol=1e-6, rtol=0)


def test_a_step_changes_nothing_it_was_given():
    layers = Layers(cells.find("lstm"), numpy_weights(nn.LSTM(D, H)), 1)
    x, state = np.ones(D, np.float32), layers.start()
    first = layers.step(x, state)
    assert all((value == 0).all() for layer in state for value in layer)
    assert (x == 1).all()
    again = layers.step(x, state)
    assert np.array_equal(first[0], again[0])


def test_gates_that_are_firmly_shut_are_silent():
    found = OPERATIONS["sigmoid"](np.array([-200, -30, 0, 30, 200], np.float32))
    np.testing.assert_allclose(found, [0, 0, 0.5, 1, 1], atol=1e-7)
    assert OPERATIONS["softplus"](np.float32(200)) == 200


def test_weights_that_are_missing_or_odd():
    weights = numpy_weights(nn.LSTM(D, H, 2))
    for name in ("weight_ih_l1", "weight_hh_l0"):
        with pytest.raises(ModelFileError, match=f"the model has no {name}, which its cell 'lstm' needs"):
            Layers(cells.find("lstm"), {n: w for n, w in weights.items() if n != name}, 2)
    with pytest.raises(ModelFileError, match="the model has no weight_ih_l2"):
        Layers(cells.find("lstm"), weights, 3)
    with pytest.raises(ModelFileError, match="weight_ih_l0 has 27 rows, no multiple of its 4 gates"):
        Layers(cells.find("lstm"), weights | {"weight_ih_l0": weights["weight_ih_l0"][:-1]}, 2)
