"""Metrics of alarms, against the paper's formulas by hand and against scikit-learn; and the plain detectors."""

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from gatewise.metrics.detection import average_precision, pointwise_scores, range_scores, ranges
from gatewise.tasks.detect.baselines import rolling_z, windowed_gaussian

RNG = np.random.default_rng(7)


def test_ranges_are_runs():
    assert ranges(np.array([1, 1, 0, 0, 1, 0, 1], bool)) == [(0, 1), (4, 4), (6, 6)]
    assert ranges(np.zeros(3, bool)) == []


def test_steps_are_counted_as_scikit_learn_counts_them():
    truth, alarms = RNG.random(500) < 0.2, RNG.random(500) < 0.3
    want = precision_recall_fscore_support(truth, alarms, average="binary")[:3]
    assert list(pointwise_scores(truth, alarms).values()) == pytest.approx(want)
    assert pointwise_scores(truth, np.zeros(500, bool)) == {"precision": 0, "recall": 0, "f1": 0}


@pytest.mark.parametrize("digits", [1, 6], ids=["many equal scores", "all differ"])
def test_average_precision_is_that_of_scikit_learn(digits):
    truth, scores = RNG.random(400) < 0.1, np.round(RNG.random(400), digits)
    assert average_precision(truth, scores) == pytest.approx(average_precision_score(truth, scores))
    assert math.isnan(average_precision(np.zeros(5, bool), scores[:5]))


# One real range of ten steps; alarms on its steps 0-1 and 5, and one elsewhere.
REAL, ALARMS = [[(10, 19)]], [[(10, 11), (15, 15), (30, 33)]]


@pytest.mark.parametrize(
    ("options", "recall"),
    [
        # Three steps of ten, halved because two ranges met it.
        ({}, 0.3 / 2),
        ({"cardinality": "one"}, 0.3),
        # 10 + 9 + 5 of 10 + 9 + ... + 1 = 55.
        ({"bias": "front"}, 24 / 55 / 2),
        # 1 + 2 + 6 of 55.
        ({"bias": "back"}, 9 / 55 / 2),
        # 1 + 2 + 5 of 1 + 2 + 3 + 4 + 5 + 5 + 4 + 3 + 2 + 1 = 30.
        ({"bias": "middle"}, 8 / 30 / 2),
        ({"existence": 1.0}, 1.0),
        ({"existence": 0.4}, 0.4 + 0.6 * 0.15),
    ],
    ids=str,
)
def test_ranges_by_hand(options, recall):
    found = range_scores(REAL, ALARMS, **options)
    # Two alarms lie wholly inside, one outside: their mean, whatever the recall's options are.
    assert found["precision"] == pytest.approx(2 / 3)
    assert found["recall"] == pytest.approx(recall)
    assert found["f1"] == pytest.approx(2 * recall * 2 / 3 / (recall + 2 / 3))


def test_ranges_of_one_step_are_steps():
    """The paper's section 4.1: the classical definitions are the case of ranges of one step each."""
    truth, alarms = RNG.random(300) < 0.2, RNG.random(300) < 0.3
    single = [[(k, k) for k in np.flatnonzero(flags)] for flags in (truth, alarms)]
    assert range_scores(single[:1], single[1:]) == pytest.approx(pointwise_scores(truth, alarms))


def test_series_are_kept_apart():
    assert range_scores([[(0, 4)], []], [[], [(0, 4)]]) == {"precision": 0, "recall": 0, "f1": 0}
    assert range_scores([[(0, 4)], [(2, 2)]], [[(0, 4)], [(2, 2)]]) == {"precision": 1, "recall": 1, "f1": 1}


def test_rolling_z_by_hand():
    x = np.array([1.0, 3.0, 1.0, 3.0, 10.0])
    scores = rolling_z(x, window=4)
    assert scores[-1] == pytest.approx((10 - 2) / 1)
    assert (scores[:2] == 0).all()
    holes = np.array([1.0, np.nan, 3.0, 1.0, np.nan, 3.0, 10.0])
    assert rolling_z(holes, window=6)[-1] == pytest.approx(8)
    assert (rolling_z(holes, window=6)[[1, 4]] == 0).all()
    assert rolling_z(np.column_stack([x, np.zeros(5)]), window=4)[-1] == pytest.approx(8)
    assert rolling_z(x + 1e9, window=4)[-1] == pytest.approx(8)


def test_the_windowed_gaussian_by_hand():
    x = np.array([1.0, 3.0, 1.0, 3.0, 4.0, -1.0])
    scores = windowed_gaussian(x, window=4, step=2)
    assert scores[0] == 0
    # Mean 2 and deviation 1 for the last two: the window moves only after two more values.
    assert scores[4] == pytest.approx(1 - 0.5 * math.erfc(2 / math.sqrt(2)))
    assert scores[5] == pytest.approx(1 - 0.5 * math.erfc(3 / math.sqrt(2)))
    assert windowed_gaussian(np.array([1.0, np.nan, 1.0, 1.0]))[1] == 0


@pytest.mark.parametrize("detect", [rolling_z, windowed_gaussian])
def test_the_future_does_not_show(detect):
    x = RNG.normal(size=(400, 2))
    y = x.copy()
    y[300:] += 50
    np.testing.assert_allclose(detect(x)[:300], detect(y)[:300], rtol=1e-9)
