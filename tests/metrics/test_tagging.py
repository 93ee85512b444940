"""Metrics of labels and numbers per step."""

import random

import numpy as np
import pytest
import seqeval.metrics

from gatewise.data.text.tagging_schemes import spans
from gatewise.metrics import label_scores, number_scores


def test_span_scores_are_those_of_another_library():
    draw = random.Random(1)
    levels = ["O", "B-X", "I-X", "B-Y", "I-Y"]
    gold = [[draw.choice(levels) for _ in range(12)] for _ in range(60)]
    predicted = [[label if draw.random() < 0.7 else draw.choice(levels) for label in row] for row in gold]
    offsets = 12 * np.arange(61)
    found = label_scores(np.ravel(gold).tolist(), np.ravel(predicted).tolist(), offsets, "BIO")
    assert found["f1"] == pytest.approx(seqeval.metrics.f1_score(gold, predicted))
    assert found["precision"] == pytest.approx(seqeval.metrics.precision_score(gold, predicted))
    assert found["recall"] == pytest.approx(seqeval.metrics.recall_score(gold, predicted))
    assert found["accuracy"] == pytest.approx(seqeval.metrics.accuracy_score(gold, predicted))
    theirs = seqeval.metrics.classification_report(gold, predicted, output_dict=True)
    for kind in ("X", "Y"):
        assert found["types"][kind]["f1"] == pytest.approx(theirs[kind]["f1-score"])
        assert found["types"][kind]["gold"] == theirs[kind]["support"]
    assert len(spans(gold[0], "BIO"))


def test_scores_of_labels_and_numbers_by_hand():
    found = label_scores(["a", "a", "b", None, "c"], ["a", "b", "b", "a", "a"], np.array([0, 5]), None)
    assert found["accuracy"] == 0.5
    assert found["steps"] == 4
    assert found["types"]["a"] == {"f1": 0.5, "precision": 0.5, "recall": 0.5, "gold": 2}
    assert found["macro_f1"] == pytest.approx((0.5 + 2 / 3 + 0) / 3)
    numbers = number_scores(np.array([1.0, 3.0, np.nan]), np.array([2.0, 1.0, 9.0]))
    assert numbers == {"mae": 1.5, "rmse": pytest.approx(2.5**0.5), "r2": -1.5, "steps": 2}
