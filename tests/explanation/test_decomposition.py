"""Contextual decomposition: the authors' equations on an LSTM, and parts that sum to the value on any cell."""

import numpy as np
import pytest
import torch
from table import CELLS, Size, draw, ragged

from gatewise import cells
from gatewise.algebra.expression import MAPS, OPERATIONS, PRODUCTS
from gatewise.errors import ShapeError
from gatewise.explanation import decompose, interaction, trace, trace_layer
from gatewise.explanation.decomposition import CONTEXTUAL
from gatewise.nn import Recurrent
from gatewise.runtime import network
from gatewise.runtime.layers import network_of

SIZE = Size(T=6, B=3, D=3, H=8, P=4)
PHRASES = np.array([[0, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]], bool)


def test_every_operation_has_a_row():
    assert set(CONTEXTUAL) == {*OPERATIONS, *MAPS, *PRODUCTS}, "of contextual decomposition"


def sigmoid(v):
    return 1 / (1 + np.exp(-v))


def three(a, b, c, f):
    """Murdoch et al., section 3.2.2: linearisations over all orders, the bias first."""
    return 0.5 * (f(a + c) - f(c) + f(a + b + c) - f(b + c)), 0.5 * (f(b + c) - f(c) + f(a + b + c) - f(a + c)), f(c)


def published(x, W, V, b, inside):
    """Murdoch et al. (2018), equations 8 to 24, for one LSTM: beta of h and gamma of h at each step."""
    H = len(b) // 4
    blocks = {gate: slice(k * H, (k + 1) * H) for k, gate in enumerate("ifgo")}
    beta_h = gamma_h = beta_c = gamma_c = np.zeros(H)
    betas, gammas = [], []
    for t, here in enumerate(inside):
        parts = {}
        for gate, own in blocks.items():
            from_x = W[own] @ x[t]
            beta, gamma = V[own] @ beta_h + here * from_x, V[own] @ gamma_h + (not here) * from_x
            parts[gate] = three(beta, gamma, b[own], np.tanh if gate == "g" else sigmoid)
        (i_b, i_g, i_0), (f_b, f_g, f_0), (g_b, g_g, g_0), o = (parts[gate] for gate in "ifgo")
        beta_u = i_b * (g_b + g_0) + i_0 * g_b + here * i_0 * g_0
        gamma_u = i_g * (g_b + g_g + g_0) + (i_b + i_0) * g_g + (not here) * i_0 * g_0
        beta_f, gamma_f = (f_b + f_0) * beta_c, (f_b + f_g + f_0) * gamma_c + f_g * beta_c
        beta_c, gamma_c = beta_f + beta_u, gamma_f + gamma_u
        both = np.tanh(beta_c + gamma_c)
        beta_h = sum(o) * 0.5 * (np.tanh(beta_c) + both - np.tanh(gamma_c))
        gamma_h = sum(o) * 0.5 * (np.tanh(gamma_c) + both - np.tanh(beta_c))
        betas.append(beta_h)
        gammas.append(gamma_h)
    return np.array(betas), np.array(gammas)


def test_as_published_on_an_lstm():
    random = np.random.default_rng(4)
    T, D, H = 6, 3, 5
    x = random.normal(size=(T, D))
    weights = [random.normal(size=(4 * H, D)), random.normal(size=(4 * H, H)), random.normal(size=4 * H)]
    found = trace_layer(cells.find("lstm"), x[:, None], None, weights)
    got = decompose([found], 0, PHRASES)
    for number, inside in enumerate(PHRASES):
        beta, gamma = published(x, *weights, inside)
        np.testing.assert_allclose(got.phrase[number], beta, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(got.rest[number], gamma, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_parts_sum_to_the_output(cell, reverse):
    inputs, lengths = draw(cell, SIZE), ragged(SIZE).numpy()
    state, weights = ([v.numpy() for v in values] for values in (inputs.state, inputs.weights))
    found = trace_layer(cell, inputs.x.numpy(), state, weights, lengths, reverse)
    for row, count in enumerate(lengths):
        got = decompose([found], row, PHRASES)
        np.testing.assert_allclose(
            got.phrase + got.rest, np.broadcast_to(found.after[0][:, row], got.rest.shape), rtol=1e-9, atol=1e-9
        )
        assert not got.phrase[:, count:].any()
        beyond = decompose([found], row, PHRASES | (np.arange(SIZE.T) >= count))
        np.testing.assert_array_equal(beyond.phrase, got.phrase)  # padding says nothing


@pytest.mark.parametrize("name", ["lstm", "gru", "coupled", "mogrifier"])
def test_no_phrase_says_nothing_and_from_no_state_the_whole_says_all(name):
    inputs = draw(cells.find(name), SIZE)
    found = trace_layer(cells.find(name), inputs.x.numpy(), None, [w.numpy() for w in inputs.weights])
    got = decompose([found], 0, PHRASES)
    np.testing.assert_array_equal(got.phrase[2], 0)
    np.testing.assert_allclose(got.rest[1], 0, atol=1e-12)


def test_steps_that_never_meet_do_not_interact():
    """A linear cell, in which nothing multiplies."""
    cell = next(cell for cell in CELLS if cell.name == "linear")
    inputs = draw(cell, SIZE)
    found = trace_layer(cell, inputs.x.numpy(), None, [w.numpy() for w in inputs.weights])
    np.testing.assert_allclose(interaction([found], 0, PHRASES[0], PHRASES[3]), 0, atol=1e-12)
    lstm = draw(cells.find("lstm"), SIZE)
    found = trace_layer(cells.find("lstm"), lstm.x.numpy(), None, [w.numpy() for w in lstm.weights])
    together = interaction([found], 0, PHRASES[0], PHRASES[3])
    assert np.abs(together[5]).max() > 1e-3
    np.testing.assert_array_equal(together[0], 0)


def test_through_a_stack_in_both_directions():
    torch.manual_seed(0)
    module = Recurrent(cells.find("lstm"), 3, 8, 2, bidirectional=True)
    part = network.Recurrent(cell=module.cell, input_size=3, hidden_size=8, num_layers=2, bidirectional=True)
    weights = {f"layers.{name}": tensor.numpy() for name, tensor in module.state_dict().items()}
    layers = network_of(network.Block({"layers": part}), weights).layers
    x, lengths = np.random.default_rng(1).normal(size=(6, 2, 3)).astype(np.float32), np.array([6, 4])
    (y, _), traces = trace(layers, lambda layers: layers(x, lengths=lengths))
    for row in range(2):
        got = decompose(traces, row, PHRASES)
        np.testing.assert_allclose(got.phrase + got.rest, np.broadcast_to(y[:, row], got.rest.shape), atol=1e-5)
        assert np.abs(got.phrase[0]).max() > 1e-3


def test_phrases_of_other_lengths_are_refused():
    inputs = draw(cells.find("gru"), SIZE)
    found = trace_layer(cells.find("gru"), inputs.x.numpy(), None, [w.numpy() for w in inputs.weights])
    with pytest.raises(ShapeError, match=r"\(phrases, 6\), not \(4, 5\)"):
        decompose([found], 0, PHRASES[:, :5])
