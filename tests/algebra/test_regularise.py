"""Regularised cells against loops written by hand."""

import pytest
import torch
from table import CELLS, ODD, draw, generator

from gatewise import cells
from gatewise.algebra import Cell
from gatewise.algebra.derive import backward
from gatewise.algebra.regularise import drop_output, recurrent_weights, zone_out, zone_out_mean
from gatewise.engine import reference

LSTM, GRU = cells.find("lstm"), cells.find("gru")


def mask(*shape):
    return (torch.rand(*shape, generator=generator("mask", shape), dtype=torch.float64) < 0.7).double()


def lstm_step(x, h_seen, c, W, U, b):
    i, f, g, o = (x @ W.T + h_seen @ U.T + b).chunk(4, 1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def test_dropped_output_of_an_lstm():
    inputs, drop = draw(LSTM, ODD), mask(ODD.B, ODD.H) / 0.7
    h, c = inputs.state
    wanted = []
    for x in inputs.x:
        h, c = lstm_step(x, h * drop, c, *inputs.weights)
        wanted.append(h)
    [got, _], last = reference.recurrence(
        drop_output(LSTM), inputs.x, inputs.state, inputs.weights, extras=[drop.expand(ODD.T, ODD.B, ODD.H)]
    )
    torch.testing.assert_close(got, torch.stack(wanted))
    torch.testing.assert_close(last, [h, c])


def test_a_gru_hands_on_what_its_products_do_not_see():
    inputs, drop = draw(GRU, ODD), mask(ODD.B, ODD.H) / 0.7
    W, U, b, b_h = inputs.weights
    [h] = inputs.state
    for x in inputs.x:
        from_x, from_h = x @ W.T + b, (h * drop) @ U.T + b_h
        (rx, zx, nx), (rh, zh, nh) = from_x.chunk(3, 1), from_h.chunk(3, 1)
        n = (nx + (rx + rh).sigmoid() * nh).tanh()
        z = (zx + zh).sigmoid()
        h = (1 - z) * n + z * h
    _, [got] = reference.recurrence(
        drop_output(GRU), inputs.x, inputs.state, inputs.weights, extras=[drop.expand(ODD.T, ODD.B, ODD.H)]
    )
    torch.testing.assert_close(got, h)


def test_a_mogrifier_mixes_into_x_what_is_dropped_and_keeps_h():
    """Of its seven matrices only the first round's multiplies h_prev itself; h has been gated by x where U comes."""
    cell = cells.find("mogrifier")
    inputs, drop = draw(cell, ODD), mask(ODD.B, ODD.H) / 0.7
    W, U, b, Q1, R2, Q3, R4, Q5 = inputs.weights
    h, c = inputs.state
    for x in inputs.x:
        x = 2 * ((h * drop) @ Q1.T).sigmoid() * x
        h = 2 * (x @ R2.T).sigmoid() * h
        x = 2 * (h @ Q3.T).sigmoid() * x
        h = 2 * (x @ R4.T).sigmoid() * h
        x = 2 * (h @ Q5.T).sigmoid() * x
        h, c = lstm_step(x, h, c, W, U, b)
    _, last = reference.recurrence(
        drop_output(cell), inputs.x, inputs.state, inputs.weights, extras=[drop.expand(ODD.T, ODD.B, ODD.H)]
    )
    torch.testing.assert_close(last, [h, c])


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("lstm", "U"),
        ("gru_2014", "U"),
        ("mogrifier", "U Q1 Q3 Q5"),  # R2 and R4 multiply what comes from x, though h has gated it
        ("full_gate_recurrence", "U U_i U_f U_o"),
        ("lstmp", "U P"),
        ("minlstm", ""),
    ],
)
def test_weights_that_are_dropped_are_those_of_what_is_carried(name, wanted):
    assert recurrent_weights(cells.find(name)) == set(wanted.split())


def test_zoneout_of_an_lstm_and_its_mean():
    inputs, keep = draw(LSTM, ODD), [mask(ODD.T, ODD.B, ODD.H), 1 - mask(ODD.T, ODD.B, ODD.H).flip(0)]
    h, c = inputs.state
    for t, x in enumerate(inputs.x):
        h_new, c_new = lstm_step(x, h, c, *inputs.weights)
        h = torch.where(keep[0][t] > 0, h, h_new)
        c = torch.where(keep[1][t] > 0, c, c_new)
    _, got = reference.recurrence(zone_out(LSTM, (True, True)), inputs.x, inputs.state, inputs.weights, extras=keep)
    torch.testing.assert_close(got, [h, c])

    h, c = inputs.state
    for x in inputs.x:
        h_new, c_new = lstm_step(x, h, c, *inputs.weights)
        h, c = 0.25 * h + 0.75 * h_new, 0.5 * c + 0.5 * c_new
    _, got = reference.recurrence(zone_out_mean(LSTM, (0.25, 0.5)), inputs.x, inputs.state, inputs.weights)
    torch.testing.assert_close(got, [h, c])


def test_one_rate_for_one_carried_value():
    assert [node.label for node in zone_out(LSTM, (False, True)).extras] == ["keep_c"]
    assert zone_out_mean(LSTM, (0.0, 0.0)).key == LSTM.key


@pytest.mark.parametrize("cell", CELLS, ids=lambda c: c.name)
def test_every_cell_can_be_regularised(cell):
    both = zone_out(drop_output(cell), (True,) * len(cell.carry))
    assert len(both.extras) == 1 + len(cell.carry)
    assert Cell.from_key(both.key).key == both.key
    assert both.equations != cell.equations
    inputs = draw(cell, ODD)
    backward(both)
    widths = [inputs.state[0].shape[1], *(s.shape[1] for s in inputs.state)]
    nothing = [torch.ones(ODD.T, ODD.B, widths[0], dtype=torch.float64)]
    nothing += [torch.zeros(ODD.T, ODD.B, n, dtype=torch.float64) for n in widths[1:]]
    got = reference.recurrence(both, inputs.x, inputs.state, inputs.weights, extras=nothing)
    want = reference.recurrence(cell, inputs.x, inputs.state, inputs.weights)
    torch.testing.assert_close(got, want, rtol=0, atol=0)
