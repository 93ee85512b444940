"""Distances of shapes, against slow versions and scikit-learn; what scores make of them, of switches, of the past."""

import math

import numpy as np
import pytest
from detect_kit import TINY, waves
from sklearn.cluster import KMeans

from gatewise.errors import ModelFileError
from gatewise.tasks.detect.estimator import Detector
from gatewise.tasks.detect.scoring import with_wake
from gatewise.tasks.detect.shapes import LENGTH, ShapeReader, Shapes, k_means


def heart(n, seed=0):
    """Beats of one height and two channels."""
    rng = np.random.default_rng(seed)
    phase = (np.arange(n) % 40) / 40
    beat = np.exp(-(((phase - 0.3) / 0.05) ** 2)) + 0.3 * np.exp(-(((phase - 0.6) / 0.1) ** 2))
    return np.stack([beat, -beat], axis=1) + 0.02 * rng.standard_normal((n, 2))


def test_prototypes_lie_where_those_of_scikit_learn_do():
    rng = np.random.default_rng(3)
    points = (rng.standard_normal((12, 5))[rng.integers(12, size=900)] * 4 + rng.standard_normal((900, 5))).astype("f4")

    def inertia(means):
        return ((points[:, None] - means) ** 2).sum(axis=2).min(axis=1).sum()

    found = [k_means(points, 12, np.random.default_rng(seed)) for seed in range(10)]
    theirs = [KMeans(12, n_init=1, random_state=seed).fit(points).inertia_ for seed in range(10)]
    assert np.mean([inertia(means) for means in found]) < 1.1 * np.mean(theirs)
    for means in found:  # there is nothing left to gain from where they ended
        assert inertia(means) == pytest.approx(KMeans(12, init=means, n_init=1).fit(points).inertia_, rel=1e-4)
    assert len(k_means(np.repeat(points[:3], 50, axis=0), 12, rng)) == 3  # no more than there are different points


def test_distances_are_those_of_a_slow_version_whatever_the_pieces():
    x = heart(700).astype(np.float32)
    x[50:53, 0] = np.nan
    shapes = Shapes.of([x[:500]], seed=1)
    assert shapes is not None
    reader = ShapeReader(shapes)
    far, channels = (found[:, 0] for found in reader.read(x[:, None], [reader.start()]))
    filled = x.copy()
    filled[50:53, 0] = x[49, 0]
    mean, spread, drift = shapes.distances
    distances = []
    for t in range(LENGTH - 1, 700):
        apart = ((filled[t - LENGTH + 1 : t + 1].T[None].astype(float) - shapes.prototypes) ** 2).sum(axis=2)
        nearest = apart.sum(axis=1).argmin()
        distances.append(math.sqrt(apart[nearest].sum()))
        past = np.array(distances[:-1])
        known = np.array([1, mean, mean**2 + spread**2])
        count, total, squares = 500 * known + (len(past), past.sum(), (past**2).sum())
        spread_now = math.sqrt(max(squares / count - (total / count) ** 2, 0.01 * spread**2))
        assert far[t] == pytest.approx(max((distances[-1] - total / count) / spread_now, 0) / drift, rel=1e-3, abs=1e-4)
        assert channels[t] == apart[nearest].argmax() or abs(np.diff(apart[nearest])[0]) < 1e-5
    assert (far[: LENGTH - 1] == 0).all()
    for size in (1, 7, 100):
        state, pieces = reader.start(), []
        for first in range(0, 700, size):
            pieces.append(reader.read(x[first : first + size, None], [state])[0][:, 0])
        np.testing.assert_array_equal(np.concatenate(pieces), far)


def test_a_shape_is_an_anomaly_even_if_each_value_is_usual(tmp_path):
    detector = Detector(**TINY, only="plain", split=(0.8, 0.2, 0.0)).fit(heart(3000))
    x = heart(3000, seed=5)
    x[2000:2040, 0] = x[2000:2040, 0][::-1]  # a beat the wrong way round, in one of two channels
    [event] = detector.events(x)
    assert 2000 <= event.start <= event.peak < 2075
    assert event.cause == "shape"
    assert event.channels[0].channel == "x0"
    detector.save(tmp_path / "model")
    loaded = Detector.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.scores(x)[0], detector.scores(x)[0])
    stream = loaded.stream()
    np.testing.assert_array_equal([stream.push(row)[0] for row in x[:300]], detector.scores(x)[0][:300])


def test_shapes_that_drift_count_less_and_too_few_steps_have_none():
    rng = np.random.default_rng(0)
    steady, moving = rng.standard_normal((2, 2000, 1)).astype(np.float32)
    moving += np.linspace(0, 30, 2000, dtype=np.float32)[:, None]
    assert Shapes.of([steady], 0).distances[2] < 1.5
    assert Shapes.of([moving], 0).distances[2] > 5
    assert Shapes.of([steady[:60]], 0) is None


def test_a_switch_is_a_surprise_only_by_a_third_value(tmp_path):
    rng = np.random.default_rng(2)
    x = np.concatenate([waves(2000), np.zeros((2000, 1))], axis=1)
    x[rng.choice(1500, 3, replace=False), 1] = 1  # a rare command
    detector = Detector(**TINY, split=(0.75, 0.25, 0.0)).fit(x[:1500])
    y = x[1500:].copy()
    y[100, 1] = 1
    assert detector.events(y) == []
    y[300, 1] = 2
    [event] = detector.events(y)
    assert (event.start, event.channels[0].channel) == (300, "x1")
    detector.save(tmp_path / "model")
    np.testing.assert_array_equal(Detector.load(tmp_path / "model").scores(y)[0], detector.scores(y)[0])
    # Where there are only switches, they are looked at.
    alone = Detector(**TINY, only="plain").fit(x[:1500, 1])
    assert len(alone.events(y[:200, 1])) > 0


def test_scores_fade_and_are_no_alarms_by_that():
    scores = np.zeros(300)
    scores[[10, 200]] = 8.0, 3.0
    faded, [left] = with_wake(scores[:, None], [0.0], 4.5)
    faded = faded[:, 0]
    assert (faded[:10] == 0).all()
    assert faded[10] == 8.0
    assert (faded >= 4.5).sum() == 1
    assert faded[10 + 88] == pytest.approx(2.0, rel=0.02)  # a half after 44 steps
    assert faded[200] == 3.0
    assert left == pytest.approx(3.0 * math.exp(-99 / 64))
    _, middle = with_wake(scores[:150, None], [0.0], 4.5)
    both = np.stack([scores[150:], np.zeros(150)], axis=1)
    again, ends = with_wake(both, [*middle, 0.0], 4.5)
    np.testing.assert_array_equal(again, np.stack([faded[150:], np.zeros(150)], axis=1))
    assert ends == [left, 0.0]


def test_labels_of_single_steps_choose_no_wake():
    x = waves(3000)
    labels = np.zeros(3000, bool)
    labels[1850:2950:100] = True
    x[labels] += 25.0  # a spike that hardly exceeds the waves
    spikes = Detector(**TINY, split=(0.6, 0.4, 0.0)).fit(x, labels)
    assert not spikes.wake_
    long = labels.copy()
    for start in np.flatnonzero(labels):
        long[start : start + 40] = True
    assert Detector(**TINY, split=(0.6, 0.4, 0.0)).fit(x, long).wake_


def test_damaged_shapes_are_refused(tmp_path):
    detector = Detector(**TINY, only="plain").fit(heart(500))
    detector.shapes_ = Shapes(detector.shapes_.prototypes, np.array([1.0, 0.0, 1.0]))
    detector.save(tmp_path / "model")
    with pytest.raises(ModelFileError, match=r"data.distances is not above 0"):
        Detector.load(tmp_path / "model")
