"""Several numbers at each step, from one network: a robot's speed and its steering."""

import numpy as np
import pytest

import gatewise
from gatewise import Tagger
from gatewise.errors import DataError
from gatewise.metrics.tagging import number_scores

TINY = {
    "key": "run",
    "time": "t",
    "bidirectional": False,
    "hidden_size": 16,
    "epochs": 40,
    "threads": 1,
    "seed": 0,
    "learning_rate": 0.02,
}


@pytest.fixture(scope="module")
def drives():
    rng = np.random.default_rng(0)
    rows = []
    for run in range(12):
        front = rng.normal(size=40)
        rows += [
            {"run": f"r{run}", "t": t, "front": x, "speed": 100 + 20 * x, "steering": -0.1 * x, "room": "ab"[run % 2]}
            for t, x in enumerate(front.tolist())
        ]
    return rows


@pytest.fixture(scope="module")
def driver(drives):
    return Tagger(target="speed,steering", columns=["front"], **TINY).fit(drives)


def test_each_is_learned_in_its_own_units(driver, drives):
    """Both follow from what is in front: their errors are far below their spreads, 20 and 0.1."""
    found = driver.metrics_["test"]["targets"]
    assert list(found) == ["speed", "steering"]
    assert found["speed"]["rmse"] < 10
    assert found["steering"]["rmse"] < 0.05
    assert driver.metrics_["baselines"]["linear regression"]["targets"]["speed"]["rmse"] < 0.1
    assert driver.metrics_["baselines"]["mean"]["targets"]["speed"]["r2"] <= 0  # the mean of other runs
    assert {"speed", "steering"} <= set(driver.report(driver.metrics_).split())


def test_metrics_are_those_of_the_predictions(driver, drives):
    predicted = np.concatenate(driver.predict(drives[40:80]))
    assert predicted.shape == (40, 2)
    truth = np.array([[row["speed"], row["steering"]] for row in drives[40:80]])
    found = driver.evaluate(drives[40:80])["all"]
    for k, name in enumerate(("speed", "steering")):
        wanted = number_scores(truth[:, k], predicted[:, k])
        assert found["targets"][name] == pytest.approx(wanted, rel=1e-4, abs=1e-5)
    spread = np.array(driver.targets_.scale)
    assert found["rmse"] == pytest.approx((((predicted - truth) / spread) ** 2).mean() ** 0.5, rel=1e-4, abs=1e-6)


def test_files_tables_and_streams_have_both(driver, drives, tmp_path):
    driver.save(tmp_path / "m.gatewise")
    loaded = gatewise.load(tmp_path / "m.gatewise")
    whole = driver.predict(drives[:40])[0]
    np.testing.assert_array_equal(loaded.predict(drives[:40])[0], whole)
    table = next(iter(loaded.predictions(drives[:40])))
    np.testing.assert_array_equal(np.stack([table["predicted_speed"], table["predicted_steering"]], 1), whole)
    stream = loaded.stream()
    steps = [stream.push({"front": row["front"]}) for row in drives[:40]]
    assert steps[0].keys() == {"speed", "steering"}
    np.testing.assert_allclose([[step["speed"], step["steering"]] for step in steps], whole, rtol=1e-4, atol=1e-6)


def test_what_is_missing_is_not_learned_from(drives):
    """Of a step with one of them, that one is."""
    gone = [{**row, "speed": None if i % 3 else row["speed"]} for i, row in enumerate(drives)]
    tagger = Tagger(target=("speed", "steering"), columns=["front"], **{**TINY, "epochs": 1}).fit(gone)
    known = [row["speed"] for row in gone[: 40 * 10] if row["speed"] is not None]
    assert tagger.metrics_["train"]["targets"]["speed"]["steps"] == pytest.approx(len(known), abs=20)
    assert np.isfinite(tagger.predict(gone)[0]).all()


def test_numbers_alone_are_predicted_together(drives):
    with pytest.raises(DataError, match="column 'room' holds category, but several targets must all be numbers"):
        Tagger(target="speed,room", columns=["front"], **TINY).fit(drives)
    with pytest.raises(DataError, match="no column named 'sped'"):
        Tagger(target="sped,steering", columns=["front"], **TINY).fit(drives)


def test_a_row_of_numbers_per_step_needs_no_table():
    rng = np.random.default_rng(1)
    x = [rng.normal(size=(20, 1)).astype(np.float32) for _ in range(8)]
    y = [np.concatenate([values, -values], 1) for values in x]
    tagger = Tagger(**{**TINY, "key": None, "time": None, "epochs": 1}).fit(x, y)
    assert tagger.predict(x)[0].shape == (20, 2)
