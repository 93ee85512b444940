"""Figures of layers beside numbers by hand, and beside torch's own derivatives."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from gatewise import cells, explanation
from gatewise.nn import LSTM, Recurrent
from gatewise.watch import figures
from gatewise.watch.dependence import dependence_by_lag
from gatewise.watch.trace import calls_of, traces_of

T, B, D, H = 9, 5, 3, 4


def traced(layers, x, hx=None, lengths=None, steps=200, rows=16):
    with calls_of(nn.ModuleDict({"own": layers})) as calls:
        layers(x, hx, lengths=lengths)
    [call] = calls.values()
    return traces_of(call, steps, rows)


def drawn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def with_biases(layers, **values):
    """All weights zero, and these biases of the gates."""
    with torch.no_grad():
        for weight in layers.parameters():
            weight.zero_()
        for gate, value in values.items():
            place = layers.cell.pack.index(gate)
            layers.bias_ih_l0[place * H : (place + 1) * H] = torch.as_tensor(value)
    return layers


def log_odds(share):
    return math.log(share / (1 - share))


@pytest.mark.parametrize("name", cells.NAMES)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_every_cell_is_traced_and_its_values_are_those_of_its_steps(name, bidirectional):
    """The carried values that one evaluation of the equations gives at all steps are those that the layers had."""
    cell, units = cells.find(name), 8
    torch.manual_seed(0)
    layers = Recurrent(cell, D, units, bidirectional=bidirectional, proj_size=3 if cell.projected else 0).eval()
    lengths = torch.tensor([9, 4, 7, 1, 9])
    for trace in traced(layers, drawn(T, B, D), lengths=lengths):
        assert trace.inside.sum() == lengths.sum()
        if "M" not in cell.carry_sizes:  # of matrices the carried values are not kept
            values = trace.values(list(cell.after))
            for value, carried in zip(values, trace.carried, strict=True):
                torch.testing.assert_close(value, carried[trace.inside], atol=2e-6, rtol=1e-4)
        shares = [share for gate in figures.gates(trace).values() for share in gate.values()]
        assert all(0 <= share <= 1 for share in shares)
        assert all(0 < quarter <= 1e6 for own in figures.half_lives(trace).values() for quarter in own)
        reached = figures.gradient_by_lag(trace)
        assert [lag for lag, _ in reached["lags"]] == [0, 1, 2, 4, 8]
        assert all(math.isfinite(norm) for _, norm in reached["lags"])


def test_rows_and_steps_are_cut():
    [trace] = traced(LSTM(D, H), drawn(T, B, D), steps=4, rows=2)
    assert trace.x.shape == (4, 2, D)
    assert [carried.shape for carried in trace.carried] == [(4, 2, H)] * 2


def test_the_state_before_counts():
    layers, hx = LSTM(D, H, num_layers=2), (drawn(2, B, H), drawn(2, B, H))
    for place, trace in enumerate(traced(layers, drawn(T, B, D), hx)):
        torch.testing.assert_close(trace.before()[trace.cell.before[1]][:B], hx[1][place])


def test_a_module_called_step_by_step_has_read_one_sequence():
    layers, x = LSTM(D, H), drawn(T, B, D)
    with calls_of(nn.ModuleDict({"own": layers})) as calls:
        state = None
        for step in x:
            _, state = layers(step[None], state)
    [call] = calls.values()
    assert torch.equal(call.x, x)
    [trace], [whole] = traces_of(call, 200, 16), traced(layers, x)
    assert torch.equal(trace.carried[1], whole.carried[1])


def test_saturation_is_that_of_gates_set_by_hand():
    """One gate shut, one open, one halfway, of weights that are all zero; and a tanh near one."""
    layers = with_biases(LSTM(D, H), i=log_odds(0.01), f=log_odds(0.5), o=[4.0, 4.0, 0.0, 0.0], g=3.0)
    found = figures.gates(traced(layers, drawn(T, B, D))[0])
    assert found == {
        "i": {"low": 1.0, "high": 0.0, "middle": 0.0, "stuck": 1.0},
        "f": {"low": 0.0, "high": 0.0, "middle": 1.0, "stuck": 0.0},
        "o": {"low": 0.0, "high": 0.5, "middle": 0.5, "stuck": 0.5},
        "g": {"high": 1.0, "stuck": 1.0},
    }


@pytest.mark.parametrize(("share", "life"), [(0.9, 6.578813), (0.5, 1.0), (0.99, 68.967563)])
def test_the_half_life_is_that_of_a_forget_gate_set_by_hand(share, life):
    layers = with_biases(LSTM(D, H), f=log_odds(share))
    found = figures.half_lives(traced(layers, drawn(T, B, D))[0])
    assert found == {"c": [pytest.approx(life, rel=1e-3)] * 3}


def test_the_half_life_of_a_gru_is_that_of_its_update_gate():
    layers = with_biases(Recurrent("gru", D, H), z=log_odds(0.9))
    assert figures.half_lives(traced(layers, drawn(T, B, D))[0]) == {"h": [pytest.approx(6.578813, rel=1e-3)] * 3}


def test_a_plain_layer_keeps_nothing_but_through_its_weights():
    assert figures.half_lives(traced(Recurrent("rnn_tanh", D, H), drawn(T, B, D))[0]) == {}


def test_gradients_fade_as_a_layer_set_by_hand_lets_them():
    """h = relu(x + h / 2) of positive x: the gradient at lag k is that at lag 0 times 2^-k."""
    layers = Recurrent("rnn_relu", H, H)
    with torch.no_grad():
        for name, weight in layers.named_parameters():
            weight.copy_(torch.eye(H) * (0.5 if "hh" in name else 1.0) if weight.dim() > 1 else torch.zeros(H))
    found = figures.gradient_by_lag(traced(layers, drawn(20, B, H).abs())[0])
    first = found["lags"][0][1]
    assert found["lags"] == [[lag, pytest.approx(first * 0.5**lag, rel=2e-3)] for lag in (0, 1, 2, 4, 8, 16)]
    assert (found["reach"], found["longest"]) == (14, 19)  # 2^-13 of lag 1 is above 1e-4, 2^-14 below


@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_of_ragged_rows_are_those_of_each_row_alone(reverse):
    layers, x, lengths = LSTM(D, H, bidirectional=True), drawn(T, B, D), torch.tensor([9, 3, 5, 1, 2])
    together = figures.gradient_by_lag(traced(layers, x, lengths=lengths)[reverse])
    alone = []
    for row, length in enumerate(lengths.tolist()):
        own = figures.gradient_by_lag(traced(layers, x[:length, row : row + 1])[reverse])
        alone.append(dict(map(tuple, own["lags"])))
    for lag, norm in together["lags"]:
        there = [own[lag] for own in alone if lag in own]
        assert norm == pytest.approx(sum(there) / len(there), rel=2e-3)


def test_dead_and_twin_units_are_counted():
    torch.manual_seed(0)
    layers = LSTM(D, 8)
    with torch.no_grad():
        for weight in layers.parameters():
            gates = weight.view(4, 8, *weight.shape[1:])
            gates[:, 3] = gates[:, 2]  # unit 3 does what unit 2 does
            gates[2, 5] = 0.0  # unit 5 has nothing to write
    found = figures.units(traced(layers, drawn(40, B, D))[0])
    assert found == {"units": 8, "dead": 1 / 8, "twin": 1 / 8, "zero": None}


def test_units_that_are_always_zero_are_counted_for_rectified_cells_alone():
    layers = Recurrent("rnn_relu", D, 8)
    with torch.no_grad():
        layers.bias_ih_l0[:2] = -100.0
    found = figures.units(traced(layers, drawn(40, B, D))[0])
    assert found["zero"] == found["dead"] == 2 / 8


@pytest.mark.parametrize("lag", [1, 7, 19])
def test_a_planted_lag_is_found(lag):
    random = torch.Generator().manual_seed(lag)
    x = nn.functional.one_hot(torch.randint(6, (30, 24), generator=random), 6).float()
    wish = torch.zeros(30, 24, H)
    wish[lag:] = x[: 30 - lag] @ torch.randn(6, H, generator=random) + torch.randn(30 - lag, 24, H, generator=random)
    found = dependence_by_lag(x, wish, 29)
    assert max(found, key=found.get) == lag
    assert found[lag] > 8
    assert all(abs(strength) < 6 for other, strength in found.items() if other != lag)


def test_noise_depends_on_nothing():
    """In 60 draws no lag of 19 is as sure as the advice wants it."""
    strengths = []
    for seed in range(60):
        random = torch.Generator().manual_seed(seed)
        x, wish = torch.randn(20, 12, 3, generator=random), torch.randn(20, 12, H, generator=random)
        strengths += dependence_by_lag(x, wish, 19).values()
    assert max(strengths) < 8
    assert abs(sum(strengths) / len(strengths)) < 0.1


@pytest.mark.parametrize("name", cells.NAMES)
def test_half_lives_are_those_of_explain(name):
    """Which finds them in numpy, from traces of its own."""
    cell = cells.find(name)
    torch.manual_seed(0)
    layers = Recurrent(cell, D, 8, proj_size=3 if cell.projected else 0).eval()
    lengths = torch.tensor([9, 4, 7, 1, 9])
    [trace] = traced(layers, drawn(T, B, D), lengths=lengths)
    weights = [weight.detach().numpy() for weight in trace.weights]
    other = explanation.trace_layer(cell, trace.x.numpy(), None, weights, lengths.numpy())
    sizes = dict(zip(cell.carry, cell.carry_sizes, strict=True))
    known = [memory.name for memory in explanation.memories(cell) if sizes[memory.name] == "H"]
    found = figures.half_lives(trace)
    assert list(found) == ([] if "M" in cell.carry_sizes else known)
    for memory, quartiles in found.items():
        lives = np.minimum(explanation.half_lives(other, memory), 1e6)
        np.testing.assert_allclose(quartiles, np.quantile(lives, [0.25, 0.5, 0.75]), rtol=2e-3)
