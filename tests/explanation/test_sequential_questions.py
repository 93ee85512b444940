"""What is asked of models of other libraries: of every layer, in numpy as in torch."""

import numpy as np
import pytest
import torch
from tasks.sequential.test_sequential import at_each_step, lstm, made, numbers, texts

import gatewise
from gatewise.cli import main
from gatewise.errors import DataError, OptionError
from gatewise.explanation.attribution import attributed, ends, steps_of
from gatewise.explanation.explaining import explain
from gatewise.explanation.question import Ask
from gatewise.explanation.questions import of_text, question
from gatewise.interop.cells import cell_of
from gatewise.runtime.sequential import (
    Activation,
    Dense,
    Embedding,
    Flatten,
    Masking,
    Pooling,
    Recurrent,
    Repeat,
    Scaling,
)
from gatewise.tasks.sequential.texts import Tokens

CLASSES = ["a", "b", "c"]


def gru(inputs, units, **how):
    return Recurrent(program=cell_of("gru").to_json(), input_size=inputs, hidden_size=units, **how)


MODELS = {  # a model -> classes, and what it is made of
    "a class": (CLASSES, lstm(2, 4, outputs="end"), Dense(inputs=4, outputs=3, activation="softmax")),
    "logarithms": (CLASSES, gru(2, 4), Pooling(of="mean"), Dense(inputs=4, outputs=3), Activation(name="log_softmax")),
    "scores": (CLASSES, gru(2, 3, direction="both", merge="mul"), Pooling(of="max"), Scaling(size=3)),
    "labels": (CLASSES, lstm(2, 4), Pooling(of="last"), Dense(inputs=4, outputs=3, activation="sigmoid")),
    "labels of chances": (
        CLASSES,
        lstm(2, 4),
        Dense(inputs=4, outputs=3, activation="hard_sigmoid"),
        Pooling(of="mean"),
    ),
    "one of two": (["no", "yes"], lstm(2, 4, outputs="end"), Dense(inputs=4, outputs=1, activation="sigmoid")),
    "a score of two": (["no", "yes"], lstm(2, 4, outputs="end"), Dense(inputs=4, outputs=1)),
    "a hard chance": (
        ["no", "yes"],
        lstm(2, 4),
        Pooling(of="first"),
        Dense(inputs=4, outputs=1, activation="hard_sigmoid"),
    ),
    "means of chances": (CLASSES, lstm(2, 4), Dense(inputs=4, outputs=3, activation="softmax"), Pooling(of="mean")),
    "a number": (
        None,
        Masking(value=-9.0),
        gru(2, 4, direction="backward"),
        Pooling(of="last"),
        Dense(inputs=4, outputs=1),
    ),
    "an encoder and a decoder": (
        None,
        lstm(2, 4, direction="both", merge="ave", outputs="end"),
        Repeat(length=3),
        gru(4, 3, direction="both", merge="sum"),
        Flatten(length=3),
        Dense(inputs=9, outputs=2, activation="softsign"),
    ),
}


@pytest.fixture(params=MODELS)
def name(request):
    return request.param


def rows(count=9, steps=5):
    return np.random.default_rng(1).normal(size=(count, steps, 2)).astype(np.float32)


def wanted(model, x, one, other):
    """The lead of a class, or a number, by what the model answers."""
    predictor = model._predictor()
    y = predictor.outputs([x])[0].astype(np.float64)
    if model.classes_ is None:
        return y[one]
    shares = predictor.probabilities(y)
    if len(y) == 1:
        return np.log(shares[one] / shares[other])
    return np.log(shares[one] / shares[other])


def test_the_score_is_what_the_model_says_and_its_parts_add_up(name):
    classes, *layers = MODELS[name]
    model, x = made(*layers, classes=classes), rows()
    asked, _ = question(model, x, 3, Ask())
    score, baseline = ends(asked)
    if name == "a hard chance":
        assert abs(score) == pytest.approx(abs(2 * float(model._predictor().outputs([x[3]])[0][0]) - 1), abs=1e-5)
    elif name == "means of chances":
        shares = np.sort(model._predictor().outputs([x[3]])[0])
        assert score == pytest.approx(shares[-1] - shares[-2], abs=1e-5)
    elif name.startswith("labels"):
        chances = model._predictor().outputs([x[3]])[0].astype(np.float64)
        chance = chances[classes.index(asked.target.name)]
        assert chance == chances.max()
        assert score == pytest.approx(
            chance if name == "labels of chances" else np.log(chance / (1 - chance)), abs=1e-4
        )
    elif classes is None:
        assert score == pytest.approx(wanted(model, x[3], 0, 0), abs=1e-5)
    else:
        one, other = classes.index(asked.target.name), classes.index(asked.target.against)
        assert score == pytest.approx(wanted(model, x[3], one, other), abs=1e-4)
        assert asked.answer.text == model.predict(x)[3] == asked.target.name
        assert asked.answers(asked.run([part.values[:, None] for part in asked.parts])) == [asked.answer.text]
    with torch.no_grad():
        of_torch = asked.scores(asked.differentiable, [torch.from_numpy(x[3][:, None])])
    assert float(of_torch[0]) == pytest.approx(score, abs=1e-5)
    found = attributed(asked)
    assert found.gap <= 0.02
    assert found.steps.sum() == pytest.approx(
        score - baseline, abs=0.02 * max(abs(score - baseline), np.abs(found.steps).max())
    )
    assert asked.usual.startswith("the mean step of 9 rows of ")


def test_gradients_are_those_of_autograd(name):
    """On the way to the row, at one point, beside torch's own derivative of a difference quotient in numpy."""
    classes, *layers = MODELS[name]
    asked, _ = question(made(*layers, classes=classes), rows(), 0, Ask())
    [part] = asked.parts
    x = torch.from_numpy(part.values[:, None]).double().requires_grad_()
    net = asked.differentiable.double()
    [slope] = torch.autograd.grad(asked.scores(net, [x]).sum(), [x])
    moved = part.values[:, None].astype(np.float64)
    for place in ((0, 0), (2, 1), (4, 0)):
        changed = [moved.copy() for _ in range(2)]
        for sign, own in zip((1, -1), changed, strict=True):
            own[place[0], 0, place[1]] += sign * 1e-2
        both = asked.read([np.concatenate(changed, 1).astype(np.float32)])
        assert float(slope[place[0], 0, place[1]]) == pytest.approx((both[0] - both[1]) / 2e-2, abs=2e-2)


def test_texts_show_their_words_and_lack_none():
    model = texts()
    asked, _ = question(model, of_text(model, "Very good, unheard"), 0, Ask())
    assert asked.inputs[0].labels == ["Very", "good,", "unheard"]
    assert asked.inputs[0].separator == " "
    assert asked.usual == "the mean of 5 tokens that the model knows"
    assert asked.parts[0].values.shape == (3, 3)
    [word] = np.where(np.all(model._weights()["layers.0.weight"] == asked.parts[0].values[0], 1))[0]
    assert word == 4
    assert {asked.target.name, asked.target.against} == {"no", "yes"}
    assert len(steps_of(asked)) == 3
    report = explain(model, ["very good", "bad"], row=1)
    assert report.answer.text == model.predict(["very good", "bad"])[1]


def test_characters_and_numbers_of_tokens():
    layers = Embedding(count=4, size=3), lstm(3, 4, outputs="end"), Dense(inputs=4, outputs=1)
    model = made(*layers, vocabulary=Tokens(["a", "b", "c"], [1, 2, 3], "characters"))
    asked, _ = question(model, ["abba"], 0, Ask())
    assert (asked.inputs[0].labels, asked.inputs[0].separator) == (["a", "b", "b", "a"], "")
    assert asked.target.text == "the answer"
    asked, _ = question(made(*layers), np.array([[3, 1, 2]]), 0, Ask())
    assert asked.inputs[0].labels == ["3", "1", "2"]
    assert asked.usual == "the mean of 4 tokens that the model knows"


def test_a_step_of_a_model_that_answers_at_each():
    model = at_each_step(columns="x,y", target="price")
    x = rows()
    asked, _ = question(model, x, 2, Ask(step=1))
    assert asked.target.text == "price at step 1"
    assert ends(asked)[0] == pytest.approx(float(model._predictor().outputs([x[2]])[0][1, 0]), abs=1e-6)
    found = attributed(asked)
    assert np.abs(found.steps[2:]).max() < 1e-9  # what comes later changes nothing
    assert asked.inputs[0].channels == ["x", "y"]
    for ask, says in ((Ask(step=9), "no step 9"), (Ask(against="x"), "against"), (Ask(target="pric"), "price")):
        with pytest.raises(OptionError, match=says):
            question(model, x, 2, ask)


def test_classes_at_each_step():
    model = made(lstm(2, 4), Dense(inputs=4, outputs=3, activation="softmax"), classes=CLASSES)
    x = rows()
    asked, _ = question(model, x, 0, Ask(step=2, target="b", against="c"))
    y = model._predictor().outputs([x[0]])[0][2]
    assert ends(asked)[0] == pytest.approx(np.log(y[1] / y[2]), abs=1e-5)
    assert asked.answer.base_rate_of.startswith("what the model answers to steps of 9 rows")
    shares = np.concatenate(model._predictor().outputs([*x]))
    assert {one.name: one.base_rate for one in asked.answer.choices}["b"] == pytest.approx(float(shares[:, 1].mean()))


def test_steps_of_a_decoder_are_steps():
    model = made(lstm(2, 4, outputs="end"), Repeat(length=3), gru(4, 3), Dense(inputs=3, outputs=2))
    x = rows()
    asked, _ = question(model, x, 1, Ask(step=2, target="predicted_1"))
    assert ends(asked)[0] == pytest.approx(float(model._predictor().outputs([x[1]])[0][2, 1]), abs=1e-6)
    with pytest.raises(OptionError, match="no step 3"):
        question(model, x, 1, Ask(step=3))


def test_other_answers_are_compared_with():
    asked, _ = question(numbers(classes=CLASSES), rows(), 0, Ask())
    [other] = asked.contrasts()
    assert other.target.name == asked.target.name
    assert {other.target.against, asked.target.name, asked.target.against} == {*CLASSES}


def test_layers_are_named_by_their_places():
    report = explain(at_each_step(), rows(), row=0)
    assert {one.layer for one in report.streams} == {"layer 1", "layer 2"}
    assert report.walk.layer == "layer 1"
    assert report.provenance.task == "sequential"


def test_what_is_refused():
    with pytest.raises(OptionError, match="no vocabulary"):
        of_text(numbers(), "words")
    layers = Embedding(count=4, size=3, mask_zero=True), lstm(3, 4, outputs="end"), Dense(inputs=4, outputs=1)
    with pytest.raises(DataError, match="step 1 stands for no step"):
        question(made(*layers), np.array([[3, 0, 2]]), 0, Ask())
    with pytest.raises(DataError, match="step 0 stands for no step"):
        question(made(Masking(value=1.0), lstm(2, 4)), np.ones((1, 2, 2), np.float32), 0, Ask())
    with pytest.raises(OptionError, match="no row 9"):
        question(numbers(), rows(), 9, Ask())
    with pytest.raises(OptionError, match="horizon is no part"):
        question(numbers(), rows(), 0, Ask(horizon=2))


def test_labels_do_not_exclude_one_another():
    """Each is explained by itself, whatever the others are; without one over a half there is none."""
    _, *layers = MODELS["labels"]
    model, x = made(*layers, classes=CLASSES), 10 * rows(40)
    decided = np.stack(model.predict(x))
    for row, own in enumerate(decided):
        asked, _ = question(model, x, row, Ask(target="b"))
        names = [name for name, holds in zip(CLASSES, own, strict=True) if holds]
        assert asked.answer.text == (", ".join(names) or "no label")
        assert asked.target.text == "the log-odds of b"
        [said] = asked.answers(asked.run([part.values[:, None] for part in asked.parts]))
        assert said == ("b" if own[1] else "not b")
        assert list(asked.contrasts()) == []
    assert min(decided.sum(1)) == 0
    assert max(decided.sum(1)) > 1
    with pytest.raises(OptionError, match="against is no part"):
        question(model, x, 0, Ask(against="a"))


def test_labels_of_a_step():
    model = made(lstm(2, 4), Dense(inputs=4, outputs=3, activation="sigmoid"), classes=CLASSES)
    asked, _ = question(model, rows(), 0, Ask(target="c", step=1))
    chance = float(model._predictor().outputs([rows()[0]])[0][1, 2])
    score, _ = ends(asked)
    assert score == pytest.approx(np.log(chance / (1 - chance)), abs=1e-4)
    assert asked.target.text == "the log-odds of c at step 1"


def test_the_verb(tmp_path, capsys):
    numbers(classes=CLASSES, columns="x,y", key="id").save(tmp_path / "m.gatewise")
    values = np.random.default_rng(0).normal(size=(30, 2))
    lines = [f"{place // 6},{x:.3f},{y:.3f}" for place, (x, y) in enumerate(values)]
    (tmp_path / "a.csv").write_text("\n".join(["id,x,y", *lines]) + "\n")
    model, data = str(tmp_path / "m.gatewise"), str(tmp_path / "a.csv")
    assert main(["explain", model, data, "--row", "2", "-o", str(tmp_path / "a.html")]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"answer       {gatewise.load(model).predict(data)[2]}, ")
    assert (tmp_path / "a.html").read_text().startswith("<!doctype html>")
    assert main(["explain", model, data, "--text", "x"]) == 2
    assert main(["explain", model, data, "--target", "z"]) == 2
    assert "no class named 'z'" in capsys.readouterr().err
