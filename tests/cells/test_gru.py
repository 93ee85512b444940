"""The GRU: numbers worked out by hand, and its limits."""

import math

import pytest
import torch
from table import ODD, draw

from gatewise import cells
from gatewise.engine import reference

GRU = cells.find("gru")


def run(x, h, W, U, b, b_h):
    """One unit, one feature: plain numbers in and out."""
    numbers = [torch.tensor([[v]], dtype=torch.float64) for v in (x, h)]
    weights = [torch.tensor(w, dtype=torch.float64) for w in ([[w] for w in W], [[u] for u in U], b, b_h)]
    return reference.step(GRU, numbers[0], numbers[1:], weights)[0].item()


def test_one_step_by_hand():
    # x = 1, h = 0.5; gates in the order r z n.
    #   zr = 1.0 * 1 + 2.0 * 0.5 - 2.0 + 0.0 = 0      r = sigmoid(0) = 0.5
    #   zz = 0.5 * 1 + 1.0 * 0.5 + 0.0 + 0.5 = 1.5    z = sigmoid(1.5) = 0.8175744761936437
    #   n = tanh(0.3 * 1 + 0.1 + r * (0.4 * 0.5 + 0.6)) = tanh(0.4 + 0.5 * 0.8) = tanh(0.8) = 0.664036770267849
    #   h = (1 - z) * n + z * 0.5 = 0.1824255238063563 * 0.664036770267849 + 0.40878723809682 = 0.52992449...
    h = run(1.0, 0.5, W=[1.0, 0.5, 0.3], U=[2.0, 1.0, 0.4], b=[-2.0, 0.0, 0.1], b_h=[0.0, 0.5, 0.6])
    assert h == pytest.approx(0.1824255238063563 * 0.664036770267849 + 0.8175744761936437 * 0.5, rel=1e-15)
    assert h == pytest.approx(0.529924493, abs=1e-8)


def test_all_weights_zero():
    # z = 1/2 and n = 0: h halves.
    assert run(3.0, 0.8, [0.0] * 3, [0.0] * 3, [0.0] * 3, [0.0] * 3) == 0.4


def biased(r=0.0, z=0.0, n=0.0):
    inputs = draw(GRU, ODD)
    W, U, b, b_h = inputs.weights
    return inputs, [W, U, b + torch.tensor([r, z, n], dtype=b.dtype).repeat_interleave(ODD.H), b_h]


def test_a_closed_update_gate_keeps_h_forever():
    inputs, weights = biased(z=1e3)  # z = 1
    (h,), (last,) = reference.recurrence(GRU, inputs.x.repeat(100, 1, 1), inputs.state, weights)
    assert torch.equal(last, inputs.state[0])
    assert torch.equal(h, inputs.state[0].expand_as(h))


def test_an_open_update_gate_replaces_h():
    inputs, weights = biased(r=-1e3, z=-1e3)  # z = 0, r = 0: h = tanh(W.n x + b.n), whatever came before
    after = reference.step(GRU, inputs.x[0], inputs.state, weights)[0]
    want = torch.tanh(inputs.x[0] @ weights[0][2 * ODD.H :].T + weights[2][2 * ODD.H :])
    torch.testing.assert_close(after, want, rtol=1e-15, atol=1e-15)


def test_h_never_leaves_the_unit_cube():
    inputs, weights = biased()
    start = [torch.zeros_like(s) for s in inputs.state]
    (h,), _ = reference.recurrence(GRU, inputs.x, start, [100 * w for w in weights])
    assert (h.abs() <= 1).all()


def test_the_reset_gate_acts_after_the_product():
    """Where U.n is diagonal the order of reset and product does not matter, elsewhere it does."""
    inputs = draw(GRU, ODD)
    W, U, b, b_h = inputs.weights
    diagonal = torch.cat([U[: 2 * ODD.H], torch.diag(U[2 * ODD.H :, 0])])

    def both(U):
        ours = reference.step(GRU, inputs.x[0], inputs.state, [W, U, b, torch.zeros_like(b_h)])[0]
        theirs = reference.step(cells.find("gru_2014"), inputs.x[0], inputs.state, [W, U, b])[0]
        return (ours - theirs).abs().max().item()

    assert both(diagonal) < 1e-14
    assert both(U) > 1e-3


def test_parameter_counts():
    # Three gates, each H rows of D + H weights and two biases: the one on U.n h is inside the reset.
    assert GRU.count(10, 20) == 3 * (20 * 10 + 20 * 20 + 2 * 20) == 1920
    shapes = {p.name: p.shape(GRU.sizes(10, 20)) for p in GRU.parameters}
    assert shapes == {"W": (60, 10), "U": (60, 20), "b": (60,), "b_h": (60,)}


def test_the_biases_of_r_and_z_only_count_as_sums():
    assert math.isclose(
        run(0.3, 0.2, [1.0] * 3, [1.0] * 3, [0.5, 0.25, 0.1], [0.0, 0.0, 0.1]),
        run(0.3, 0.2, [1.0] * 3, [1.0] * 3, [0.1, 0.05, 0.1], [0.4, 0.2, 0.1]),
        rel_tol=1e-14,
    )
