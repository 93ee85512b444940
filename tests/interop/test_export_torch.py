"""`gatewise export --to torch`: weights that PyTorch loads, and that come back to the bit."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import gatewise
from gatewise.cli import main
from gatewise.errors import OptionError
from gatewise.interop import import_model, proof
from gatewise.interop.cells import cell_of
from gatewise.interop.exporting import export_chain
from gatewise.interop.torch_chain import TorchChain
from gatewise.runtime import sequential
from gatewise.runtime.convolved import Convolution, Normalisation
from gatewise.runtime.sequential import Activation, Dense, Embedding, Flatten, Pooling, Recurrent, Repeat, Scaling
from gatewise.tasks.sequential.estimator import Sequential

MODELS = Path(__file__).parents[1] / "tasks" / "models"
TRAINING = {"data": {"fingerprint": ""}, "metrics": {}, "imported": {"format": "test"}}


def recurrent(kind, inputs, units, candidate="tanh", **how):
    program = cell_of(kind, candidate=candidate, projected=bool(how.get("proj_size"))).to_json()
    return Recurrent(program=program, input_size=inputs, hidden_size=units, **how)


def saved(*layers):
    """A model file of random weights."""
    random = np.random.default_rng(0)
    shapes = dict(sequential.architecture(layers).weights())
    weights = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    Sequential.of(layers, weights, training=TRAINING).save("m.gatewise")
    return weights


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


CHAINS = {
    "a classifier of tokens": (
        Embedding(count=9, size=4),
        recurrent("lstm", 4, 5, direction="both"),
        recurrent("gru", 10, 3, direction="both", outputs="end"),
        Dense(inputs=6, outputs=2, activation="softmax"),
    ),
    "pooling, scaling, an activation": (
        recurrent("rnn", 3, 4, candidate="relu"),
        Pooling(of="max"),
        Scaling(size=4),
        Dense(inputs=4, outputs=4, bias=False, activation="hard_sigmoid"),
        Activation(name="softplus"),
    ),
    "convolutions and normalised steps": (
        Convolution(inputs=3, outputs=5, length=3, dilation=2, padding="causal"),
        Normalisation(size=5, epsilon=1e-3),
        Activation(name="gelu"),
        Convolution(inputs=5, outputs=4, length=4, stride=3, padding="same", bias=False),
        recurrent("lstm", 4, 3),
        Convolution(inputs=3, outputs=2, length=2),
        Activation(name="log_sigmoid"),
        Pooling(of="mean"),
        Dense(inputs=2, outputs=2, activation="hard_silu"),
    ),
    "an encoder and a decoder": (
        recurrent("rnn", 2, 4, outputs="end"),
        Repeat(length=3),
        recurrent("lstm", 4, 3),
        Flatten(length=3),
        Dense(inputs=9, outputs=1, activation="silu"),
    ),
}


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("name", CHAINS)
def test_torch_computes_the_same_and_weights_come_back(name, suffix, folder):
    weights = saved(*CHAINS[name])
    done = export_chain("m.gatewise", "torch", folder / f"out{suffix}")
    assert done.proof.difference < 2e-6
    if suffix == ".safetensors":
        import_model("out.safetensors", "again.gatewise")
        found = gatewise.load("again.gatewise")
        assert found.layers_ == gatewise.load("m.gatewise").layers_
        found = found._weights()
    else:
        found = {name: tensor.numpy() for name, tensor in torch.load("out.pt", weights_only=True).items()}
    assert found.keys() == weights.keys()
    for key, array in weights.items():
        np.testing.assert_array_equal(found[key], array)


def test_a_projected_layer_is_one(folder):
    saved(recurrent("lstm", 3, 6, proj_size=2))
    assert export_chain("m.gatewise", "torch", folder / "out.pt").proof.difference < 2e-6


def test_a_model_that_writes_text(capsys):
    characters = sorted("the cas\n")
    layers = Embedding(count=8, size=4), recurrent("lstm", 4, 6), recurrent("lstm", 6, 6), Dense(inputs=6, outputs=8)
    saved(*layers)
    assert main(["export", "m.gatewise", "--to", "torch", "-o", "chain.safetensors"]) == 0
    import_model("chain.safetensors", "text.gatewise", task="generate", vocabulary=characters)
    assert main(["export", "text.gatewise", "--to", "torch", "-o", "text.safetensors"]) == 0
    assert "proved by torch" in capsys.readouterr().out
    ids = torch.tensor([[characters.index(c)] for c in "the c"])
    with torch.no_grad():
        scores = TorchChain("text.safetensors")(ids)[-1, 0]
    model = gatewise.load("text.gatewise")
    assert characters[int(scores.argmax())] == "".join(model.sample("the c", length=1, temperature=0.0))
    import_model("text.safetensors", "again.gatewise", task="generate", vocabulary=characters)
    again = gatewise.load("again.gatewise")
    assert "".join(again.sample("the", length=30, seed=1)) == "".join(model.sample("the", length=30, seed=1))


def test_the_verb(capsys):
    saved(recurrent("gru", 3, 4))
    assert main(["export", "m.gatewise", "--to", "torch", "-o", "out.pt", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["proof"]["difference"] < 1e-6
    layer = nn.GRU(3, 4)
    layer.load_state_dict({name.removeprefix("layers.0."): value for name, value in torch.load("out.pt").items()})
    for words, says in {
        "-o out.pt": "exists. Pass --force",
        "-o out.bin": "does not end in .safetensors or .pt",
        "-o new.pt --weights int8": "--weights int8 is for c and html",
    }.items():
        assert main(["export", "m.gatewise", "--to", "torch", *words.split()]) == 2
        assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (recurrent("gru_2014", 3, 4), "torch has no layer of the cell 'gru_2014'"),
        (recurrent("lstm", 3, 4, candidate="softsign"), "torch has no layer of the cell 'lstm_softsign"),
        (recurrent("lstm", 3, 4, direction="backward"), "reads backward alone"),
        (recurrent("lstm", 3, 4, direction="both", merge="sum"), "merges directions"),
        (sequential.Masking(), "torch has no masks"),
    ],
)
def test_what_torch_lacks_is_refused(layer, says, folder):
    saved(*([layer] if isinstance(layer, Recurrent) else [layer, recurrent("gru", 3, 4)]))
    with pytest.raises(OptionError, match=says):
        export_chain("m.gatewise", "torch", folder / "out.pt")
    assert not (folder / "out.pt").exists()


def test_models_of_other_tasks_are_no_chains(folder):
    with pytest.raises(OptionError, match="of the task 'tag' is no chain of layers"):
        export_chain(MODELS / "tag_numbers.model", "torch", folder / "out.pt")


def test_a_difference_leaves_nothing(folder, monkeypatch):
    saved(recurrent("lstm", 3, 4))
    monkeypatch.setattr(proof, "TOLERANCE", -1.0)
    with pytest.raises(gatewise.errors.ModelFileError, match="differs from the chain"):
        export_chain("m.gatewise", "torch", folder / "out.pt")
    assert [path.name for path in folder.iterdir()] == ["m.gatewise"]


@pytest.mark.slow
def test_a_classifier_that_learned_here(folder):
    moods = {"warm and kind": "good", "a joy to see": "good", "cold and dull": "bad", "an hour of nothing": "bad"}
    texts = [f"{number} times {mood}" for number in range(30) for mood in moods]
    options = {"tokens": "words", "ensemble": 1, "pooling": "mean", "share": 1.0, "hidden_size": 6, "epochs": 3}
    model = gatewise.Classifier(seed=1, **options).fit(texts, [mood for _ in range(30) for mood in moods.values()])
    model.temperature_ = 1.7  # as calibration may find it
    model.save("m.gatewise")
    assert export_chain("m.gatewise", "torch", folder / "out.safetensors").proof.difference < 1e-6
    words = model.inputs_.text.words
    tokens = torch.tensor([[2 + words.index(word)] for word in ("cold", "and", "dull")])
    with torch.no_grad():
        found = TorchChain("out.safetensors")(tokens)[0]
    np.testing.assert_allclose(found.numpy(), model.predict_proba(["cold and dull"])[0], atol=1e-6)


@pytest.mark.parametrize("operator", ["auto", "lstm"])
@pytest.mark.parametrize(
    "layers",
    [
        (
            *CHAINS["convolutions and normalised steps"][:3],
            Convolution(inputs=5, outputs=4, length=4, stride=3, bias=False),
            recurrent("lstm", 4, 3, direction="both"),
            Convolution(inputs=6, outputs=2, length=2),
            Activation(name="mish"),
        ),
        (
            Embedding(count=7, size=3),
            Convolution(inputs=3, outputs=2, length=3, stride=2, padding="same"),
            recurrent("gru", 2, 3),
            Flatten(length=4),
            Dense(inputs=12, outputs=2, activation="gelu"),
        ),
        (Convolution(inputs=2, outputs=3, length=3, padding="same"), recurrent("lstm", 3, 2)),
    ],
    ids=["of any length", "of one length", "of as many steps"],
)
def test_onnx_has_convolutions(layers, operator, capsys):
    saved(*layers)
    assert main(["export", "m.gatewise", "--to", "onnx", "-o", "out.onnx", "--operator", operator, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["difference"] < 2e-6


def test_onnx_has_no_convolution_whose_edges_depend_on_the_length(capsys):
    saved(Convolution(inputs=2, outputs=3, length=3, stride=2, padding="same"), recurrent("lstm", 3, 2))
    assert main(["export", "m.gatewise", "--to", "onnx", "-o", "out.onnx"]) == 2
    assert "a convolution with padding='same' and a stride" in capsys.readouterr().err
    assert not Path("out.onnx").exists()
