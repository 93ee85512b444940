"""Classifiers that are no chain, written for Keras: what is in the file, and what is refused. `test_keras_itself.py`
runs such files in Keras."""

import gzip
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gatewise import Classifier
from gatewise.cli import main

h5py = pytest.importorskip("h5py", reason="needs h5py, which gatewise[exchange] installs")

from gatewise.interop.as_ensemble import ensemble_of  # noqa: E402 - where h5py is missing, what is written is too
from gatewise.interop.write_keras_ensemble import FILLING, batches, write  # noqa: E402

MODELS = Path(__file__).parents[1] / "tasks" / "models"


@pytest.fixture(scope="module")
def of_text(tmp_path_factory):
    """Two networks of words, last and attention, with 30% of what is predicted."""
    path = tmp_path_factory.mktemp("models") / "text.gatewise"
    path.write_bytes(gzip.decompress((MODELS / "classify_text.model.gz").read_bytes()))
    return path


def test_what_is_predicted_is_that_of_the_networks(of_text):
    model = Classifier.load(of_text)
    found = ensemble_of(model)
    assert "whose share in what the model predicts is 30%" in found.left_out
    assert model.blend_weight_ == pytest.approx(0.3)
    (tokens,), predicted = next(iter(batches(found)))
    net, lengths = model._predictor(), (tokens != 0).sum(0)
    from gatewise.tasks.classify.architecture import forward

    chances = forward(net.net, {"words": tokens, "lengths": lengths}).astype(np.float64)
    np.testing.assert_allclose(predicted, model.targets_.tempered(chances, model.temperature_), atol=1e-6)


def test_the_file(of_text, tmp_path):
    model = Classifier.load(of_text)
    for name in ("a.keras", "b.keras"):
        write(ensemble_of(model), model, tmp_path / name)
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.keras") as archive:
        said = json.loads(archive.read("config.json"))
        document = json.loads(archive.read("metadata.json"))["gatewise"]
        (tmp_path / "weights.h5").write_bytes(archive.read("model.weights.h5"))
    assert document["blend_weight"] == pytest.approx(0.3)
    layers = {layer["name"]: layer for layer in said["config"]["layers"]}
    assert len(layers) == len(said["config"]["layers"])
    for layer in layers.values():
        text = json.dumps(layer["inbound_nodes"])
        for name in [part.split('"')[0] for part in text.split('"keras_history": ["')[1:]]:
            assert name in layers
    with h5py.File(tmp_path / "weights.h5") as file:
        names = [file[f"layers/{place}/vars"].attrs["name"] for place in ("dense", "dense_1", "dense_2", "dense_5")]
        assert names == ["member_0_question", "member_1_question", "member_0_score", "member_1_output"]
        table = file["layers/embedding_1/vars/0"][()]
    np.testing.assert_array_equal(table, model._weights()["members.1.words.weight"])


def test_the_verb_says_what_is_left_out(of_text, tmp_path, capsys):
    assert main(["export", str(of_text), "--to", "keras", "-o", str(tmp_path / "m.keras")]) == 0
    said = capsys.readouterr()
    assert "wrote m.keras" in said.out
    assert "the rest is that of plain methods (logistic regression), which is not exported" in said.err


def test_what_fills_up_is_no_step_of_numbers():
    """A number of float32, which JSON carries to the bit."""
    assert np.float32(json.loads(json.dumps(FILLING))) == np.float32(-1e30)


def test_columns_that_are_not_written(tmp_path, capsys):
    path = tmp_path / "m.keras"
    assert main(["export", str(MODELS / "classify_number.model"), "--to", "keras", "-o", str(path)]) == 2
    assert "it reads columns of categories. Export it to onnx instead" in capsys.readouterr().err
    assert not path.exists()
