"""`Sequential`: what a model of another library reads and answers, whatever it was read from."""

import csv
import json
import re
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import gatewise
from gatewise import Sequential, bundle
from gatewise.cli import main
from gatewise.errors import DataError, GatewiseError, ModelFileError, OptionError
from gatewise.interop import import_model
from gatewise.interop.cells import cell_of
from gatewise.metrics.classification import multilabel_scores
from gatewise.runtime import sequential
from gatewise.runtime.convolved import Convolution
from gatewise.runtime.sequential import Dense, Embedding, Masking, Pooling, Recurrent
from gatewise.tasks.sequential.texts import Tokens

TRAINING = {"data": {"fingerprint": ""}, "metrics": {}, "imported": {"format": "test"}}


def made(*layers, **how):
    """A model of random weights."""
    random = np.random.default_rng(0)
    shapes = dict(sequential.architecture(layers).weights())
    weights = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return Sequential.of(layers, weights, training=TRAINING, **how)


def lstm(inputs, units, **how):
    return Recurrent(program=cell_of("lstm").to_json(), input_size=inputs, hidden_size=units, **how)


def numbers(**how):
    return made(lstm(2, 4, outputs="end"), Dense(inputs=4, outputs=3, activation="softmax"), **how)


def at_each_step(**how):
    return made(lstm(2, 4), lstm(4, 3), Dense(inputs=3, outputs=1), **how)


def texts(**how):
    words = Tokens(["", "<unk>", "good", "bad", "very"], [0, 1, 2, 3, 4], "words")
    layers = Embedding(count=5, size=3), lstm(3, 4, direction="both"), Pooling(of="max")
    return made(
        *layers, Dense(inputs=8, outputs=1, activation="sigmoid"), vocabulary=words, classes=["no", "yes"], **how
    )


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def table(name="data.csv", rows=9, columns=("a", "b"), **more):
    random = np.random.default_rng(1)
    with open(name, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["who", *columns, *more])
        for row in range(rows):
            writer.writerow([f"s{row // 3}", *random.normal(size=len(columns)), *(v[row] for v in more.values())])
    return name


def test_arrays_lists_and_tables_are_read_alike():
    model = numbers(key="who", columns="a,b")
    with open(table()) as file:
        rows = list(csv.DictReader(file))
    x = np.array([[float(row["a"]), float(row["b"])] for row in rows], np.float32).reshape(3, 3, 2)
    wanted = model.predict(x)
    for found in (model.predict([*x]), model.predict("data.csv")):
        np.testing.assert_array_equal(found, wanted)
    ragged = model.predict([x[0], x[1, :2], x[2, :1]])
    np.testing.assert_array_equal(ragged[0], wanted[0])
    np.testing.assert_array_equal(ragged[1], model.predict(x[1:2, :2])[0])


def test_a_model_file_holds_all_of_it(tmp_path):
    model = texts()
    model.save("m.gatewise")
    loaded = gatewise.load("m.gatewise")
    assert isinstance(loaded, Sequential)
    assert loaded.predict(["very good", "bad !"]) == model.predict(["very good", "bad !"])
    assert loaded.layers_ == list(model.layers_)
    assert loaded.vocabulary_ == model.vocabulary_
    assert {name: tuple(value.shape) for name, value in loaded.model_.state_dict().items()} == {
        name: value.shape for name, value in model._weights().items()
    }


@torch.no_grad()
def test_texts_become_tokens_as_they_were_trained_on():
    model = texts()
    tokens = model.vocabulary_.encode("Very GOOD, strange")
    assert tokens.tolist() == [4, 2, 1]
    [answer] = model.answers(["Very GOOD, strange"])
    [outputs] = model._predictor().outputs([tokens])
    assert answer.document["probabilities"]["yes"] == pytest.approx(float(outputs[0]))
    with pytest.raises(OptionError, match="this model has no vocabulary"):
        numbers().answers(["a"])
    without = Tokens(["a"], [0], "words")
    with pytest.raises(DataError, match="knows none of the words of 'b c'"):
        without.encode("b c")


def test_short_texts_of_files_are_texts():
    """However few there are, and whatever their column is called."""
    model, own = texts(), ["very good", "bad", "bad"]
    Path("new.txt").write_text("very good\nbad\nbad\n")
    Path("new.csv").write_text("label,words\nyes,very good\nno,bad\nno,bad\n")
    wanted = [answer.document["predicted"] for answer in model.answers(own)]
    assert model.predict("new.txt") == model.predict("new.csv") == model.predict(own) == wanted
    right = [wanted[0] == "yes", wanted[1] == "no", wanted[2] == "no"]
    assert model.evaluate("new.csv")["all"]["accuracy"] == np.mean(right)


@pytest.mark.parametrize("make", [numbers, at_each_step])
def test_streams_answer_what_predict_does_to_the_bit(make):
    model = make()
    x = np.random.default_rng(2).normal(size=(3, 8, 2)).astype(np.float32)
    wanted = model.predict(x)
    streams = model.streams()
    ids = [streams.open() for _ in x]
    parts = []
    for some in (slice(0, 1), slice(1, 4), slice(4, 8)):
        parts.append(streams.push({own: row[some] for own, row in zip(ids, x, strict=True)}))
    for place, own in enumerate(ids):
        found = parts[-1][own] if make is numbers else np.concatenate([part[own] for part in parts])
        np.testing.assert_array_equal(found, wanted[place])
    kept = streams.snapshot(ids[0])
    again = streams.restore(kept)
    more = streams.push({ids[0]: x[1], again: x[1]})
    np.testing.assert_array_equal(more[ids[0]], more[again])


def test_a_stream_of_tokens_and_of_columns():
    model = made(Embedding(count=6, size=3, mask_zero=True), lstm(3, 4, outputs="end"), Dense(inputs=4, outputs=2))
    stream = model.stream()
    stream.push(3)
    np.testing.assert_array_equal(stream.push([1, 5]), model.predict([[3, 1, 5]])[0])
    for piece, says in (
        (0, "stands for no step"),
        (9, "numbers from 0 to 5"),
        (1.5, "no number of a token"),
        ("a", "text"),
    ):
        with pytest.raises(DataError, match=says):
            stream.push(piece)
    rows = numbers(columns="a,b").stream()
    np.testing.assert_array_equal(rows.push({"a": 1.0, "b": 2.0}), numbers().predict([[[1.0, 2.0]]])[0])
    with pytest.raises(DataError, match="the step has no 'b'"):
        rows.push({"a": 1.0})


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        ((lstm(2, 4, direction="both"),), "reads a sequence from its end, too"),
        ((lstm(2, 4), Pooling(of="mean")), "its pooling layer takes all steps together"),
        (
            (lstm(2, 4), Convolution(inputs=4, outputs=1, length=2, padding="causal")),
            "its convolution reads several steps together",
        ),
        (
            (lstm(2, 4, outputs="end"), sequential.Repeat(length=3), lstm(4, 2)),
            "reads what is known at the end|together",
        ),
    ],
)
def test_models_that_read_whole_sequences_have_no_streams(layers, says):
    with pytest.raises(OptionError, match=says):
        made(*layers).streams()


def test_the_verbs(capsys):
    numbers(key="who", classes=["x", "y", "z"]).save("m.gatewise")
    table(label=["x", "x", "x", "y", "y", "y", "z", "z", "z"])
    assert main(["predict", "m.gatewise", table("new.csv")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "who,predicted,probability"
    assert len(lines) == 4
    assert main(["predict", "m.gatewise", "data.csv"]) == 0  # the column of targets is not read
    assert capsys.readouterr().out.splitlines() == lines
    assert main(["evaluate", "m.gatewise", "new.csv"]) == 2
    assert "no column 'label'. Name the targets at the import, with --target" in capsys.readouterr().err
    assert main(["evaluate", "m.gatewise", "data.csv", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["all"]
    assert found["sequences"] == 3
    assert main(["evaluate", "m.gatewise", "data.csv"]) == 0
    assert "accuracy" in capsys.readouterr().out
    assert main(["compress", "m.gatewise", "-o", "small.gatewise", "--weights", "int8"]) == 0
    assert main(["predict", "small.gatewise", "new.csv", "-o", "out.csv"]) == 0
    assert main(["info", "m.gatewise"]) == 0
    assert "lstm 4 to its end, dense 3 softmax" in capsys.readouterr().out


def test_answers_are_compared_with_targets():
    model = at_each_step(key="who", columns="a,b")
    x = np.random.default_rng(3).normal(size=(4, 5, 2)).astype(np.float32)
    y = [row.tolist() for row in model.predict(x)]
    assert model.evaluate([*x], y)["all"]["mae"] == pytest.approx(0, abs=1e-6)
    ends = numbers(classes=["x", "y", "z"])
    labels = ends.predict(x)
    assert ends.evaluate([*x], labels)["all"]["accuracy"] == 1.0
    signs = numbers(classes=["-1", "0", "1"])
    assert signs.evaluate([*x], [-1, 0, 1, -1])["all"]["sequences"] == 4
    with pytest.raises(DataError, match=r"'label' holds '0\.5', which is none of the classes -1, 0, 1"):
        signs.evaluate([*x], [0.5] * 4)
    with pytest.raises(DataError, match="'label' holds 'w', which is none of the classes x, y, z"):
        ends.evaluate([*x], ["w"] * 4)


def test_what_cannot_be_read_is_said():
    model = numbers()
    with pytest.raises(DataError, match=r"has 3 numbers at each step .* where the model reads 2"):
        model.predict(np.zeros((2, 4, 3)))
    with pytest.raises(DataError, match="step 1 of sequence 0 lacks a value"):
        model.predict(np.array([[[0, 1], [np.nan, 2]]]))
    tokens = made(Embedding(count=6, size=3), lstm(3, 4))
    with pytest.raises(DataError, match="a token is 7, but the model knows those from 0 to 5"):
        tokens.predict([[1, 7]])
    with pytest.raises(OptionError, match="cannot go on learning here yet"):
        model.fit(np.zeros((2, 4, 2)))


def test_masked_steps_do_not_count():
    layers = Masking(value=-1.0), lstm(2, 4, outputs="end")
    model = made(*layers)
    x = np.random.default_rng(4).normal(size=(1, 5, 2)).astype(np.float32)
    padded = np.concatenate([np.full((1, 3, 2), -1, np.float32), x], 1)
    np.testing.assert_array_equal(model.predict(padded), model.predict(x))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d["layers"][0].update(kind="lambda"), "kind is 'lambda'"),
        (lambda d: d["layers"][0].update(kind=[]), r"kind is \[\]"),
        (lambda d: d["layers"].clear(), "none of its layers has weights"),
        (lambda d: d["layers"].insert(0, 3), "layers"),
        (lambda d: d["layers"][0].update(hidden_size=5), "where its sizes say|reads 4 features"),
        (lambda d: d["layers"].pop(), "its sizes say"),
        (lambda d: d.update(classes=["a"]), "there are 1 classes"),
        (lambda d: d["sizes"].update(output_size=4), "its sizes say"),
        (lambda d: d["layers"][1].update(activation="glu"), "no activation named .glu"),
        (lambda d: d["layers"][0]["program"].update(after=[0, 1]), "program|cell"),
    ],
)
def test_files_that_contradict_themselves_are_refused(change, says, tmp_path):
    numbers().save("m.gatewise")
    found = bundle.load("m.gatewise")
    document = json.loads(json.dumps(found.document))
    change(document)
    bundle.save("bad.gatewise", document, found.tensors)
    with pytest.raises(ModelFileError, match=says):
        gatewise.load("bad.gatewise")
    assert main(["info", "bad.gatewise"]) == 0


@torch.no_grad()
def test_it_serves_and_scores_as_other_models_do():
    layer = nn.LSTM(2, 3)
    torch.save(layer.state_dict(), "w.pt")
    import_model("w.pt", "m.gatewise", columns="a,b", key="who")
    x = np.random.default_rng(5).normal(size=(4, 2)).astype(np.float32)
    frame = {"who": ["p"] * 4, "a": x[:, 0].tolist(), "b": x[:, 1].tolist()}
    answers, _ = gatewise.score(gatewise.load("m.gatewise"), frame)
    found = np.stack([np.asarray(answers[f"predicted_{k}"]) for k in range(3)], 1)
    np.testing.assert_allclose(found, layer(torch.from_numpy(x)[:, None])[0][:, 0].numpy(), atol=1e-6)


NASTY = [None, -1, 0, 7, 10**12, 3.7, -0.5, 1e308, "", "x", "zz" * 5000, [], {}, True, [[[[1]]]]]


def places(value, way=()):
    """The ways to all values of a document."""
    yield way
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield from places(item, (*way, key))


@pytest.mark.parametrize("make", [numbers, at_each_step, texts])
def test_whatever_a_file_says_it_is_read_or_refused(make):
    make().save("m.gatewise")
    found = bundle.load("m.gatewise")
    random = np.random.default_rng(0)
    ways = [
        way for way in places({key: found.document[key] for key in ("layers", "sizes", "vocabulary", "classes")}) if way
    ]
    for _ in range(60):
        document = json.loads(json.dumps(found.document))
        way, inside = ways[random.integers(len(ways))], document
        for key in way[:-1]:
            inside = inside[key]
        inside[way[-1]] = NASTY[random.integers(len(NASTY))]
        bundle.save("bad.gatewise", document, found.tensors)
        with suppress(GatewiseError):
            model = gatewise.load("bad.gatewise")
            model.predict(["very good"] if make is texts else np.zeros((1, 2, 2), np.float32))
            model.streams()


def labels(**how):
    """Several sigmoids: each is the chance of a label by itself."""
    layers = lstm(2, 4, outputs="end"), Dense(inputs=4, outputs=3, activation="sigmoid")
    return made(*layers, classes=["red", "round", "ripe"], **how)


def test_several_sigmoids_are_several_labels(capsys):
    """As of a classifier: zeros and ones, a column for each, and its scores."""
    model = labels(key="who")
    x = np.random.default_rng(4).normal(size=(5, 3, 2)).astype(np.float32)
    chances = np.stack(model._predictor().outputs([*x]))
    wanted = (chances > 0.5).astype(int)
    assert 0 < wanted.sum() < wanted.size
    np.testing.assert_array_equal(model.predict(x), wanted)
    found = model.evaluate(x, y=1 - wanted)["all"]
    assert found == multilabel_scores(1 - wanted, chances.astype(np.float64))
    assert model.evaluate(x, y=wanted)["all"]["subset_accuracy"] == 1
    model.save("m.gatewise")
    columns = {name: wanted[:3, place].repeat(3) for place, name in enumerate(model.classes_)}
    table("with.csv", **columns)
    assert main(["predict", "m.gatewise", table()]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "who,red,round,ripe"
    assert main(["predict", "m.gatewise", "with.csv"]) == 0  # the columns of targets are not read
    assert capsys.readouterr().out.splitlines() == lines
    assert main(["evaluate", "m.gatewise", "with.csv"]) == 0
    assert "all labels" in capsys.readouterr().out
    stream = model.stream()
    np.testing.assert_array_equal(stream.push(x[0]), wanted[0])


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({}, "no column named 'red'"),
        ({"red": [0, 1] * 4 + [0], "ripe": [1] * 9}, "no column named 'round'"),
        ({"red": [2] * 9, "round": [1] * 9, "ripe": [1] * 9}, "red, round, ripe hold 2"),
        ({"red": list("aabbaabba"), "round": [1] * 9, "ripe": [1] * 9}, "red, round, ripe hold inf"),
    ],
    ids=["none", "two", "a number", "text"],
)
def test_targets_that_are_no_labels(columns, says):
    with pytest.raises(DataError, match=re.escape(says)):
        labels(key="who", columns="a,b").evaluate(table(**columns))


def test_as_many_targets_as_labels():
    with pytest.raises(DataError, match="the model has 3 labels, and the targets label are 2"):
        labels().evaluate(np.zeros((4, 3, 2)), y=np.ones((4, 2)))


def test_labels_of_texts():
    words = Tokens(["good", "bad"], [0, 1], "words")
    layers = Embedding(count=2, size=3), lstm(3, 4, outputs="end"), Dense(inputs=4, outputs=2, activation="sigmoid")
    model = made(*layers, vocabulary=words, classes=["kind", "short"])
    for answer in model.answers(["good bad", "bad", "good"]):
        document = answer.document
        chances = document["probabilities"]
        assert document["predicted"] == [name for name, chance in chances.items() if chance > 0.5]
        assert answer.shown.startswith(", ".join(f"{n} {chances[n]:.2f}" for n in document["predicted"]) or "no label")
