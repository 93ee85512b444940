"""Models of other libraries, layer by layer, as C and as pages, against the runtime."""

import json
import re

import numpy as np
import pytest
from export_examples import needs_compiler, needs_node, written
from tasks.sequential.test_sequential import at_each_step, lstm, made, numbers, texts

from gatewise.cli import main
from gatewise.errors import OptionError
from gatewise.export import c, html, rounding
from gatewise.export.proof import prove_c, prove_script
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
from gatewise.tasks.sequential.recorded import step_model
from gatewise.tasks.sequential.texts import Tokens

CLASSES = ["a", "b", "c"]


def gru(inputs, units, **how):
    return Recurrent(program=cell_of("gru").to_json(), input_size=inputs, hidden_size=units, **how)


def dense(inputs, outputs, activation="linear"):
    return Dense(inputs=inputs, outputs=outputs, activation=activation)


MODELS = {  # -> way, model
    "the last state": ("steps", numbers(classes=CLASSES, columns="x,y")),
    "each step": ("steps", at_each_step(columns="x,y")),
    "a mean so far": (
        "steps",
        made(gru(2, 4), Pooling(of="mean"), Scaling(size=4), dense(4, 1, "sigmoid"), classes=["n", "y"]),
    ),
    "a maximum of texts": ("sequence", texts()),
    "each step of a sequence": (
        "sequence",
        made(
            *(lstm(2, 4), gru(4, 3, direction="both", merge="sum"), gru(3, 3, direction="backward")),
            *(lstm(3, 2, direction="both"), dense(4, 3, "log_softmax")),
            classes=CLASSES,
        ),
    ),
    "the last step of both ways": (
        "sequence",
        made(gru(2, 4, direction="both", merge="mul"), Pooling(of="last"), dense(4, 2, "softsign")),
    ),
    "the first step of the way back": (
        "sequence",
        made(gru(2, 4, direction="backward"), Pooling(of="first"), dense(4, 1, "elu")),
    ),
    "both ends": ("sequence", made(gru(2, 4, direction="both", outputs="end"), dense(8, 1, "selu"))),
    "the end of the way back": (
        "sequence",
        made(
            Masking(value=-9.0),
            gru(2, 4, direction="backward", as_run=True, outputs="end"),
            Activation(name="softplus"),
        ),
    ),
    "an encoder and a decoder": (
        "sequence",
        made(
            *(lstm(2, 4, direction="both", merge="ave", outputs="end"), Repeat(length=3)),
            *(gru(4, 3, direction="both", merge="sum"), Flatten(length=3), dense(9, 1, "hard_sigmoid")),
        ),
    ),
    "steps of its own": ("steps", made(lstm(2, 4, outputs="end"), Repeat(length=3), gru(4, 3), dense(3, 2))),
    "steps side by side": (
        "row",
        made(
            *(Masking(value=-9.0), lstm(2, 4, direction="both"), gru(8, 3, direction="backward", as_run=True)),
            *(Flatten(length=5), dense(15, 3, "softmax")),
            classes=CLASSES,
        ),
    ),
    "tokens": ("steps", made(Embedding(count=7, size=3, mask_zero=True), gru(3, 4), dense(4, 7))),
    "characters": (
        "steps",
        made(
            *(Embedding(count=5, size=3), gru(3, 4, outputs="end"), dense(4, 2)),
            vocabulary=Tokens(["a", "<unk>", "Ä", "."], [4, 0, 2, 3], "characters"),
            classes=["n", "y"],
        ),
    ),
}


def said(model, kind="float32", to="c"):
    return step_model(model, "none", rounding(kind, to, (kind,)))


@needs_compiler
@pytest.mark.parametrize("name", MODELS)
def test_as_c(name, tmp_path):
    way, model = MODELS[name]
    found = said(model)
    assert found.recording.whole == (way == "sequence")
    assert ("row" in found.examples.source) == (way == "row")
    assert prove_c(written(c.sources(found, "float32"), tmp_path)) < 2e-6


MODELS["masked texts"] = (
    "sequence",
    made(
        *(Embedding(count=6, size=3, mask_zero=True), lstm(3, 4, direction="both", outputs="end"), dense(8, 1)),
        vocabulary=Tokens(["", "[UNK]", "good", "bad", "New York"], [0, 1, 2, 3, 4], "words"),
    ),
)
MODELS["an unknown token that is masked"] = (
    "steps",
    made(
        *(Embedding(count=3, size=3, mask_zero=True), gru(3, 4), Pooling(of="mean"), dense(4, 1)),
        vocabulary=Tokens(["<unk>", "good", "bad"], [0, 1, 2], "words"),
    ),
)

PAGES = (
    "masked texts",
    "an unknown token that is masked",
    "the last state",
    "each step of a sequence",
    "a maximum of texts",
    "steps side by side",
    "characters",
    "both ends",
)


@needs_node
@pytest.mark.parametrize("name", PAGES)
def test_as_a_page(name, tmp_path):
    found = said(MODELS[name][1], "float16", "html")
    written(html.sources(found, "float16"), tmp_path)
    assert prove_script(tmp_path / html.SCRIPT) < 2e-6
    page = (tmp_path / html.PAGE).read_text()
    [output] = found.recording.outputs
    interface = page[page.index('<script id="engine">') :]
    assert f"found.{output}" in interface  # what the page asks the engine for


def test_examples_are_answers_of_the_predictor():
    model = numbers(classes=CLASSES)
    found = said(model)
    steps = found.examples.inputs["values"]
    [[shares]] = [model._predictor().probabilities(np.stack(model._predictor().outputs([steps[:7]])))]
    np.testing.assert_allclose(found.examples.outputs["probabilities"][6], shares, atol=1e-6)


def test_a_page_cuts_texts_as_the_model_does():
    found = said(texts())
    [first, *_] = found.answers
    assert found.page["kind"] == "pieces"
    assert first[1]["tokens"] == first[0].split()
    odd = [text for text, _ in found.answers if "!" in text]
    assert odd
    assert all(text[0].isupper() or not text[0].isalpha() for text in odd)


def test_a_vocabulary_of_nothing_that_texts_hold():
    layers = Embedding(count=2, size=3), gru(3, 4, outputs="end"), dense(4, 1)
    found = said(made(*layers, vocabulary=Tokens(["<pad>", "<unk>"], [0, 1], "characters")))
    assert found.answers == []
    assert found.examples.inputs["token"].max() == 1


def test_what_inputs_and_outputs_mean():
    meaning = "\n".join(said(MODELS["steps of its own"][1]).meaning)
    assert (
        meaning == "values  x0, x1\nnumbers  after this step at 3 steps, one behind the other: predicted_0, predicted_1"
    )
    meaning = "\n".join(said(MODELS["tokens"][1]).meaning)
    assert "token  its number, from 0 to 6; 0 stands for no step, and is left out\n" in meaning
    assert "a step of -9 alone stands for none" in said(MODELS["the end of the way back"][1]).meaning[0]
    assert said(texts()).tokens == ["", "<unk>", "good", "bad", "very"]


REFUSED = {
    "backward as run": (
        made(gru(2, 4, direction="backward", as_run=True), gru(4, 2)),
        "its recurrent layer gives its outputs",
    ),
    "tokens side by side": (
        made(Embedding(count=7, size=3), gru(3, 4), Flatten(length=2), dense(8, 7)),
        "its flatten layer reads",
    ),
    "many steps": (made(lstm(2, 4, outputs="end"), Repeat(length=201), gru(4, 3)), "its repeat layer has 201 steps"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_layer_that_cannot_be_said_is_named(name):
    model, says = REFUSED[name]
    with pytest.raises(OptionError, match=says):
        said(model)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("the last step of both ways", "several numbers at once"),
        ("steps of its own", "several numbers at once"),
        ("tokens", "reads texts that have one answer, or numbers"),
    ],
)
def test_a_model_without_a_page(name, says):
    with pytest.raises(OptionError, match=says):
        html.sources(said(MODELS[name][1]), "float16")


@needs_compiler
@needs_node
def test_the_verb(tmp_path, capsys):
    MODELS["the last state"][1].save(tmp_path / "m.gatewise")
    for to, weights in (("c", "int8"), ("html", "int8")):
        output = tmp_path / f"out.{to}"
        assert (
            main(
                ["export", str(tmp_path / "m.gatewise"), "--to", to, "--weights", weights, "-o", str(output), "--json"]
            )
            == 0
        )
        found = json.loads(capsys.readouterr().out)
        assert found["difference"] < 1e-5
        assert found["changed_by_weights"] > 0
    header = (tmp_path / "out.c" / "model.h").read_text()
    assert re.search(r"probabilities\s+after this step: a, b, c", header)
    made(gru(2, 4, direction="backward", as_run=True), gru(4, 2)).save(tmp_path / "b.gatewise")
    assert main(["export", str(tmp_path / "b.gatewise"), "--to", "c", "-o", str(tmp_path / "no")]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "its recurrent layer gives its outputs from the last step to the first" in err
    assert not (tmp_path / "no").exists()
