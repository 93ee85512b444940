"""The estimator `Detector`: its threshold, its events, its file, and its errors on bad input."""

import signal
import subprocess
import sys
from datetime import datetime

import numpy as np
import pytest
from detect_kit import TINY, same, table, waves, weights
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import estimator_checks_generator

from gatewise import bundle
from gatewise.errors import DataError, ModelFileError, OptionError
from gatewise.tasks.detect.baselines import BASELINES
from gatewise.tasks.detect.estimator import Detector


@pytest.fixture(scope="module")
def detector():
    """One that was trained on two channels of waves."""
    return Detector(**{**TINY, "epochs": 6, "hidden_size": 16}, false_alarm_rate=0.01).fit(waves(4000, 2))


def test_the_future_does_not_show(detector):
    fresh = waves(600, 2, seed=2)
    changed = fresh.copy()
    changed[400:] = -1000
    assert np.array_equal(detector.scores(fresh)[0][:400], detector.scores(changed)[0][:400])


def test_what_stands_out_scores_high_and_missing_values_do_not(detector):
    fresh = waves(600, 2, seed=4)
    fresh[300, 1] += 30
    fresh[450:460] = np.nan
    fresh[500:520, 0] = np.nan
    [scores] = detector.scores(fresh)
    assert 300 <= int(np.argmax(scores)) <= 300 + detector.smoothing
    assert (scores[450:460] == 0).all()
    assert scores[500:520].max() < detector.threshold_ * 1.5
    assert np.isfinite(scores).all()
    [event] = [event for event in detector.events(fresh) if event.start <= 300 <= event.end]
    assert event.score == scores.max()


def test_nothing_is_too_far_out_to_be_seen():
    constant = Detector(**TINY).fit(np.full((300, 1), 1e-20))
    [scores] = constant.scores(np.where(np.arange(50) == 30, 1e29, 1e-20))
    assert np.argmax(scores) >= 30
    assert np.isfinite(scores).all()
    assert scores.max() > constant.threshold_


@pytest.mark.parametrize(("rate", "history"), [(0.02, 1000), pytest.param(0.002, None, marks=pytest.mark.slow)])
def test_the_false_alarm_rate_holds_on_normal_data_never_seen(rate, history):
    detector = Detector(**TINY, false_alarm_rate=rate, smoothing=1, history=history, split=(0.5, 0.5, 0)).fit(
        waves(48_000)
    )
    fresh = waves(40_000, seed=9)
    found = (detector.predict(fresh) == -1).mean()
    assert rate / 1.6 < found < rate * 1.6


def test_signs_are_those_of_scikit_learn(detector):
    fresh = waves(400, 2, seed=5)
    fresh[200] += 40
    [scores] = detector.scores(fresh)
    assert np.array_equal(detector.score_samples(fresh), -scores)
    assert np.array_equal(detector.decision_function(fresh), detector.score_samples(fresh) - detector.offset_)
    found = detector.predict(fresh)
    assert set(found) == {-1, 1}
    assert np.array_equal(found == -1, scores >= detector.threshold_)
    assert found[200] == -1


def test_options_can_be_cloned_searched_and_printed():
    detector = Detector(**TINY, history=500)
    assert clone(detector).get_params() == detector.get_params()
    assert "history=500" in repr(detector)
    assert set(Detector(**TINY).fit_predict(waves(800))) <= {-1, 1}


def test_a_grid_search_runs():
    rows = waves(900)
    search = GridSearchCV(Detector(**TINY), {"hidden_size": [4, 8]}, cv=2).fit(rows)
    assert search.best_params_["hidden_size"] in (4, 8)
    assert search.best_score_ < 10


def test_validation_data_of_its_own_sets_the_threshold():
    data, louder = waves(900), waves(1200, noise=0.5, seed=8)
    options = {**TINY, "false_alarm_rate": 0.001}
    plain, own = Detector(**options).fit(data), Detector(**options).fit(data, validation=louder)
    assert own.threshold_ != plain.threshold_
    assert list(own.metrics_) == ["train", "baselines", "share"]
    assert own.metrics_["train"]["steps"] == 900
    assert (own.predict(louder) == -1).mean() == pytest.approx(0.001, abs=0.002)
    with pytest.raises(DataError, match="arrays has 2 channels"):
        Detector(**TINY).fit(data, validation=waves(900, 2))


class Unlabelled(Detector):
    """scikit-learn's outlier detectors ignore y, and its checks give anything; ours would read it as labels."""

    def fit(self, data, y=None):
        return super().fit(data)


_STEPS = "rows are steps of a series, and where they stand matters"


LEFT_OUT = {  # scikit-learn's check -> why it does not apply
    "check_array_api_input": "needs SCIPY_ARRAY_API to be set before scipy is imported",
    "check_classifier_data_not_an_array": "lists, arrays and tables are read, not what only turns itself into an array",
    "check_estimator_sparse_array": "refused as no array of numbers, in words of our own",
    "check_estimator_sparse_matrix": "as above",
    "check_estimator_sparse_tag": "as above",
    "check_estimators_empty_data_messages": "refused in words of our own",
    "check_estimators_unfitted": "it raises an OptionError, a ValueError, for scikit-learn need not be installed",
    "check_fit1d": "(n,) is a series of one channel",
    "check_fit2d_1sample": "refused in words of our own",
    "check_fit2d_predict1d": "refused in words of our own",
    "check_methods_sample_order_invariance": _STEPS,
    "check_methods_subset_invariance": _STEPS,
    "check_n_features_in_after_fitting": "refused in words of our own",
    "check_outliers_fit_predict": _STEPS,
    "check_outliers_train": _STEPS,
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Estimator Unlabelled does not inherit")
def test_scikit_learns_own_checks():
    ran = set()
    for estimator, check in estimator_checks_generator(Unlabelled(hidden_size=4, epochs=1, window=8, threads=1)):
        name = getattr(check, "func", check).__name__
        if name not in LEFT_OUT:
            check(estimator)
            ran.add(name)
    assert len(ran) > 25


def test_a_seed_decides_everything():
    data = waves(700)
    first, again, other = (Detector(**TINY, seed=seed).fit(data) for seed in (1, 1, 2))
    assert same(weights(first), weights(again))
    assert first.threshold_ == again.threshold_
    assert not same(weights(first), weights(other))


@pytest.mark.parametrize("options", [{}, {"method": "both", "history": 300, "cell": "gru", "zoneout": 0.1}], ids=str)
def test_a_saved_detector_says_the_same(options, tmp_path):
    data = waves(800, 2)
    detector = Detector(**TINY, **options).fit(data, output=tmp_path / "model")
    loaded = Detector.load(tmp_path / "model")
    fresh = waves(300, 2, seed=1)
    assert np.array_equal(loaded.scores(fresh)[0], detector.scores(fresh)[0])
    assert loaded.threshold_ == detector.threshold_
    assert loaded.evaluate(data) == detector.evaluate(data)
    assert {p.name for p in tmp_path.iterdir()} == {"model", "model.metrics.jsonl"}


def test_a_damaged_document_is_refused(tmp_path):
    Detector(**TINY).fit(waves(300)).save(tmp_path / "model")
    found = bundle.load(tmp_path / "model")
    bundle.save(tmp_path / "model", {**found.document, "channels": ["a", "b"]}, found.tensors)
    with pytest.raises(ModelFileError, match="contradicts itself"):
        Detector.load(tmp_path / "model")


def test_a_resumed_training_ends_with_the_same_bits(tmp_path):
    data = waves(900)
    whole = Detector(**TINY, seed=5).fit(data)
    steps = []

    class Stop:
        def __getattr__(self, name):
            def call(*arguments, **options):
                steps.append(name)
                if len(steps) == 12:
                    signal.raise_signal(signal.SIGINT)

            return call

    part = Detector(**TINY, seed=5).fit(data, output=tmp_path / "model", progress=lambda unit, per_step: Stop())
    assert part.outcome_.reason == "interrupted"
    assert not same(weights(part), weights(whole))
    resumed = Detector(**TINY, seed=5).fit(data, output=tmp_path / "model", resume=True)
    assert same(weights(resumed), weights(whole))
    assert resumed.threshold_ == whole.threshold_
    steps.clear()
    validated = {"validation": waves(300, seed=1), "output": tmp_path / "validated"}
    Detector(**TINY, seed=5).fit(data, **validated, progress=lambda unit, per_step: Stop())
    with pytest.raises(ModelFileError, match="validation"):
        Detector(**TINY, seed=5).fit(data, **{**validated, "validation": waves(300, seed=2)}, resume=True)


@pytest.mark.parametrize("step", ["alarm_threshold", "baseline_thresholds", "evaluate"])
def test_ctrl_c_while_measuring_keeps_what_was_learned(step, monkeypatch, tmp_path):
    def interrupted(*_):
        raise KeyboardInterrupt

    data, output = waves(400), tmp_path / "model"
    whole = Detector(**TINY, seed=5).fit(data)
    monkeypatch.setattr(f"gatewise.tasks.detect.estimator.{step}", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Detector(**TINY, seed=5).fit(data, output=output)
    loaded = Detector.load(output)
    assert loaded.metrics_ == {}
    assert same(weights(loaded), weights(whole))
    assert loaded.threshold_ == (np.inf if step == "alarm_threshold" else whole.threshold_)
    assert loaded.predict(data).shape == (400,)
    monkeypatch.undo()
    resumed = Detector(**TINY, seed=5).fit(data, output=output, resume=True)
    assert resumed.metrics_ == whole.metrics_
    assert Detector.load(output).threshold_ == whole.threshold_


def test_a_refused_fit_leaves_the_earlier_model_whole():
    data = waves(400, 2)
    detector = Detector(**TINY).fit(data)
    before, chosen = detector.scores(data), detector.sizing_
    for refused in (np.full((400, 3), np.nan), waves(1, 3)):
        with pytest.raises(DataError):
            detector.fit(refused)
    assert len(detector.channels_) == 2
    assert detector.sizing_ == chosen
    assert np.array_equal(detector.scores(data)[0], before[0])


def test_labelled_anomalies_are_not_learned_from():
    data = waves(1500)
    broken, labels = data.copy(), np.zeros(1500, int)
    broken[700:800] = 500
    labels[700:800] = 1
    options = {**TINY, "epochs": 4}
    clean = Detector(**options).fit(np.where(labels[:, None] == 1, np.nan, broken), np.zeros(1500))
    labelled = Detector(**options).fit(broken, labels)
    assert labelled.scale_.location == pytest.approx(clean.scale_.location)
    assert same(weights(labelled), weights(clean))


def test_a_table_with_labels_is_measured_by_part_beside_the_baselines():
    data = table(broken=[1560, 1561, 3170])
    detector = Detector(**TINY, smoothing=1, target="fault", key=("machine",), time="when")
    detector.fit(data)
    assert detector.channels_ == ("heat", "load")
    assert [detector.metrics_[part]["steps"] for part in ("train", "validation", "test")] == [2560, 320, 320]
    assert detector.metrics_["validation"]["anomalies"] == 0
    assert "recall" not in detector.metrics_["validation"]
    test = detector.metrics_["test"]
    assert test["anomalies"] == 2
    assert test["range_recall"] == 1
    assert test["recall"] >= 2 / 3  # the second of two broken steps in a row is half expected
    assert test["average_precision"] > 0.5
    assert set(detector.metrics_["baselines"]) == set(BASELINES)
    found = detector.metrics_["strongest_plain"]
    assert found["figure"] == detector.metrics_["baselines"][found["name"]]["average_precision"]
    assert (found["part"], found["model"]) == ("test", test["average_precision"])
    assert detector.evaluate(data) == detector.metrics_
    other = detector.evaluate(table(broken=[500]))
    assert other["all"]["anomalies"] == 1
    assert max(map(len, detector.report(other).splitlines())) <= 80
    rows = list(detector.predictions(data))
    assert [len(chunk["score"]) for chunk in rows] == [1600, 1600]
    assert rows[1]["machine"][0] == "b"
    assert rows[1]["when"][0] == np.datetime64("2026-01-01", "us")
    assert rows[0]["event"][1560] > 0
    assert {event.sequence for event in detector.events(data)} >= {0, 1}


@pytest.mark.parametrize("times", ["day,hour", "when"])
def test_rows_have_the_local_time_that_they_came_with(times, tmp_path):
    """Of one column, or put together from two; the plot has it too."""
    days = [f"2021-07-0{1 + i // 24}" for i in range(96)]
    hours = [f"{i % 24:02}:00" for i in range(96)]
    data = {"day": days, "hour": hours, "when": [f"{d} {h}" for d, h in zip(days, hours, strict=True)]}
    data["heat"] = waves(96)[:, 0].tolist()
    detector = Detector(**TINY, time=times, columns="heat", zone="Asia/Tokyo").fit(data)
    [chunk] = detector.predictions(data)
    assert chunk[times if times == "when" else "time"][[0, 95]].tolist() == [
        datetime(2021, 7, 1), datetime(2021, 7, 4, 23)
    ]  # fmt: skip
    detector.plot(data, tmp_path / "picture.svg")
    assert (tmp_path / "picture.svg").exists()


def test_machines_are_told_apart_without_being_named():
    rows = {
        "machine": ["a", "b"] * 200,
        "when": [f"2021-01-0{1 + k // 24} {k % 24:02}:00" for k in range(200) for _ in "ab"],
    }
    rows["heat"] = waves(400)[:, 0].tolist()
    detector = Detector(**TINY).fit(rows)
    assert detector.channels_ == ("heat",)
    first, second = detector.predictions(rows)
    assert (first["machine"][0], second["machine"][0], len(first["when"])) == ("a", "b", 200)


def test_many_series_are_each_read_from_their_beginning(detector):
    series = [waves(n, 2, seed=n) for n in (50, 1, 300)]
    together = detector.scores(series)
    for one, scores in zip(series, together, strict=True):
        assert np.array_equal(detector.scores(one)[0], scores)


def test_a_picture_shows_events(detector, tmp_path):
    fresh = waves(400, 2, seed=5)
    fresh[200:205] += 40
    labels = np.zeros(400)
    labels[198:210] = 1
    detector.plot(fresh, tmp_path / "picture.png", labels)
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(OptionError, match="cannot draw a picture as"):
        detector.plot(fresh, tmp_path / "picture.jpg")


# --- series that do not change ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["prediction", "reconstruction", "both"])
@pytest.mark.parametrize("value", [0.0, 0.1, -7.0, 1e9 + 0.1])
def test_what_never_changes_raises_no_alarm(value, method):
    still = np.full(800, value)
    detector = Detector(**TINY, method=method).fit(still)
    figures = [detector.metrics_[part] for part in ("train", "validation", "test")]
    figures += detector.metrics_["baselines"].values()
    assert [(part["alarm_rate"], part["events"]) for part in figures] == [(0, 0)] * (3 + len(BASELINES))
    assert (detector.predict(still[:50]) == 1).all()
    changed = still.copy()
    changed[300] = value + max(0.1 * abs(value), 1)
    [event] = detector.events(changed)
    assert event.start == 300
    assert [alarm for _, alarm in map(detector.stream().push, still[:20])] == [False] * 20


def test_a_channel_that_never_changes_is_still_so_in_a_file(tmp_path):
    data = np.column_stack([waves(800), np.full(800, 3.0)])
    detector = Detector(**TINY).fit(data)
    assert detector.scale_.constant.tolist() == [False, True]
    detector.save(tmp_path / "model")
    changed = data.copy()
    changed[500, 1] = 4
    loaded = Detector.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.scores(changed)[0], detector.scores(changed)[0])
    assert np.argmax(loaded.scores(changed)[0][400:600]) + 400 in range(500, 505)


def test_a_flat_machine_among_others_raises_no_alarm():
    detector = Detector(**{**TINY, "epochs": 10}).fit([waves(1500), np.full((1500, 1), 50.0)])
    assert (detector.predict(np.full(500, 50.0)) == 1).all()
    assert detector.metrics_["baselines"]["100-step z-score"]["alarm_rate"] < 0.01


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "predict"}, "no method named 'predict'. Did you mean 'prediction'"),
        ({"distribution": "cauchy"}, "no distribution named 'cauchy'"),
        ({"false_alarm_rate": 0}, "false_alarm_rate must be a number above 0, up to 0.5, not 0"),
        ({"smoothing": 0}, "smoothing must be a whole number, 1 or more, not 0"),
        ({"history": 5}, "history must be a whole number, 100 or more, not 5"),
        ({"gap": -1}, "gap must be a whole number, 0 or more, not -1"),
        ({"window": 1}, "window must be a whole number, 2 or more, not 1"),
        ({"split": (1, 1, 1)}, "sums to 3"),
    ],
    ids=str,
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        Detector(**options).fit(waves(100))


@pytest.mark.parametrize(
    ("data", "labels", "message"),
    [
        (np.zeros((0, 2)), None, r"shape \(0, 2\), but a series has one or more steps"),
        (np.array([["a"]]), None, "the series is no array of numbers"),
        (np.array([1.0]), None, "no two steps in a row"),
        (np.array([1.0, 2.0, np.inf]), None, "series 0, step 2: 'x0' is inf"),
        (np.full((50, 2), [np.nan, 1.0]), None, "'x0' has no value in the data to learn from"),
        (waves(50), np.zeros(49), "50 labels are needed"),
        (waves(50), np.full(50, 2), "y of series 0, step 0: 2 is no label"),
        ([waves(50), waves(50, 2)], None, r"same channels, but there are some with \[1, 2\]"),
        (waves(50), np.ones(50), "no two steps in a row"),
    ],
    ids=["empty", "words", "one step", "infinite", "all missing", "few labels", "no label", "ragged", "no normal step"],
)
def test_what_cannot_be_learned_from_is_refused(data, labels, message):
    with pytest.raises(DataError, match=message):
        Detector(**TINY).fit(data, labels)


def test_columns_that_do_not_fit_are_refused(detector):
    data = table()
    with pytest.raises(DataError, match="column 'note' holds text"):
        Detector(**TINY, columns=("heat", "note")).fit(data)
    with pytest.raises(DataError, match=r"machines: no column named 'heet'\. Did you mean 'heat'"):
        Detector(**TINY, columns=("heet",)).fit(data)
    with pytest.raises(DataError, match="one value per series"):
        Detector(**TINY, target="machine").fit(data)
    with pytest.raises(DataError, match=r"arrays has 3 channels \(x0, x1, x2\), but the detector learned 2"):
        detector.predict(waves(50, 3))
    with pytest.raises(DataError, match="2 finite numbers"):
        detector.stream().push([1.0])
    with pytest.raises(DataError, match="a row of numbers, not 'hot'"):
        detector.stream().push("hot")
    with pytest.raises(DataError, match="there is no step to score"):
        detector.score(waves(1, 2))
    with pytest.raises(OptionError, match="has learned nothing yet"):
        Detector().scores(waves(50))


def test_it_is_imported_without_torch():
    code = "import sys, gatewise.tasks.detect.estimator; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_events_are_rows_with_their_times_channels_and_a_sentence(tmp_path):
    data = table(broken=(1400, 1401))
    options = {**TINY, "key": ("machine",), "columns": ("load", "heat"), "time": "when"}
    detector = Detector(**options).fit(table())
    first, second = detector.predictions(data, events=True)
    assert first["machine"].tolist() == ["a"] * len(first["start"])
    assert 1400 in first["start"].tolist()
    row = first["start"].tolist().index(1400)
    assert first["when_start"][row] == data.steps["when"].values[1400]
    assert set(first["channels"][row].split(", ")) == {"heat", "load"}
    begins = str(data.steps["when"].values[1400].astype("M8[s]"))
    assert first["description"][row].startswith(begins)
    assert second.keys() == first.keys()
    [event] = [event for event in detector.events(data) if event.sequence == 0 and event.start == 1400]
    assert (event.end, event.peak) == (first["end"][row], first["peak"][row])
    assert {part.channel: part.start for part in event.channels} == {"heat": 1400, "load": 1400}
    chunk = next(detector.predictions(data))
    assert chunk["cause"][1400] in ("value", "change", "error", "recent errors")


def test_no_events_are_a_table_without_rows():
    detector = Detector(only="plain").fit(waves(900))
    [none] = detector.predictions(waves(300, seed=2), events=True)
    assert [len(values) for values in none.values()] == [0] * len(none)
    assert list(none)[-1] == "description"
