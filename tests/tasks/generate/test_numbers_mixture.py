"""Mixtures of Gaussians: their density, held against that of torch and scipy, and samples."""

import math

import numpy as np
import pytest
import torch
from numbers_examples import parts
from scipy.stats import multivariate_normal
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

from gatewise.nn import ops
from gatewise.tasks.generate.numbers.mixture import NARROWEST, Ends, Layout, binary_loss, draw, end_loss, log_density


@pytest.mark.parametrize("layout", [Layout(D, 2, 4, True) for D in (1, 2, 3, 6, 7)], ids=str)
def test_the_density_is_that_of_torch(layout):
    torch.manual_seed(1)
    found, real = torch.randn(5, 3, layout.size).double(), torch.randn(5, 3, layout.real).double()
    scores, means, width, factor = parts(found, layout)
    apart = Independent(Normal(means, width), 1)
    each = MultivariateNormal(means, scale_tril=factor) if layout.coupled else apart
    want = MixtureSameFamily(Categorical(logits=scores), each).log_prob(real)
    torch.testing.assert_close(log_density(ops, found, layout, real), want)


def test_two_channels_are_graves_bivariate_gaussian():
    """With the correlation that the coupling r stands for, r / sqrt(1 + r^2), and the second width grown by it."""
    found, layout = torch.tensor([0.0, 0.3, -0.2, 0.5, -0.4, 0.9], dtype=torch.float64), Layout(2, 0, 1, False)
    first, second = (NARROWEST + math.log1p(math.exp(v)) for v in (0.5, -0.4))
    second *= math.sqrt(1 + 0.9**2)
    rho = 0.9 / math.sqrt(1 + 0.9**2)
    covariance = [[first**2, rho * first * second], [rho * first * second, second**2]]
    want = multivariate_normal([0.3, -0.2], covariance).logpdf([1.0, 0.5])
    got = log_density(ops, found, layout, torch.tensor([1.0, 0.5], dtype=torch.float64))
    assert got.item() == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("layout", [Layout(2, 1, 3, True), Layout(8, 0, 2, False)], ids=str)
def test_gradients(layout):
    torch.manual_seed(2)
    found = torch.randn(4, layout.size).double().requires_grad_()
    real, binary = torch.randn(4, layout.real).double(), (torch.rand(4, layout.binary) < 0.5).double()
    assert torch.autograd.gradcheck(
        lambda f: log_density(ops, f, layout, real) - binary_loss(ops, f, layout, binary), found
    )


@pytest.mark.parametrize("size", [1e2, 1e4])
def test_it_stays_finite_far_away(size):
    layout = Layout(2, 1, 3, True)
    torch.manual_seed(3)
    found = (size * torch.randn(50, layout.size)).requires_grad_()
    loss = binary_loss(ops, found, layout, torch.ones(50, 1)) + end_loss(ops, found, torch.zeros(50), torch.zeros(50))
    (loss - log_density(ops, found, layout, torch.randn(50, 2))).sum().backward()
    assert found.grad.isfinite().all()


def test_drawing_follows_the_density():
    layout, rng = Layout(2, 1, 3, True), np.random.default_rng(0)
    found = torch.randn(layout.size, generator=torch.Generator().manual_seed(4)).double()
    scores, means, _, factor = (part.numpy() for part in parts(found, layout))
    drawn = [draw(found.numpy(), layout, rng) for _ in range(10_000)]
    weights = np.exp(scores) / np.exp(scores).sum()
    mean = weights @ means
    each = [w * (f @ f.T + np.outer(m, m)) for w, m, f in zip(weights, means, factor, strict=True)]
    points = np.array([real for real, _, _ in drawn])
    np.testing.assert_allclose(points.mean(0), mean, atol=0.06)
    np.testing.assert_allclose(np.cov(points.T), sum(each) - np.outer(mean, mean), atol=0.1)
    chances = 1 / (1 + np.exp(-found.numpy()[-2:]))
    np.testing.assert_allclose(np.mean([[b.item(), e] for _, b, e in drawn], 0), chances, atol=0.02)
    real, binary, ended = draw(found.numpy(), layout, rng, 0)
    np.testing.assert_allclose(real, means[scores.argmax()])
    assert ([binary.item() == 1, ended] == (chances > 0.5)).all()
    cold = np.array([draw(found.numpy(), layout, rng, 0.01)[0] for _ in range(2000)])
    k = scores.argmax()
    np.testing.assert_allclose(np.cov(cold.T), 0.01 * factor[k] @ factor[k].T, rtol=0.15, atol=1e-4)


def survival(ends, count):
    """The probability of each length from 1 to `count`."""
    chance = 1 / (1 + np.exp(-ends.after(np.arange(1, count + 1)).astype(np.float64)))
    return chance * np.cumprod(np.concatenate([[1], 1 - chance[:-1]]))


def test_sequences_of_one_length_end_there():
    ends = Ends.learn(np.full(60, 120))
    chance = 1 / (1 + np.exp(-ends.odds.astype(np.float64)))
    assert chance[:119] == pytest.approx(np.full(119, 0.5 / 121 / 60.5), rel=1e-5)
    assert chance[119] == pytest.approx((60 + 0.5 / 121) / 60.5)
    assert survival(ends, 120)[119] > 0.98
    assert ends.after(np.array([120, 121, 1000])).tolist() == [ends.odds[-1]] * 3


@pytest.mark.parametrize("lengths", [[5, 6, 7, 8], [100] * 50 + [101] * 50, [3], [1, 1, 1], [2, 40, 300, 7, 7, 9]])
def test_ends_have_the_mean_of_the_lengths_and_are_never_sure(lengths):
    lengths = np.array(lengths * 20)
    ends = Ends.learn(lengths)
    chances = survival(ends, 20 * lengths.max())
    assert np.isfinite(ends.odds).all()
    assert chances.sum() == pytest.approx(1, abs=0.02)
    assert (chances * np.arange(1, len(chances) + 1)).sum() == pytest.approx(lengths.mean(), rel=0.15)


def test_lengths_that_vary_are_smoothed():
    """Ten lengths say little of which one comes next; one that lies between them is not impossible."""
    ends = Ends.learn(np.array([20, 22, 25, 26, 29, 31, 33, 38, 40, 45]))
    assert survival(ends, 60)[26] > 0.01  # 27, which none has
