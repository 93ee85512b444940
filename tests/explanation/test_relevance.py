"""Relevance: the authors' formulas on an LSTM, and nothing lost on any cell."""

import numpy as np
import pytest
import torch
from table import CELLS, FAMILY, Size, draw, ragged

from gatewise import cells
from gatewise.algebra.activations import activation, with_activations
from gatewise.algebra.expression import MAPS, OPERATIONS, PRODUCTS
from gatewise.explanation import linear_relevance, relevance, trace, trace_layer
from gatewise.explanation.relevance import RELEVANCE, gates_of
from gatewise.nn import Recurrent
from gatewise.runtime import network
from gatewise.runtime.layers import network_of

SIZE = Size(T=6, B=4, D=3, H=8, P=4)


def test_every_operation_has_a_row():
    assert set(RELEVANCE) == {*OPERATIONS, *MAPS, *PRODUCTS}, "of relevance"


@pytest.mark.parametrize(
    ("name", "gates"),
    {
        "lstm": {"i", "f", "o"},
        "coupled": {"i", "f", "o"},
        "gru": {"r", "z"},
        "minlstm": {"f"},
        "slstm": {"forget", "write", "o"},
        "mlstm": {"forget", "write", "o"},
        "rnn_tanh": set(),
    }.items(),
)
def test_what_is_a_gate_follows_from_the_equations(name, gates):
    cell = cells.find(name)
    assert {cell.names[node] for node in gates_of(cell) if node in cell.names} == gates


@pytest.mark.parametrize(
    ("gate", "gates"), [("hard_sigmoid", {"i", "f", "o"}), ("hard_sigmoid_6", {"i", "f", "o"}), ("hard_tanh", set())]
)
def test_a_hard_sigmoid_is_a_gate_too(gate, gates):
    cell = with_activations(cells.find("lstm"), gate=activation(gate), candidate=activation("relu6"))
    assert {cell.names[node] for node in gates_of(cell) if node in cell.names} == gates


def published(x, W_x, W_h, b, W_out, wanted, epsilon):
    """Arras et al. (2017), equations 4 to 6 and their products' rule, for one LSTM and a linear output, loop by loop.

    Returns the relevance of x and of the states before the first step, without redistribution of biases.
    """
    T, d = len(x), len(b) // 4
    i, f, g, o = (slice(k * d, (k + 1) * d) for k in range(4))
    h, c, z = np.zeros((T + 1, d)), np.zeros((T + 1, d)), np.zeros((T, 4 * d))
    gates = np.zeros((T, 4 * d))
    for t in range(T):
        z[t] = W_x @ x[t] + W_h @ h[t - 1] + b  # h[-1] is the start
        gates[t] = 1 / (1 + np.exp(-z[t]))
        gates[t, g] = np.tanh(z[t, g])
        c[t] = gates[t, f] * c[t - 1] + gates[t, i] * gates[t, g]
        h[t] = gates[t, o] * np.tanh(c[t])
    scores = W_out @ h[T - 1]

    def linear(lower, weights, upper, arriving):  # lower (m,), weights (n, m), upper and arriving (n,)
        found = np.zeros(len(lower))
        for k in range(len(upper)):
            stabilised = upper[k] + epsilon * (1 if upper[k] >= 0 else -1)
            for j in range(len(lower)):
                found[j] += lower[j] * weights[k, j] / stabilised * arriving[k]
        return found

    R_x, R_h, R_c = np.zeros_like(x), np.zeros((T + 1, d)), np.zeros((T + 1, d))
    R_h[T - 1] = linear(h[T - 1], W_out, scores, scores * (np.arange(len(scores)) == wanted))
    for t in reversed(range(T)):
        R_c[t] += R_h[t]  # the output gate gets none
        R_c[t - 1] = linear(gates[t, f] * c[t - 1], np.eye(d), c[t], R_c[t])
        R_g = linear(gates[t, i] * gates[t, g], np.eye(d), c[t], R_c[t])
        R_x[t] = linear(x[t], W_x[g], z[t, g], R_g)
        R_h[t - 1] = linear(h[t - 1], W_h[g], z[t, g], R_g)
    return R_x, R_h[-1].sum() + R_c[-1].sum()


@pytest.mark.parametrize("epsilon", [1e-3, 1e-1])
def test_as_published_on_an_lstm(epsilon):
    random = np.random.default_rng(3)
    T, D, H, C = 7, 3, 5, 4
    x, W_out = random.normal(size=(T, D)), random.normal(size=(C, H))
    weights = [random.normal(size=(4 * H, D)), random.normal(size=(4 * H, H)) / 2, random.normal(size=4 * H)]
    found = trace_layer(cells.find("lstm"), x[:, None], None, weights)
    scores = found.after[0][-1] @ W_out.T
    arriving = np.zeros((T, 1, H))
    arriving[-1], _, absorbed = linear_relevance(
        found.after[0][-1], W_out, None, scores * (np.arange(C) == 2), epsilon=epsilon
    )
    got = relevance([found], arriving, epsilon)
    want, start = published(x, *weights, W_out, 2, epsilon)
    np.testing.assert_allclose(got.x[:, 0], want, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(got.start, start, atol=1e-12)
    np.testing.assert_allclose(got.total + absorbed, scores[:, 2], rtol=1e-10)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_all_that_arrives_is_somewhere(cell, reverse):
    inputs, lengths = draw(cell, SIZE), ragged(SIZE).numpy()
    state, weights = ([v.numpy() for v in values] for values in (inputs.state, inputs.weights))
    found = trace_layer(cell, inputs.x.numpy(), state, weights, lengths, reverse)
    arriving = np.random.default_rng(0).normal(size=found.after[0].shape)
    arriving[np.arange(SIZE.T)[:, None] >= lengths] = 0
    got = relevance([found], arriving)
    assert np.isfinite(got.x).all()
    scale = np.abs(got.x).sum((0, 2)) + np.abs(got.start) + np.abs(got.bias) + np.abs(got.absorbed)
    np.testing.assert_array_less(np.abs(got.total - arriving.sum((0, 2))), 1e-9 * (1 + scale))
    assert not got.x[np.arange(SIZE.T)[:, None] >= lengths].any()
    for row, count in enumerate(lengths):
        if count:
            own = slice(row, row + 1)
            alone = trace_layer(cell, found.x[:count, own], [s[own] for s in state], weights, reverse=reverse)
            np.testing.assert_array_equal(relevance([alone], arriving[:count, own]).x, got.x[:count, own])


@pytest.mark.parametrize("cell", FAMILY, ids=lambda cell: cell.name)
def test_a_constant_gets_none_where_there_are_no_biases(cell):
    """Of a single step without biases all goes to x, but for what the stabiliser absorbs."""
    inputs = draw(cell, Size(T=1, B=2, D=3, H=8, P=4))
    weights = [
        np.zeros(w.shape) if p.blocks[0].columns is None and not p.initial else w.numpy()
        for p, w in zip(cell.parameters, inputs.weights, strict=True)
    ]
    found = trace_layer(cell, inputs.x.numpy(), None, weights)
    got = relevance([found], found.after[0], epsilon=1e-9)
    np.testing.assert_allclose(got.bias, 0, atol=1e-12)


def test_through_a_stack_in_both_directions():
    torch.manual_seed(0)
    module = Recurrent(cells.find("lstm"), 3, 8, 2, bidirectional=True)
    part = network.Recurrent(cell=module.cell, input_size=3, hidden_size=8, num_layers=2, bidirectional=True)
    weights = {f"layers.{name}": tensor.numpy() for name, tensor in module.state_dict().items()}
    layers = network_of(network.Block({"layers": part}), weights).layers
    x, lengths = np.random.default_rng(1).normal(size=(5, 3, 3)).astype(np.float32), np.array([5, 2, 0])
    (y, _), traces = trace(layers, lambda layers: layers(x, lengths=lengths))
    got = relevance(traces, y)
    assert got.x.shape == x.shape
    np.testing.assert_allclose(got.total, y.sum((0, 2)), rtol=1e-4, atol=1e-4)
    assert not got.x[2:, 1].any()
    assert got.total[2] == 0
