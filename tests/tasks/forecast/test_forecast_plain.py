"""The plain methods: theta and Holt-Winters, how they are weighed, and a model of them alone."""

import numpy as np
import pytest
import torch
from forecast_kit import sequences, wave

from gatewise.data.sequences import Column
from gatewise.errors import OptionError
from gatewise.metrics.comparison import standard_error
from gatewise.metrics.forecasting import Forecast
from gatewise.tasks.baselines import by_losses
from gatewise.tasks.forecast import estimator
from gatewise.tasks.forecast.baselines import smoothing
from gatewise.tasks.forecast.baselines.intermittent import tsb
from gatewise.tasks.forecast.baselines.plain import (
    AVERAGE,
    METHODS,
    NAIVE,
    RIDGE_OF_LOGS,
    TSB,
    WITH_COVARIATES,
    Plain,
)
from gatewise.tasks.forecast.baselines.shares import losses_of, shares_of, without_small
from gatewise.tasks.forecast.baselines.smoothing import holt_winters, theta
from gatewise.tasks.forecast.blend import SHARES, chosen_share, own_shares
from gatewise.tasks.forecast.estimator import Forecaster

TINY = {"horizon": 4, "season_length": 6, "hidden_size": 4, "epochs": 0.2, "batch_size": 16, "threads": 1}


def simple_smoothing(values, alpha):
    level, errors = values[0], 0.0
    for value in values:
        errors += (value - level) ** 2
        level += alpha * (value - level)
    return level, errors


def test_theta_by_hand():
    """Without a season: the best level, and half the slope of a line (Hyndman & Billah 2003, equation 7)."""
    values = np.random.default_rng(0).normal(size=40).cumsum() + 50
    alpha = min(smoothing._ALPHAS, key=lambda a: simple_smoothing(values, a)[1])
    slope = np.polyfit(np.arange(40), values, 1)[0]
    ahead = np.arange(5) + (1 - (1 - alpha) ** 40) / alpha
    expected = simple_smoothing(values, alpha)[0] + slope / 2 * ahead
    assert theta(values[None], 5, 1)[0] == pytest.approx(expected)
    missing = np.concatenate([[np.nan] * 9, values])
    assert theta(np.stack([missing, missing]), 5, 1)[1] == pytest.approx(expected)


@pytest.mark.parametrize("method", [theta, holt_winters])
@pytest.mark.parametrize("lift", [0.0, -100.0])
def test_a_season_goes_on(method, lift):
    """Multiplied, where all is above 0, and else added."""
    t = np.arange(66)
    values = (60 + 0.5 * t) * (1 + 0.3 * np.sin(2 * np.pi * t / 12))
    past = np.stack([values[:54] + lift, np.concatenate([[np.nan] * 10, values[10:54] + lift])])
    found = method(past, 12, 12)
    spread = np.ptp(values[42:54])
    assert np.abs(found - (values[54:] + lift)).max() < 0.2 * spread


@pytest.mark.parametrize("method", [theta, holt_winters])
def test_strange_pasts(method):
    past = np.full((5, 30), np.nan)
    past[1, -1] = 3.0
    past[2] = 7.0
    past[3, ::2] = np.arange(15.0)
    past[4, -2:] = [1.0, 100.0]
    found = method(past, 8, 12)
    assert np.isnan(found[0]).all()
    assert found[1].tolist() == [3.0] * 8
    assert found[2] == pytest.approx(np.full(8, 7.0))
    assert np.isfinite(found[3:]).all()
    assert found[4].max() <= 100 + 2 * 99  # a line through two values may lead anywhere
    alone = np.concatenate([method(row[None], 8, 12) for row in past[1:]])
    assert found[1:] == pytest.approx(alone)


def test_tsb_by_hand():
    """Teunter, Syntetos & Babai (2011), equations 1 and 2, from the mean of the first year; unknown months are none."""
    values = np.random.default_rng(0).poisson(0.4, size=60).astype(float)
    first = values[:12]
    chance, size = (first > 0).mean(), first[first > 0].mean()
    for value in values:
        chance += 0.1 * ((value > 0) - chance)
        if value > 0:
            size += 0.2 * (value - size)
    holes = np.insert(values, [0, 0, 5, 30, 60], np.nan)
    found = tsb(np.stack([holes, np.full(65, np.nan), np.zeros(65)]), 3)
    assert found[0] == pytest.approx(np.full(3, chance * size))
    assert np.isnan(found[1]).all()
    assert found[2].tolist() == [0, 0, 0]


def test_tsb_is_for_values_that_are_mostly_zero(tmp_path):
    rng = np.random.default_rng(0)
    parts = sequences(*(rng.poisson(0.3, size=60) * rng.integers(1, 5, size=60) for _ in range(20)))
    found = Forecaster(**TINY, only="plain").fit(parts, output=tmp_path / "one.model")
    assert TSB in found.metrics_["baselines"]
    assert (Forecaster.load(tmp_path / "one.model").predict(parts) == found.predict(parts)).all()
    for values in (wave(), -parts.steps["y"].values):
        assert TSB not in Forecaster(**TINY, only="plain").fit([values]).metrics_["baselines"]


def test_shares_are_those_of_least_error():
    rng = np.random.default_rng(0)
    truth, blocks = rng.normal(size=(400, 5)), np.arange(400)
    good, other = truth + rng.normal(size=(2, 400, 5))
    errors = np.stack([truth * 3, good - truth, other - truth])
    shares = shares_of(errors, blocks)
    assert shares == pytest.approx(np.array([1, 9, 9]) / 19, abs=0.03)  # by their variances, 9, 1 and 1
    assert shares_of(np.stack([errors[1], errors[1] * 0]), blocks).tolist() == [0, 1]


def test_relative_errors_count_where_they_are_told():
    """One is better by large values, the other by small ones, whose errors are small."""
    rng = np.random.default_rng(0)
    values = np.exp(3 * rng.normal(size=(400, 5)))
    noise = rng.normal(size=(2, 400, 5))
    errors = np.stack([values * 0.05 * noise[0] + 0.2 * noise[1], values * 0.3 * noise[1]])
    large = shares_of(errors, np.arange(400))
    both = shares_of(errors, np.arange(400), relative=1 / (2 * values))
    assert both[0] < large[0] - 0.1
    losses = losses_of(errors, 1 / (2 * values))
    kinds = [np.square(errors), np.abs(errors), np.abs(errors) / values]
    assert losses == pytest.approx(np.mean([k.mean((1, 2)) / k.mean((1, 2)).min() for k in kinds], 0))
    assert losses_of(errors) == pytest.approx(np.mean([k.mean((1, 2)) / k.mean((1, 2)).min() for k in kinds[:2]], 0))


def test_shares_minimise_what_is_said():
    """Squared, absolute and relative errors of the mean, against a fine grid."""
    rng = np.random.default_rng(0)
    truth = np.exp(rng.normal(size=(600, 4)))
    errors = np.stack([0.3 * truth * rng.normal(size=truth.shape), 0.3 * rng.normal(size=truth.shape)])
    relative = 1 / (2 * truth)
    kinds = [np.square, np.abs, lambda own: relative * np.abs(own)]
    least = [min(kind(own).mean() for own in errors) for kind in kinds]
    grid = np.arange(101) / 100
    loss = [
        sum(kind(s * errors[0] + (1 - s) * errors[1]).mean() / at for kind, at in zip(kinds, least, strict=True))
        for s in grid
    ]
    found = shares_of(errors, np.arange(600), relative=relative)
    assert found[0] == pytest.approx(grid[int(np.argmin(loss))], abs=0.03)


def test_an_advantage_that_may_be_chance_has_a_price():
    """One walk in which a drift was right for a while, as large as the steps of the walk make it."""
    rng = np.random.default_rng(1)
    luck = np.repeat(rng.normal(size=(4, 1)), 50, 0) + 0.1 * rng.normal(size=(200, 3))
    errors = np.stack([luck, luck - 0.3 * np.sign(luck.mean())])
    blocks = np.arange(200) // 50
    assert shares_of(errors, blocks)[0] > shares_of(errors, np.arange(200))[0]


def test_a_standard_error_is_of_blocks():
    values = np.random.default_rng(0).normal(size=100)
    assert standard_error(values, np.arange(100)) == pytest.approx(values.std(ddof=1) / 10)
    assert standard_error(values.repeat(5), np.arange(100).repeat(5)) == pytest.approx(values.std(ddof=1) / 10)


@pytest.fixture(scope="module")
def data():
    return sequences(wave(seed=1), wave(120, seed=2, level=9))


def test_plain_alone(data, tmp_path):
    found = Forecaster(**TINY, only="plain").fit(data, output=tmp_path / "plain.model")
    assert found.model_ is None
    assert found.share_ == found.metrics_["share"] == 0
    assert not found.metrics_["earned"]
    unused = {AVERAGE, RIDGE_OF_LOGS, TSB, *WITH_COVARIATES.values()}  # logarithms are kept where they have a share
    assert {*METHODS, "drift", "mean"} - unused == found.metrics_["baselines"].keys() - unused
    loaded = Forecaster.load(tmp_path / "plain.model")
    assert (loaded.predict(data) == found.predict(data)).all()
    assert loaded.evaluate(data)["test"] == found.metrics_["test"]
    assert "No network was trained" in loaded.verdict(loaded.metrics_)
    name = found.plain_.average
    assert found.metrics_["strongest_plain"]["name"] == name
    assert found.metrics_["test"]["mase"] == pytest.approx(found.metrics_["baselines"][name]["mase"])
    assert 0.5 < found.metrics_["test"]["coverage"] <= 1


@pytest.mark.parametrize("head", ["gaussian", "negative-binomial"])
def test_plain_samples(head, data):
    counts = sequences(np.random.default_rng(0).poisson(np.abs(wave(150))), np.random.default_rng(1).poisson(wave(90)))
    found = Forecaster(**TINY, only="plain", head=head).fit(counts)
    drawn = found.sample(counts)
    assert drawn.shape == (200, 2, 4)
    assert drawn.mean(0) == pytest.approx(found.predict(counts), rel=0.15)
    if head == "negative-binomial":
        assert (drawn == np.round(drawn)).all()
        assert drawn.min() >= 0


def test_a_share_is_a_mean_of_both(data):
    """Of points, and of quantiles level by level."""
    found = Forecaster(**TINY, share=0.25).fit(data)
    assert found.metrics_["share"] == 0.25
    found.calibration_ = None  # of quantiles of logarithms, between which nothing is linear
    by = {share: found._predictor(share) for share in (0.0, 1.0)}
    assert found.predict(data) == pytest.approx(0.75 * by[0.0].predict(data) + 0.25 * by[1.0].predict(data))
    low = {share: next(own.predictions(data))["y_0.1"] for share, own in by.items()}
    assert next(found.predictions(data))["y_0.1"] == pytest.approx(0.75 * low[0.0] + 0.25 * low[1.0])


def test_paths_stay_what_was_drawn_together():
    """Shares average the samples of equal rank."""
    rng = np.random.default_rng(0)
    own, plain = rng.normal(size=(50, 2, 1, 3)), 5 + 2 * rng.normal(size=(50, 2, 1, 3))
    forecaster = Forecaster(**TINY, head="gaussian", only="plain").fit([wave()])
    point, fan = np.zeros((2, 1, 3)), np.zeros((2, 1, 3, 9))
    found = forecaster._predictor().blended(Forecast(point, fan, own), Forecast(point + 5, fan, plain), 0.5)
    assert found.point == pytest.approx(np.full((2, 1, 3), 2.5))
    assert (found.samples.argsort(0) == own.argsort(0)).all()
    assert np.sort(found.samples, 0) == pytest.approx((np.sort(own, 0) + np.sort(plain, 0)) / 2)


def test_the_network_has_a_share_where_it_knows_more():
    """What is known ahead counts only where the other is not there, which no linear method can say."""
    rng = np.random.default_rng(0)
    deal, rain = (rng.random((2, 500)) < 0.5).astype(float)
    series = sequences(10 + 5 * (deal != rain) + 0.1 * rng.normal(size=500), deal=deal, rain=rain)
    found = Forecaster(horizon=3, target="y", future_covariates=("deal", "rain"), threads=1, epochs=30).fit(series)
    assert found.metrics_["share"] > 0.5
    assert found.metrics_["earned"]
    noise = Forecaster(**TINY).fit([rng.normal(size=300)]).metrics_
    assert not noise["earned"]
    assert noise["test"]["mase"] < 1.02 * noise["baselines"][noise["strongest_plain"]["name"]]["mase"]


def test_shares_by_losses_alone():
    assert by_losses(np.array([1.0, 2.0, 1.0]), 4).tolist() == [16 / 33, 1 / 33, 16 / 33]
    assert by_losses(np.array([0.0, 1.0]), 2).tolist() == [1, 0]
    assert without_small(np.array([0.5, 0.485, 0.015])).tolist() == pytest.approx([0.5 / 0.985, 0.485 / 0.985, 0])


def losses_of_shares(plain, network, both, noise=0.0, windows=100):
    """(21, 1, N) that go from one forecast's loss to the other's, with the lowest halfway as far below their mean."""
    share = np.arange(21) / 20
    mean = plain + (network - plain) * share - both * 4 * share * (1 - share)
    chance = np.random.default_rng(0).normal(size=windows)
    return (mean[:, None] + share[:, None] * noise * (chance - chance.mean()))[:, None]


@pytest.mark.parametrize(
    ("losses", "share"),
    [
        (losses_of_shares(1, 1, 0.1), 0.5),
        (losses_of_shares(1, 1.2, 0, noise=0.01), 0),  # surely worse
        (losses_of_shares(1, 0.8, 0, noise=0.01), 0.8),  # surely better: half of the way from .6 = 1 / (1 + .8 ** 2)
        (losses_of_shares(1, 1.2, 0, noise=50), 0.4),  # nobody knows
        (losses_of_shares(1, 0.5, 0, windows=1), 0.45),  # of one window, three quarters of a third and a quarter of .8
        (losses_of_shares(1, 1, 0, windows=1), 0.375),  # and a quarter of a half
        (losses_of_shares(0, 1, 0), 0),  # nothing is better than no error
        (np.zeros((21, 1, 0)), 0),
    ],
)
def test_the_share_goes_by_losses_and_evidence(losses, share):
    found = chosen_share(losses, np.arange(losses.shape[-1]))
    assert found == pytest.approx(share, abs=0.05)


def test_a_series_has_a_share_of_its_own_as_far_as_evidence_goes():
    """For the first series the network is good, for the second it is not, for the third nobody knows."""
    rng = np.random.default_rng(0)
    best, chance = np.repeat([1.0, 0.0, 0.9], 40), np.repeat([0.02, 0.02, 2.0], 40) * rng.normal(size=120)
    losses = (1 + (SHARES[:, None] - best) ** 2 + SHARES[:, None] * chance)[:, None]
    series, blocks = np.repeat([4, 7, 9], 40), np.arange(120) // 4
    found = own_shares(losses, blocks, series, 0.5)
    assert (found[4], found[7]) == (1.0, 0.0)
    assert abs(found.get(9, 0.5) - 0.5) < 0.25
    assert own_shares(losses, series, series, 0.5) == {}  # of one stretch of time each
    assert own_shares(losses, blocks, series, 0.0) == {}  # there is no network
    assert own_shares(losses[..., :0], blocks[:0], series[:0], 0.5) == {}


def test_shares_by_key(tmp_path):
    """Kept in the model file, and those of other series are the share of all."""
    shops = Column("shop", "category", np.array([0, 1]), ("north", "south"))
    data = sequences(wave(150, seed=1), wave(150, seed=2), static={"shop": shops})
    found = Forecaster(**TINY, key="shop", share=0.5).fit(data)
    half = found.predict(data)
    found.own_shares_ = {"south": 1.0, "west": 0.0}
    found.save(tmp_path / "one.model")
    mixed, network = Forecaster.load(tmp_path / "one.model").predict(data), found._predictor(1.0).predict(data)
    assert (mixed[0] == half[0]).all()
    assert mixed[1] == pytest.approx(network[1])
    assert (half[1] != mixed[1]).any()


def test_a_network_that_is_surely_worse_has_no_share(data, monkeypatch):
    caught = []
    chosen = estimator.network_shares
    monkeypatch.setattr(estimator, "network_shares", lambda *given: caught.append(given) or chosen(*given))
    found = Forecaster(**TINY).fit(data)
    (predictor, held_out, _) = caught[0]
    assert 0.3 < chosen(predictor, held_out, None)[0] < 0.8  # it has hardly left the ridge that it began as
    with torch.no_grad():
        for weight in found.model_.parameters():
            weight.add_(0.5 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
    assert chosen(predictor, held_out, None) == (0, {})


def test_only_plain_leaves_no_share():
    with pytest.raises(OptionError, match="leaves no network"):
        Forecaster(only="plain", share=0.5).fit([wave()])


def test_without_held_out_windows_it_is_the_naive_one():
    found = Forecaster(horizon=3, threads=1, hidden_size=4, epochs=0.2).fit([np.array([3.0, 5, 4, 6, 5, 7, 4, 6, 5])])
    assert found.share_ == 0
    assert found.plain_.average == NAIVE
    assert isinstance(found.plain_, Plain)
    assert np.isfinite(found.predict([np.arange(6.0)])).all()
