"""The estimator `Classifier`: what it learns, what it refuses, and scikit-learn's own checks."""

import signal
import wave
from itertools import product

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import estimator_checks_generator

from gatewise import bundle
from gatewise.data.readers.strokes import read_strokes
from gatewise.data.readers.ts import read_ts
from gatewise.data.sequences import Column, Sequences
from gatewise.errors import DataError, ModelFileError, OptionError
from gatewise.metrics import classification as metrics
from gatewise.tasks.classify import baselines
from gatewise.tasks.classify.batches import InOrder, Shuffled
from gatewise.tasks.classify.estimator import Classifier
from gatewise.tasks.classify.inputs import UNKNOWN, Inputs
from gatewise.tasks.classify.network import Member, Shape
from gatewise.tasks.classify.split import FEWEST, split_sequences
from gatewise.tasks.classify.statistics import learn_inputs
from gatewise.tasks.classify.targets import Targets

TINY = {"hidden_size": 4, "num_layers": 1, "ensemble": 1, "epochs": 2, "batch_size": 16}


def number(name, values):
    return Column(name, "number", np.asarray(values, np.float32))


def category(name, words):
    levels = sorted({word for word in words if word is not None})
    codes = [-1 if word is None else levels.index(word) for word in words]
    return Column(name, "category", np.array(codes, np.int32), tuple(levels))


def text(name, values):
    column = np.empty(len(values), object)
    column[:] = values
    return Column(name, "text", column)


def reviews(*texts, labels=None):
    static = {"text": text("text", texts)}
    if labels is not None:
        static["label"] = category("label", labels)
    return Sequences(np.zeros(len(texts) + 1, np.int64), static=static)


def mixed(count=24, seed=0):
    """Sequences of 2 to 5 steps with numbers (some missing), a category per step, and static columns; the label is the shop."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(2, 6, count))])
    total = offsets[-1]
    heat = rng.normal(20, 5, total)
    heat[::7] = np.nan
    shops = rng.choice(["north", "south"], count)
    steps = {"heat": number("heat", heat), "state": category("state", rng.choice(["on", "off"], total))}
    static = {"shop": category("shop", shops), "size": number("size", rng.normal(size=count))}
    return Sequences(offsets, steps, {**static, "label": category("label", shops)})


def rows_of(data):
    return np.arange(len(data))


def waves(count, seed):
    """Series of one channel: rising or falling, from a random height."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, count)
    return np.where(y, 1, -1)[:, None] * np.linspace(-1, 1, 9) + rng.normal(size=(count, 1)), y


def weights(model):
    return {name: tensor.clone() for name, tensor in model.model_.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# --- figures, against scikit-learn ------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 4])
def test_figures_of_classes_are_those_of_scikit_learn(classes):
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


def test_figures_of_labels_and_numbers_are_those_of_scikit_learn():
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


def test_a_class_that_never_occurs_has_no_area():
    assert "roc_auc" not in metrics.class_scores(np.zeros(3, int), np.full((3, 2), 0.5))


# --- what it reads ----------------------------------------------------------------------------------------------------


def test_numbers_are_scaled_and_what_is_missing_is_marked():
    data = Sequences(np.array([0, 2, 3]), {"a": number("a", [1, np.nan, 5])}, {"label": category("label", ["x", "y"])})
    found = learn_inputs(data, rows_of(data), ["label"]).encode(data)["numbers"]  # value, mark, change
    assert found.shape == (2, 2, 3)
    assert found[:, 0, :2].tolist() == [[-1, 0], [0, 1]]  # mean 3, spread 2
    assert found[:, 1, :2].tolist() == [[1, 0], [0, 0]]  # behind the end there are zeros
    assert found[0, :, 2].tolist() == [0, 0]  # nothing is before the first step


def test_scales_come_from_the_training_sequences_alone():
    data = Sequences(np.array([0, 1, 2, 3]), {"a": number("a", [1, 3, 1000])}, {"label": category("label", "xyx")})
    assert learn_inputs(data, np.array([0, 1]), ["label"]).numbers[0].mean == [2]


def test_a_heavy_tail_is_read_as_a_logarithm():
    values = np.zeros(1000)
    values[:3] = [1e6, 10, 100]
    data = Sequences(np.arange(1001), {"bytes": number("bytes", values)}, {"label": number("label", values)})
    inputs = learn_inputs(data, rows_of(data), ["label"])
    assert inputs.numbers[0].heavy == [True]
    assert inputs.numbers[0].mean[0] == pytest.approx(np.log1p(values).mean(), rel=1e-5)


def test_columns_of_all_kinds_stand_side_by_side():
    data = mixed()
    inputs = learn_inputs(data, rows_of(data), ["label"])
    found = inputs.encode(data)
    T = data.lengths.max()
    assert found["numbers"].shape == (T, 24, inputs.width) == (T, 24, 4)  # heat, its mark and change, size
    assert found["categories"].shape == (T, 24, 2)
    one = inputs.encode(data.take([5]))
    length = data.lengths[5]
    assert np.array_equal(found["numbers"][:length, 5], one["numbers"][:, 0])
    assert np.array_equal(found["categories"][:length, 5], one["categories"][:, 0])


def test_a_level_that_training_did_not_have_is_unknown():
    data = reviews("a", "b")
    data = Sequences(data.offsets, static={"shop": category("shop", ["n", "s"]), "label": category("label", "xy")})
    inputs = learn_inputs(data, rows_of(data), ["label"])
    other = Sequences(data.offsets, static={"shop": category("shop", ["w", None])})
    assert inputs.encode(other)["categories"].ravel().tolist() == [0, 0]


def test_words_are_folded_and_their_letters_are_not():
    data = reviews("Good film", "good", labels="xy")
    inputs = learn_inputs(data, rows_of(data), ["label"])
    assert inputs.text.tokens == "both"
    assert inputs.text.words == ["good", "film"]
    found = inputs.encode(reviews("Good good bad", ""))
    assert found["words"].T.tolist() == [[2, 2, UNKNOWN], [UNKNOWN, 0, 0]]
    G, g = found["spelling"][0, found["word_of"][:2, 0]]
    assert g != G
    assert found["lengths"].tolist() == [3, 1]  # an empty text has the empty word


def test_chinese_is_read_by_the_character():
    data = reviews("房间很好", "很差", labels="xy")
    inputs = learn_inputs(data, rows_of(data), ["label"])
    assert inputs.text.tokens == "words"
    assert inputs.encode(data)["lengths"].tolist() == [4, 2]


@pytest.mark.parametrize("tokens", ["words", "characters", "both"])
def test_what_it_reads_survives_the_file(tokens):
    data = reviews("so good", "so bad", labels="xy")
    inputs = learn_inputs(data, rows_of(data), ["label"], tokens)
    again = Inputs.from_json(bundle.plain(inputs.to_json()))
    a, b = inputs.encode(data), again.encode(data)
    assert a.keys() == b.keys()
    assert all(np.array_equal(a[name], b[name]) for name in a)


def test_a_stride_reads_overlapping_frames():
    data = Sequences(np.array([0, 5]), {"a": number("a", range(5))}, {"label": number("label", [0.5])})
    inputs = learn_inputs(data, rows_of(data), ["label"]).with_stride(2)
    column = inputs.numbers[0]
    frames = inputs.encode(data)["numbers"][:, 0] * column.scale[0] + column.mean[0]
    # Frames of four steps, one every two; beyond the ends the first and the last step again.
    assert frames.round(5).tolist() == [[0, 0, 1, 2], [1, 2, 3, 4], [3, 4, 4, 4]]


def test_drawings_are_bent_in_training_alone_and_their_writers_are_not_read(tmp_path):
    for number in range(60):
        points = [(0, 0), (9, 0), (9, 4 + number % 5)] if number % 2 else [(0, 0), (0, 9)]
        lines = [f"{x},{y},0" for x, y in points]
        path = tmp_path / ("corner" if number % 2 else "line") / f"x_{number}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(["START", *lines, "BREAK", ""]))
    drawn = read_strokes(tmp_path)
    classifier = Classifier(hidden_size=8, num_layers=1, ensemble=1, epochs=12, augmentation=0.5).fit(drawn)
    assert [column.name for column in classifier.inputs_.numbers] == ["x", "y", "dx", "dy", "up"]
    assert classifier.inputs_.categories == []
    assert classifier.score(drawn) > 0.9
    rows = np.arange(60)

    def batch(augmentation):
        batches = Shuffled(classifier.inputs_, drawn, rows, rows, batch_size=60, seed=0, augmentation=augmentation)
        return batches.at(0)["numbers"]

    calm = InOrder(classifier.inputs_, drawn, rows, rows).at(0)["numbers"]
    assert torch.equal(batch(0.0).sort(1).values, calm.sort(1).values)
    assert torch.equal(batch(1.0), batch(1.0))
    assert not torch.equal(batch(0.0), batch(1.0))


def test_every_pass_holds_each_sequence_once():
    data = mixed(23)
    inputs = learn_inputs(data, rows_of(data), ["label"])
    truth = np.arange(23)
    batches = Shuffled(inputs, data, rows_of(data), truth, batch_size=5, seed=0, augmentation=0.0)
    passes = [np.concatenate([batches.at(step)["targets"] for step in range(s, s + 5)]) for s in (0, 5)]
    assert [sorted(seen) for seen in passes] == [list(range(23))] * 2
    assert passes[0].tolist() != passes[1].tolist()
    assert np.concatenate([InOrder(inputs, data, rows_of(data), truth).at(0)["targets"]]).tolist() == list(range(23))


# --- the split --------------------------------------------------------------------------------------------------------


def test_parts_are_disjoint_and_each_has_its_share_of_every_class():
    labels = ["rare"] * 100 + ["common"] * 900
    data = reviews(*["a"] * 1000, labels=labels)
    parts = split_sequences(data, Targets("category", ("label",), ("common", "rare")), (0.8, 0.1, 0.1), seed=3)
    assert sorted(np.concatenate([parts.train, parts.validation, parts.test])) == list(range(1000))
    for rows, share in ((parts.train, 80), (parts.validation, 10), (parts.test, 10)):
        assert abs((rows < 100).sum() - share) <= 1


def test_with_few_sequences_all_are_learned_from():
    data = reviews(*["a"] * (10 * FEWEST - 10), labels=["x", "y"] * (5 * FEWEST - 5))
    targets = Targets("category", ("label",), ("x", "y"))
    parts = split_sequences(data, targets, (0.8, 0.1, 0.1), seed=0, targets_apart=True)
    assert len(parts.train) == len(data)
    assert parts.held_out == {}


# --- the network ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_padding_never_reaches_a_result(pooling, bidirectional):
    data = mixed(9)
    inputs = learn_inputs(data, rows_of(data), ["label"])
    torch.manual_seed(0)
    from gatewise import cells

    shape = Shape(
        cell=cells.find("lstm"),
        embedding_size=8,
        hidden_size=5,
        num_layers=2,
        bidirectional=bidirectional,
        pooling=(pooling,),
    )
    model = Member(inputs, 3, shape).eval()
    together = model(tensors(inputs.encode(data)))
    alone = torch.cat([model(tensors(inputs.encode(one))) for one in data])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


def test_pooling_by_hand():
    from gatewise import cells

    data = mixed(3)
    inputs = learn_inputs(data, rows_of(data), ["label"])
    shape = Shape(
        cell=cells.find("gru"),
        embedding_size=8,
        hidden_size=1,
        num_layers=1,
        bidirectional=True,
        pooling=("mean", "max", "last"),
    )
    model = Member(inputs, 2, shape)
    y = torch.tensor([[[1.0, 5.0]], [[3.0, -1.0]], [[0.0, 0.0]]])  # two steps, and one of padding
    lengths = torch.tensor([2])
    assert model._mean(y, lengths).tolist() == [[2.0, 2.0]]
    assert model._max(y - 4, lengths).tolist() == [[-1.0, 1.0]]
    assert model._last(y, lengths).tolist() == [[3.0, 5.0]]


def tensors(arrays):
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


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
    assert {"train", "validation", "test", "baselines"} == model.metrics_.keys()
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


def test_class_weights_shift_the_decision():
    X, y = waves(60, 0)
    X = X * 0 + 1.0  # nothing to go by
    for weight in ({0: 50, 1: 1}, {0: 1, 1: 50}):
        model = Classifier(**{**TINY, "epochs": 10, "learning_rate": 0.05}, class_weight=weight).fit(X, y)
        assert set(model.predict(X)) == {max(weight, key=weight.get)}
    with pytest.raises(OptionError, match="no class named '7'"):
        Classifier(**TINY, class_weight={7: 1.0}).fit(X, y)


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


def test_japanese_vowels(shared):
    """A sixth of the default training already beats the plain methods by far: 0.94 is 1-NN DTW on all of it."""
    folder = shared / "ucr_uea" / "JapaneseVowels"
    train, test = (read_ts(folder / f"JapaneseVowels_{part}.ts.gz") for part in ("TRAIN", "TEST"))
    model = Classifier(split=(1, 0, 0), ensemble=1, epochs=10, num_layers=1).fit(train)
    assert model.evaluate(test)["all"]["accuracy"] > 0.9


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("X", "y", "said"),
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
def test_bad_data_is_one_line(X, y, said):
    with pytest.raises(DataError, match=said) as found:
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


# --- scikit-learn -----------------------------------------------------------------------------------------------------


def test_clone_pipeline_and_searches():
    X, y = waves(30, 0)
    model = Classifier(**TINY, seed=5)
    assert clone(model).get_params() == model.get_params()
    pipeline = make_pipeline(FunctionTransformer(np.negative), model)
    assert cross_val_score(pipeline, X, y, cv=2).shape == (2,)
    search = GridSearchCV(model, {"epochs": [1, 2]}, cv=2).fit(X, y)
    assert search.predict(X).shape == (30,)


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
