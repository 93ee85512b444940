"""The networks: their loss, columns read apart, sample paths."""

import numpy as np
import pytest
import torch
from forecast_kit import sequences, small, wave, window

from gatewise.tasks.forecast.batches import tensors
from gatewise.tasks.forecast.network import Autoregressive, Direct
from gatewise.tasks.forecast.windows import Series


def test_the_loss_sees_only_what_was_observed():
    network = small(Direct, context_length=6, horizon=3)
    series = Series(sequences(np.array([1.0, 2, 3, 4, 5, 6, np.nan, 8, np.nan])), ["y"])
    batch = tensors(series.batch(np.array([0]), np.array([6]), window(6, 3, "none")).arrays())
    with torch.no_grad():
        total, count = network.validation_sums(batch)
    assert (float(total), count) == (pytest.approx(8.0), 1)  # it begins by forecasting zeros


def test_columns_apart_are_series_apart():
    """A network that reads each column on its own says of two columns what it says of each alone."""
    torch.manual_seed(0)
    pair = np.stack([wave(), wave(seed=3, level=2)], 1)
    networks = [small(Direct, columns=c, context_length=12, horizon=4, patch=3) for c in (1, 2)]
    with torch.no_grad():
        networks[0].output.weight.normal_()
    networks[1].load_state_dict(networks[0].state_dict())
    at = np.array([50])
    both = Series(sequences(pair, columns=("a", "b")), ["a", "b"]).batch(np.array([0]), at, window(12, 4, "standard"))
    for place in (0, 1):
        one = Series(sequences(pair[:, place]), ["y"]).batch(np.array([0]), at, window(12, 4, "standard"))
        with torch.no_grad():
            assert torch.allclose(
                networks[1](tensors(both.arrays()))[:, place], networks[0](tensors(one.arrays()))[:, 0], atol=1e-6
            )


def test_teacher_forcing_is_what_sampling_walks_through():
    """With (almost) no noise, a path is the values that the network expects given the path itself."""
    torch.manual_seed(1)
    network = small(Autoregressive, "gaussian", context_length=6, horizon=4, hidden_size=5).double()
    with torch.no_grad():
        network.output.weight[0].normal_()
        network.linear[0, -1] = 0.5
        network.start[0, 1] = -30.0  # a standard deviation of 1e-4
    series = Series(sequences(wave(30)), ["y"])
    batch = {
        name: value.double()
        for name, value in tensors(
            series.batch(np.array([0]), np.array([12]), window(6, 4, "standard")).arrays()
        ).items()
    }
    with torch.no_grad():
        _, _, paths = network.drawn(batch, 3, torch.Generator().manual_seed(0))
    assert paths.shape == (3, 1, 1, 4)
    batch["target"] = paths[0]
    out, values, _ = network.outputs_and_targets(batch)
    assert torch.allclose(out[..., -4:, 0], values[..., -4:], atol=1e-3)
