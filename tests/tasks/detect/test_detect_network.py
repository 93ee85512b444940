"""The networks of `detect` and their windows, beside plain PyTorch."""

import numpy as np
import pytest
import torch
from detect_kit import TINY, waves

from gatewise import cells
from gatewise.tasks.detect.architecture import FREEDOM, architecture
from gatewise.tasks.detect.batches import Windows
from gatewise.tasks.detect.estimator import Detector
from gatewise.tasks.detect.network import Detection


@pytest.fixture(scope="module")
def detector():
    """One that was trained on two channels of waves."""
    return Detector(**{**TINY, "epochs": 6, "hidden_size": 16}, false_alarm_rate=0.01).fit(waves(4000, 2))


def test_the_errors_are_those_of_plain_torch(detector):
    """The same LSTM by torch.nn, the same density by torch.distributions."""
    fresh = waves(300, 2, seed=2)
    state = detector.model_.state_dict()
    layers = torch.nn.LSTM(4, 16)
    layers.load_state_dict({k.removeprefix("predictor.layers."): v for k, v in state.items() if "layers" in k})
    z = torch.from_numpy(((fresh - detector.scale_.location) / detector.scale_.scale).astype(np.float32))
    with torch.no_grad():
        y, _ = layers(torch.cat([torch.asinh(z), torch.ones_like(z)], 1))
        out = y @ state["predictor.head.weight"].T + state["predictor.head.bias"]
        scale = torch.nn.functional.softplus(out[:-1, 2:]) + 1e-3
        law = torch.distributions.StudentT(FREEDOM, z[:-1] + out[:-1, :2], scale)
        constant = -torch.distributions.StudentT(FREEDOM).log_prob(torch.tensor(0.0))
        want = -law.log_prob(z[1:]) - constant
    errors = detector._predictor().errors.errors(fresh)
    assert np.isnan(errors.nats[0]).all()
    assert np.isnan(errors.residuals[0]).all()
    np.testing.assert_allclose(errors.nats[1:], want, rtol=1e-3, atol=1e-3)
    likeliest = -torch.distributions.StudentT(FREEDOM, 0.0, scale).log_prob(torch.tensor(0.0)) - constant
    signs = torch.sign(z[1:] - z[:-1] - out[:-1, :2])
    deviance = signs * torch.sqrt(2 * torch.clamp(want - likeliest, min=0))
    np.testing.assert_allclose(errors.residuals[1:], deviance, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("distribution", ["student", "gaussian"])
def test_the_training_loss_is_the_density_of_torch(distribution):
    torch.manual_seed(0)
    parts = architecture(method="prediction", cell=cells.find("lstm"), channels=2, hidden_size=8, num_layers=1)
    model = Detection(parts, distribution=distribution)
    torch.nn.init.normal_(model.predictor.head.weight)
    values, observed = torch.randn(17, 3, 2), (torch.rand(17, 3, 2) < 0.8).float()
    with torch.no_grad():
        location, scale = model.predicted(values[:-1], observed[:-1])
        loss = model.training_loss((values, observed))
    law = {
        "student": lambda: torch.distributions.StudentT(FREEDOM, location, scale),
        "gaussian": lambda: torch.distributions.Normal(location, scale),
    }[distribution]()
    want = -(law.log_prob(values[1:]) * observed[1:]).sum() / observed[1:].sum()
    assert float(loss) == pytest.approx(float(want), rel=1e-5)


def test_windows_are_those_of_the_series_and_each_epoch_draws_anew():
    series = [np.arange(40.0)[:, None], np.arange(100.0, 106.0)[:, None]]
    side_by_side = Windows(series, window=8, batch_size=4, seed=None)
    seen = torch.cat(
        [torch.where(o > 0, v, torch.nan)[1:].flatten() for v, o in map(side_by_side.at, range(len(side_by_side)))]
    )
    seen = sorted(seen[~seen.isnan()].tolist())
    assert seen == [*range(1, 40), *range(101, 106)]  # every step that has one before it, once
    drawn = Windows(series, window=8, batch_size=4, seed=0)
    assert not torch.equal(drawn.at(0)[0], drawn.at(len(drawn))[0])
    assert torch.equal(drawn.at(1)[0], Windows(series, window=8, batch_size=4, seed=0).at(1)[0])
