"""Quantiles are moved to where held-out values fell."""

from statistics import NormalDist
from types import SimpleNamespace

import numpy as np
import pytest
from forecast_kit import sequences, wave

from gatewise.errors import ModelFileError
from gatewise.metrics.forecasting import Forecast
from gatewise.tasks import Forecaster
from gatewise.tasks.forecast import calibration
from gatewise.tasks.forecast.calibration import LEVELS, Calibration, along, normal_scores, scores_in
from gatewise.tasks.forecast.evaluation import calibration_of
from gatewise.tasks.forecast.split import Part
from gatewise.tasks.forecast.windows import Series

TINY = {"horizon": 4, "season_length": 6, "hidden_size": 4, "epochs": 0.2, "batch_size": 16, "threads": 1}
DECILES = tuple(np.arange(1, 10) / 10)


def too_narrow(values, levels=DECILES, head="quantiles"):
    """Stands for a predictor that takes all values for normal ones, with a standard deviation of 1."""
    fan = normal_scores(levels)

    def forecasts(series, part, before):
        yield np.arange(len(part)), Forecast(np.zeros((len(part), 1, 1)), np.tile(fan, (len(part), 1, 1, 1)))

    options = SimpleNamespace(quantiles=levels, head=head, mode="direct")
    series = Series(sequences(values), ["y"])
    every = Part(np.zeros(1, np.int64), np.array([len(values)]))
    own = SimpleNamespace(options=options, horizon=1, forecasts=forecasts, on_scale=lambda own: own)
    return own, (series, every)


def test_lines_from_point_to_point():
    xs, ys = np.array([-2.0, -1, 0, 3]), np.array([-8.0, -1, 0, 30])
    x = np.linspace(-2, 3, 23)
    assert along(x, xs, ys, 2) == pytest.approx(np.interp(x, xs, ys))
    assert along(np.array([-4.0, 6, np.nan]), xs, ys, 2) == pytest.approx([-16, 60, np.nan], nan_ok=True)
    assert along(np.array([1.0]), np.array([0.0, 1, 1, 2]), np.array([0.0, 10, 20, 30]), 1) == 10  # two points above
    assert np.isnan(along(np.array([1.0]), np.full(3, np.nan), np.arange(3.0), 1)).all()
    rows = along(np.stack([x, x]), np.stack([xs, 2 * xs]), ys, 2)
    assert rows == pytest.approx(np.stack([np.interp(x, xs, ys), np.interp(x / 2, xs, ys)]))


def test_a_fan_that_is_too_narrow_becomes_as_wide_as_the_errors():
    values = 2 * np.random.default_rng(0).normal(size=4000)
    found = calibration_of(*too_narrow(values))
    assert np.array(found.scores) == pytest.approx(2 * normal_scores(LEVELS), abs=0.15)
    # With the levels of the fan itself the order statistics can be counted.
    known, places = np.sort(values), dict(zip(LEVELS, found.scores, strict=True))
    trust = 4000 / 4010
    expected = trust * np.quantile(known, 0.9 * 4001 / 4000) + (1 - trust) * NormalDist().inv_cdf(0.9)
    assert places[0.9] == pytest.approx(expected, abs=1e-4)


def test_each_side_has_a_width_of_its_own():
    values = np.random.default_rng(0).normal(size=4000)
    values = np.where(values > 0, 2.5 * values, 0.5 * values)
    scores = np.array(calibration_of(*too_narrow(values)).scores)
    assert scores[[1, 9]] / normal_scores([0.1, 0.9]) == pytest.approx([0.5, 2.5], rel=0.1)


def test_values_that_equal_several_quantiles_are_spread_among_them():
    scores, fan = normal_scores([0.1, 0.3, 0.5, 0.7, 0.9]), np.array([0.0, 0, 0, 2, 4])
    found = scores_in(np.tile(fan, (500, 1)), np.zeros(500), scores, 2)
    assert found.min() == pytest.approx(scores[0], abs=0.01)
    assert found.max() == pytest.approx(0, abs=0.01)
    assert np.diff(np.sort(found)).max() < 0.02
    assert scores_in(fan[None], np.array([3.0]), scores, 2) == pytest.approx(scores[3:].mean())
    assert np.isnan(scores_in(np.ones((1, 5)), np.ones(1), scores, 2)).all()  # of no width


def test_few_values_tell_little():
    values = 2 * np.random.default_rng(0).normal(size=3)
    scores = np.array(calibration_of(*too_narrow(values)).scores)
    assert np.abs(scores - normal_scores(LEVELS)).max() < 3 / 13 * 2 * NormalDist().inv_cdf(0.975)


def test_no_fan_becomes_any_number_of_times_as_wide():
    values = 1000 * np.random.default_rng(0).normal(size=4000)
    scores = np.array(calibration_of(*too_narrow(values)).scores)
    assert scores == pytest.approx(3 * normal_scores(LEVELS), abs=0.01)


@pytest.mark.parametrize("given", [{"head": "negative-binomial"}, {"levels": (0.5,)}, {"levels": (0.5, 0.9)}])
def test_what_cannot_be_calibrated_is_not(given):
    own, held_out = too_narrow(np.zeros(50), **given)
    assert calibration_of(own, held_out) is None


def test_nothing_known_or_held_out_leaves_the_fan():
    own, held_out = too_narrow(np.full(50, np.nan))
    assert calibration_of(own, held_out) is None
    assert calibration_of(own, None) is None
    found = Forecaster(horizon=3, threads=1, hidden_size=4, epochs=0.2).fit([np.array([3.0, 5, 4, 6, 5, 7, 4, 6, 5])])
    assert found.calibration_ is None


@pytest.mark.parametrize("only", [None, "plain"])
def test_a_model_file_keeps_it(only, tmp_path):
    data = sequences(wave(seed=1), wave(120, seed=2, level=9))
    found = Forecaster(**TINY, only=only).fit(data, output=tmp_path / "one.model")
    assert found.calibration_.scores != tuple(calibration._NORMAL)
    loaded = Forecaster.load(tmp_path / "one.model")
    assert loaded.calibration_ == found.calibration_
    quantiles = {name: own for name, own in next(loaded.predictions(data)).items() if name.startswith("y_")}
    assert all((own == next(found.predictions(data))[name]).all() for name, own in quantiles.items())
    if only == "plain":  # around whose mean the fan lies
        assert quantiles["y_0.5"] == pytest.approx(found.predict(data).ravel())


@pytest.mark.parametrize("scores", [LEVELS, (0.0,), tuple(-s for s in calibration._NORMAL)])
def test_a_file_with_another_one_is_refused(scores, tmp_path, monkeypatch):
    found = Forecaster(**TINY, only="plain").fit([wave()])
    changed = {**found._document(), "calibration": {"scores": list(scores)}}
    monkeypatch.setattr(found, "_document", lambda: changed)
    found.save(tmp_path / "one.model")
    with pytest.raises(ModelFileError, match="calibration is"):
        Forecaster.load(tmp_path / "one.model")


@pytest.mark.parametrize("scaling", ["standard", "log"])
def test_samples_are_moved_with_their_quantiles(scaling):
    data = sequences(wave(300))
    found = Forecaster(**TINY, head="gaussian", scaling=scaling, samples=500).fit(data)
    found.calibration_ = Calibration(tuple(np.round(1.7 * calibration._NORMAL, 4)))
    [columns] = found.predictions(data)
    drawn = found.sample(data)[:, 0]
    for level in (0.1, 0.4, 0.8):
        assert np.quantile(drawn, level, axis=0) == pytest.approx(columns[f"y_{level}"], abs=0.01)


def test_coverage_of_the_intervals_is_that_of_what_is_forecast():
    found = Forecaster(**TINY, quantiles=(0.1, 0.5, 0.9)).fit([wave(400, noise=1.0)]).metrics_["test"]
    assert found["coverage_80"] == found["coverage"]
    assert found["coverage_80"] < found["coverage_95"] <= 1
