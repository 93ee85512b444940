"""The networks: their loss, columns read apart, sample paths."""

import numpy as np
import pytest
import torch
from forecast_kit import sequences, small, wave, window

from gatewise.runtime.layers import network_of
from gatewise.tasks.forecast.architecture import forward_direct, forward_steps
from gatewise.tasks.forecast.batches import tensors
from gatewise.tasks.forecast.heads import head_of
from gatewise.tasks.forecast.network import ForecastNetwork
from gatewise.tasks.forecast.outputs import network_forecast
from gatewise.tasks.forecast.windows import Series


def test_the_loss_sees_only_what_was_observed():
    network = ForecastNetwork(*small(context_length=6, horizon=3))
    series = Series(sequences(np.array([1.0, 2, 3, 4, 5, 6, np.nan, 8, np.nan])), ["y"])
    batch = tensors(series.batch(np.array([0]), np.array([6]), window(6, 3, "none")).arrays())
    with torch.no_grad():
        total, count = network.validation_sums(batch)
    assert (float(total), count) == (pytest.approx(8.0), 1)  # it begins by forecasting zeros


def test_columns_apart_are_series_apart():
    """A network that reads each column on its own says of two columns what it says of each alone."""
    torch.manual_seed(0)
    pair = np.stack([wave(), wave(seed=3, level=2)], 1)
    networks = [ForecastNetwork(*small(columns=c, context_length=12, horizon=4, patch=3)) for c in (1, 2)]
    with torch.no_grad():
        networks[0].output.weight.normal_()
    networks[1].load_state_dict(networks[0].state_dict())
    at = np.array([50])
    both = Series(sequences(pair, columns=("a", "b")), ["a", "b"]).batch(np.array([0]), at, window(12, 4, "standard"))
    for place in (0, 1):
        one = Series(sequences(pair[:, place]), ["y"]).batch(np.array([0]), at, window(12, 4, "standard"))
        with torch.no_grad():
            assert torch.allclose(
                forward_direct(networks[1], tensors(both.arrays()))[:, place],
                forward_direct(networks[0], tensors(one.arrays()))[:, 0],
                atol=1e-6,
            )


def test_teacher_forcing_is_what_sampling_walks_through():
    """With (almost) no noise, a path is the values that the network expects given the path itself."""
    torch.manual_seed(1)
    block, head = small("gaussian", direct=False, context_length=6, horizon=4, hidden_size=5)
    network = ForecastNetwork(block, head)
    with torch.no_grad():
        network.output.weight[0].normal_()
        network.linear[0, -1] = 0.5
        network.start[0, 1] = -30.0  # a standard deviation of 1e-4
    series = Series(sequences(wave(30)), ["y"])
    batch = series.batch(np.array([0]), np.array([12]), window(6, 4, "standard")).arrays()
    net = network_of(block, {name: tensor.numpy() for name, tensor in network.state_dict().items()})
    _, _, paths = network_forecast(net, head, batch, 3, 0)
    assert paths.shape == (3, 1, 1, 4)
    batch["target"] = paths[0].astype(np.float32)
    with torch.no_grad():
        out, values, _ = network.outputs_and_targets(tensors(batch))
    assert torch.allclose(out[..., -4:, 0], values[..., -4:], atol=1e-3)


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("learn_variance", [True, False])
@pytest.mark.parametrize("direct", [True, False])
def test_without_torch_the_outputs_are_the_same(direct, learn_variance, joint):
    torch.manual_seed(2)
    sizes = {"columns": 2, "joint": joint, "covariates": 3, "ahead": 2, "static": 1, "context_length": 7, "horizon": 4}
    block, _ = small("student-t", direct, learn_variance=learn_variance, patch=3 if direct else 1, **sizes)
    network = ForecastNetwork(block, head_of("student-t", ()))
    for weight in network.state_dict().values():
        weight.copy_(torch.randn(weight.shape))
    net = network_of(block, {name: tensor.numpy() for name, tensor in network.state_dict().items()})
    rows = 5 if joint else 10
    G = 10 // rows
    shapes = {"past": (5, 2, 7), "seen": (5, 2, 7), "covariates": (5, 7, 3), "ahead": (5, 4, 2), "static": (5, 1)}
    if not direct:
        shapes = {"before": (rows, G, 6), "seen": (rows, G, 6), "ahead": (rows, 6, 2), "static": (rows, 1)}
        shapes["windows"] = (rows, G, 6, 7)
    rng = np.random.default_rng(0)
    batch = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    with torch.no_grad():
        wanted = (forward_direct if direct else forward_steps)(network, tensors(batch))
    found = (forward_direct if direct else forward_steps)(net, batch)
    for own, other in zip(_flat(found), _flat(wanted), strict=True):
        assert own.dtype == np.float32
        np.testing.assert_allclose(own, other, rtol=1e-5, atol=1e-5)


def _flat(value):
    return [one for some in value for one in _flat(some)] if isinstance(value, tuple) else [value]
