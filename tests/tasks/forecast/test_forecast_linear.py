"""The linear part: rules, and what is solved."""

import numpy as np
import pytest
from forecast_kit import sequences, wave
from sklearn.linear_model import Ridge

from gatewise.tasks.forecast import linear
from gatewise.tasks.forecast.linear import Fold, rules, scales, solve
from gatewise.tasks.forecast.split import Part, Split
from gatewise.tasks.forecast.windows import Series, without_gaps


def solved(series, training, held_out, **options):
    fold = Fold(training, series, held_out)
    everything = Part(training.first, training.counts + held_out.counts)
    given = {"season": 1, "seed": 0, "scale": scales(series, series.ends, options.get("season", 1)), **options}
    return solve(series, [fold], everything, **given)


def test_rules_are_the_baselines():
    past = np.arange(12.0) ** 2
    known = rules(12, 8, 5)
    assert (known["last value"] @ past).tolist() == [121] * 8
    assert (known["last season"] @ past).tolist() == [49, 64, 81, 100, 121, 49, 64, 81]
    assert (known["mean of the last seasons"] @ past)[0] == (49 + 4) / 2


@pytest.mark.parametrize("mean", [False, True])
def test_the_table_of_products_is_that_of_all_windows(mean):
    """Against windows that are cut, and the ridge regression of scikit-learn."""
    values = wave(90, noise=1.0, seed=3)
    stretches = [linear._Stretch(values, 4, 60, 2.0, 0), linear._Stretch(values[::-1].copy(), 0, 5, 0.5, 0)]
    T, H = 9, 4
    windows = [
        np.stack([own.values[at : at + T + H] for at in range(own.first, own.first + own.number)]) / own.scale
        for own in stretches
    ]
    windows = np.concatenate(windows)
    for context in (T, 5):
        past, future = windows[:, T - context : T], windows[:, T:]
        reference = past.mean(1, keepdims=True) if mean else past[:, -1:]
        found = linear._Moments.of(stretches, T, H).around(context, mean)
        past, future = past - reference, future - reference
        assert found[0] == pytest.approx(past.T @ past, abs=1e-8)
        assert found[1] == pytest.approx(past.T @ future, abs=1e-8)
        assert found[2] == pytest.approx(np.square(future).sum())
        path = linear.RidgePath(*found[:2])
        theirs = Ridge(alpha=0.1 * np.trace(past.T @ past) / context, fit_intercept=False).fit(past, future)
        assert path.weights(0.1) == pytest.approx(theirs.coef_, abs=1e-8)
        missed = np.square(future - theirs.predict(past)).sum()
        assert path.missed(*found)[list(linear.STRENGTHS).index(0.1)] == pytest.approx(missed)


def test_a_recurrence_is_found():
    """A noiseless sum of waves obeys a linear recurrence."""
    t = np.arange(300)
    series = Series(sequences(np.sin(t / 3) + 0.5 * np.cos(t / 7)), ["y"])
    found = solved(
        series, Part(np.array([20]), np.array([180])), Part(np.array([220]), np.array([60])), horizon=5, contexts=[20]
    )
    values = series.values(np.zeros(60, int), 220 + np.arange(60)[:, None] + np.arange(-20, 5))[:, 0]
    for weights in (found.weights, found.before):
        assert values[:, :20] @ weights.T == pytest.approx(values[:, 20:], abs=0.02)
        assert weights.sum(1) == pytest.approx(np.ones(5))


def test_without_signal_it_stays_a_rule():
    walk = np.cumsum(np.random.default_rng(4).normal(size=400))
    series = Series(sequences(walk), ["y"])
    found = solved(
        series, Part(np.array([40]), np.array([200])), Part(np.array([280]), np.array([100])), horizon=4, contexts=[32]
    )
    assert np.abs(found.before - rules(32, 4, 1)["last value"]).max() < 0.25


def test_it_is_found_in_spite_of_holes():
    values = wave(400, noise=0.01)
    values[np.random.default_rng(0).random(400) < 0.04] = np.nan
    series = Series(sequences(values), ["y"])
    parts = Part(np.array([40]), np.array([200])), Part(np.array([280]), np.array([90]))
    found = solved(series, *parts, horizon=24, season=6, contexts=[36])
    past = series.values(np.zeros(50, int), 300 + np.arange(50)[:, None] + np.arange(-36, 24))[:, 0]
    missed = found.forecast(past[:, :36], 6) - past[:, 36:]
    assert np.nanmedian(np.abs(missed)) < 0.05


def test_units_and_levels_do_not_matter():
    values = wave(200)
    parts = Part(np.array([30]), np.array([100])), Part(np.array([140]), np.array([40]))
    found = [
        solved(Series(sequences(own), ["y"]), *parts, horizon=6, season=6, contexts=[12, 24])
        for own in (values, 1e5 + 1e3 * values)
    ]
    assert found[0].weights == pytest.approx(found[1].weights, abs=1e-4)


def test_what_comes_after_the_training_part_is_not_in_before():
    values = wave(200)
    changed = np.concatenate([values[:150], 50 * np.random.default_rng(0).normal(size=50)])
    found = []
    for own in (values, changed):
        series = Series(sequences(own), ["y"])
        scale = np.ones((1, 1))
        split = Split.of(series, 6, (0.6, 0.2, 0.2))
        fold = Fold(split.training(12), series, Part(np.array([130]), np.array([10])))
        everything = Part(split.training(12).first, split.training(12).counts + 60)
        found.append(solve(series, [fold], everything, horizon=6, season=1, contexts=[12], scale=scale, seed=0))
    assert (found[0].before == found[1].before).all()
    assert not np.allclose(found[0].weights, found[1].weights)


def test_gaps_are_filled_from_the_season():
    nan = np.nan
    rows = np.array([[nan, 2, 3, 4, nan, 6, nan], [nan, nan, nan, 7, nan, nan, nan], [nan] * 7])
    assert without_gaps(rows[:1], 3).tolist() == [[4, 2, 3, 4, 2, 6, 4]]
    assert without_gaps(rows[1:2], 9).tolist() == [[7] * 7]
    assert np.isnan(without_gaps(rows[2:], 3)).all()
