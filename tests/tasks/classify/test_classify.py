"""The estimator `Classifier`: what it learns, what it refuses, and scikit-learn's own checks."""

import signal
import wave

import numpy as np
import pandas as pd
import pytest
import torch
from classify_examples import TINY, category, mixed, number, waves
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import estimator_checks_generator

from gatewise import bundle
from gatewise.data.readers.ts import read_ts
from gatewise.data.sequences import Sequences
from gatewise.errors import DataError, ModelFileError, OptionError
from gatewise.tasks.classify.estimator import Classifier


def weights(model):
    return {name: tensor.clone() for name, tensor in model.model_.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# --- learning ---------------------------------------------------------------------------------------------------------


def test_learns_what_logistic_regression_on_values_cannot(tmp_path):
    """Which of two bumps comes first: mean, spread and ends are the same."""
    rng = np.random.default_rng(0)
    X, y = np.zeros((60, 12)), np.arange(60) % 2
    for row, first in enumerate(y):
        a, b = np.sort(rng.choice(np.arange(1, 11), 2, replace=False))
        X[row, a], X[row, b] = (1, -1) if first else (-1, 1)
    model = Classifier(hidden_size=16, ensemble=1, epochs=40, batch_size=10, learning_rate=0.01).fit(X[:40], y[:40])
    found = model.evaluate(X[40:], y[40:])
    assert found["all"]["accuracy"] >= 0.95
    assert found["baselines"]["logistic regression"]["accuracy"] <= 0.85
    assert found["baselines"]["majority"]["accuracy"] == 0.5
    assert all(len(line) <= 80 for line in Classifier.report(found).splitlines())

    model.save(tmp_path / "m")
    again = Classifier.load(tmp_path / "m")
    assert np.array_equal(again.predict_proba(X), model.predict_proba(X))
    assert again.classes_.tolist() == [0, 1]
    assert again.evaluate(X[40:], y[40:]) == found


def test_numbers_and_several_labels():
    X, y = waves(80, 0)
    model = Classifier(**{**TINY, "epochs": 30, "learning_rate": 0.02}).fit(X, X[:, 0])
    assert model.score(X, X[:, 0]) > 0.9
    assert model.metrics_["train"]["r2"] > 0.9
    with pytest.raises(OptionError, match="no probability"):
        model.predict_proba(X)
    several = np.stack([y, 1 - y, np.ones(80, int)], 1)
    model = Classifier(**{**TINY, "epochs": 20, "learning_rate": 0.02}).fit(X, several)
    assert model.predict(X).shape == (80, 3)
    assert model.score(X, several) > 0.95
    assert model.decision_function(X).shape == (80, 3)


def test_a_table_with_a_test_part_of_its_own(tmp_path):
    data = mixed(600)
    model = Classifier(**{**TINY, "epochs": 6, "learning_rate": 0.02}).fit(data, output=tmp_path / "m")
    blended = {"network", "blend"} if model.blend_weight_ < 1 else set()
    blended |= {"share", "strongest_plain", "earned"}
    assert {"train", "validation", "test", "baselines"} | blended == model.metrics_.keys()
    assert model.metrics_["test"]["sequences"] == 60
    assert model.metrics_["test"]["accuracy"] > 0.95
    again = Classifier.load(tmp_path / "m")
    assert again.evaluate(data) == model.metrics_  # split as it was then
    chunks = list(again.predictions(data))
    assert [*chunks[0]] == ["sequence", "label", "probability"]
    assert np.array_equal(np.concatenate([chunk["label"] for chunk in chunks]), model.predict(data))


def test_a_keyed_table_is_predicted_without_its_target():
    table = {"shop": list("aabbcc"), "day": [1, 2] * 3, "sales": [1.0, 2, 3, 4, 5, 6], "kind": list("xxyyxx")}
    model = Classifier(**TINY, target="kind", key="shop", time="day").fit(table)
    assert [column.name for column in model.inputs_.numbers] == ["sales"]  # a key only tells sequences apart
    assert model.inputs_.categories == []
    expected = model.predict(table)
    del table["kind"]
    assert np.array_equal(model.predict(table), expected)
    [chunk] = model.predictions(table)
    assert chunk["shop"].tolist() == ["a", "b", "c"]
    assert np.array_equal(chunk["kind"], expected)


def test_sound_is_heard_as_it_was_in_training(tmp_path):
    """Two tones, from a folder of recordings; a model that was loaded takes a recording at another rate."""
    folder = tmp_path / "takes"
    folder.mkdir()
    for label, hertz in (("low", 300), ("high", 1500)):
        for take in range(6):
            tone(folder / f"{label}_{take}.wav", hertz + 20 * take, 4000)
    model = Classifier(**{**TINY, "epochs": 30, "batch_size": 6, "learning_rate": 0.02}).fit(folder)
    model.save(tmp_path / "m")
    again = Classifier.load(tmp_path / "m")
    assert again.sound_.sample_rate == 4000
    (tmp_path / "new").mkdir()
    tone(tmp_path / "new" / "a_0.wav", 320, 8000)
    tone(tmp_path / "new" / "b_0.wav", 1550, 8000)
    assert again.predict(tmp_path / "new").tolist() == ["low", "high"]
    tone(tmp_path / "new" / "take3.wav", 310, 4000)  # without a _, as no label would have it
    for path, files in (
        (tmp_path / "new", ["a_0.wav", "b_0.wav", "take3.wav"]),
        (tmp_path / "new" / "a_0.wav", ["a_0.wav"]),
    ):
        [table] = again.predictions(path)
        assert table["file"].tolist() == files
        assert table["label"].tolist() == ["low", "high", "low"][: len(files)]
    again.label_from = "{label}-{take}"
    assert again.predict(tmp_path / "new").tolist() == ["low", "high", "low"]
    with pytest.raises(DataError, match="does not fit --label-from"):
        again.evaluate(tmp_path / "new")


def tone(path, hertz, rate):
    signal_ = 8000 * np.sin(2 * np.pi * hertz * np.arange(rate // 4) / rate)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(signal_.astype("<i2").tobytes())


def test_validation_data_of_its_own_leaves_no_test_part():
    X, y = waves(40, 0)
    model = Classifier(**TINY).fit(X, y, validation=waves(20, 1))
    assert model.metrics_["train"]["sequences"] == 40
    assert model.metrics_["validation"]["sequences"] == 20
    assert "test" not in model.metrics_


def test_a_seed_decides_everything():
    X, y = waves(30, 0)
    a, b, c = (Classifier(**TINY, seed=seed, dropout=0.3).fit(X, y) for seed in (1, 1, 2))
    assert same(weights(a), weights(b))
    assert not same(weights(a), weights(c))


def test_a_resumed_training_ends_with_the_same_bits(tmp_path):
    X, y = waves(40, 0)
    options = {**TINY, "epochs": 8, "dropout": 0.3}
    whole = Classifier(**options).fit(X, y)

    class Stop:
        """Progress that sends Ctrl-C at the tenth step."""

        def step(self, step, loss):
            if step == 10:
                signal.raise_signal(signal.SIGINT)

        def __getattr__(self, name):
            return lambda *values: None

    Classifier(**options).fit(X, y, output=tmp_path / "m", progress=lambda unit, per_step: Stop())
    assert Classifier.load(tmp_path / "m").predict(X).shape == (40,)
    resumed = Classifier(**options).fit(X, y, output=tmp_path / "m", resume=True)
    assert same(weights(whole), weights(resumed))
    with pytest.raises(ModelFileError, match="no checkpoint"):
        Classifier(**options).fit(X, y, output=tmp_path / "m", resume=True)


def test_ctrl_c_while_measuring_keeps_what_was_learned(monkeypatch, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    (X, y), validation = waves(60, 0), waves(60, 1)
    whole = Classifier(**TINY, seed=5).fit(X, y, validation=validation)
    output = tmp_path / "model"
    steps = ("Classifier._measure", "calibrate", "Evaluator.evaluate_parts")
    for step in ("baselines.fitting.learned_baselines", *(f"estimator.{step}" for step in steps)):
        monkeypatch.setattr(f"gatewise.tasks.classify.{step}", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Classifier(**TINY, seed=5).fit(X, y, validation=validation, output=output)
        monkeypatch.undo()
        loaded = Classifier.load(output)
        assert loaded.metrics_ == {}
        assert same(weights(loaded), weights(whole))
        assert loaded.predict(X).shape == y.shape
    resumed = Classifier(**TINY, seed=5).fit(X, y, validation=validation, output=output, resume=True)
    assert resumed.metrics_ == whole.metrics_


def test_a_refused_fit_leaves_the_earlier_model_whole():
    X, y = waves(60, 0)
    model = Classifier(**TINY).fit(X, y)
    before, chosen = model.predict_proba(X), model.sizing_
    with pytest.raises(DataError):
        model.fit(X, np.zeros(60, int))
    with pytest.raises(OptionError):
        model.set_params(class_weight={"north": 2}).fit(X, np.where(y, "up", "down"))
    model.set_params(class_weight=None)
    assert model.sizing_ == chosen
    assert model.classes_.tolist() == [0, 1]
    assert np.array_equal(model.predict_proba(X), before)


def test_class_weights_shift_the_decision():
    X, y = waves(60, 0)
    X = X * 0 + 1.0  # nothing to go by
    for weight in ({0: 50, 1: 1}, {0: 1, 1: 50}):
        model = Classifier(**{**TINY, "epochs": 10, "learning_rate": 0.05}, class_weight=weight).fit(X, y)
        assert set(model.predict(X)) == {max(weight, key=weight.get)}
    with pytest.raises(OptionError, match="no class named '7'"):
        Classifier(**TINY, class_weight={7: 1.0}).fit(X, y)


def test_japanese_vowels(shared):
    """A small part of the default training already beats what is usual: 0.94 is 1-NN DTW."""
    folder = shared / "ucr_uea" / "JapaneseVowels"
    train, test = (read_ts(folder / f"JapaneseVowels_{part}.ts.gz") for part in ("TRAIN", "TEST"))
    model = Classifier(split=(1, 0, 0), ensemble=1, epochs=4, num_layers=1).fit(train)
    assert model.evaluate(test)["all"]["accuracy"] > 0.9


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.zeros((4, 3)), [1, 1, 1, 1], "one class only, '1'"),
        (np.zeros((4, 3)), ["a", None, "b", "a"], "sequence 1: the target 'label' is missing"),
        (np.zeros((3, 2)), [0.5, np.nan, 1], "target 'label' is missing"),
        (np.zeros((3, 2)), [[0, 1], [2, 0], [0, 0]], "sequence 1: labels are zeros and ones, but label 0 is 2"),
        (np.full((2, 3), np.inf), [0, 1], "inf is not finite"),
        ([[1.0, 2.0], []], [0, 1], "no steps"),
        (np.zeros((2, 3)), None, "requires y"),
        (np.zeros((3, 2)), [0, 1], "Each needs one"),
        (["", "  "], ["a", "b"], "is empty in all sequences"),
    ],
    ids=str,
)
def test_bad_data_is_one_line(X, y, message):
    with pytest.raises(DataError, match=message) as found:
        Classifier(**TINY).fit(X, y)
    assert "\n" not in str(found.value)


def test_what_training_did_not_have_is_refused():
    X, y = waves(20, 0)
    model = Classifier(**TINY).fit(X, y)
    with pytest.raises(DataError, match=r"sequence 0: unknown class '7'. The model knows 0, 1"):
        model.evaluate(X, y * 0 + 7)
    with pytest.raises(DataError, match="2 channels, but the model learned from 1"):
        model.predict(np.zeros((3, 4, 2)))
    with pytest.raises(DataError, match="no column named 'channels'"):
        model.predict(["a text"])


def test_a_target_that_could_be_several_columns_must_be_named():
    data = Sequences(np.arange(3), {"a": number("a", [1, 2])}, {n: category(n, "xy") for n in ("b", "c")})
    with pytest.raises(DataError, match=r"2 columns could be it: b, c. Name it: target="):
        Classifier(**TINY).fit(data)
    with pytest.raises(DataError, match="has a value per step"):
        Classifier(**TINY, target="a").fit(data)
    assert Classifier(**TINY, target="c").fit(data).classes_.tolist() == ["x", "y"]


@pytest.mark.parametrize(
    "option",
    [
        {"pooling": "median"},
        {"pooling": ()},
        {"tokens": "sounds"},
        {"target_kind": "colour"},
        {"ensemble": 0},
        {"stride": 0},
        {"augmentation": -1},
        {"word_dropout": 1.0},
        {"label_smoothing": 1},
        {"class_weight": 3},
        {"split": (0.5, 0.1, 0.1)},
        {"bidirectional": 1},
    ],
    ids=str,
)
def test_impossible_options_are_refused(option):
    X, y = waves(20, 0)
    with pytest.raises(OptionError):
        Classifier(**{**TINY, **option}).fit(X, y)


def test_a_file_that_contradicts_itself(tmp_path):
    X, y = waves(20, 0)
    model = Classifier(**TINY).fit(X, y)
    for part in ("inputs", "targets", "sizes"):
        document = {
            "task": "classify",
            **model._document(),
            "options": model.plain_options(),
            "training": model.provenance_,
        }
        bundle.save(tmp_path / "m", {**document, part: {}}, model._tensors())
        with pytest.raises(ModelFileError, match="contradicts itself"):
            Classifier.load(tmp_path / "m")
    sizes = {**vars(model.sizing_), "ensemble": 1000}
    bundle.save(tmp_path / "m", {**document, "sizes": sizes}, model._tensors())
    with pytest.raises(ModelFileError, match="ensemble"):
        Classifier.load(tmp_path / "m")


# --- scikit-learn -----------------------------------------------------------------------------------------------------


def test_clone_pipeline_and_searches():
    X, y = waves(30, 0)
    model = Classifier(**TINY, seed=5)
    assert clone(model).get_params() == model.get_params()
    pipeline = make_pipeline(FunctionTransformer(np.negative), model)
    assert cross_val_score(pipeline, X, y, cv=2).shape == (2,)
    search = GridSearchCV(model, {"epochs": [1, 2]}, cv=2).fit(X, y)
    assert search.predict(X).shape == (30,)


def test_columns_of_a_data_frame():
    table = pd.DataFrame({"text": [f"a {'good' if i % 2 else 'bad'} day {i}" for i in range(40)]})
    table["mood"] = ["up" if i % 2 else "down" for i in range(40)]
    table = table[::-1]
    X, y = table["text"], table["mood"].astype("category")
    fitted = Classifier(**TINY).fit(X, y)
    plain = Classifier(**TINY).fit(list(X), list(y))
    assert np.array_equal(fitted.predict_proba(X), plain.predict_proba(list(X)))
    assert fitted.score(X, y) == plain.score(list(X), list(y))
    assert [next(fitted.predictions(X))[name].tolist() for name in ("sequence", "label")] == [
        list(range(40)),
        plain.predict(list(X)).tolist(),
    ]
    assert cross_val_score(Classifier(**TINY), X, y, cv=2, error_score="raise").shape == (2,)


LEFT_OUT = {  # scikit-learn's check -> why it does not apply
    "check_estimators_unfitted": "it raises an OptionError, a ValueError, for scikit-learn need not be installed",
    "check_n_features_in_after_fitting": "a series may be shorter or longer than those that were learned from",
    "check_classifiers_train": "as above: it wants other lengths refused",
    "check_classifiers_regression_target": "numbers are targets too",
    "check_supervised_y_2d": "(N, 1) is read as N targets without a warning",
    "check_classifier_data_not_an_array": "a data frame is a table, whose target is one of its columns",
    "check_methods_subset_invariance": "in float32 a row's last bits depend on the rows beside it",
    "check_array_api_input": "needs SCIPY_ARRAY_API to be set before scipy is imported",
}
LONGER = {**TINY, "epochs": 15, "dropout": 0.0, "augmentation": 0.0, "learning_rate": 0.05, "label_smoothing": 0.0}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Estimator Classifier does not inherit")
def test_scikit_learns_own_checks():
    ran = set()
    for estimator, check in estimator_checks_generator(Classifier(**LONGER)):
        name = getattr(check, "func", check).__name__
        if name not in LEFT_OUT:
            check(estimator)
            ran.add(name)
    assert len(ran) > 35
