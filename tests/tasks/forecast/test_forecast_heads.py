"""Heads: likelihoods, samples and quantiles."""

import numpy as np
import pytest
import torch

from gatewise.errors import ModelFileError
from gatewise.tasks.forecast.heads import DISTRIBUTIONS, Gaussian, NegativeBinomial, Quantiles, StudentT, softplus
from gatewise.tasks.forecast.losses import loss_of


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_likelihood_is_that_of_torch(name):
    torch.manual_seed(0)
    head = DISTRIBUTIONS[name]()
    out, scale = torch.randn(50, len(head.location_mask)).double(), torch.full((50,), 3.0).double()
    soft = torch.nn.functional.softplus
    if name == "negative-binomial":
        target = torch.randint(0, 9, (50,)).double() / scale
        mu, alpha = (soft(out[:, 0], beta=10) + 1e-4) * scale, soft(out[:, 1]) + 1e-4
        right, value = torch.distributions.NegativeBinomial(1 / alpha, logits=(mu * alpha).log()), target * scale
    else:
        target = value = torch.randn(50).double()
        spread = soft(out[:, 1]) + 1e-4
        right = torch.distributions.Normal(out[:, 0], spread)
        if name == "student-t":
            right = torch.distributions.StudentT(2 + soft(out[:, 2]), out[:, 0], spread)
    assert torch.allclose(loss_of(head)(out, target, scale), -right.log_prob(value), rtol=1e-6)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_draws_have_the_moments_of_their_distribution(name):
    head = DISTRIBUTIONS[name]()
    out = np.array([1.5, 0.3, 4.0], np.float32)[: len(head.location_mask)]
    out, scale = np.broadcast_to(out, (40_000, len(out))), np.full(40_000, 2.0, np.float32)
    drawn = head.draw(out, scale, np.random.default_rng(0))
    assert drawn.dtype == np.float32
    assert drawn.mean() == pytest.approx(head.point(out, scale)[0], abs=0.03)
    spread = float(torch.nn.functional.softplus(torch.tensor(0.3)))
    mu = 2 * float(head.point(out, scale)[0])
    want = {
        "gaussian": spread**2,
        "student-t": spread**2 * (6.018 / 4.018),
        "negative-binomial": (mu + spread * mu**2) / 4,
    }[name]
    assert drawn.var() == pytest.approx(want, rel=0.06)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_draws_are_spread_as_those_of_torch(name):
    """By the largest distance of both distribution functions (Smirnov 1948); one in ten thousand is above 2.2."""
    head, many = DISTRIBUTIONS[name](), 50_000
    out = np.array([1.5, 0.3, 4.0], np.float32)[: len(head.location_mask)]
    drawn = head.draw(np.broadcast_to(out, (many, len(out))), np.full(many, 2.0, np.float32), np.random.default_rng(0))
    soft, found = torch.nn.functional.softplus, torch.from_numpy(out).double()
    if name == "negative-binomial":
        mu, alpha = (soft(found[0], beta=10) + 1e-4) * 2, soft(found[1]) + 1e-4
        right = torch.distributions.NegativeBinomial(1 / alpha, logits=(mu * alpha).log())
    else:
        right = torch.distributions.Normal(found[0], soft(found[1]) + 1e-4)
        if name == "student-t":
            right = torch.distributions.StudentT(2 + soft(found[2]), found[0], soft(found[1]) + 1e-4)
    torch.manual_seed(0)
    theirs = (right.sample((many,)) / (2 if name == "negative-binomial" else 1)).numpy()
    at = np.sort(np.concatenate([drawn, theirs]))
    ours, others = (np.searchsorted(np.sort(own), at, "right") / many for own in (drawn, theirs))
    assert np.abs(ours - others).max() < 2.2 * (2 / many) ** 0.5


@pytest.mark.parametrize("sharpness", [1, 10])
def test_softplus_is_that_of_torch(sharpness):
    x = np.linspace(-40, 40, 81, dtype=np.float32)
    want = torch.nn.functional.softplus(torch.from_numpy(x).double(), beta=sharpness, threshold=1000)
    found = softplus(x, sharpness)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, want, rtol=2e-6, atol=1e-30)


def test_counts_beyond_any_number_are_refused():
    out, scale = np.full((3, 2), 1e15, np.float32), np.full(3, 1e30, np.float32)
    with pytest.raises(ModelFileError, match="its weights are too large"):
        NegativeBinomial().draw(out, scale, np.random.default_rng(0))


def test_quantiles_never_cross_and_begin_as_what_was_left_over():
    head = Quantiles((0.1, 0.5, 0.9))
    found = head.quantiles(np.array([[3.0, 1.0, 2.0]]))
    assert found.tolist() == [[1, 2, 3]]
    residuals = np.random.default_rng(0).normal(size=(500, 2))
    assert head.start(residuals) == pytest.approx(np.quantile(residuals, [0.1, 0.5, 0.9], axis=0).T)


@pytest.mark.parametrize("head", [Gaussian(), StudentT(), NegativeBinomial()])
def test_a_head_begins_as_finite_numbers(head):
    assert np.isfinite(head.start(np.zeros((3, 2)))).all()
