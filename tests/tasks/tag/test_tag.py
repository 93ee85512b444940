"""`Tagger`: labels and numbers per step, from words, categories and measurements."""

import random

import numpy as np
import pytest
import seqeval.metrics
import torch

from gatewise import bundle
from gatewise.data.readers.arrays import from_arrays
from gatewise.data.sequences import Column, Sequences
from gatewise.data.text.tagging_schemes import spans
from gatewise.errors import DataError, ModelFileError, OptionError
from gatewise.metrics import label_scores, number_scores
from gatewise.tasks import Tagger
from gatewise.tasks.options import shares_of
from gatewise.tasks.tag.baselines import Baselines
from gatewise.tasks.tag.batches import Pieces
from gatewise.tasks.tag.features import Features, Words, shape
from gatewise.tasks.tag.predictor import forward
from gatewise.tasks.tag.split import split_sequences

SMALL = {"hidden_size": 16, "embedding_size": 12, "char_hidden_size": 6, "epochs": 6, "batch_size": 8}
NAMES, PLACES = ["Ann", "Bob", "Cleo", "Dan"], ["York", "Delft", "Nice"]


def sentences(count, seed=0):
    """Tokens and labels: persons of one or two words, places behind "in"."""
    draw = random.Random(seed)
    tokens, labels = [], []
    for _ in range(count):
        person = draw.sample(NAMES, draw.choice([1, 2]))
        words = [*person, draw.choice(["lives", "sat", "works"]), "in", draw.choice(PLACES)]
        marks = ["B-PER", *["I-PER"] * (len(person) - 1), "O", "O", "B-LOC"]
        if draw.random() < 0.5:
            words, marks = [*words, "today", "."], [*marks, "O", "O"]
        tokens.append(words)
        labels.append(marks)
    return tokens, labels


def series(count=3, steps=400, seed=0):
    """Two sensors; the label says which was larger in sum over the last two steps, the number is the difference."""
    random = np.random.default_rng(seed)
    x = [random.normal(2, 3, (steps, 2)).astype(np.float32) for _ in range(count)]
    difference = [row[:, 0] - row[:, 1] for row in x]
    difference = [d + np.concatenate([[0], d[:-1]]) for d in difference]
    return x, [np.where(d > 0, "left", "right").tolist() for d in difference], difference


def tagged(count=120, seed=0):
    return from_arrays(*sentences(count, seed), per_step=True)


@pytest.fixture(scope="module")
def namer():
    return Tagger(seed=3, learning_rate=0.02, **SMALL).fit(tagged(260))


@pytest.fixture(scope="module")
def steerer():
    x, labels, _ = series()
    options = {"hidden_size": 24, "epochs": 40, "dropout": 0.0, "batch_size": 8, "chunk_length": 50}
    return Tagger(bidirectional=False, **options).fit(from_arrays(x, labels, per_step=True))


def test_spans_are_learned_and_measured(namer):
    assert namer.scheme_ == "BIO"
    assert namer.metrics_["test"]["f1"] == 1
    assert set(namer.metrics_) == {"train", "test", "baselines"}  # too few steps to choose by a validation part
    assert namer.metrics_["baselines"]["majority"]["f1"] == 0
    new = tagged(50, seed=9)
    assert namer.evaluate(new)["all"]["f1"] > 0.95
    assert namer.score(new) == namer.evaluate(new)["all"]["f1"]
    assert {"PER", "LOC"} == set(namer.evaluate(new)["all"]["types"])


def test_the_training_data_is_cut_as_it_was(namer):
    assert namer.evaluate(tagged(260)) == namer.metrics_


def test_predictions_obey_the_scheme_even_untrained():
    data = tagged(30)
    tagger = Tagger(**{**SMALL, "epochs": 0.01}).fit(data)
    for labels in tagger.predict(data):
        before = "O"
        for label in labels:
            assert label[0] != "I" or before[1:] == label[1:]
            before = label


def test_a_prediction_depends_on_its_sequence_alone(namer):
    data = tagged(40, seed=5)
    together = namer.predict(data)
    for one, labels in zip(data, together, strict=True):
        assert namer.predict(one)[0].tolist() == labels.tolist()
    encoded = namer.features_.encode(data)
    scores = namer.model_.compute(scored, encoded.batch(data.offsets[:-1], data.lengths))
    for row in range(5):
        alone = namer.model_.compute(scored, encoded.batch(data.offsets[row : row + 1], data.lengths[row : row + 1]))
        assert np.array_equal(alone[:, 0], scores[: len(alone), row])


def scored(net, batch):
    return forward(net, batch)[0]


def test_a_stream_equals_the_whole_sequence(steerer):
    x, labels, _ = series(1, 200, seed=4)
    whole = from_arrays(x, per_step=True)
    predicted = steerer.predict(whole)[0]
    assert np.mean(predicted == labels[0]) > 0.9
    stream = steerer.stream()
    assert [stream.push(row) for row in x[0]] == predicted.tolist()
    stream.reset()
    assert [stream.push({"channels": row}) for row in x[0][:20]] == predicted[:20].tolist()


def test_a_stream_of_numbers_has_the_same_bits():
    x, _, numbers = series(2, 150)
    data = from_arrays(x, numbers, per_step=True)
    tagger = Tagger(bidirectional=False, num_layers=2, hidden_size=16, epochs=5, split=(1, 0, 0)).fit(data)
    for row, predicted in zip(x, tagger.predict(data), strict=True):
        stream = tagger.stream()
        assert [stream.push(values) for values in row] == predicted.tolist()


@pytest.mark.parametrize("letters", [False, True], ids=["words", "characters"])
def test_a_stream_of_tokens_has_the_same_labels(letters):
    tokens, labels = sentences(40)
    if letters:
        tokens = [[word[0] for word in sentence] for sentence in tokens]
    tagger = Tagger(bidirectional=False, **SMALL).fit(from_arrays(tokens, labels, per_step=True))
    assert bool(tagger.features_.words[0].pairs) == letters
    stream = tagger.stream()
    for sentence, predicted in zip(tokens[:10], tagger.predict(from_arrays(tokens[:10])), strict=True):
        stream.reset()
        assert [stream.push(token) for token in sentence] == predicted.tolist()


def test_a_stream_needs_a_tagger_that_does_not_look_ahead(namer, steerer):
    with pytest.raises(OptionError, match=r"depend on later steps \(bidirectional=True\)"):
        namer.stream()
    with pytest.raises(DataError, match="row has no 'channels'"):
        steerer.stream().push({"front": 1})
    with pytest.raises(DataError, match="has 3 numbers a step, not 2"):
        steerer.stream().push([1, 2, 3])
    with pytest.raises(DataError, match="'channels' must be a number, not 'far'"):
        steerer.stream().push("far")


def test_numbers_are_learned():
    x, _, numbers = series(4, 500, seed=1)
    data = from_arrays(x, numbers, per_step=True)
    tagger = Tagger(hidden_size=24, epochs=40, dropout=0.0).fit(data)
    assert set(tagger.metrics_) == {"train", "test", "baselines"}
    found = tagger.metrics_["test"]
    # The linear model of the present step explains half: the step before it adds as much variance.
    assert 0.4 < tagger.metrics_["baselines"]["linear"]["r2"] < 0.6
    assert tagger.metrics_["baselines"]["mean"]["r2"] == pytest.approx(0, abs=0.1)
    assert found["r2"] > 0.95
    assert tagger.score(data) > 0.95
    assert set(next(tagger.predictions(data))) == {"sequence", "step", "predicted"}


def test_saved_and_loaded_it_predicts_the_same(namer, tmp_path):
    namer.save(tmp_path / "model")
    loaded = Tagger.load(tmp_path / "model")
    data = tagged(20, seed=8)
    for ours, theirs in zip(namer.predict(data), loaded.predict(data), strict=True):
        assert ours.tolist() == theirs.tolist()
    assert loaded.evaluate(data) == namer.evaluate(data)
    assert loaded.evaluate(tagged(260)) == namer.metrics_
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()


def test_a_file_that_contradicts_itself_is_refused(namer, tmp_path):
    namer.save(tmp_path / "model")
    found = bundle.load(tmp_path / "model")
    del found.document["targets"]["classes"][-1]
    bundle.save(tmp_path / "broken", found.document, found.tensors)
    with pytest.raises(ModelFileError, match="contradicts itself"):
        Tagger.load(tmp_path / "broken")


def test_a_seed_decides_everything():
    data = tagged(60)

    def weights(seed):
        tagger = Tagger(seed=seed, recurrent_dropout=0.2, **{**SMALL, "epochs": 2}).fit(data)
        return torch.cat([weight.flatten() for weight in tagger.model_.state_dict().values()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_a_resumed_run_ends_with_the_same_bits(tmp_path):
    data = tagged(60)
    options = {**SMALL, "epochs": 3, "zoneout": 0.1}

    class Stops:
        """Progress that a user interrupts at the tenth step."""

        def __getattr__(self, name):
            return lambda *_: None

        def step(self, step, loss):
            if step == 10:
                import signal

                signal.raise_signal(signal.SIGINT)

    whole = Tagger(**options).fit(data)
    stopped = Tagger(**options).fit(data, output=tmp_path / "model", progress=lambda *_: Stops())
    assert stopped.outcome_.reason == "interrupted"
    resumed = Tagger(**options).fit(data, output=tmp_path / "model", resume=True)
    assert resumed.outcome_.reason == "finished"
    for name, weight in whole.model_.state_dict().items():
        assert torch.equal(weight, resumed.model_.state_dict()[name]), name
    judged = {"validation": tagged(9, seed=2), "output": tmp_path / "judged"}
    Tagger(**options).fit(data, **judged, progress=lambda *_: Stops())
    with pytest.raises(ModelFileError, match="validation"):
        Tagger(**options).fit(data, **{**judged, "validation": tagged(9, seed=3)}, resume=True)


def test_validation_data_and_labels_of_its_own():
    tagger = Tagger(**{**SMALL, "epochs": 1}).fit(tagged(40), validation=tagged(10, seed=2))
    assert set(tagger.metrics_) == {"train", "validation", "baselines"}
    assert tagger.metrics_["train"]["steps"] == int(tagged(40).offsets[-1])
    assert shares_of((0.8, 0.1, 0.1), True, False) == pytest.approx((0.9, 0.1, 0))
    assert shares_of((0.8, 0.1, 0.1), False, True) == (1, 0, 0)


def test_validation_data_say_how_sure_a_span_must_be(tmp_path):
    held = tagged(30, seed=2)
    tagger = Tagger(**{**SMALL, "epochs": 2}).fit(tagged(60), validation=held, output=tmp_path / "m")
    chosen = float(tagger.model_.outside_bias)
    assert float(Tagger.load(tmp_path / "m").model_.outside_bias) == chosen
    f1 = {}
    for bias in np.linspace(-4, 4, 33):
        tagger.model_.outside_bias.fill_(bias)
        f1[float(bias)] = tagger.score(held)
    assert chosen != 0
    assert max(f1.values()) == f1[chosen] > f1[0.0]


def test_few_sequences_are_cut_by_time():
    x, labels, _ = series(2, 3000)
    data = from_arrays(x, labels, per_step=True)
    parts = split_sequences(data, (0.6, 0.15, 0.25), 0)
    assert [len(part) for part in parts.values()] == [2, 2, 2]
    assert [part.lengths.tolist() for part in parts.values()] == [[1800] * 2, [450] * 2, [750] * 2]
    for place, row in enumerate(x):
        back = np.concatenate([part.take([place]).steps["channels"].values for part in parts.values()])
        assert np.array_equal(back, row)


def test_many_sequences_are_dealt_out_whole():
    data = tagged(600)
    parts = split_sequences(data, (0.8, 0.1, 0.1), 4)
    assert [len(part) for part in parts.values()] == [480, 60, 60]
    assert sum(int(part.offsets[-1]) for part in parts.values()) == int(data.offsets[-1])
    again = split_sequences(data, (0.8, 0.1, 0.1), 4)
    assert all(again[name].fingerprint() == part.fingerprint() for name, part in parts.items())


def test_pieces_of_long_sequences():
    data = from_arrays([np.arange(100.0)[:, None], np.arange(7.0)[:, None]])
    features = Features.learn(data, ["channels"], ahead=True)
    encoded, targets = features.encode(data), np.arange(107)
    pieces = Pieces(encoded, targets, 2, chunk_length=16, seed=1)
    assert len(pieces) == 4  # 7 of the long one, 1 of the short one
    seen = [pieces.at(step) for step in range(4)]
    assert sorted(int(n) for batch in seen for n in batch["lengths"]) == [7, *[16] * 7]
    for batch in seen:
        for row, length in enumerate(batch["lengths"]):
            own = batch["targets"][:, row]
            assert torch.equal(own[:length].diff(), torch.ones(length - 1, dtype=torch.int64))
            assert (own[length:] == -1).all()
    assert not all(torch.equal(pieces.at(4 + k)["targets"], seen[k]["targets"]) for k in range(4))
    assert torch.equal(pieces.at(1)["targets"], seen[1]["targets"])


def test_shapes_of_words():
    assert [shape(word) for word in ("McDonald's", "B-52", "2,5", "", "日本")] == ["XxXx'x", "X-d", "d,d", "", "z"]


def test_words_as_numbers():
    tokens = [["The", "cat", "the", "cab"], ["x1", "cat"]]
    data = from_arrays(tokens)
    words = Words.learn(data.steps["token"], data.offsets, ahead=True)
    assert words.parts["word"] == ["cat", "the", "cab", "x0"]
    assert words.counts == [2, 2, 1, 1]
    assert words.letters == ["a", "c", "e", "h", "t"]  # seen in two places at least, most frequent first
    new = words.encode(from_arrays([["cat", "X7", "dog"]]).steps["token"], np.array([0, 3]))
    assert new.parts[:, 0].tolist() == [1, 4, 0]
    assert new.letters.tolist() == [[2, 1, 5], [6, 6, 0], [6, 6, 6]]  # 6: a letter that training did not have
    assert new.lengths.tolist() == [3, 2, 3]
    assert not words.pairs


def test_neighbours_of_characters():
    data = from_arrays([list("abab"), list("ab")])
    words = Words.learn(data.steps["token"], data.offsets, ahead=True)
    assert words.pairs == ["a b", " a", "b "]  # "b a" once only
    wanted = [[2, 1], [1, 0], [0, 1], [1, 3], [2, 1], [1, 3]]
    assert words.encode(data.steps["token"], data.offsets).pairs.tolist() == wanted
    back = Words.learn(data.steps["token"], data.offsets, ahead=False)
    assert back.encode(data.steps["token"], data.offsets).pairs[:, 0].tolist() == [2, 1, 0, 1, 2, 1]


def test_measurements_and_categories_as_numbers():
    steps = {
        "front": Column("front", "number", np.array([1.0, 3.0, np.nan, 5.0])),
        "flat": Column("flat", "number", np.array([2.0, 2.0, 2.0, 2.0])),
        "mode": Column("mode", "category", np.array([0, 1, -1, 0], np.int32), ("slow", "fast")),
    }
    data = Sequences(np.array([0, 4]), steps)
    features = Features.learn(data, ["front", "flat", "mode"], ahead=True)
    read = features.encode(data)
    deviation = (8 / 3) ** 0.5
    wanted = [[-2 / deviation, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [2 / deviation, 0, 0, 0]]
    np.testing.assert_allclose(read.numbers, wanted, rtol=1e-6)
    assert read.categories[:, 0].tolist() == [1, 2, 0, 1]
    other = {**steps, "mode": Column("mode", "category", np.array([0, 1, 1, 0], np.int32), ("stop", "fast"))}
    assert features.encode(Sequences(np.array([0, 4]), other)).categories[:, 0].tolist() == [0, 2, 2, 0]
    assert Features.from_json(features.to_json()) == features


def test_span_scores_are_those_of_another_library():
    draw = random.Random(1)
    levels = ["O", "B-X", "I-X", "B-Y", "I-Y"]
    gold = [[draw.choice(levels) for _ in range(12)] for _ in range(60)]
    said = [[label if draw.random() < 0.7 else draw.choice(levels) for label in row] for row in gold]
    offsets = 12 * np.arange(61)
    found = label_scores(np.ravel(gold).tolist(), np.ravel(said).tolist(), offsets, "BIO")
    assert found["f1"] == pytest.approx(seqeval.metrics.f1_score(gold, said))
    assert found["precision"] == pytest.approx(seqeval.metrics.precision_score(gold, said))
    assert found["recall"] == pytest.approx(seqeval.metrics.recall_score(gold, said))
    assert found["accuracy"] == pytest.approx(seqeval.metrics.accuracy_score(gold, said))
    theirs = seqeval.metrics.classification_report(gold, said, output_dict=True)
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


def test_baselines_by_hand():
    data = from_arrays([["a", "b", "a", "c"], ["a", "b"]], [["X", "Y", "X", "Y"], ["Z", "Y"]], per_step=True)
    features = Features.learn(data, ["token"], ahead=True)
    learned = Baselines.learn(data, features.encode(data), features, data.steps["label"].strings())
    new = from_arrays([["a", "b", "new"]])
    assert learned.predictions(new, features.encode(new)) == {
        "majority": ["Y", "Y", "Y"],
        "most frequent per token": ["X", "Y", "Y"],
    }
    assert Baselines.from_json(learned.to_json()) == learned


def test_the_report_fits_a_terminal(namer, steerer):
    for metrics in (namer.metrics_, steerer.metrics_):
        text = Tagger.report(metrics)
        assert max(map(len, text.splitlines())) <= 80
        assert "majority (baseline)" in text


def test_predictions_come_in_chunks(namer):
    data = tagged(1500, seed=6)
    chunks = list(namer.predictions(data))
    assert len(chunks) > 1
    assert all(len(chunk["predicted"]) <= 4096 for chunk in chunks)
    joined = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
    assert joined["predicted"].tolist() == np.concatenate(namer.predict(data)).tolist()
    assert joined["token"].tolist() == data.steps["token"].strings()
    assert joined["sequence"].tolist() == np.repeat(np.arange(1500), data.lengths).tolist()
    assert joined["step"][:12].tolist() == [*range(data.lengths[0]), *range(12 - data.lengths[0])]


def test_missing_labels_are_not_counted_and_empty_sequences_stay_empty():
    tokens, labels = sentences(40)
    labels[3][0] = None
    data = from_arrays(tokens, labels, per_step=True)
    offsets = np.insert(data.offsets, 5, data.offsets[5])
    data = Sequences(offsets, data.steps)
    assert data.lengths[5] == 0
    with pytest.raises(DataError, match="a CRF needs one at every step"):
        Tagger(**SMALL).fit(data)
    tagger = Tagger(crf=False, **{**SMALL, "epochs": 1}).fit(data)
    assert tagger.metrics_["train"]["steps"] + tagger.metrics_["test"]["steps"] == int(data.offsets[-1]) - 1
    assert [len(row) for row in tagger.predict(data)] == data.lengths.tolist()


def test_lists_files_and_tables(tmp_path):
    tokens, labels = sentences(30)
    options = {**SMALL, "epochs": 1}
    pairs = [list(zip(*pair, strict=True)) for pair in zip(tokens, labels, strict=True)]
    lines = ["".join(f"{token}\t{mark}\n" for token, mark in pair) for pair in pairs]
    (tmp_path / "train.txt").write_text("\n".join(lines))
    of_lists, of_file = Tagger(**options).fit(tokens, labels), Tagger(**options).fit(tmp_path / "train.txt")
    assert "test" in of_file.metrics_
    assert set(of_lists.metrics_) == {"train", "baselines"}  # scikit-learn's users test on data of their own
    assert of_file.predict(tokens)[0].shape == (len(tokens[0]),)
    rows = [{"s": i, "w": token, "tag": mark} for i, pair in enumerate(pairs) for token, mark in pair]
    of_table = Tagger(target="tag", key="s", columns="w", **options).fit(rows)
    assert of_table.features_.columns == ["w"]
    unlabelled = [{name: row[name] for name in ("s", "w")} for row in rows]
    assert [len(found) for found in of_table.predict(unlabelled)] == list(map(len, tokens))
    assert of_table.evaluate(rows) == of_table.metrics_


def test_it_is_an_estimator_of_scikit_learn():
    from sklearn.base import clone

    tagger = Tagger(hidden_size=8, seed=2)
    assert clone(tagger).get_params() == tagger.get_params()
    assert repr(tagger) == "Tagger(hidden_size=8, seed=2)"


def test_scikit_learn_validates_and_searches():
    from sklearn.model_selection import GridSearchCV, cross_val_score
    from sklearn.pipeline import Pipeline

    tokens, labels = sentences(60)
    tagger = Tagger(**{**SMALL, "epochs": 3})
    scores = cross_val_score(Pipeline([("tag", tagger)]), tokens, labels, cv=2)
    assert scores.shape == (2,)
    search = GridSearchCV(tagger, {"learning_rate": [1e-6, 0.02]}, cv=2).fit(tokens, labels)
    assert search.best_params_ == {"learning_rate": 0.02}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_size": 0}, "hidden_size must be a whole number"),
        ({"char_hidden_size": 0}, "char_hidden_size must be a whole number"),
        ({"scheme": "BIOUS"}, "no tagging scheme named 'BIOUS'"),
        ({"crf": "yes"}, "crf must be true or false, not 'yes'"),
        ({"split": (0.5, 0.1, 0.1)}, "split is"),
        ({"dropout": 1}, "dropout must be a number from 0 to below 1"),
    ],
    ids=str,
)
def test_impossible_options(options, message):
    with pytest.raises(OptionError, match=message):
        Tagger(**options).fit(tagged(20))


def test_data_that_nothing_can_be_learned_from():
    tokens, labels = sentences(20)
    with pytest.raises(DataError, match=r"no column 'label' with a label per step\. Columns per step: token\. Name"):
        Tagger().fit(from_arrays(tokens))
    with pytest.raises(DataError, match="has only 'O'; a tagger"):
        Tagger().fit(from_arrays(tokens, [["O"] * len(row) for row in labels], per_step=True))
    with pytest.raises(DataError, match="no column named 'word'"):
        Tagger(columns=["word"]).fit(tagged(20))
    labels[2][0] = "I-PER"
    with pytest.raises(DataError, match="I-PER at the start of a sequence is illegal"):
        Tagger().fit(from_arrays(tokens, labels, per_step=True))
    with pytest.raises(DataError, match="leaves none to learn from"):
        Tagger().fit(tagged(20).take([]))
    x, _, numbers = series(2, 50)
    broken = Sequences(np.array([0, 2]), {"front": Column("front", "number", np.array([1, np.inf]))})
    with pytest.raises(DataError, match="step 1: column 'front' is infinite"):
        Features.learn(broken, ["front"], ahead=True)
    with pytest.raises(OptionError, match="crf is for labels"):
        Tagger(crf=True).fit(from_arrays(x, numbers, per_step=True))


def test_data_that_does_not_fit_the_model(namer, steerer):
    with pytest.raises(DataError, match="no column named 'token'"):
        namer.predict(from_arrays(series(1, 5)[0]))
    with pytest.raises(DataError, match="has 1 numbers a step, not 2"):
        steerer.predict(from_arrays([np.zeros((4, 1))]))
    with pytest.raises(OptionError, match="this tagger has learned nothing yet"):
        Tagger().predict(tagged(2))
    unseen = from_arrays([["Ann", "sat"]], [["B-GPE", "O"]], per_step=True)
    assert namer.evaluate(unseen)["all"]["accuracy"] <= 0.5  # a label that training never had is never right


def test_decoding_in_small_batches_changes_nothing(namer):
    data = tagged(30, seed=11)
    encoded = namer.features_.encode(data)
    predictor = namer._predictor()
    assert np.array_equal(predictor.decode(encoded, 8), predictor.decode(encoded))


def test_a_second_fit_reads_the_columns_of_its_own_data():
    def rides(*names):
        random = np.random.default_rng(0)
        columns = {name: random.normal(size=60) for name in names}
        return {**columns, "command": ["go" if value > 0 else "stop" for value in columns[names[0]]]}

    tagger = Tagger(target="command", bidirectional=False, hidden_size=4, epochs=1)
    assert tagger.fit(rides("front", "left")).features_.columns == ["front", "left"]
    assert tagger.fit(rides("speed")).features_.columns == ["speed"]
