"""The estimator `Forecaster`: what it learns, its forecasts, its file, and its errors on bad input."""

import json
import signal
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import torch
from forecast_kit import sequences, wave
from matplotlib.axes import Axes
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score

from gatewise.data.sequences import Column
from gatewise.errors import DataError, GatewiseError, ModelFileError, Notice, OptionError
from gatewise.tasks.forecast.batches import Windows
from gatewise.tasks.forecast.estimator import Forecaster
from gatewise.tasks.forecast.heads import DISTRIBUTIONS
from gatewise.tasks.verdict import KEYS
from gatewise.training import Silent

TINY = {"horizon": 4, "season_length": 6, "hidden_size": 4, "epochs": 0.2, "batch_size": 16}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def data():
    return sequences(wave(seed=1), wave(120, seed=2, level=9))


@pytest.fixture(scope="module")
def fitted(data):
    return Forecaster(**TINY).fit(data)


# --- forecasts --------------------------------------------------------------------------------------------------------


def test_it_learns_beyond_the_baselines(data):
    found = Forecaster(horizon=6, season_length=6, seed=1, threads=1, preset="small").fit(data)
    metrics = found.metrics_
    rules = ("seasonal naive", "drift", "mean")
    assert metrics["test"]["mase"] < 0.95 * min(metrics["baselines"][name]["mase"] for name in rules)
    assert metrics["test"]["mase"] < 1.05 * metrics["strongest_plain"]["figure"]
    assert 0.5 < metrics["test"]["coverage"] <= 1
    assert found.predict(data).shape == (2, 6)
    assert found.predict(data)[0] == pytest.approx(5 + 2 * np.sin(2 * np.pi * np.arange(150, 156) / 6), abs=0.5)


def test_data_that_it_learned_from_are_split_as_they_were(fitted, data):
    found = fitted.evaluate(data)
    assert found.keys() == {"train", "validation", "test", "baselines", *KEYS}
    assert found["test"] == fitted.metrics_["test"]
    assert fitted.evaluate(sequences(wave(seed=8))).keys() == {"all", "baselines", *KEYS}


def test_a_backtest_is_the_predictions_of_series_that_were_cut(fitted, data):
    short = sequences(
        *[data.steps["y"].values[a : b - 4] for a, b in zip(data.offsets[:-1], data.offsets[1:], strict=True)]
    )
    truth = np.stack([data.steps["y"].values[b - 4 : b] for b in data.offsets[1:]])
    found = fitted.backtest(data, origins=1)
    assert found["all"]["mae"] == pytest.approx(np.abs(fitted.predict(short) - truth).mean())
    assert (found["all"]["windows"], fitted.backtest(data, origins=3)["all"]["windows"]) == (2, 6)
    assert fitted.score(data) == -found["all"]["mase"]


def test_the_spread_over_origins_is_that_of_backtests_of_each(fitted, data):
    """Three origins, each as if the series ended a horizon after it."""
    found = fitted.backtest(data, origins=3, stride=4)["all"]
    alone = []
    for back in (0, 4, 8):
        ends = [data.steps["y"].values[a : b - back] for a, b in zip(data.offsets[:-1], data.offsets[1:], strict=True)]
        points = fitted.predict(sequences(*[end[:-4] for end in ends]))
        # A series' scale is that of all before the first window.
        scales = [np.abs(end[6 : len(end) - 4 - (8 - back)] - end[: len(end) - 10 - (8 - back)]).mean() for end in ends]
        errors = [np.abs(end[-4:] - own).mean() / scale for end, own, scale in zip(ends, points, scales, strict=True)]
        alone.append(np.mean(errors))
    assert found["origins"] == 3
    assert found["mase_std"] == pytest.approx(np.std(alone, ddof=1), rel=1e-5)
    assert (found["mase_least"], found["mase_most"]) == pytest.approx((min(alone), max(alone)), rel=1e-5)
    assert "origins" not in fitted.backtest(data, origins=1)["all"]
    assert "3 origins: MASE from" in fitted.report({"all": found})


def test_predictions_are_columns(fitted, data):
    [found] = fitted.predictions(data)
    assert found["series"].tolist() == [0] * 4 + [1] * 4
    assert found["step"].tolist() == [1, 2, 3, 4] * 2
    assert found["y"].reshape(2, 4) == pytest.approx(fitted.predict(data))
    assert (found["y_0.1"] <= found["y_0.5"]).all()
    # Of a mean of logarithms' ridges, both are sums in an order of their own.
    assert found["y"] == pytest.approx(found["y_0.5"], rel=1e-14)


def test_timestamps_go_on(data):
    hourly = sequences(
        wave(), timestamps=True, static={"shop": Column("shop", "category", np.zeros(1, np.int32), ("north",))}
    )
    found = Forecaster(**TINY, key="shop").fit(hourly)
    assert found.sizing_.season == 6
    assert found.inputs_.calendar
    [columns] = found.predictions(hourly)
    assert columns["shop"].tolist() == ["north"] * 4
    assert columns["at"][0] - hourly.steps["at"].values[-1] == np.timedelta64(1, "h")
    with pytest.raises(DataError, match="without timestamps, but the model learned from data that are hourly"):
        found.predict(data)


def test_a_season_follows_from_the_timestamps():
    assert Forecaster(**{**TINY, "season_length": None}).fit(sequences(wave(), timestamps=True)).sizing_.season == 24


def test_what_is_known_ahead_is_used(folder):
    """The target is noise plus a column that is known ahead: only who reads that one can forecast."""
    rng = np.random.default_rng(0)
    promotion = (rng.random(404) < 0.3).astype(float)
    values = 10 + 5 * promotion + 0.1 * rng.normal(size=404)
    values[400:] = np.nan
    table = sequences(values, promotion=promotion)
    options = {"horizon": 4, "future_covariates": "promotion", "hidden_size": 8, "epochs": 40, "learning_rate": 0.02}
    found = Forecaster(**options).fit(table)
    assert found.predict(table)[0] == pytest.approx(10 + 5 * promotion[400:], abs=1.2)
    found.save("model")
    assert (Forecaster.load("model").predict(table) == found.predict(table)).all()
    with pytest.raises(DataError, match=r"gives 'promotion' for 0 steps beyond its last target, but 4 are forecast"):
        found.predict(sequences(values[:400], promotion=promotion[:400]))


def test_past_and_static_columns_of_all_kinds():
    group = Column("group", "category", np.array([0, 1], np.int32), ("a", "b"))
    size = Column("size", "number", np.array([1.0, np.nan]))
    table = sequences(wave(), wave(80), static={"group": group, "size": size}, heat=np.arange(230.0))
    found = Forecaster(**TINY, target="y", past_covariates=["heat"], static_covariates=("group", "size")).fit(table)
    assert found.inputs_.static_width == 3
    assert found.predict(table).shape == (2, 4)
    other = sequences(
        wave(),
        static={"group": Column("group", "category", np.zeros(1, np.int32), ("new",)), "size": size[:1]},
        heat=np.zeros(150),
    )
    assert np.isfinite(found.predict(other)).all()


@pytest.mark.parametrize("joint", [False, True])
def test_several_targets(joint, folder):
    pair = np.stack([wave(), 100 * wave(seed=5)], 1)
    found = Forecaster(**TINY, joint=joint).fit(sequences(pair, columns=("a", "b")))
    predicted = found.predict(sequences(pair, columns=("a", "b")))
    assert predicted.shape == (1, 4, 2)
    assert 50 < predicted[..., 1].mean() / predicted[..., 0].mean() < 200
    found.save("model")
    assert (Forecaster.load("model").predict(sequences(pair, columns=("a", "b"))) == predicted).all()


@pytest.mark.parametrize("mode", ["direct", "autoregressive"])
@pytest.mark.parametrize("head", DISTRIBUTIONS)
def test_distributions(mode, head, folder):
    values = np.random.default_rng(0).poisson(np.clip(wave(), 0, None)).astype(float)
    options = {**TINY, "mode": mode, "head": head, "samples": 50, "horizon": 3}
    found = Forecaster(**options).fit(sequences(values))
    drawn = found.sample(sequences(values))
    assert drawn.shape == (50, 1, 3)
    assert head != "negative-binomial" or (drawn >= 0).all()
    assert np.abs(drawn - np.round(drawn)).max() < 1e-3 or head != "negative-binomial"
    assert found.metrics_["test"]["coverage"] > 0.3
    found.save("model")
    assert (Forecaster.load("model").sample(sequences(values)) == drawn).all()


def test_validation_apart(data):
    apart = sequences(wave(60, seed=7))
    found = Forecaster(**TINY).fit(data, validation=apart)  # the validation share of `data` is trained on
    assert found.metrics_.keys() == {"train", "test", "baselines", *KEYS}
    assert found.outcome_.best_loss is not None


def test_holes_everywhere_are_no_obstacle():
    values = wave(300)
    values[np.random.default_rng(0).random(300) < 0.3] = np.nan
    found = Forecaster(**TINY).fit(sequences(values))
    assert np.isfinite(found.predict(sequences(values))).all()
    assert found.metrics_["test"]["values"] < 4 * found.metrics_["test"]["windows"]


def test_a_few_values_are_enough():
    values = np.array([266, 146, 183, 119, 180, 168, 232, 225, 193, 123, 336, 186.0])
    found = Forecaster(horizon=3).fit(sequences(values))
    assert np.isfinite(found.predict(sequences(values))).all()


def test_few_windows_do_not_narrow_the_fan():
    """Eighty values of noise, which a network can learn by heart."""
    noise = 20 + np.random.default_rng(0).normal(size=80)
    found = Forecaster(horizon=4, context_length=8, epochs=200, patience=None, split=(0.5, 0, 0.5)).fit(
        sequences(noise)
    )
    assert 0.65 < found.metrics_["test"]["coverage"] < 0.95


# --- laws of every task -----------------------------------------------------------------------------------------------


def weights(forecaster):
    return {name: tensor.clone() for name, tensor in forecaster.model_.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_seed_decides(data, fitted):
    assert same(weights(Forecaster(**TINY).fit(data)), weights(fitted))
    assert not same(weights(Forecaster(**TINY, seed=1).fit(data)), weights(fitted))


def test_resumed_is_as_if_never_stopped(data, folder, monkeypatch):
    options = {**TINY, "epochs": 2.0, "patience": None}
    whole = Forecaster(**options).fit(data)
    once = Windows.at

    def interrupting(self, step):
        if self.seed is not None and step == 9:
            signal.raise_signal(signal.SIGINT)
        return once(self, step)

    monkeypatch.setattr(Windows, "at", interrupting)
    stopped = Forecaster(**options).fit(data, output="model")
    scaled = {**options, "scaling": "standard"}  # which validation data would choose else
    Forecaster(**scaled).fit(data, validation=data, output="validated")
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert stopped.outcome_.reason == "interrupted"
    resumed = Forecaster(**options).fit(data, output="model", resume=True)
    assert resumed.outcome_.reason != "interrupted"
    assert same(weights(resumed), weights(whole))
    with pytest.raises(ModelFileError, match="validation"):
        Forecaster(**scaled).fit(data, validation=sequences(wave(seed=3)), output="validated", resume=True)


def test_ctrl_c_while_measuring_keeps_what_was_learned(data, fitted, folder, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("gatewise.tasks.forecast.estimator.evaluate_split", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Forecaster(**TINY).fit(data, output="model")
    loaded = Forecaster.load("model")
    assert loaded.metrics_ == {}
    assert np.array_equal(loaded.predict(data), fitted.predict(data))


def test_a_refused_fit_leaves_the_earlier_model_whole(data):
    forecaster = Forecaster(**TINY).fit(data)
    before, chosen = forecaster.predict(data), forecaster.sizing_
    with pytest.raises(DataError, match="longest series has 4 steps"):
        forecaster.fit({"z": np.arange(4.0)})
    shop = Column("shop", "category", np.array([0], np.int32), tuple(map(str, range(101))))
    with pytest.raises(DataError, match="column 'shop' has 101 different values"):
        forecaster.set_params(static_covariates="shop").fit(sequences(np.arange(90.0), static={"shop": shop}))
    forecaster.set_params(static_covariates=())
    assert forecaster.targets_ == ("y",)
    assert forecaster.sizing_ == chosen
    assert np.array_equal(forecaster.predict(data), before)


def test_saved_and_loaded_it_is_the_same(fitted, data, folder):
    fitted.save("model")
    loaded = Forecaster.load("model")
    assert (loaded.predict(data) == fitted.predict(data)).all()
    assert loaded.evaluate(data) == fitted.evaluate(data)
    assert loaded.sizing_ == fitted.sizing_


def test_as_scikit_learn_users_expect(data):
    forecaster = Forecaster(**TINY)
    assert clone(forecaster).get_params() == forecaster.get_params()
    series = [wave(60, seed=k) for k in range(4)]
    scores = cross_val_score(forecaster, series, cv=2)
    assert scores.shape == (2,)
    assert (scores < 0).all()
    search = GridSearchCV(forecaster, {"seed": [0, 1]}, cv=2).fit(series)
    assert search.best_estimator_.predict(series).shape == (4, 4)


def test_a_table_from_a_file(folder):
    """Two shops, rows in no order, an hour missing, a column that is known ahead."""
    rows = [
        f"{shop},2024-01-{1 + k // 24:02d} {k % 24:02d}:00,{'' if k >= 96 else 5 + k % 6},{k % 2}"
        for k in range(100)
        for shop in ("north", "south")
        if k != 50
    ]
    np.random.default_rng(0).shuffle(rows)
    (folder / "sales.csv").write_text("shop,hour,sold,open\n" + "\n".join(rows))
    options = {
        "key": "shop",
        "time": "hour",
        "target": "sold",
        "future_covariates": "open",
        "static_covariates": "shop",
    }
    found = Forecaster(**TINY, **options).fit("sales.csv")
    assert str(found.frequency_) == "hourly"
    assert found.predict("sales.csv") == pytest.approx(np.array([[5, 6, 7, 8.0]] * 2), abs=0.7)
    [columns] = found.predictions("sales.csv")
    assert columns["shop"].tolist() == ["north"] * 4 + ["south"] * 4
    assert columns["hour"][0] == np.datetime64("2024-01-05T00:00")


def days_of(*series, **columns):
    """A table of days: sales of several series, day after day, and who they are of."""
    days = [f"{date(2024, 1, 1) + timedelta(days=k)}" for k in range(len(series[0])) for _ in series]
    table = {"date": days} | {name: list(values) * len(series[0]) for name, values in columns.items()}
    return table | {"sold": np.stack(series, 1).ravel().round(3).tolist()}


@pytest.mark.parametrize(
    ("columns", "key"),
    [
        ({"shop": ["north", "south"]}, ["shop"]),
        ({"store": [1, 2]}, ["store"]),  # whole numbers
        ({"city": ["x", "y"], "shop": ["a", "b"]}, ["city"]),  # either would do
        ({"city": ["x", "x", "y", "y"], "shop": ["a", "b", "a", "b"]}, ["city", "shop"]),
        ({"online": [True]}, []),
    ],
)
def test_what_a_table_seems_to_hold_is_used_and_told(columns, key, capsys, folder):
    """A time and a key that nobody named, in the model that was saved too."""
    count = len(next(iter(columns.values())))
    table = days_of(*(wave(60, seed=k, level=5 + 4 * k) for k in range(count)), **columns)
    named = Forecaster(**TINY, target="sold", time="date", key=key).fit(table)
    assert capsys.readouterr().err == ""
    found = Forecaster(**TINY, target="sold").fit(table, output="model", progress=lambda *_: Silent())
    assert same(weights(found), weights(named))
    said = "taken as time: date (daily)"
    said += f"; taken as key: {', '.join(key)} ({count} series)" if key else ""
    assert capsys.readouterr().err == f"{said}. Others can be named: --time, --key\n"
    one, other = (list(model.predictions(table)) for model in (Forecaster.load("model"), named))
    assert [chunk.keys() for chunk in one] == [chunk.keys() for chunk in other]
    np.testing.assert_array_equal(one[0]["date"], other[0]["date"])
    assert one[0]["date"][0] == np.datetime64("2024-03-01")


def test_a_key_of_codes_keeps_its_zeros(folder):
    table = days_of(wave(60), wave(60, seed=2), shop=["007", "012"])
    (folder / "sales.csv").write_text(
        "date,shop,sold\n" + "\n".join(",".join(map(str, row)) for row in zip(*table.values(), strict=True))
    )
    [columns] = Forecaster(**TINY, target="sold").fit("sales.csv").predictions("sales.csv")
    assert columns["shop"].tolist() == ["007"] * 4 + ["012"] * 4


def test_series_one_below_the_other_are_told_apart():
    table = {"shop": ["a"] * 60 + ["b"] * 60, "sold": np.concatenate([wave(60), wave(60, seed=2)]).tolist()}
    assert Forecaster(**TINY, target="sold").fit(table).predict(table).shape == (2, 4)
    table["shop"] = ["a", "b"] * 60  # the weather perhaps: nothing says that these are series
    with pytest.warns(Notice, match=r"one series, in the order of its rows, without 'shop' \(2 values\).*--key shop"):
        glued = Forecaster(**TINY, target="sold").fit(table)
    assert glued.predict(table).shape == (1, 4)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (days_of(wave(60), wave(60)), "values of 'date' stand in several rows.*key='shop,product'"),
        (days_of(wave(60)) | {"shipped": days_of(wave(60))["date"]}, "2 columns of times: date, shipped.*time='date'"),
    ],
    ids=["no key", "two times"],
)
def test_what_is_not_clear_is_asked_for(table, message):
    with pytest.raises(DataError, match=message):
        Forecaster(**TINY, target="sold").fit(table)


def test_a_month_without_a_year_is_no_time():
    table = {"month": [1 + k % 12 for k in range(60)], "sold": wave(60).tolist()}
    found = Forecaster(**TINY, target="sold").fit(table)
    assert found.frequency_ is None


@pytest.mark.parametrize(
    ("written", "zone", "ahead"),
    [
        ("%Y-%m-%d %H:%M", "Europe/Berlin", ["2021-10-31T02:00", "2021-10-31T02:00", "2021-10-31T03:00"]),
        (
            "%Y-%m-%d %H:%M%z",
            "Europe/Berlin",
            ["2021-10-31T02:00+02:00", "2021-10-31T02:00+01:00", "2021-10-31T03:00+01:00"],
        ),
        ("%Y-%m-%d %H:%M%z", None, ["2021-10-31T00:00+00:00", "2021-10-31T01:00+00:00", "2021-10-31T02:00+00:00"]),
    ],
    ids=["local", "with offset", "with offset, read without a zone"],
)  # fmt: skip
def test_times_go_on_in_the_clock_of_the_data(folder, written, zone, ahead):
    """Hours that end before clocks in Berlin go back."""
    hours = [datetime(2021, 10, 30, 22, tzinfo=UTC) - timedelta(hours=i) for i in range(99, -1, -1)]
    hours = [hour + timedelta(hours=1) for hour in hours]
    rows = [f"{hour.astimezone(ZoneInfo('Europe/Berlin')):{written}},{i % 6}" for i, hour in enumerate(hours)]
    (folder / "sold.csv").write_text("hour,sold\n" + "\n".join(rows))
    options = {"time": "hour", "target": "sold", "zone": zone}
    [columns] = Forecaster(**{**TINY, "horizon": 3}, **options).fit("sold.csv").predictions("sold.csv")
    if "+" in ahead[0]:
        assert [when.isoformat(timespec="minutes") for when in columns["hour"]] == ahead
    else:
        assert columns["hour"].tolist() == np.array(ahead, "M8[us]").tolist()


def test_each_of_several_targets_is_measured(folder):
    table = {"x": wave().tolist(), "y": wave(seed=5, level=50).tolist()}
    found = Forecaster(**TINY, target="x,y").fit(table)
    test = found.metrics_["test"]
    each = test["by_target"]
    assert list(each) == ["x", "y"]
    assert each["x"]["values"] + each["y"]["values"] == test["values"]
    assert test["mae"] == pytest.approx((each["x"]["mae"] + each["y"]["mae"]) / 2)
    [columns] = found.predictions(table)
    backtest = found.backtest(table, origins=1)["all"]["by_target"]["y"]
    short = found.predict({name: values[:-4] for name, values in table.items()})
    assert backtest["mae"] == pytest.approx(np.abs(short[0, :, 1] - table["y"][-4:]).mean(), rel=1e-4)
    assert {"x", "x_0.1", "y", "y_0.9"} < columns.keys()
    lines = found.report(found.metrics_).splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["model", "x", "y"]
    assert "by_target" not in Forecaster(**TINY, target="x").fit(table).metrics_["test"]


def test_arrays_of_several_channels():
    pair = np.stack([wave(), wave(seed=5)], 1)
    assert Forecaster(**TINY).fit([pair, pair[:100]]).predict([pair]).shape == (1, 4, 2)


def test_a_picture(fitted, data, folder):
    fitted.plot(data, "fan.png", back=4)
    fitted.plot(data, "ahead.svg", series=1)
    assert (folder / "fan.png").stat().st_size > 10_000
    assert (folder / "ahead.svg").read_text().startswith("<?xml")
    with pytest.raises(OptionError, match=r"\.png or \.svg"):
        fitted.plot(data, "fan.pdf")
    with pytest.raises(OptionError, match="no series 2"):
        fitted.plot(data, "fan.png", series=2)


def test_a_picture_draws_the_future_that_predictions_hold(folder, monkeypatch):
    table = days_of(wave(60), wave(60, seed=2), shop=["north", "south"])
    found = Forecaster(**TINY, target="sold", time="date", key="shop").fit(table)
    drawn = []
    monkeypatch.setattr(
        Axes, "plot", lambda *given, own=Axes.plot, **how: drawn.append((given[1:3], how)) or own(*given, **how)
    )
    found.plot(table, "next.svg", series=1)
    (known, _), (ahead, how), *others = drawn
    assert [what["label"] for _, what in others] == ["plain methods alone"] * (found.share_ > 0)
    rows = next(found.predictions(table))
    assert how["label"] == "forecast"
    np.testing.assert_array_equal(ahead[0], rows["date"][4:])
    assert ahead[1] == pytest.approx(rows["sold"][4:], rel=1e-6)
    assert known[0][-1] == np.datetime64("2024-02-29")
    text = (folder / "next.svg").read_text()
    for words in ("Forecast of sold for the next 4 days: shop south", "known values", "80% of values should lie here"):
        assert f"<!-- {words} -->" in text


def test_the_report_is_narrow(fitted):
    lines = fitted.report(fitted.metrics_).splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[:4]] == ["test", "model", "seasonal", "drift"]


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": 0}, "horizon must be a whole number, 1 or more, not 0"),
        ({"head": "normal"}, "no head named 'normal'"),
        ({"mode": "recursive"}, "no mode named 'recursive'"),
        ({"scaling": "max"}, "no scaling named 'max'"),
        ({"quantiles": (0.1, 0.9)}, r"hold 0.5, not \(0.1, 0.9\)"),
        ({"quantiles": (0.5, 1.0)}, "quantiles must rise from above 0 to below 1"),
        ({"mode": "autoregressive"}, "'quantiles' is no distribution"),
        ({"mode": "autoregressive", "head": "gaussian", "past_covariates": "x"}, "not known ahead"),
        ({"head": "negative-binomial", "scaling": "last"}, "moves zero"),
        ({"joint": 1}, "joint must be true or false, not 1"),
        ({"context_length": 0}, "context_length must be a whole number"),
    ],
    ids=str,
)
def test_impossible_options(options, message, data):
    with pytest.raises(OptionError, match=message):
        Forecaster(**options).fit(data)


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (sequences(np.arange(8.0)), {"horizon": 12}, r"longest series has 8 steps, of which\s+12"),
        (sequences(np.arange(90.0)), {"target": "z"}, "no column named 'z'"),
        (sequences(np.arange(90.0)), {"past_covariates": "z"}, "no column named 'z'"),
        (sequences(np.arange(90.0) - 3), {"head": "negative-binomial"}, "'y' is -3 in row 1, but the head"),
        (sequences(np.arange(90.0) / 2), {"head": "negative-binomial"}, "'y' is 0.5 in row 2"),
        (sequences(np.arange(90.0)), {"scaling": "log"}, "'y' is 0 in row 1, but the scaling 'log'"),
        (sequences(np.full(90, np.nan)), {}, "column 'y' has no value"),
    ],
    ids=["short", "no target", "no column", "negative", "no count", "no logarithm", "empty"],
)
def test_bad_data(table, options, message):
    with pytest.raises(GatewiseError, match=message):
        Forecaster(**{"horizon": 4, **options}).fit(table)


def test_a_series_without_values_cannot_be_continued(fitted):
    with pytest.raises(DataError, match="series 2 has no value to forecast from"):
        fitted.predict(sequences(wave(), np.full(9, np.nan)))


# --- series that end, and parts that are empty ------------------------------------------------------------------------


def missing(values, *stretches):
    values = values.copy()
    for stretch in stretches:
        values[stretch] = np.nan
    return values


def test_a_forecast_starts_where_its_series_ended(fitted):
    """Whether its rows go on without values, for longer than the context too, or not."""
    whole = wave(100, seed=1)
    silent = sequences(missing(whole, slice(60, None)), whole, missing(whole, slice(97, None)))
    cut = sequences(whole[:60], whole, whole[:97])
    np.testing.assert_array_equal(fitted.predict(silent), fitted.predict(cut))


def test_its_timestamps_do_too():
    whole = wave(100, seed=1)
    found = Forecaster(**TINY).fit(sequences(whole, timestamps=True))
    silent = sequences(missing(whole, slice(60, None)), whole, missing(whole, slice(97, None)), timestamps=True)
    times = np.concatenate([chunk["at"] for chunk in found.predictions(silent)]).reshape(3, 4)
    np.testing.assert_array_equal(times[:, 0] - np.datetime64("2024-01-01", "us"), np.array([60, 100, 97], "m8[h]"))


@pytest.mark.parametrize(
    ("stretches", "parts"),
    [
        ([slice(350, None)], {"train", "validation", "test"}),
        ([slice(20, None)], {"train", "validation", "test"}),  # short, but for three parts
        ([slice(10, None)], {"train", "test"}),  # too short to hold out two parts
        ([slice(318, 362)], {"train", "test"}),
        ([slice(0, 100)], {"train", "validation", "test"}),
        ([slice(318, 399)], {"train", "test"}),
        ([slice(30, 390)], {"train", "test"}),
    ],
    ids=[
        "silent end",
        "long silent end",
        "nearly silent",
        "validation part",
        "beginning",
        "all but the last",
        "few at both ends",
    ],
)
def test_parts_without_values_are_left_out(stretches, parts, folder):
    values = sequences(missing(wave(400), *stretches))
    found = Forecaster(**TINY).fit(values)
    assert found.metrics_.keys() - {"baselines", *KEYS} == parts
    assert all(found.metrics_[part]["mae"] is not None for part in parts)
    assert all(found.metrics_[part]["mae"] < 3 for part in parts)  # a wave of height 2
    assert "intervals: that of 80% covers" in found.report(found.metrics_)
    assert found.evaluate(values) == found.metrics_
    assert np.isfinite(found.predict(values)).all()
    found.backtest(values, origins=2)
    found.plot(values, "fan.svg")


def test_nothing_to_learn_from_is_said(fitted):
    with pytest.raises(DataError, match="no value of y lies in the part to train on"):
        Forecaster(**TINY).fit(sequences(missing(wave(), slice(0, 149))))
    with pytest.raises(DataError, match="too few to compare a forecast of 4 steps"):
        fitted.evaluate(sequences(missing(wave(), slice(1, 149))))
    with pytest.raises(DataError, match="the series 2 has no value to draw"):
        fitted.plot(sequences(wave(), np.full(9, np.nan)), "fan.svg", series=1)


def test_a_history_shorter_than_horizon_and_context(fitted, folder):
    brief = sequences(wave(2), wave(1))
    assert np.isfinite(fitted.predict(brief)).all()
    for series in (0, 1):
        fitted.plot(brief, "fan.svg", series=series)
        fitted.plot(brief, "fan.svg", series=series, back=0)
    with pytest.raises(DataError, match="the longest series has 2 steps up to its last value"):
        fitted.evaluate(brief)


def test_a_target_without_a_past_has_no_forecast():
    pair = np.stack([wave(60), missing(wave(60, seed=3), slice(30, None))], 1)
    found = Forecaster(**TINY, context_length=12).fit([np.stack([wave(), wave(seed=5)], 1)])
    [forecast] = found.predict([pair])
    assert np.isfinite(forecast[:, 0]).all()
    assert np.isnan(forecast[:, 1]).all()


def test_an_untrained_one_says_so(data):
    with pytest.raises(OptionError, match="learned nothing yet"):
        Forecaster().predict(data)


def test_a_file_that_contradicts_itself(fitted, folder, monkeypatch):
    monkeypatch.setattr(fitted, "_document", lambda: {**Forecaster._document(fitted), "targets": ["a", "b", "c"]})
    fitted.save("model")
    with pytest.raises(ModelFileError, match=r"plain.shares has the shape \(1, 5\), where the model needs \(3, 5\)"):
        Forecaster.load("model")
    plain = {**Forecaster._document(fitted)["plain"], "strongest": "luck"}
    monkeypatch.setattr(fitted, "_document", lambda: {**Forecaster._document(fitted), "plain": plain})
    fitted.save("model")
    with pytest.raises(ModelFileError, match="strongest plain method is 'luck'"):
        Forecaster.load("model")
    monkeypatch.setattr(fitted, "_document", lambda: {**Forecaster._document(fitted), "sizes": {}})
    fitted.save("model")
    with pytest.raises(ModelFileError, match="contradicts itself"):
        Forecaster.load("model")
    for name in ("context_length", "patch"):
        sizes = {**vars(fitted.sizing_), name: 0}
        monkeypatch.setattr(fitted, "_document", lambda sizes=sizes: {**Forecaster._document(fitted), "sizes": sizes})
        fitted.save("model")
        with pytest.raises(ModelFileError, match=name):
            Forecaster.load("model")


def test_importing_it_costs_no_torch():
    code = "import sys, gatewise.tasks.forecast.estimator; assert not {'torch', 'duckdb'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_model_that_is_the_first_of_a_process_can_be_used(folder):
    """Its shapes are checked without memory, where nothing may be made that is kept."""
    forecaster = Forecaster(**TINY, head="gaussian", samples=5).fit([np.arange(60.0) % 7])
    forecaster.save("model")
    code = "import gatewise, numpy; print(gatewise.Forecaster.load('model').predict([numpy.arange(40.0) % 7]).tolist())"
    child = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    assert json.loads(child.stdout) == forecaster.predict([np.arange(40.0) % 7]).tolist()


@pytest.mark.parametrize("split", [(0.7, 0.1, 0.2), (0.8, 0.2, 0)])
def test_series_under_stress_are_measured_on_the_windows_that_they_are_measured_on_as_they_are(data, split):
    """Errors are told in units of the series, so that another unit changes nothing."""
    forecaster = Forecaster(**TINY, split=split).fit(data)
    card = forecaster.stress(data, changes=["scale", "missing"])
    assert card["as it is"] == forecaster.metrics_["strongest_plain"]
    for key in ("model", "figure"):
        assert card["scale"][key] == pytest.approx(card["as it is"][key], rel=1e-4)
    assert card["missing"]["part"] == card["as it is"]["part"] == ("test" if split[2] else "validation")
