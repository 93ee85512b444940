"""The estimator `Forecaster`: laws of its windows, of its linear part and heads, and what it says of bad input."""

import signal

import numpy as np
import pytest
import torch

from gatewise import cells
from gatewise.data.sequences import Column, Sequences
from gatewise.errors import DataError, GatewiseError, ModelFileError, OptionError
from gatewise.tasks.forecast import table as tables
from gatewise.tasks.forecast.estimator import Forecaster
from gatewise.tasks.forecast.heads import DISTRIBUTIONS, Gaussian, NegativeBinomial, Quantiles, StudentT
from gatewise.tasks.forecast.linear import rules, solve
from gatewise.tasks.forecast.network import Autoregressive, Direct, Shape, Windows, tensors
from gatewise.tasks.forecast.windows import (
    Inputs,
    Part,
    Series,
    in_units,
    last_origins,
    parts,
    spaced,
    training_ends,
    training_part,
)

NOTHING = Inputs({}, {}, (), {})
TINY = {"horizon": 4, "season_length": 6, "hidden_size": 4, "epochs": 0.2, "batch_size": 16}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sequences(*series, stamps=False, columns=("y",), static=None, **others):
    """Series (n,) or (n, C) as a reader gives them."""
    values = np.concatenate([np.asarray(s, float).reshape(len(s), -1) for s in series])
    offsets = np.concatenate([[0], np.cumsum([len(s) for s in series])]).astype(np.int64)
    steps = {name: Column(name, "number", values[:, place].copy()) for place, name in enumerate(columns)}
    if stamps:
        hours = np.concatenate([np.arange(len(s)) for s in series]) * np.timedelta64(3_600_000_000, "us")
        steps["at"] = Column("at", "time", np.datetime64("2024-01-01", "us") + hours)
    steps |= {name: Column(name, "number", np.asarray(given, float)) for name, given in others.items()}
    return Sequences(offsets, steps, static or {}, "sales")


def wave(n=150, noise=0.1, seed=0, level=5.0):
    t = np.arange(n)
    return level + 2 * np.sin(2 * np.pi * t / 6) + noise * np.random.default_rng(seed).normal(size=n)


@pytest.fixture(scope="module")
def data():
    return sequences(wave(seed=1), wave(120, seed=2, level=9))


@pytest.fixture(scope="module")
def fitted(data):
    return Forecaster(**TINY).fit(data)


# --- parts and windows ------------------------------------------------------------------------------------------------


def test_parts_follow_each_other_and_no_target_is_in_two():
    series = Series(sequences(np.arange(100.0), np.arange(40.0)), ["y"])
    split = (0.7, 0.1, 0.2)
    ends = training_ends(series, 5, split)
    assert ends.tolist() == [70, 100 + 40 - 8 - 5]  # a share takes a horizon at least
    found = {"train": training_part(series, ends, 5, 12), **parts(series, 5, split)}
    targets = {}
    for name, part in found.items():
        index, origins = part[np.arange(len(part))]
        for place, origin in zip(index, origins, strict=True):
            targets.setdefault((name, place), set()).update(range(origin, origin + 5))
    assert targets["train", 0] == set(range(12, 70))
    assert targets["validation", 0] == set(range(70, 80))
    assert targets["test", 0] == set(range(80, 100))
    assert targets["validation", 1] == set(range(127, 132))
    assert targets["test", 1] == set(range(132, 140))


def test_a_part_counts_its_windows_as_a_list_would():
    part = Part(np.array([3, 10, 20]), np.array([2, 0, 3]), stride=2)
    index, origins = part[np.arange(len(part))]
    assert list(zip(index, origins, strict=True)) == [(0, 3), (0, 5), (2, 20), (2, 22), (2, 24)]
    few = spaced(Part(np.array([0]), np.array([10])), 4)
    assert few[np.arange(len(few))][1].tolist() == [0, 3, 6, 9]


def test_rolling_origins_end_a_horizon_before_the_end():
    series = Series(sequences(np.arange(20.0), np.arange(5.0), np.arange(3.0)), ["y"])
    part = last_origins(series, series.ends, 4, origins=3, stride=4)
    index, origins = part[np.arange(len(part))]
    assert list(zip(index, origins, strict=True)) == [(0, 8), (0, 12), (0, 16), (1, 21)]


@pytest.mark.parametrize("scaling", ["standard", "last", "mean", "log", "none"])
def test_a_window_in_its_units_is_the_window(scaling):
    values = np.exp(np.random.default_rng(0).normal(size=30))
    batch = Series(sequences(values), ["y"]).batch(np.array([0]), np.array([20]), 12, 5, scaling, NOTHING)
    back = in_units(batch.past, batch.loc[..., None], batch.scale[..., None], scaling)
    assert back[0, 0] == pytest.approx(values[8:20], rel=1e-5)
    ahead = in_units(batch.target, batch.loc[..., None], batch.scale[..., None], scaling)
    assert ahead[0, 0] == pytest.approx(values[20:25], rel=1e-5)


def test_holes_are_filled_by_the_value_before_and_never_a_target():
    values = np.array([np.nan, 2, np.nan, 4, 6, np.nan, 8, 10.0])
    batch = Series(sequences(values), ["y"]).batch(np.array([0]), np.array([5]), 6, 3, "none", NOTHING)
    assert batch.past[0, 0].tolist() == [0, 0, 2, 2, 4, 6]  # before the series, and before its first value: nothing
    assert batch.seen[0, 0].tolist() == [0, 0, 1, 0, 1, 1]
    assert batch.wanted[0, 0].tolist() == [0, 1, 1]
    assert batch.target[0, 0].tolist() == [0, 8, 10]


def test_units_come_from_the_values_that_are_there():
    values = np.array([1, np.nan, 3, np.nan, 5, 9.0])
    batch = Series(sequences(values), ["y"]).batch(np.array([0]), np.array([5]), 5, 1, "standard", NOTHING)
    assert (batch.loc.item(), batch.scale.item()) == pytest.approx((3, np.std([1, 3, 5])))


@pytest.mark.parametrize(
    ("scaling", "value", "scale"),
    [("standard", 50, 0.05), ("last", 0, 1), ("log", 1, 1e-3), ("mean", 50, 50), ("mean", 0, 1)],
)
def test_a_flat_window_has_units_too(scaling, value, scale):
    batch = Series(sequences(np.full(9, value)), ["y"]).batch(np.array([0]), np.array([6]), 5, 2, scaling, NOTHING)
    assert batch.scale.item() == pytest.approx(scale)
    assert (batch.target == (1 if scaling == "mean" and value else 0)).all()


def test_the_loss_sees_only_what_was_observed():
    shape = Shape(1, False, 6, 3, 1, 0, 0, 0, True, 4, 1, 0.0)
    network = Direct(shape, "quantiles", (0.5,), cells.find("lstm"), {})
    series = Series(sequences(np.array([1.0, 2, 3, 4, 5, 6, np.nan, 8, np.nan])), ["y"])
    batch = tensors(series.batch(np.array([0]), np.array([6]), 6, 3, "none", NOTHING))
    with torch.no_grad():
        total, count = network.validation_sums(batch)
    assert (float(total), count) == (pytest.approx(8.0), 1)  # it begins by forecasting zeros


def test_columns_apart_are_series_apart():
    """A network that reads each column on its own says of two columns what it says of each alone."""
    torch.manual_seed(0)
    pair = np.stack([wave(), wave(seed=3, level=2)], 1)
    networks = [
        Direct(Shape(c, False, 12, 4, 3, 0, 0, 0, True, 4, 1, 0.0), "quantiles", (0.5,), cells.find("lstm"), {})
        for c in (1, 2)
    ]
    with torch.no_grad():
        networks[0].output.weight.normal_()
    networks[1].load_state_dict(networks[0].state_dict())
    at = np.array([50])
    both = Series(sequences(pair, columns=("a", "b")), ["a", "b"]).batch(np.array([0]), at, 12, 4, "standard", NOTHING)
    for place in (0, 1):
        one = Series(sequences(pair[:, place]), ["y"]).batch(np.array([0]), at, 12, 4, "standard", NOTHING)
        with torch.no_grad():
            assert torch.allclose(networks[1](tensors(both))[:, place], networks[0](tensors(one))[:, 0], atol=1e-6)


# --- the linear part --------------------------------------------------------------------------------------------------


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
    found = solve(series, training, series, check, 5, 1, [20], ["none"], 0)
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
        4,
        1,
        [32],
        ["last"],
        0,
    )
    assert found.rule == "last value"
    assert np.abs(found.weights - rules(32, 4, 1)["last value"]).max() < 0.25


# --- heads ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_likelihood_is_that_of_torch(name):
    torch.manual_seed(0)
    head = DISTRIBUTIONS[name]()
    out, scale = torch.randn(50, len(head.located)).double(), torch.full((50,), 3.0).double()
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
    assert torch.allclose(head.loss(out, target, scale), -right.log_prob(value), rtol=1e-6)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_draws_have_the_moments_of_their_distribution(name):
    head = DISTRIBUTIONS[name]()
    out = torch.tensor([1.5, 0.3, 4.0])[: len(head.located)].expand(40_000, -1)
    scale, noise = torch.full((40_000,), 2.0), torch.Generator().manual_seed(0)
    drawn = head.draw(out, scale, noise)
    assert float(drawn.mean()) == pytest.approx(float(head.point(out, scale)[0]), abs=0.03)
    spread = float(torch.nn.functional.softplus(out[0, 1]))
    mu = 2 * float(head.point(out, scale)[0])
    want = {
        "gaussian": spread**2,
        "student-t": spread**2 * (6.018 / 4.018),
        "negative-binomial": (mu + spread * mu**2) / 4,
    }[name]
    assert float(drawn.var()) == pytest.approx(want, rel=0.06)


def test_quantiles_never_cross_and_begin_as_what_was_left_over():
    head = Quantiles((0.1, 0.5, 0.9))
    found = head.quantiles(torch.tensor([[3.0, 1.0, 2.0]]))
    assert found.tolist() == [[1, 2, 3]]
    residuals = np.random.default_rng(0).normal(size=(500, 2))
    assert head.start(residuals) == pytest.approx(np.quantile(residuals, [0.1, 0.5, 0.9], axis=0).T)


@pytest.mark.parametrize("head", [Gaussian(), StudentT(), NegativeBinomial()])
def test_a_head_begins_as_finite_numbers(head):
    assert np.isfinite(head.start(np.zeros((3, 2)))).all()


def test_teacher_forcing_is_what_sampling_walks_through():
    """With (almost) no noise, a path is the values that the network expects given the path itself."""
    torch.manual_seed(1)
    network = Autoregressive(
        Shape(1, False, 6, 4, 1, 0, 0, 0, True, 5, 1, 0.0), "gaussian", (0.5,), cells.find("lstm"), {}
    ).double()
    with torch.no_grad():
        network.output.weight[0].normal_()
        network.linear[0, -1] = 0.5
        network.start[0, 1] = -30.0  # a standard deviation of 1e-4
    series = Series(sequences(wave(30)), ["y"])
    batch = {
        name: value.double()
        for name, value in tensors(series.batch(np.array([0]), np.array([12]), 6, 4, "standard", NOTHING)).items()
    }
    _, _, paths = network.forecast(batch, 3, torch.Generator().manual_seed(0))
    assert paths.shape == (3, 1, 1, 4)
    batch["target"] = paths[0]
    out, values, _ = network.scored(batch)
    assert torch.allclose(out[..., -4:, 0], values[..., -4:], atol=1e-3)


# --- the estimator ----------------------------------------------------------------------------------------------------


def test_it_learns_beyond_the_baselines(data):
    found = Forecaster(horizon=6, season_length=6, seed=1, threads=1, preset="small").fit(data)
    metrics = found.metrics_
    assert metrics["test"]["mase"] < 0.95 * min(figures["mase"] for figures in metrics["baselines"].values())
    assert 0.5 < metrics["test"]["coverage"] <= 1
    assert found.predict(data).shape == (2, 6)
    assert found.predict(data)[0] == pytest.approx(5 + 2 * np.sin(2 * np.pi * np.arange(150, 156) / 6), abs=0.5)


def test_data_that_it_learned_from_are_cut_as_they_were(fitted, data):
    found = fitted.evaluate(data)
    assert found.keys() == {"train", "validation", "test", "baselines"}
    assert found["test"] == fitted.metrics_["test"]
    assert fitted.evaluate(sequences(wave(seed=8))).keys() == {"all", "baselines"}


def test_a_backtest_is_the_predictions_of_series_that_were_cut(fitted, data):
    short = sequences(
        *[data.steps["y"].values[a : b - 4] for a, b in zip(data.offsets[:-1], data.offsets[1:], strict=True)]
    )
    truth = np.stack([data.steps["y"].values[b - 4 : b] for b in data.offsets[1:]])
    found = fitted.backtest(data, origins=1)
    assert found["all"]["mae"] == pytest.approx(np.abs(fitted.predict(short) - truth).mean())
    assert (found["all"]["windows"], fitted.backtest(data, origins=3)["all"]["windows"]) == (2, 6)
    assert fitted.score(data) == -found["all"]["mase"]


def test_predictions_are_columns(fitted, data):
    [found] = fitted.predictions(data)
    assert found["series"].tolist() == [0] * 4 + [1] * 4
    assert found["step"].tolist() == [1, 2, 3, 4] * 2
    assert found["y"].reshape(2, 4) == pytest.approx(fitted.predict(data))
    assert (found["y_0.1"] <= found["y_0.5"]).all()
    assert (found["y"] == found["y_0.5"]).all()


def test_stamps_go_on(data):
    stamped = sequences(
        wave(), stamps=True, static={"shop": Column("shop", "category", np.zeros(1, np.int32), ("north",))}
    )
    found = Forecaster(**TINY, key="shop").fit(stamped)
    assert found.sizing_.season == 6
    assert found.inputs_.calendar
    [columns] = found.predictions(stamped)
    assert columns["shop"].tolist() == ["north"] * 4
    assert columns["at"][0] - stamped.steps["at"].values[-1] == np.timedelta64(1, "h")
    with pytest.raises(DataError, match="without stamps, but the model learned from data that are hourly"):
        found.predict(data)


def test_a_season_follows_from_the_stamps():
    assert Forecaster(**{**TINY, "season_length": None}).fit(sequences(wave(), stamps=True)).sizing_.season == 24


def test_what_is_known_ahead_is_used(folder):
    """The target is noise plus a column that is known ahead: only who reads that one can forecast."""
    rng = np.random.default_rng(0)
    promotion = (rng.random(404) < 0.3).astype(float)
    values = 10 + 5 * promotion + 0.1 * rng.normal(size=404)
    values[400:] = np.nan
    table = sequences(values, promotion=promotion)
    options = {"horizon": 4, "future_covariates": "promotion", "hidden_size": 8, "epochs": 20, "learning_rate": 0.02}
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
    assert found.metrics_.keys() == {"train", "test", "baselines"}
    assert found.outcome_.best_loss is not None


def test_the_linear_part_is_found_in_spite_of_holes():
    values = wave(400, noise=0.01)
    values[np.random.default_rng(0).random(400) < 0.2] = np.nan
    series = Series(sequences(values), ["y"])
    parts_of = Part(np.array([40]), np.array([200])), Part(np.array([280]), np.array([90]))
    found = solve(series, parts_of[0], series, parts_of[1], 24, 6, [36], ["standard"], 0)
    assert found.rule != "last value"
    assert np.median(np.abs(found.residuals)) < 0.3


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
    Forecaster(**scaled).fit(data, validation=data, output="judged")
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert stopped.outcome_.reason == "interrupted"
    resumed = Forecaster(**options).fit(data, output="model", resume=True)
    assert resumed.outcome_.reason != "interrupted"
    assert same(weights(resumed), weights(whole))
    with pytest.raises(ModelFileError, match="validation"):
        Forecaster(**scaled).fit(data, validation=sequences(wave(seed=3)), output="judged", resume=True)


def test_saved_and_loaded_it_is_the_same(fitted, data, folder):
    fitted.save("model")
    loaded = Forecaster.load("model")
    assert (loaded.predict(data) == fitted.predict(data)).all()
    assert loaded.evaluate(data) == fitted.evaluate(data)
    assert loaded.sizing_ == fitted.sizing_


def test_as_scikit_learn_users_expect(data):
    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV, cross_val_score

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


def test_arrays_of_several_channels():
    pair = np.stack([wave(), wave(seed=5)], 1)
    assert Forecaster(**TINY).fit([pair, pair[:100]]).predict([pair]).shape == (1, 4, 2)


def test_a_picture(fitted, data, folder):
    fitted.plot(data, "fan.png")
    fitted.plot(data, "ahead.svg", series=1, back=0)
    assert (folder / "fan.png").stat().st_size > 10_000
    assert (folder / "ahead.svg").read_text().startswith("<?xml")
    with pytest.raises(OptionError, match=r"\.png or \.svg"):
        fitted.plot(data, "fan.pdf")
    with pytest.raises(OptionError, match="no series 2"):
        fitted.plot(data, "fan.png", series=2)


def test_the_report_is_narrow(fitted):
    lines = fitted.report(fitted.metrics_).splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[:4]] == ["test", "model", "seasonal", "drift"]


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


def test_an_untrained_one_says_so(data):
    with pytest.raises(OptionError, match="learned nothing yet"):
        Forecaster().predict(data)


def test_a_file_that_contradicts_itself(fitted, folder, monkeypatch):
    monkeypatch.setattr(fitted, "_document", lambda: {**Forecaster._document(fitted), "targets": ["a", "b", "c"]})
    fitted.save("model")
    Forecaster.load("model")  # columns apart share their weights: three targets are no contradiction
    monkeypatch.setattr(fitted, "_document", lambda: {**Forecaster._document(fitted), "sizes": {}})
    fitted.save("model")
    with pytest.raises(ModelFileError, match="contradicts itself"):
        Forecaster.load("model")


def test_importing_it_costs_no_torch():
    import subprocess
    import sys

    code = "import sys, gatewise.tasks.forecast.estimator; assert not {'torch', 'duckdb'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_calendar_is_that_of_the_stamps():
    table = tables.prepared(sequences(wave(48), stamps=True), Forecaster())
    series = table.series(calendar=True)
    described = Inputs({}, {}, table.calendar, {})
    batch = series.batch(np.array([0]), np.array([30]), 6, 3, "none", described)
    sine = table.calendar.index("hour of day (sine)")
    assert batch.ahead[0, :, sine] == pytest.approx(np.sin(2 * np.pi * np.arange(30, 33) / 24), abs=1e-6)
    assert batch.covariates[0, :, sine] == pytest.approx(np.sin(2 * np.pi * np.arange(24, 30) / 24), abs=1e-6)
