"""The LSTM: numbers worked out by hand, and its limits."""

import math

import pytest
import torch
from table import ODD, draw

from gatewise import cells
from gatewise.engine import reference

LSTM = cells.find("lstm")


def run(x, h, c, W, U, b):
    """One unit, one feature: plain numbers in and out."""
    numbers = [torch.tensor(v, dtype=torch.float64) for v in ([[x]], [[h]], [[c]])]
    weights = [torch.tensor(w, dtype=torch.float64) for w in ([[w] for w in W], [[u] for u in U], b)]
    return [after.item() for after in reference.step(LSTM, numbers[0], numbers[1:], weights)]


def test_one_step_by_hand():
    # x = 2, h = 0.5, c = -1; gates in the order i f g o.
    #   zi =  0.5 * 2 + 1.0 * 0.5 + 0.0 =  1.5   i = sigmoid( 1.5) = 0.8175744761936437
    #   zf = -1.0 * 2 + 2.0 * 0.5 + 1.0 =  0.0   f = sigmoid( 0.0) = 0.5
    #   zg =  0.25* 2 - 1.0 * 0.5 + 0.2 =  0.2   g = tanh(    0.2) = 0.197375320224904
    #   zo =  0.0 * 2 + 0.0 * 0.5 - 1.0 = -1.0   o = sigmoid(-1.0) = 0.2689414213699951
    #   c = 0.5 * -1 + 0.8175744761936437 * 0.197375320224904 = -0.5 + 0.16136902395  = -0.33863097605
    #   h = 0.2689414213699951 * tanh(-0.33863097605) = 0.2689414213699951 * -0.32625407... = -0.0877431...
    h, c = run(2.0, 0.5, -1.0, W=[0.5, -1.0, 0.25, 0.0], U=[1.0, 2.0, -1.0, 0.0], b=[0.0, 1.0, 0.2, -1.0])
    assert c == pytest.approx(-0.5 + 0.8175744761936437 * 0.197375320224904, rel=1e-15)
    assert c == pytest.approx(-0.33863097605, abs=1e-9)
    assert h == pytest.approx(0.2689414213699951 * math.tanh(-0.33863097605), abs=1e-9)


def test_all_weights_zero():
    # Every gate is sigmoid(0) = 1/2 and g = 0, so c halves, and h = tanh(c) / 2.
    h, c = run(3.0, 0.7, 0.8, W=[0.0] * 4, U=[0.0] * 4, b=[0.0] * 4)
    assert c == 0.4
    assert h == pytest.approx(math.tanh(0.4) / 2, rel=1e-15)


def test_an_open_forget_gate_and_a_closed_input_gate_keep_c_forever():
    inputs, H = draw(LSTM, ODD), ODD.H
    W, U, _ = inputs.weights
    b = torch.cat([torch.full((H,), v, dtype=torch.float64) for v in (-1e3, 1e3, 0.0, 0.0)])  # i = 0, f = 1
    x = inputs.x.repeat(100, 1, 1)
    (_, c), (_, last) = reference.recurrence(LSTM, x, inputs.state, [W, U, b])
    assert torch.equal(last, inputs.state[1])
    assert torch.equal(c, inputs.state[1].expand_as(c))


def test_a_closed_forget_gate_forgets_at_once():
    inputs = draw(LSTM, ODD)
    W, U, b = inputs.weights
    b = b.clone()
    b[ODD.H : 2 * ODD.H] = -1e3
    h, c = inputs.state
    after = reference.step(LSTM, inputs.x[0], [h, c], [W, U, b])
    for got, want in zip(after, reference.step(LSTM, inputs.x[0], [h, 1000 * c + 5], [W, U, b]), strict=True):
        assert torch.equal(got, want)


def test_a_closed_output_gate_shows_nothing():
    inputs = draw(LSTM, ODD)
    W, U, b = inputs.weights
    b = b.clone()
    b[3 * ODD.H :] = -1e3
    h, c = reference.step(LSTM, inputs.x[0], inputs.state, [W, U, b])
    assert not h.any()
    assert c.any()


def test_c_grows_by_less_than_one_a_step():
    inputs = draw(LSTM, ODD)
    huge = [100 * w for w in inputs.weights]
    zero = [torch.zeros_like(s) for s in inputs.state]
    (h, c), _ = reference.recurrence(LSTM, inputs.x, zero, huge)
    steps = torch.arange(1, ODD.T + 1)[:, None, None]
    assert (c.abs() <= steps).all()
    assert (h.abs() <= 1).all()


def test_parameter_counts():
    # Four gates, each H rows of D + H weights and one bias; a projection adds P x H and shortens the rows of U to P.
    assert LSTM.count(10, 20) == 4 * (20 * 10 + 20 * 20 + 20) == 2480
    assert LSTM.count(1, 1) == 12
    assert cells.find("lstmp").count(10, 20, 5) == 4 * (20 * 10 + 20 * 5 + 20) + 5 * 20 == 1380


def test_shapes_of_stored_weights():
    sizes = LSTM.sizes(10, 20)
    assert {p.name: p.shape(sizes) for p in LSTM.parameters} == {"W": (80, 10), "U": (80, 20), "b": (80,)}
    projected = cells.find("lstmp")
    shapes = {p.name: p.shape(projected.sizes(10, 20, 5)) for p in projected.parameters}
    assert shapes == {"W": (80, 10), "U": (80, 5), "b": (80,), "P": (5, 20)}


def test_a_projection_that_changes_nothing():
    """With P the identity, the projected LSTM is the plain one."""
    inputs = draw(LSTM, ODD)
    plain = reference.recurrence(LSTM, inputs.x, inputs.state, inputs.weights)
    identity = torch.eye(ODD.H, dtype=torch.float64)
    projected = reference.recurrence(cells.find("lstmp"), inputs.x, inputs.state, [*inputs.weights, identity])
    torch.testing.assert_close(projected, plain)
