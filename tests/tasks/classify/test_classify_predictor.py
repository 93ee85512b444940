"""How a classifier's networks and its regression are blended."""

from itertools import product

import numpy as np
import pytest
import torch
from classify_examples import TINY, category, mixed, number, reviews, rows_of, waves
from sklearn.linear_model import LogisticRegression

from gatewise import bundle
from gatewise.data.sequences import Sequences
from gatewise.tasks.classify import baselines
from gatewise.tasks.classify.estimator import Classifier
from gatewise.tasks.classify.statistics import learn_inputs
from gatewise.tasks.classify.targets import Targets


def test_the_regression_is_that_of_scikit_learn():
    X, y = waves(50, 0)
    X = X + np.random.default_rng(1).normal(size=X.shape)
    data = Sequences(np.arange(0, 451, 9), {"a": number("a", X.ravel())}, {"label": category("label", list("ab"))[y]})
    inputs, targets = learn_inputs(data, rows_of(data), ["label"]), Targets.of(data, ["label"], None)
    found = baselines.Baselines.learn(inputs, targets, data, rows_of(data), 0)
    features = np.concatenate([rest for _, _, rest in baselines._features(inputs, data, rows_of(data))])
    spread = features.std(0)
    features = (features - features.mean(0)) / np.where(spread > 1e-6, spread, 1)
    # Two weight vectors, one a class, that are punished alike, are half as long as a single one: C = 2 / (N penalty).
    theirs = LogisticRegression(C=2 / (50 * baselines.PENALTY), max_iter=5000, tol=1e-8).fit(features, y)
    ours = baselines._probabilities(found._scores(inputs, data, rows_of(data)), "category")
    assert np.abs(ours - theirs.predict_proba(features)).max() < 0.05
    assert found.prior == pytest.approx(np.bincount(y) / 50)


def test_predictions_blend_networks_and_regression(tmp_path):
    words = ["warm and kind", "cold and dull", "kind of dull", "warm but cold"]
    labels = ["good", "bad", "bad", "good"]
    learned, held = (reviews(*words * n, labels=labels * n) for n in (40, 10))
    model = Classifier(**TINY, seed=1).fit(learned, validation=held, output=tmp_path / "m")
    chosen = model.blend_weight_, model.temperature_
    again = Classifier.load(tmp_path / "m")
    assert (again.blend_weight_, again.temperature_) == chosen

    def probabilities(blend_weight, temperature):
        model.blend_weight_, model.temperature_ = blend_weight, temperature
        return model.predict_proba(held)

    rows = np.arange(len(held))
    plain = probabilities(0.0, 1.0)
    assert np.allclose(plain, model.baselines_.regression(model.inputs_, model.targets_, held, rows))
    networks = torch.from_numpy(probabilities(1.0, 1.0)).log().div(0.7).softmax(1).numpy()
    assert np.allclose(probabilities(0.25, 0.7), 0.25 * networks + 0.75 * plain, atol=1e-6)
    truth = held.static["label"].values
    tried = {pair: probabilities(*pair)[rows, truth] for pair in product(np.linspace(0, 1, 11), (0.5, 0.7, 1, 1.2, 2))}
    assert -np.log(probabilities(*chosen)[rows, truth]).mean() <= min(-np.log(p).mean() for p in tried.values()) + 1e-6


def test_a_temperature_makes_labels_surer_or_less_sure():
    X, _ = waves(40, 0)
    data = Sequences(np.arange(0, 361, 9), {"a": number("a", X.ravel())}, {n: number(n, [0, 1] * 20) for n in "bc"})
    targets = Targets.of(data, ["b", "c"], "labels")
    probabilities = np.array([[0.9, 0.5], [0.2, 0.0]], np.float32)
    wanted = torch.from_numpy(probabilities).logit().div(0.5).sigmoid().numpy()
    assert targets.tempered(probabilities, 0.5) == pytest.approx(wanted, abs=1e-6)


def test_without_a_validation_part_the_networks_predict_alone():
    assert Classifier(**TINY).fit(mixed(), validation=None).blend_weight_ == 1.0


def test_older_files_call_the_blend_weight_trust(tmp_path):
    model = Classifier(**TINY).fit(mixed())
    model.blend_weight_ = 0.25
    model.save(tmp_path / "m")
    found = bundle.load(tmp_path / "m")
    document = {"trust" if name == "blend_weight" else name: value for name, value in found.document.items()}
    bundle.save(tmp_path / "old", document, found.tensors)
    assert Classifier.load(tmp_path / "old").blend_weight_ == 0.25
