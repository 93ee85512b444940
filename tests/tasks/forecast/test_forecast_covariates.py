"""Linear forecasts with covariates: what is known ahead has moved the values of the past, too."""

from dataclasses import replace

import numpy as np
import pytest
from forecast_kit import NOTHING, sequences, wave

from gatewise.errors import ModelFileError
from gatewise.tasks import Forecaster
from gatewise.tasks.forecast.baselines import covariates
from gatewise.tasks.forecast.baselines.covariates import Effects, Known, solve_effects
from gatewise.tasks.forecast.baselines.plain import RIDGE, RIDGE_OF_LOGS, WITH_COVARIATES
from gatewise.tasks.forecast.linear import Fold, Linear, rules
from gatewise.tasks.forecast.split import Part
from gatewise.tasks.forecast.windows import Series

TINY = {"horizon": 4, "season_length": 6, "hidden_size": 4, "epochs": 0.2, "batch_size": 16, "threads": 1}
T, H, SEASON = 12, 3, 6
LAST = np.eye(T)[-1:].repeat(H, 0)


def test_what_is_unforeseen_by_hand():
    future = np.arange(T + H, dtype=float)[None, :, None]
    known = Known(future, future[:, :T])
    assert known.unforeseen(LAST)[0, :, 0].tolist() == [1, 2, 3]  # above the last value
    season = rules(T, H, SEASON)["last season"]
    assert known.unforeseen(season)[0, :, 0].tolist() == [6, 6, 6]
    assert known.recent(SEASON)[0].tolist() == [11 - 5.5, 8.5 - 5.5]


@pytest.fixture(scope="module")
def moved():
    """Two columns that what is known ahead moves by 3 and -1 of their unit, and the last of the other by 2."""
    rng = np.random.default_rng(0)
    ahead, past = rng.normal(size=(2, 400))
    noise = rng.normal(size=(2, 400))
    values = np.stack([3 * ahead + 0.5 * noise[0] + 2 * np.roll(past, 1), -ahead + 0.5 * noise[1]], 1)
    data = sequences(values, columns=("a", "b"), ahead=ahead, past=past)
    inputs = replace(NOTHING, future={"ahead": (0.0, 1.0)}, past={"past": (0.0, 1.0)})
    return Series(data, ["a", "b"]), inputs


@pytest.mark.parametrize("strength", [1e-5, 0.1])
def test_effects_are_those_of_a_regression(moved, strength, monkeypatch):
    series, inputs = moved
    monkeypatch.setattr(covariates, "STRENGTHS", np.array([strength]))
    monkeypatch.setattr("gatewise.tasks.forecast.linear.STRENGTHS", np.array([strength]))
    training, held_out = Part(np.array([20]), np.array([200])), Part(np.array([240]), np.array([100]))
    own = Linear(LAST, LAST, folds=[LAST])
    found = solve_effects(series, [Fold(training, series, held_out)], training, own, inputs, SEASON)
    rows, origins = training[np.arange(200)]
    values = series.values(rows, origins[:, None] + np.arange(-T, H))
    known = Known.of(series, rows, origins, own, inputs)
    ahead, recent = known.unforeseen(LAST), known.recent(SEASON)
    for column in range(2):
        window = values[:, column]
        errors = (window[:, T:] - window[:, T - 1 : T]) / window[:, :T].std(1, keepdims=True)

        def ridge(X, y):
            products = X.T @ X
            return np.linalg.solve(
                products + strength * products.trace() / len(products) * np.eye(len(products)), X.T @ y
            )

        effect = ridge(ahead.reshape(-1, 1), errors.ravel())
        assert found.ahead[column] == pytest.approx(effect, rel=1e-4)
        assert found.recent[column] == pytest.approx(ridge(recent, errors - ahead[..., 0] * effect), rel=1e-3, abs=1e-5)
    assert (found.ahead == found.ahead_before).all()  # of the same windows


def test_nothing_held_out_leaves_no_effects(moved):
    series, inputs = moved
    own = Linear(LAST, LAST, folds=[])
    assert solve_effects(series, [], Part(np.array([20]), np.array([200])), own, inputs, SEASON) is None


@pytest.mark.parametrize("scaling", ["standard", "log"])
def test_an_effect_is_added_in_its_unit(scaling):
    past = np.exp(np.random.default_rng(0).normal(size=(5, T)))
    own = Linear(LAST, LAST, scaling == "log")
    moved = np.arange(15.0).reshape(5, 3) / 10
    plain, corrected = own.forecast(past, SEASON), own.forecast(past, SEASON, moved=moved)
    if scaling == "log":
        assert corrected == pytest.approx(plain * np.exp(moved))
    else:
        assert corrected == pytest.approx(plain + moved * past.std(1, keepdims=True))
    both = np.concatenate([past, corrected], 1)
    assert own.errors(both, SEASON, LAST) == pytest.approx(moved)  # and read off again


def sales(n=500):
    rng = np.random.default_rng(0)
    deal = (rng.random(n) < 0.2).astype(float)
    return sequences((wave(n, noise=0.1) + 5) * np.exp(-deal), deal=deal, ads=rng.normal(size=n))


@pytest.fixture(scope="module")
def fitted():
    return Forecaster(**TINY, target="y", future_covariates="deal", past_covariates="ads").fit(sales())


def test_deals_are_foreseen(fitted):
    figures = fitted.metrics_["baselines"]
    assert figures[WITH_COVARIATES[RIDGE_OF_LOGS]]["mase"] < 0.3 * figures[RIDGE_OF_LOGS]["mase"]
    assert figures[WITH_COVARIATES[RIDGE]]["mase"] < 0.5 * figures[RIDGE]["mase"]
    assert fitted.metrics_["test"]["mase"] < 0.4 * figures[RIDGE_OF_LOGS]["mase"]


def test_a_model_file_keeps_them(fitted, tmp_path):
    fitted.save(tmp_path / "one.model")
    loaded = Forecaster.load(tmp_path / "one.model")
    assert loaded.plain_.methods == fitted.plain_.methods
    assert loaded.evaluate(sales())["test"] == fitted.metrics_["test"]


def test_a_file_with_effects_on_nothing_is_refused(fitted, tmp_path, monkeypatch):
    document = fitted._document()
    names = [name for name in document["plain"]["names"] if name != RIDGE_OF_LOGS]
    changed = {**document, "plain": {**document["plain"], "names": names}}
    monkeypatch.setattr(fitted, "_document", lambda: changed)
    fitted.save(tmp_path / "one.model")
    with pytest.raises(ModelFileError, match="plain methods are"):
        Forecaster.load(tmp_path / "one.model")


def test_folds_have_effects_of_their_own():
    one, other = np.ones((1, 1)), np.zeros((1, 2, H))
    effects = Effects(one, other, 2 * one, other, [(3 * one, other), (4 * one, other)])
    assert effects.of_fold(0).ahead_before == 3
    assert effects.of_fold(1).ahead == 1
