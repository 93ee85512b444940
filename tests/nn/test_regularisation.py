"""Layers whose recurrence is regularised: what is drawn, when, and that every engine sees the same draws."""

import pytest
import torch
from table import CELLS

from gatewise.engine import native
from gatewise.errors import OptionError
from gatewise.nn import GRU, LSTM, Recurrent
from gatewise.nn.regularisation import Regularisers, activation_penalty, temporal_activation_penalty

T, B, D, H = 7, 3, 4, 8
ALL = {"recurrent_dropout": 0.3, "zoneout": (0.2, 0.4), "weight_dropout": 0.25}


def an_input():
    return torch.randn(T, B, D, generator=torch.Generator().manual_seed(3))


def seeded(layer, x, **options):
    torch.manual_seed(11)
    return layer(x, **options)


def flat(result):
    y, state = result[:2]
    return [y, *(state if isinstance(state, tuple) else [state])]


@pytest.mark.parametrize("options", [ALL, *({name: value} for name, value in ALL.items())], ids=str)
@pytest.mark.parametrize("more", [{}, {"num_layers": 3}, {"num_layers": 2, "bidirectional": True}], ids=str)
def test_draws_follow_the_seed_whatever_engine_and_threads(options, more, monkeypatch):
    layer = LSTM(D, H, **options, **more)
    x = an_input()
    first = flat(seeded(layer, x))
    torch.testing.assert_close(flat(seeded(layer, x)), first, rtol=0, atol=0)
    assert not torch.equal(layer(x)[0], first[0])
    layer.threads = 2
    torch.testing.assert_close(flat(seeded(layer, x)), first, rtol=0, atol=0)
    with monkeypatch.context() as patch:
        patch.setattr(native, "fits", lambda *_: False)
        patch.setattr("gatewise.engine._native_dtype", lambda *_: None)
        torch.testing.assert_close(flat(seeded(layer, x)), first)
    double = flat(seeded(layer.double(), x.double()))
    torch.testing.assert_close([v.float() for v in double], first)


@pytest.mark.parametrize("cell", [c for c in CELLS if not c.projected], ids=lambda c: c.name)
def test_every_cell_trains_with_all_of_them(cell):
    layer = Recurrent(cell, D, H, num_layers=2, recurrent_dropout=0.3, zoneout=0.2, weight_dropout=0.25)
    x = an_input().requires_grad_()
    y, _ = seeded(layer, x, lengths=[5, 0, 7])
    y.square().sum().backward()
    assert torch.isfinite(x.grad).all()
    gradients = [p.grad for p in layer.parameters()]
    again = Recurrent(cell, D, H, num_layers=2, recurrent_dropout=0.3, zoneout=0.2, weight_dropout=0.25).double()
    again.load_state_dict(layer.state_dict())
    x = x.detach().double().requires_grad_()
    seeded(again, x, lengths=[5, 0, 7])[0].square().sum().backward()
    for got, want in zip(gradients, (p.grad for p in again.parameters()), strict=True):
        if want is None:
            assert got is None
        else:
            torch.testing.assert_close(got.double(), want, rtol=2e-4, atol=2e-4 * max(1, want.abs().max().item()))


def test_outside_training_nothing_is_drawn():
    plain, layer = LSTM(D, H), LSTM(D, H, recurrent_dropout=0.5, weight_dropout=0.5).eval()
    layer.load_state_dict(plain.state_dict())
    x = an_input()
    assert torch.equal(layer(x)[0], plain(x)[0])


def test_zoneout_outside_training_is_the_mean():
    layer = GRU(D, H, zoneout=0.25).eval()
    plain = GRU(D, H)
    plain.load_state_dict(layer.state_dict())
    x, h = an_input(), torch.zeros(1, B, H)
    for x_t in x:
        h = 0.25 * h + 0.75 * plain(x_t[None], h)[1]
    torch.testing.assert_close(layer(x)[1], h)


def test_zoneout_of_one_carried_value_alone():
    layer = LSTM(D, H, zoneout=(0.0, 0.999))
    _, (_, c) = seeded(layer, an_input())
    assert (c == 0).float().mean() > 0.9  # it stays where it began
    layer = LSTM(D, H, zoneout=(0.999, 0.0))
    y, (_, c) = seeded(layer, an_input())
    assert (y == 0).float().mean() > 0.9
    assert (c != 0).all()


def test_recurrent_dropout_is_one_mask_for_all_steps():
    """A unit that is dropped does not act on any later step: weights into all units from it alone have no gradient."""
    layer = LSTM(D, H, recurrent_dropout=0.5)
    y, _ = seeded(layer, an_input()[:, :1])
    y.square().sum().backward()
    columns = layer.weight_hh_l0.grad.abs().sum(0)
    assert 0 < (columns == 0).sum() < H


def test_dropped_weights_are_the_recurrent_ones():
    layer = LSTM(D, H, weight_dropout=0.5)
    y, _ = seeded(layer, an_input())
    y.square().sum().backward()
    assert 0.3 < (layer.weight_hh_l0.grad == 0).float().mean() < 0.7
    assert (layer.weight_ih_l0.grad != 0).all()


def test_what_is_not_dropped_is_scaled_so_that_the_mean_stays():
    cell = LSTM(D, H).cell
    weights = [torch.randn(4 * 300, 200), torch.randn(4 * 300, 300), torch.randn(4 * 300)]
    dropped = Regularisers(cell, 0.0, (0.0, 0.0), 0.2).weights(weights, torch.tensor(5), 0)
    share = dropped[1] / weights[1]
    torch.testing.assert_close(share, torch.where(share == 0, 0, 1.25))
    assert abs(share.mean() - 1) < 0.005  # five standard errors
    assert (dropped[0] is weights[0], dropped[2] is weights[2]) == (True, True)
    [mask] = Regularisers(cell, 0.2, (0.0, 0.0), 0.0).extras(torch.zeros(T, 500, D), (200, 200), torch.tensor(5), 0)
    torch.testing.assert_close(mask, torch.where(mask == 0, 0, 1.25))
    assert abs(mask.mean() - 1) < 0.008
    assert (mask == mask[:1]).all()


def test_with_a_captured_graph():
    layer = LSTM(D, H, num_layers=2, **ALL)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    x = an_input()
    torch.testing.assert_close(flat(seeded(compiled, x)), flat(seeded(layer, x)))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"recurrent_dropout": 1.0}, "recurrent_dropout must be a number from 0 to below 1, not 1.0"),
        ({"weight_dropout": -0.1}, "weight_dropout must be a number from 0 to below 1, not -0.1"),
        ({"zoneout": "much"}, "zoneout must be a number from 0 to below 1, not 'much'"),
        ({"zoneout": (0.1, 0.2, 0.3)}, "zoneout takes one probability, or one for each of h c, not"),
    ],
)
def test_impossible_rates(options, told):
    with pytest.raises(OptionError, match=told):
        LSTM(D, H, **options)


def test_penalties():
    y = torch.tensor([[[1.0, 2.0]], [[3.0, 0.0]]])
    assert activation_penalty(y, 0.5).item() == 0.5 * (1 + 4 + 9 + 0) / 4
    assert temporal_activation_penalty(y, 2.0).item() == 2 * (4 + 4) / 2
    assert temporal_activation_penalty(y[:1], 2.0).item() == 0
