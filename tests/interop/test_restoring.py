"""Files that were exported here come back as the models that they were."""

import json
from pathlib import Path

import numpy as np
import pytest
from moods import WORDS, classifier
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import gatewise
from gatewise.cli import main
from gatewise.interop import import_model
from gatewise.interop.cells import cell_of
from gatewise.runtime import sequential
from gatewise.runtime.sequential import Dense, Embedding, Recurrent
from gatewise.tasks.sequential.estimator import Sequential
from gatewise.tasks.sequential.texts import Tokens

MODELS = Path(__file__).parents[1] / "tasks" / "models"
TEXTS = ["a good bore", "zzz joy film", "what", "no"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    classifier(folder)
    program = cell_of("lstm").to_json()
    layers = (
        Embedding(count=8, size=4),
        Recurrent(program=program, input_size=4, hidden_size=5, outputs="end"),
        Dense(inputs=5, outputs=2, activation="softmax"),
    )
    random, shapes = np.random.default_rng(0), dict(sequential.architecture(layers).weights())
    weights = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    Sequential.of(
        layers,
        weights,
        vocabulary=Tokens(WORDS, [*range(8)], "words"),
        classes=["up", "down"],
        target="mood",
        training={"data": {"fingerprint": ""}, "metrics": {}, "imported": {"format": "test"}},
    ).save(folder / "sequential.gatewise")
    (folder / "generate.gatewise").write_bytes((MODELS / "generate_words.model").read_bytes())
    return folder


def answers(model):
    if model.task == "generate":
        writer = model.writer()
        writer.push("an ant ", unknown="skip")
        return writer.state.scores
    if model.task == "classify":
        return model.predict_proba(TEXTS)
    predictor = model._predictor()
    return np.stack(predictor.outputs(predictor.inputs(predictor.read(TEXTS))))


@pytest.mark.parametrize(
    ("task", "to", "suffix"),
    [
        *((task, "torch", ".safetensors") for task in ("generate", "classify", "sequential")),
        *((task, "keras", ".keras") for task in ("generate", "classify", "sequential")),
        *((task, "onnx", ".onnx") for task in ("generate", "sequential")),  # pools of classifiers are no chain there
    ],
)
def test_it_is_the_model_that_it_was(task, to, suffix, models, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = f"{models}/{task}.gatewise"
    assert main(["export", path, "--to", to, "-o", f"out{suffix}"]) == 0
    assert main(["import", f"out{suffix}", "-o", "again.gatewise", "--json"]) == 0
    said = json.loads(capsys.readouterr().out.split("\n", 1)[1])
    assert said["task"] == task
    assert said["notes"] == []
    if to != "keras":
        assert said["proof"]["difference"] < 2e-6
    model, again = gatewise.load(path), gatewise.load("again.gatewise")
    np.testing.assert_allclose(answers(again), answers(model), rtol=1e-5, atol=1e-6)
    assert again.plain_options() == model.plain_options()
    assert again.provenance_["imported"]["file"] == f"out{suffix}"
    assert again.metrics_ == model.metrics_
    if task == "generate":
        assert "".join(again.sample(length=20, seed=1)) == "".join(model.sample(length=20, seed=1))
    else:
        assert list(again.classes_) == list(model.classes_)
        assert list(again.predict(TEXTS)) == list(model.predict(TEXTS))
    if task == "sequential":
        assert again.vocabulary_ == model.vocabulary_


def test_what_is_said_makes_it_a_chain(models, tmp_path):
    assert main(["export", f"{models}/classify.gatewise", "--to", "torch", "-o", str(tmp_path / "a.safetensors")]) == 0
    found = import_model(tmp_path / "a.safetensors", tmp_path / "b.gatewise", task="sequential")
    assert found.model.task == "sequential"
    assert found.notes == ()


def changed(source, output, **what):
    """The same weights with another document."""
    with safe_open(source, "np") as file:
        metadata = file.metadata()
    document = {**json.loads(metadata["document"]), **what}
    save_file(load_file(source), output, metadata={**metadata, "document": json.dumps(document)})


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ({"task": "tag"}, "'tag' is more than its layers"),
        ({"task": "generate"}, "its document"),
        ({"sizes": 3}, "its document"),
        ({"training": None}, "its document"),
        ({"inputs": {}}, "its document"),
        ({"targets": {}}, "its document"),
        ({"cell": {"name": "lstm"}}, "its document"),
    ],
)
def test_a_document_that_does_not_fit_is_left_aside(what, says, models, tmp_path):
    right, path = tmp_path / "right.safetensors", tmp_path / "a.safetensors"
    assert main(["export", f"{models}/classify.gatewise", "--to", "torch", "-o", str(right)]) == 0
    changed(right, path, **what)
    found = import_model(path, tmp_path / "b.gatewise")
    assert found.model.task == "sequential"
    [note] = found.notes
    assert note.startswith("kept as a model of the task 'sequential': ")
    assert says in note
    assert "\n" not in note
    assert str(tmp_path) not in note.replace(str(path), "")


def test_a_document_of_another_pooling_is_seen_by_the_proof(models, tmp_path):
    right, path = tmp_path / "right.safetensors", tmp_path / "a.safetensors"
    assert main(["export", f"{models}/classify.gatewise", "--to", "torch", "-o", str(right)]) == 0
    with safe_open(right, "np") as file:
        options = json.loads(file.metadata()["document"])["options"]
    changed(right, path, options={**options, "pooling": "max"})
    [note] = import_model(path, tmp_path / "b.gatewise").notes
    assert "differs from the chain of its layers" in note


def test_what_is_no_document_is_damage(models, tmp_path, capsys):
    right, path = tmp_path / "right.safetensors", tmp_path / "a.safetensors"
    assert main(["export", f"{models}/classify.gatewise", "--to", "torch", "-o", str(right)]) == 0
    with safe_open(right, "np") as file:
        metadata = file.metadata()
    for text in ("{", "[1]", '{"task": 3}', "[" * 100_000):
        save_file(load_file(right), path, metadata={**metadata, "document": text})
        assert main(["import", str(path), "-o", str(tmp_path / "b.gatewise")]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert not (tmp_path / "b.gatewise").exists()


@pytest.mark.parametrize("option", [["--reads", "steps"], ["--layers", "a,b"], ["--activation", "relu"]])
@pytest.mark.parametrize("task", ["generate", "classify", "sequential"])
def test_what_a_file_says_of_its_layers_is_not_asked_for(task, option, models, tmp_path, capsys):
    file, output = tmp_path / "a.safetensors", tmp_path / "a.gatewise"
    assert main(["export", str(models / f"{task}.gatewise"), "--to", "torch", "-o", str(file)]) == 0
    capsys.readouterr()
    assert main(["import", str(file), "-o", str(output), *option]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"so that {option[0].strip('-')} is not asked for" in said
    assert not output.exists()
