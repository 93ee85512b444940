"""The regression of `classify`, beside that of scikit-learn: what it reads, and how much work it is given."""

import numpy as np
import pytest
import torch
from classify_examples import category, number, reviews, rows_of, waves
from sklearn.linear_model import LogisticRegression

from gatewise.data.sequences import Sequences
from gatewise.tasks.classify.baselines import fitting, lbfgs, regression
from gatewise.tasks.classify.baselines.method import Examples
from gatewise.tasks.classify.statistics import learn_inputs
from gatewise.tasks.classify.targets import Targets


def test_the_regression_is_that_of_scikit_learn():
    X, y = waves(50, 0)
    X = X + np.random.default_rng(1).normal(size=X.shape)
    data = Sequences(np.arange(0, 451, 9), {"a": number("a", X.ravel())}, {"label": category("label", list("ab"))[y]})
    inputs, targets = learn_inputs(data, rows_of(data), ["label"]), Targets.of(data, ["label"], None)
    found = fitting.learned_regression(Examples(inputs, targets, data, rows_of(data), rows_of(data)), 0)
    features = np.concatenate([rest for _, _, rest in regression.features_of(inputs, data, rows_of(data))])
    spread = features.std(0)
    features = (features - features.mean(0)) / np.where(spread > 1e-6, spread, 1)
    # Two weight vectors, one a class, that are punished alike, are half as long as a single one: C = 2 / (N penalty).
    theirs = LogisticRegression(C=2 / (50 * lbfgs.PENALTY), max_iter=5000, tol=1e-8).fit(features, y)
    ours = found.regression.outputs(inputs, targets, data, rows_of(data))
    assert np.abs(ours - theirs.predict_proba(features)).max() < 0.05
    assert found.prior == pytest.approx(np.bincount(y) / 50)


def learned(texts, labels, **bounds):
    data = reviews(*texts, labels=labels)
    inputs, targets = learn_inputs(data, rows_of(data), ["label"]), Targets.of(data, ["label"], None)
    found = fitting.learned_regression(Examples(inputs, targets, data, rows_of(data), rows_of(data)), 0, **bounds)
    return found.regression, inputs, data


def test_the_regression_reads_what_most_sequences_have(monkeypatch):
    monkeypatch.setattr(fitting, "LEAST_SIZE", 0)
    texts, labels = ["good", "good film", "bad", "bad film", "good one", "bad two"], ["a", "a", "b", "b", "a", "b"]
    (full, inputs, data), (few, *_) = (learned(texts, labels, size=size) for size in (1000, 2 * 3))
    assert full.words.shape == (9, 2)  # good bad film one two, and four pairs
    assert few.words.shape == (3, 2)  # two classes, so three words have six weights
    counts = dict.fromkeys(full.buckets, 0)
    for places, *_ in regression.features_of(inputs, data, rows_of(data)):
        for place in places:
            counts[place] += 1
    kept = [counts[place] for place in few.buckets]
    assert sorted(kept) == sorted(counts.values())[-3:] == [2, 3, 3]
    # Words that it does not read change nothing but how many words a text has.
    one, other = (few.scores(inputs, reviews(text, labels=["a"]), np.arange(1)) for text in ("good odd", "good queer"))
    assert np.array_equal(one, other)


def test_the_regression_has_no_more_work_than_the_networks_had(monkeypatch):
    made, lines = [], []
    real = torch.optim.LBFGS

    def watched(*args, **options):
        made.append(options)
        return real(*args, **options)

    monkeypatch.setattr(torch.optim, "LBFGS", watched)
    monkeypatch.setattr(lbfgs, "TELL_EVERY", -1.0)
    texts, labels = ["good", "good film", "bad", "bad film"] * 5, ["a", "a", "b", "b"] * 5
    for effort in (np.inf, 0.0, 800.0):
        learned(texts, labels, effort=effort, tell=lines.append)
    assert [options["max_iter"] for options in made[:2]] == [100, 10]
    assert 10 < made[2]["max_iter"] < 100
    assert lines[0] == "logistic regression: step 0 of at most 100, 0 s"
    monkeypatch.setattr(lbfgs, "_ROOM", 1000)
    learned(texts, labels)
    assert 5 < made[-1]["history_size"] < 100
