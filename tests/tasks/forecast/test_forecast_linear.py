"""The linear part: rules, and what is solved."""

import numpy as np
import pytest
from forecast_kit import sequences, wave

from gatewise.tasks.forecast.linear import rules, solve
from gatewise.tasks.forecast.split import Part
from gatewise.tasks.forecast.windows import Series


def test_rules_are_the_baselines():
    past = np.arange(12.0) ** 2
    known = rules(12, 8, 5)
    assert (known["last value"] @ past).tolist() == [121] * 8
    assert (known["last season"] @ past).tolist() == [49, 64, 81, 100, 121, 49, 64, 81]
    assert (known["mean of the last seasons"] @ past)[0] == (49 + 4) / 2


def test_the_linear_part_is_that_of_least_squares():
    """A noiseless sum of waves obeys a linear recurrence, which the strongest fit finds."""
    t = np.arange(300)
    series = Series(sequences(np.sin(t / 3) + 0.5 * np.cos(t / 7)), ["y"])
    training, check = Part(np.array([20]), np.array([180])), Part(np.array([220]), np.array([60]))
    found = solve(series, training, series, check, horizon=5, season=1, contexts=[20], scalings=["none"], seed=0)
    assert found.error < 1e-3
    values = series.values(np.zeros(60, int), 220 + np.arange(60)[:, None] + np.arange(-20, 5))[:, 0]
    assert values[:, :20] @ found.weights.T == pytest.approx(values[:, 20:], abs=5e-3)


def test_without_signal_the_linear_part_stays_a_rule():
    walk = np.cumsum(np.random.default_rng(4).normal(size=400))
    series = Series(sequences(walk), ["y"])
    found = solve(
        series,
        Part(np.array([40]), np.array([200])),
        series,
        Part(np.array([280]), np.array([100])),
        horizon=4,
        season=1,
        contexts=[32],
        scalings=["last"],
        seed=0,
    )
    assert found.rule == "last value"
    assert np.abs(found.weights - rules(32, 4, 1)["last value"]).max() < 0.25


def test_the_linear_part_is_found_in_spite_of_holes():
    values = wave(400, noise=0.01)
    values[np.random.default_rng(0).random(400) < 0.2] = np.nan
    series = Series(sequences(values), ["y"])
    parts_of = Part(np.array([40]), np.array([200])), Part(np.array([280]), np.array([90]))
    found = solve(
        series, parts_of[0], series, parts_of[1], horizon=24, season=6, contexts=[36], scalings=["standard"], seed=0
    )
    assert found.rule != "last value"
    assert np.median(np.abs(found.residuals)) < 0.3
