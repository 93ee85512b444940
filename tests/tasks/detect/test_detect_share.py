"""Shares of network and values in one score; detectors without a network."""

import math

import numpy as np
import pytest
from detect_kit import TINY, waves

from gatewise import bundle
from gatewise.errors import ModelFileError, OptionError
from gatewise.tasks.detect.estimator import Detector
from gatewise.tasks.detect.scoring import ALARM

RNG = np.random.default_rng(11)


@pytest.fixture(scope="module")
def plain():
    """A detector without a network."""
    return Detector(only="plain").fit(waves(900, 2))


def labelled(n, broken, seed=0, height=80.0):
    """Waves with a spike at each of these steps, and their labels."""
    x, labels = waves(n, seed=seed), np.zeros(n, int)
    for step in broken:
        x[step] += height
        labels[step] = 1
    return x, labels


def test_the_share_is_that_of_the_network():
    data = waves(900)
    both, network, z = (Detector(**TINY, share=share).fit(data) for share in (None, 1.0, 0.0))
    assert [found.metrics_["share"] for found in (both, network, z)] == [0.5, 1, 0]
    assert "share is 50%" in both.verdict(both.metrics_)
    fresh = waves(400, seed=3)
    fresh[200] += 40
    [blended], [own], [plain] = (found.scores(fresh) for found in (both, network, z))
    np.testing.assert_array_equal(blended, np.maximum(own, plain))
    assert blended.argmax() == 200


def test_without_a_network_a_detector_is_a_plain_one(plain, tmp_path):
    assert plain.model_ is None
    assert plain.metrics_["share"] == 0
    assert plain.metrics_["train"]["loss"] is None
    assert plain.threshold_ == ALARM
    assert plain.verdict(plain.metrics_).startswith("This is a plain method alone")
    fresh = waves(2500, 2, seed=4)
    fresh[[40, 700]] = np.nan
    fresh[1700, 1] += 90
    [scores] = plain.scores(fresh)
    both = []
    changes = np.diff(fresh[:, 1], prepend=np.nan)
    changes[701] = fresh[701, 1] - fresh[699, 1]  # over the missing one
    for x in (fresh[:, 1], changes):
        z = (x[1700] - np.nanmean(x[700:1700])) / np.nanstd(x[700:1700])
        both.append(math.sqrt(z * z - 2 * math.log(2)))
    assert scores[1700] == pytest.approx(max(both))
    assert [event.start for event in plain.events(fresh)] == [1700]
    stream = plain.stream()
    np.testing.assert_array_equal([stream.push(row)[0] for row in fresh], scores)
    plain.save(tmp_path / "model")
    loaded = Detector.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.scores(fresh)[0], scores)
    assert loaded.evaluate(fresh) == plain.evaluate(fresh)
    with pytest.raises(OptionError, match="no network that could tell a likelihood"):
        loaded.score(fresh)
    with pytest.raises(OptionError, match="no network that could have share"):
        Detector(only="plain", share=0.5).fit(fresh)


def test_labels_choose_the_share():
    """Anomalies that a z-score sees and a network that has hardly learned does not; and too few of them."""
    x, labels = labelled(2500, range(1850, 2400, 60), height=10.0)
    options = {**TINY, "epochs": 0.01, "split": (0.6, 0.4, 0.0)}
    chosen = Detector(**options).fit(x, labels)
    metrics = chosen.metrics_["validation"]
    for share in (0.0, 0.5, 1.0):
        other = Detector(**options, share=share).fit(x, labels)
        assert other.metrics_["validation"]["average_precision"] <= metrics["average_precision"]
    found = chosen.metrics_["strongest_plain"]
    plain = {name: figures["average_precision"] for name, figures in chosen.metrics_["baselines"].items()}
    assert (found["measure"], found["figure"]) == ("average_precision", max(plain.values()))
    few, flags = labelled(2500, [2000, 2100])
    assert Detector(**options).fit(few, flags).metrics_["share"] == 0.5


def test_one_threshold_serves_series_of_many_kinds():
    """Without a rate it is 4.5 standard deviations, or what two normal steps in a hundred exceed."""
    calm = Detector(**TINY).fit(RNG.standard_normal(1500))
    heavy = Detector(**TINY).fit(RNG.standard_normal(1500) * np.where(RNG.random(1500) < 0.03, 30, 1))
    assert calm.threshold_ == ALARM
    assert heavy.threshold_ > calm.threshold_
    assert heavy.metrics_["train"]["alarm_rate"] < 0.03
    assert (calm.predict(RNG.standard_normal(20_000)) == -1).mean() < 0.001


def test_a_series_that_moved_away_for_good_does_not_alarm_for_good():
    detector = Detector(**TINY).fit(waves(1500))
    fresh = waves(4000, seed=6)
    fresh[1000:] += 60
    [scores] = detector.scores(fresh)
    alarms = scores >= detector.threshold_
    assert alarms[1000:1005].any()
    assert alarms[2500:].mean() < 0.01


def test_a_damaged_share_is_refused(plain, tmp_path):
    plain.save(tmp_path / "model")
    found = bundle.load(tmp_path / "model")
    for changed in ({"share": 2.0}, {"history": 10**9}, {"history": None}):
        bundle.save(tmp_path / "broken", {**found.document, **changed}, found.tensors)
        with pytest.raises(ModelFileError, match="share of its network"):
            Detector.load(tmp_path / "broken")
    bundle.save(tmp_path / "broken", {**found.document, "strongest_plain": "magic"}, found.tensors)
    with pytest.raises(ModelFileError, match="strongest_plain"):
        Detector.load(tmp_path / "broken")
    spoilt = {**found.tensors, "data.changes": np.zeros_like(found.tensors["data.changes"])}
    bundle.save(tmp_path / "broken", found.document, spoilt)
    with pytest.raises(ModelFileError, match="deviation that is not above 0"):
        Detector.load(tmp_path / "broken")
