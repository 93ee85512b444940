"""Measures of forecasts: hand-computed numbers, closed forms, and the figures that M4 published."""

import csv
import gzip
import math

import numpy as np
import pytest

from gatewise.metrics.forecasting import (
    Forecast,
    ForecastScores,
    crps_of_quantiles,
    crps_of_samples,
    pinball_loss,
    seasonal_error,
    smape,
)
from gatewise.tasks.forecast.baselines.simple import RULES, drift, mean, seasonal_naive


def tally(truth, point, *, scale=1.0, std=1.0, quantiles=None, samples=None, levels=()):
    """Figures of one series with one column."""
    truth = np.asarray(truth, float)[None, None]
    found = ForecastScores(truth.shape[-1], np.array(levels))
    forecast = Forecast(np.asarray(point, float)[None, None], quantiles, samples)
    found.add(truth, forecast, np.array([[scale]]), np.array([[std]]))
    return found.figures()


# --- points -----------------------------------------------------------------------------------------------------------


def test_points_by_hand():
    found = tally([10, 20, 30], [12, 20, 26], scale=4, std=2)
    assert found["mae"] == pytest.approx((2 + 0 + 4) / 3)
    assert found["rmse"] == pytest.approx(math.sqrt((4 + 0 + 16) / 3))
    assert found["mse_standardised"] == pytest.approx((1 + 0 + 4) / 3)
    assert found["mae_standardised"] == pytest.approx((1 + 0 + 2) / 3)
    assert found["smape"] == pytest.approx((200 * 2 / 22 + 0 + 200 * 4 / 56) / 3)
    assert found["mase"] == pytest.approx((0.5 + 0 + 1) / 3)
    assert found["mase_by_step"] == pytest.approx([0.5, 0, 1])
    assert (found["windows"], found["values"]) == (1, 3)


def test_smape_is_bounded_and_zero_where_both_are():
    assert smape(np.array([0.0, 0.0, 5.0, -1.0]), np.array([0.0, 3.0, 5.0, 1.0])).tolist() == [0, 200, 0, 200]


def test_a_missing_value_is_not_measured():
    assert tally([10, np.nan, 30], [12, 99, 26])["mae"] == 3
    assert tally([10, np.nan, 30], [12, 99, 26])["values"] == 2
    assert tally([10, 20], [12, 20], scale=np.nan)["mase"] is None


def test_mase_divides_by_the_seasonal_naive_error_of_the_past():
    past = np.array([1.0, 5, 2, 7, 4, 8])
    assert seasonal_error(past, 1) == pytest.approx((4 + 3 + 5 + 3 + 4) / 5)
    assert seasonal_error(past, 2) == pytest.approx((1 + 2 + 2 + 1) / 4)
    assert seasonal_error(np.array([1.0, np.nan, 2, 7]), 1) == 5
    assert math.isnan(seasonal_error(np.ones(9), 1))
    assert math.isnan(seasonal_error(np.ones(3), 4))


def test_pieces_add_up():
    rng = np.random.default_rng(0)
    truth, point = rng.normal(size=(2, 6, 3, 4))
    scales = rng.uniform(1, 2, (2, 6, 3))
    whole, pieces = ForecastScores(4), ForecastScores(4)
    whole.add(truth, Forecast(point), *scales)
    for part in (slice(0, 1), slice(1, 6)):
        pieces.add(truth[part], Forecast(point[part]), scales[0][part], scales[1][part])
    for name, value in whole.figures().items():
        assert pieces.figures()[name] == pytest.approx(value)


# --- quantiles and samples --------------------------------------------------------------------------------------------


def test_pinball_by_hand():
    found = pinball_loss(np.array([10.0]), np.array([[8.0, 10.0, 13.0]]), np.array([0.1, 0.5, 0.9]))
    assert found[0] == pytest.approx([0.1 * 2, 0, 0.1 * 3])


def gaussian_crps(mu, sigma, y):
    """Gneiting & Raftery (2007), equation 21 for the normal distribution."""
    z = (y - mu) / sigma
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    below = 0.5 * (1 + math.erf(z / math.sqrt(2)))
    return sigma * (z * (2 * below - 1) + 2 * density - 1 / math.sqrt(math.pi))


@pytest.mark.parametrize(("mu", "sigma", "y"), [(0, 1, 0), (2, 3, 7), (-1, 0.5, -1.2)])
def test_crps_of_a_gaussian(mu, sigma, y):
    from statistics import NormalDist

    want = gaussian_crps(mu, sigma, y)
    levels = (np.arange(2000) + 0.5) / 2000
    quantiles = np.array([NormalDist(mu, sigma).inv_cdf(level) for level in levels])
    assert crps_of_quantiles(np.array(float(y)), quantiles, levels) == pytest.approx(want, rel=1e-3)
    assert crps_of_samples(np.array(float(y)), quantiles) == pytest.approx(want, rel=1e-2)


def test_crps_of_samples_is_that_of_all_pairs():
    rng = np.random.default_rng(1)
    samples, truth = rng.normal(size=(7, 3)), rng.normal(size=3)
    pairs = np.abs(samples[:, None] - samples[None]).sum((0, 1)) / (7 * 6)
    assert crps_of_samples(truth, samples) == pytest.approx(np.abs(samples - truth).mean(0) - pairs / 2)
    assert crps_of_samples(truth, samples[:1]) == pytest.approx(np.abs(samples[0] - truth))


def test_crps_of_one_certain_value_is_its_absolute_error():
    assert crps_of_quantiles(np.array([3.0]), np.full((1, 3), 5.0), np.array([0.25, 0.5, 0.75])) == pytest.approx(2)


def test_coverage_counts_what_the_widest_interval_holds():
    quantiles = np.array([[0.0, 5, 10], [0, 5, 10], [0, 5, 10], [0, 5, 10]])[None, None]
    found = tally([0, 10, 11, np.nan], [5, 5, 5, 5], quantiles=quantiles, levels=(0.05, 0.5, 0.95))
    assert found["coverage"] == pytest.approx(2 / 3)
    assert found["coverage_meant"] == 0.9


# --- baselines --------------------------------------------------------------------------------------------------------


def test_baselines_by_hand():
    past = np.array([1.0, 2, 3, 4, 6])
    assert seasonal_naive(past, 5, 2).tolist() == [4, 6, 4, 6, 4]
    assert seasonal_naive(past, 2, 1).tolist() == [6, 6]
    assert seasonal_naive(past, 2, 7).tolist() == [6, 6]
    assert drift(past, 3, 1) == pytest.approx([7.25, 8.5, 9.75])
    assert mean(past, 2, 1) == pytest.approx([3.2, 3.2])


def test_baselines_step_over_holes():
    nan = np.nan
    assert seasonal_naive(np.array([1.0, 2, 3, nan]), 4, 2).tolist() == [3, 2, 3, 2]
    assert seasonal_naive(np.array([nan, 2, 3, nan, nan, nan]), 3, 3).tolist() == [3, 2, 3]
    assert drift(np.array([nan, 2.0, 3, nan]), 2, 1) == pytest.approx([5, 6])
    assert drift(np.array([nan, 2.0]), 1, 1).tolist() == [2]
    assert mean(np.array([nan, 2.0, 4]), 1, 1).tolist() == [3]


def m4(shared, part):
    with gzip.open(shared / "m4_hourly" / f"Hourly-{part}.csv.gz", "rt") as lines:
        return [np.array([float(v) for v in row[1:] if v]) for row in list(csv.reader(lines))[1:]]


def test_seasonal_naive_has_the_figures_that_m4_published(shared):
    """sMAPE 13.912 and MASE 1.193 for the hourly series: Makridakis et al. (2020), table of benchmarks."""
    found = ForecastScores(48)
    for past, truth in zip(m4(shared, "train"), m4(shared, "test"), strict=True):
        scale = np.array([[seasonal_error(past, 24)]])
        forecast = Forecast(RULES["seasonal naive"](past, 48, 24)[None, None])
        found.add(truth[None, None], forecast, scale, np.ones((1, 1)))
    assert found.figures()["smape"] == pytest.approx(13.912, abs=5e-4)
    assert found.figures()["mase"] == pytest.approx(1.193, abs=5e-4)
