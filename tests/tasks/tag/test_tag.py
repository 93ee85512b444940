"""`Tagger`: labels and numbers per step, from words, categories and measurements."""

import numpy as np
import pytest
import torch
from tag_examples import SMALL, sentences, series, tagged

from gatewise import bundle
from gatewise.data.readers.arrays import from_arrays
from gatewise.data.sequences import Column, Sequences
from gatewise.errors import DataError, ModelFileError, OptionError
from gatewise.tasks import Tagger
from gatewise.tasks.options import shares_of
from gatewise.tasks.tag.features import Features
from gatewise.tasks.verdict import KEYS


def test_spans_are_learned_and_evaluated(namer):
    assert namer.scheme_ == "BIO"
    assert namer.metrics_["test"]["f1"] == 1
    # Too few steps to choose by a validation part.
    assert {*namer.metrics_} - {*KEYS} == {"train", "test", "baselines"}
    assert namer.metrics_["baselines"]["majority"]["f1"] == 0
    new = tagged(50, seed=9)
    assert namer.evaluate(new)["all"]["f1"] > 0.95
    assert namer.score(new) == namer.evaluate(new)["all"]["f1"]
    assert {"PER", "LOC"} == set(namer.evaluate(new)["all"]["types"])


def test_the_training_data_is_split_as_it_was(namer):
    assert namer.evaluate(tagged(260)) == namer.metrics_


def test_numbers_are_learned():
    x, _, numbers = series(4, 300, seed=1)
    data = from_arrays(x, numbers, per_step=True)
    tagger = Tagger(hidden_size=24, epochs=10, dropout=0.0).fit(data)
    assert {*tagger.metrics_} - {*KEYS} == {"train", "test", "baselines"}
    found = tagger.metrics_["test"]
    assert tagger.metrics_["baselines"]["linear regression"]["r2"] > 0.95  # it reads the step before, too
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
    validated = {"validation": tagged(9, seed=2), "output": tmp_path / "validated"}
    Tagger(**options).fit(data, **validated, progress=lambda *_: Stops())
    with pytest.raises(ModelFileError, match="validation"):
        Tagger(**options).fit(data, **{**validated, "validation": tagged(9, seed=3)}, resume=True)


def test_validation_data_and_labels_of_its_own():
    tagger = Tagger(**{**SMALL, "epochs": 1}).fit(tagged(40), validation=tagged(10, seed=2))
    assert {*tagger.metrics_} - {*KEYS} == {"train", "validation", "baselines"}
    assert tagger.metrics_["train"]["steps"] == int(tagged(40).offsets[-1])
    assert shares_of((0.8, 0.1, 0.1), True, False) == pytest.approx((0.9, 0.1, 0))
    assert shares_of((0.8, 0.1, 0.1), False, True) == (1, 0, 0)


def test_validation_data_calibrate_the_score_of_outside(tmp_path):
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


def test_a_second_fit_reads_the_columns_of_its_own_data():
    def rides(*names):
        random = np.random.default_rng(0)
        columns = {name: random.normal(size=60) for name in names}
        return {**columns, "command": ["go" if value > 0 else "stop" for value in columns[names[0]]]}

    tagger = Tagger(target="command", bidirectional=False, hidden_size=4, epochs=1)
    assert tagger.fit(rides("front", "left")).features_.columns == ["front", "left"]
    assert tagger.fit(rides("speed")).features_.columns == ["speed"]


def test_ctrl_c_while_measuring_keeps_what_was_learned(monkeypatch, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("gatewise.tasks.tag.evaluation.Evaluator.evaluate", interrupted)
    data = tagged(40)
    with pytest.raises(KeyboardInterrupt):
        Tagger(**SMALL).fit(data, output=tmp_path / "model")
    loaded = Tagger.load(tmp_path / "model")
    assert loaded.metrics_ == {}
    monkeypatch.undo()
    whole = Tagger(**SMALL).fit(data)
    assert [labels.tolist() for labels in loaded.predict(data)] == [labels.tolist() for labels in whole.predict(data)]


def test_a_refused_fit_leaves_the_earlier_model_whole():
    data = tagged(40)
    tagger = Tagger(**SMALL).fit(data)
    before, chosen = tagger.predict(data), tagger.sizing_
    with pytest.raises(DataError):
        tagger.fit([["a", "b"]], [[None, None]])
    assert tagger.sizing_ == chosen
    assert [labels.tolist() for labels in tagger.predict(data)] == [labels.tolist() for labels in before]
