"""Metrics of classes, labels and numbers, one prediction per sequence."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics
from sklearn.calibration import calibration_curve

from gatewise.metrics import classification as metrics


@pytest.mark.parametrize("classes", [2, 4])
def test_scores_of_classes_are_those_of_scikit_learn(classes):
    rng = np.random.default_rng(classes)
    truth = rng.integers(0, classes, 200)
    probabilities = rng.dirichlet(np.ones(classes), 200).round(2) + 1e-3  # rounded, so that there are ties
    probabilities /= probabilities.sum(1, keepdims=True)
    guess = probabilities.argmax(1)
    found = metrics.class_scores(truth, probabilities)
    area = sklearn_metrics.roc_auc_score(
        truth, probabilities if classes > 2 else probabilities[:, 1], multi_class="ovr"
    )
    assert found["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(truth, guess))
    assert found["macro_f1"] == pytest.approx(sklearn_metrics.f1_score(truth, guess, average="macro"))
    assert found["roc_auc"] == pytest.approx(area, abs=1e-9 if classes > 2 else 2e-3)  # rounding breaks other ties
    assert found["log_loss"] == pytest.approx(sklearn_metrics.log_loss(truth, probabilities))
    assert found["confusion"] == sklearn_metrics.confusion_matrix(truth, guess).tolist()


def test_scores_of_labels_and_numbers_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    truth, probabilities = rng.integers(0, 2, (100, 3)).astype(np.float32), rng.random((100, 3))
    found = metrics.multilabel_scores(truth, probabilities)
    assert found["subset_accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(truth, probabilities > 0.5))
    assert found["micro_f1"] == pytest.approx(sklearn_metrics.f1_score(truth, probabilities > 0.5, average="micro"))
    assert found["roc_auc"] == pytest.approx(sklearn_metrics.roc_auc_score(truth, probabilities))
    truth, guess = rng.normal(size=(2, 50))
    found = metrics.regression_scores(truth, guess)
    assert found["mae"] == pytest.approx(sklearn_metrics.mean_absolute_error(truth, guess))
    assert found["rmse"] == pytest.approx(sklearn_metrics.root_mean_squared_error(truth, guess))
    assert found["r2"] == pytest.approx(sklearn_metrics.r2_score(truth, guess))


def test_calibration_error_by_hand():
    # One bin of width 1/15 holds .90 and .92, one of them right: |.5 - .91|; another holds .5, right: |1 - .5|.
    error = metrics.calibration_error(np.array([True, False, True]), np.array([0.90, 0.92, 0.5]))
    assert error == pytest.approx((2 * 0.41 + 0.5) / 3)


@pytest.mark.parametrize("count", [1, 40, 5000])
def test_calibration_error_is_that_of_the_curve_of_scikit_learn(count):
    rng = np.random.default_rng(count)
    confidence = rng.beta(4, 2, count)
    right = rng.random(count) < confidence**2
    accuracy, mean = calibration_curve(right, confidence, n_bins=15)
    held = np.histogram(confidence, 15, (0, 1))[0]
    wanted = (held[held > 0] * np.abs(accuracy - mean)).sum() / count
    assert metrics.calibration_error(right, confidence) == pytest.approx(wanted)


def test_calibration_error_of_those_who_are_certain():
    """1 belongs to the last bin, and 0, if there are so many classes, to the first."""
    assert metrics.calibration_error(np.array([True, True]), np.array([1.0, 1.0])) == 0
    assert metrics.calibration_error(np.array([False, True]), np.array([1.0, 1.0])) == 0.5
    assert metrics.calibration_error(np.array([False, True]), np.array([1.0, 0.97])) == pytest.approx(0.97 / 2)
    assert metrics.calibration_error(np.array([False, True]), np.array([0.0, 1.0])) == 0


def test_a_class_that_never_occurs_has_no_area():
    assert "roc_auc" not in metrics.class_scores(np.zeros(3, int), np.full((3, 2), 0.5))
