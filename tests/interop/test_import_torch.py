"""`gatewise import` of PyTorch's weights: what comes in computes what the network did."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import gatewise
from gatewise.cli import main
from gatewise.errors import ModelFileError, OptionError
from gatewise.interop import import_model, proof
from gatewise.interop.importing import read_classes, read_vocabulary
from gatewise.interop.torch_chain import TorchChain


class Classifier(nn.Module):
    """As the tutorials have it: an embedding, two layers with h0 and c0 of zeros, the last step, a linear layer."""

    def __init__(self, bidirectional=False):
        super().__init__()
        self.embedding = nn.Embedding(11, 6)
        self.lstm = nn.LSTM(6, 5, 2, batch_first=True, bidirectional=bidirectional, dropout=0.5)
        self.fc = nn.Linear(10 if bidirectional else 5, 3)

    def forward(self, x):
        ways = 2 if self.lstm.bidirectional else 1
        h0 = torch.zeros(2 * ways, len(x), 5)
        out, _ = self.lstm(self.embedding(x), (h0, h0.clone()))
        return self.fc(out[:, -1, :])


class Regressor(nn.Module):
    """Numbers, a GRU without biases, normalisation, two linear layers."""

    def __init__(self):
        super().__init__()
        self.fc2, self.fc1 = nn.Linear(8, 2), nn.Linear(4, 8)
        self.gru = nn.GRU(3, 4, bias=False)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x):
        h = self.gru(x.transpose(0, 1))[1][0]
        return self.fc2(torch.relu(self.fc1(self.norm(h))))


class Characters(nn.Module):
    """A language model of characters, batch first."""

    def __init__(self, count, cell=nn.LSTM):
        super().__init__()
        self.encoder, self.rnn, self.decoder = nn.Embedding(count, 4), cell(4, 7, 2), nn.Linear(7, count)

    def forward(self, x):
        return self.decoder(self.rnn(self.encoder(x))[0])


@pytest.fixture(autouse=True)
def seeded(tmp_path, monkeypatch):
    torch.manual_seed(0)
    monkeypatch.chdir(tmp_path)


def saved(model, wrapped=False):
    torch.save(torch.nn.DataParallel(model).state_dict() if wrapped else model.state_dict(), "weights.pt")
    return model.eval()


@pytest.mark.parametrize("bidirectional", [False, True])
@torch.no_grad()
def test_the_classifier_of_the_tutorials(bidirectional):
    model = saved(Classifier(bidirectional), wrapped=True)
    found = import_model("weights.pt", "m.gatewise", reads="last", classes=["cat", "dog", "fish"])
    assert found.proof.difference < 1e-6
    assert found.proof.peer.startswith("torch ")
    x = torch.randint(11, (4, 9))
    loaded = gatewise.load("m.gatewise")
    wanted = model(x)
    assert loaded.predict(x.numpy()) == [["cat", "dog", "fish"][k] for k in wanted.argmax(1)]
    probabilities = loaded._predictor().probabilities(np.stack(loaded._predictor().outputs([*x.numpy()])))
    np.testing.assert_allclose(probabilities, wanted.softmax(-1).numpy(), atol=1e-6)
    assert loaded.provenance_["imported"]["file"] == "weights.pt"


@torch.no_grad()
def test_a_regressor_whose_layers_are_defined_in_another_order():
    model = Regressor()
    model.norm.running_mean.normal_(), model.norm.running_var.uniform_(0.5, 2)
    saved(model)
    asked = {"reads": "end", "activation": "relu"}
    with pytest.raises(ModelFileError, match="If they run in another one, say it: --layers gru,fc2,fc1,norm"):
        import_model("weights.pt", "m.gatewise", **asked)
    found = import_model("weights.pt", "m.gatewise", layers=("gru", "norm", "fc1", "fc2"), **asked)
    assert found.proof.difference < 1e-6
    assert found.notes == (
        "layers in the order gru, norm, fc1, fc2",
        "norm has torch's usual eps, 1e-5, which the file does not say",
    )
    x = torch.randn(3, 6, 3)
    np.testing.assert_allclose(gatewise.load("m.gatewise").predict(x.numpy()), model(x).numpy(), atol=1e-6)


@pytest.mark.parametrize("how", ["mean", "max"])
@torch.no_grad()
def test_steps_are_pooled(how):
    layer, out = nn.RNN(2, 4, nonlinearity="relu"), nn.Linear(4, 1)
    torch.save(
        {"rnn." + n: v for n, v in layer.state_dict().items()} | {f"out.{n}": v for n, v in out.state_dict().items()},
        "w.pt",
    )
    import_model("w.pt", "m.gatewise", reads=how, nonlinearity="relu")
    x = torch.randn(5, 3, 2)
    y = layer(x)[0]
    wanted = out(y.mean(0) if how == "mean" else y.amax(0))[:, 0]
    found = gatewise.load("m.gatewise").predict(x.transpose(0, 1).numpy())
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-6)


@torch.no_grad()
def test_a_linear_layer_without_a_bias_is_no_embedding():
    model = nn.Sequential(nn.LSTM(3, 4), nn.Linear(4, 3, bias=False))
    torch.save(model.state_dict(), "weights.pt")
    found = import_model("weights.pt", "m.gatewise", reads="steps")
    assert found.layers == "lstm 4, dense 3"
    x = torch.randn(5, 2, 3)
    wanted = model[1](model[0](x)[0])
    found = gatewise.load("m.gatewise").predict(x.transpose(0, 1).numpy())
    np.testing.assert_allclose(np.stack(found, 1), wanted.numpy(), atol=1e-6)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@torch.no_grad()
def test_projected_layers_alone():
    layer = nn.LSTM(3, 6, 2, proj_size=2, bidirectional=True)
    torch.save(layer.state_dict(), "weights.pt")
    assert import_model("weights.pt", "m.gatewise").proof.difference < 1e-6
    x = torch.randn(4, 2, 3)
    found = gatewise.load("m.gatewise").predict(x.transpose(0, 1).numpy())
    np.testing.assert_allclose(np.stack(found, 1), layer(x)[0].numpy(), atol=1e-6)


@pytest.mark.parametrize("cell", [nn.LSTM, nn.GRU])
@torch.no_grad()
def test_a_language_model_writes_what_torch_would(cell):
    characters = ["[UNK]", *"\n eohlw!"]
    model = saved(Characters(len(characters), cell))
    found = import_model("weights.pt", "m.gatewise", task="generate", vocabulary=characters)
    assert found.model.task == "generate"
    assert found.proof.difference < 1e-6
    assert found.notes[-1] == "tokens left out, which no text holds: '[UNK]'"
    text = "hello"
    for _ in range(12):
        scores = model(torch.tensor([[characters.index(c)] for c in text]))[-1, 0]
        scores[0] = -torch.inf
        text += characters[int(scores.argmax())]
    generator = gatewise.load("m.gatewise")
    assert "".join(generator.sample("hello", length=12, temperature=0.0)) == text[5:]
    assert main(["sample", "m.gatewise", "-p", "hello", "-n", "5", "--seed", "1"]) == 0


@torch.no_grad()
def test_a_language_model_of_words(capsys):
    words = ["<unk>", "the", "cat", "sat", "."]
    model = saved(Characters(len(words)))
    found = import_model("weights.pt", "m.gatewise", task="generate", vocabulary=words)
    assert found.proof.difference < 1e-6
    scores = model(torch.tensor([[1], [2]]))[-1, 0]
    scores[0] = -torch.inf
    written = "".join(gatewise.load("m.gatewise").sample("the cat", length=1, temperature=0.0)).strip()
    assert written == words[int(scores.argmax())]


class Texts(nn.Module):
    """Words, both directions, the largest values of all steps, and one number for two classes, or three scores."""

    def __init__(self, outputs, pooled):
        super().__init__()
        self.pooled = pooled
        self.emb, self.rnn, self.out = nn.Embedding(7, 4), nn.GRU(4, 5, bidirectional=True), nn.Linear(10, outputs)
        with torch.no_grad():
            self.out.weight *= 30  # as sure of itself as trained networks are

    def forward(self, x):
        y, h = self.rnn(self.emb(x))
        pooled = {"max": lambda: y.amax(0), "mean": lambda: y.mean(0), "end": lambda: torch.cat([*h], -1)}
        return self.out(pooled[self.pooled]())


WORDS = ["<pad>", "<unk>", "very", "good", "bad", "film", "a"]


@pytest.mark.parametrize(("outputs", "pooled"), [(1, "max"), (3, "mean"), (3, "end")])
@torch.no_grad()
def test_a_classifier_of_texts_is_one_of_ours(outputs, pooled, capsys):
    model, classes = saved(Texts(outputs, pooled)), ["no", "yes", "so so"][: max(2, outputs)]
    found = import_model("weights.pt", "m.gatewise", task="classify", reads=pooled, vocabulary=WORDS, classes=classes)
    assert found.model.task == "classify"
    assert found.proof.difference < 1e-6
    scores = model(torch.tensor([[6], [2], [3], [1]]))[0]
    wanted = scores.softmax(-1) if outputs > 1 else torch.cat([1 - scores.sigmoid(), scores.sigmoid()])
    [answer] = gatewise.load("m.gatewise").answers(["A very good strange"])
    np.testing.assert_allclose(list(answer.document["probabilities"].values()), wanted.numpy(), atol=1e-6)
    Path("few.csv").write_text("text\nA very good strange\na film\n")
    assert gatewise.load("m.gatewise").predict("few.csv")[0] == answer.document["predicted"]
    with torch.enable_grad():
        assert main(["explain", "m.gatewise", "--text", "a very bad film"]) == 0
    assert main(["export", "m.gatewise", "--to", "torch", "-o", "out.safetensors"]) == 0
    exported = TorchChain("out.safetensors")(torch.tensor([[6], [2], [3], [1]]))[0]
    np.testing.assert_allclose(exported.numpy(), wanted.numpy(), atol=1e-6)
    assert main(["info", "m.gatewise"]) == 0
    said = capsys.readouterr().out
    assert "imported from   weights.pt · torch" in said


def test_other_classifiers_stay_chains():
    saved(Texts(3, "end"))
    asked = {"task": "classify", "classes": ["a", "b", "c"], "reads": "end"}
    for vocabulary, says in ([*WORDS[:-1], "Large"], "in small letters"), (WORDS[:3], "names 3 of them"):
        found = import_model("weights.pt", "m.gatewise", vocabulary=vocabulary, force=True, **asked)
        assert found.model.task == "sequential"
        assert says in found.notes[-1]
    found = import_model("weights.pt", "m.gatewise", vocabulary=WORDS, force=True, **{**asked, "reads": "last"})
    assert "has an embedding, recurrent layers of one size and a pool, not" in found.notes[-1]


def test_other_networks_are_no_generators():
    saved(Classifier())
    with pytest.raises(OptionError, match="reads 11 tokens and scores 3"):
        import_model("weights.pt", "m.gatewise", task="generate", vocabulary=list("abcdefghijk"))
    saved(Characters(11))
    with pytest.raises(OptionError, match="knows 11 tokens, and the vocabulary names 3"):
        import_model("weights.pt", "m.gatewise", task="generate", vocabulary=list("abc"))


@torch.no_grad()
def test_what_is_asked_of_a_recurrent_layer_alone_is_done():
    layer = nn.GRU(3, 4)
    torch.save(layer.state_dict(), "weights.pt")
    assert import_model("weights.pt", "m.gatewise", reads="end").layers == "gru 4 to its end"
    x = torch.randn(2, 5, 3)
    wanted = layer(x.transpose(0, 1))[1][0]
    np.testing.assert_allclose(gatewise.load("m.gatewise").predict(x.numpy()), wanted.numpy(), atol=1e-6)
    with pytest.raises(OptionError, match="activation='relu' lies behind linear layers"):
        import_model("weights.pt", "m.gatewise", activation="relu", force=True)


@torch.no_grad()
def test_what_a_recurrent_layer_reads_of_a_linear_one_is_asked_for():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.GRU(4, 5))
    torch.save(model.state_dict(), "weights.pt")
    with pytest.raises(OptionError, match="does not say what lies behind 0"):
        import_model("weights.pt", "m.gatewise", layers=("0", "2"))
    found = import_model("weights.pt", "m.gatewise", layers=("0", "2"), activation="relu")
    assert found.layers == "dense 4 relu, gru 5"
    x = torch.randn(2, 5, 3)
    wanted = model(x.transpose(0, 1))[0].transpose(0, 1)
    np.testing.assert_allclose(np.stack(gatewise.load("m.gatewise").predict(x.numpy())), wanted.numpy(), atol=1e-6)


WRONG = {
    "what is read": ({}, "Add --reads steps, last, end, mean or max"),
    "a reading of another name": ({"reads": "lst"}, "reads='lst' is none of"),
    "layers": ({"reads": "last", "layers": ["lstm"]}, "has to name each of embedding, lstm, fc once"),
    "a task": ({"task": "tag"}, "task='tag' is none"),
    "classes": ({"reads": "last", "classes": "a,b"}, "there are 2 classes, but the model answers with 3 numbers"),
    "one class": ({"reads": "last", "classes": "a"}, "two or more different names"),
    "a task without classes": ({"task": "classify"}, "Add --classes"),
    "a task without tokens": ({"task": "generate"}, "Add --vocabulary"),
    "a vocabulary": ({"reads": "last", "vocabulary": list("abcdefghijklm")}, "to number 12, the model to 10"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_the_file_does_not_say_is_asked_for(name, tmp_path):
    saved(Classifier())
    options, says = WRONG[name]
    with pytest.raises(OptionError, match=says):
        import_model("weights.pt", "m.gatewise", **options)
    assert not (tmp_path / "m.gatewise").exists()


def test_a_model_of_ours_needs_no_import(tmp_path):
    saved(Classifier())
    import_model("weights.pt", "m.gatewise", reads="last")
    with pytest.raises(OptionError, match="is a model of Gatewise already"):
        import_model("m.gatewise", "again.gatewise")
    assert not (tmp_path / "again.gatewise").exists()


OTHERS = {
    "a convolution": (nn.Sequential(nn.Conv1d(2, 3, 3), nn.LSTM(3, 2)), "is a convolution, which cannot be read"),
    "a normalisation": (nn.Sequential(nn.LSTM(3, 2), nn.LayerNorm(2)), "is a normalisation of layers"),
    "a single cell": (nn.Sequential(nn.LSTMCell(3, 2)), "is a single cell"),
    "no recurrent layer": (nn.Sequential(nn.Linear(3, 2)), "has no recurrent layer"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_modules_are_refused_by_name(name):
    model, says = OTHERS[name]
    saved(model)
    with pytest.raises(ModelFileError, match=says):
        import_model("weights.pt", "m.gatewise", reads="last")


@pytest.mark.parametrize(
    "weights",
    [
        {"lstm.weight_ih_l0": torch.tensor(1.0)},
        {"lstm.weight_ih_l0": torch.zeros(8, 3), "lstm.weight_hh_l0": torch.zeros(8)},
        {
            "lstm.weight_ih_l0": torch.zeros(8, 3),
            "lstm.weight_hh_l0": torch.zeros(8, 2),
            "lstm.weight_hr_l0": torch.ones(2),
        },
        {"lstm.weight_ih_l0": torch.zeros(7, 3), "lstm.weight_hh_l0": torch.zeros(7, 2)},
        {"lstm.weight_ih_l0": torch.zeros(0, 3), "lstm.weight_hh_l0": torch.zeros(0, 2)},
        {**nn.LSTM(3, 2).state_dict(), "lstm.weight_ih_l0": torch.zeros(8, 3)},
        {**{f"a.{n}": v for n, v in nn.LSTM(3, 2).state_dict().items()}, "n.running_mean": torch.zeros(2)},
        {**{f"a.{n}": v for n, v in nn.LSTM(3, 2).state_dict().items()}, "a.weight_other": torch.zeros(2)},
    ],
)
def test_weights_that_make_no_layer_are_refused(weights):
    torch.save(weights, "weights.pt")
    with pytest.raises(ModelFileError):
        import_model("weights.pt", "m.gatewise", reads="last")


def test_any_activation_may_lie_between_linear_layers():
    torch.save(nn.Sequential(nn.GRU(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)).state_dict(), "weights.pt")
    found = import_model("weights.pt", "m.gatewise", reads="mean", activation="silu")
    assert found.layers == "gru 4, mean of steps, dense 4 silu, dense 2"
    assert found.proof.difference < 1e-6
    with pytest.raises(ModelFileError, match="no activation named 'silo'"):
        import_model("weights.pt", "m.gatewise", reads="mean", activation="silo", force=True)


def test_a_difference_is_an_error_that_leaves_nothing(tmp_path, monkeypatch):
    saved(Classifier())
    monkeypatch.setattr(proof, "TOLERANCE", 0.0)
    with pytest.raises(ModelFileError, match="differs from torch"):
        import_model("weights.pt", "m.gatewise", reads="last")
    assert [path.name for path in tmp_path.iterdir()] == ["weights.pt"]


def test_without_torch_it_is_read_and_not_proved(tmp_path, monkeypatch):
    """Neither here nor in the process that is to prove it."""
    saved(Classifier())
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "torch.py").write_text("raise ModuleNotFoundError('no torch', name='torch')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "without"), os.environ.get("PYTHONPATH", "")]))
    code = """
import sys
sys.modules["torch"] = None
from gatewise.cli import main
code = main(["import", "weights.pt", "-o", "m.gatewise", "--reads", "last"])
import numpy as np, gatewise
print(np.round(gatewise.load("m.gatewise").predict(np.arange(8).reshape(2, 4) % 11), 4).tolist())
sys.exit(code)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "not proved: torch is not installed. Install it and do this again: pip install" in done.stdout


def test_the_verb(capsys):
    saved(Classifier())
    assert main(["import", "weights.pt", "-o", "m.gatewise", "--reads", "last", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["task"] == "sequential"
    assert document["layers"] == "embedding 11 x 6, lstm 5, lstm 5 to its end, dense 3"
    assert document["proof"]["difference"] < 1e-6
    assert main(["info", "m.gatewise"]) == 0
    said = capsys.readouterr().out
    assert "imported from   weights.pt · torch" in said
    assert "proof           beside torch" in said
    assert main(["import", "weights.pt", "-o", "m.gatewise"]) == 2
    assert "exists. Pass --force" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path.mkdir(), "is a folder, where a file is wanted"),
        (lambda path: (path.mkdir(), (path / "saved_model.pb").touch()), "is a SavedModel of TensorFlow. Load it"),
        (lambda path: path.touch(), "is empty"),
        (lambda path: path.write_text("a,b\n1,2\n"), "a file that nothing here recognises"),
        (lambda path: path.write_bytes(b"PK\x03\x04" + b"\0" * 40), "is a damaged archive"),
        (lambda path: None, "cannot be read: No such file"),
    ],
)
def test_other_files_are_refused(make, says, tmp_path, capsys):
    make(tmp_path / "file")
    assert main(["import", "file", "-o", "m.gatewise"]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_names_are_read_from_files(tmp_path):
    (tmp_path / "lines").write_text("\nthe\ncat\n")
    (tmp_path / "map.json").write_text('{"the": 1, "cat": 2}')
    (tmp_path / "list.json").write_text('["a", "b"]')
    assert read_vocabulary("lines").ids == [0, 1, 2]
    assert read_vocabulary("map.json").tokens == ["the", "cat"]
    assert read_vocabulary("list.json").kind == "characters"
    (tmp_path / "classes.txt").write_text("bad\ngood\n")
    assert read_classes("classes.txt") == ["bad", "good"] == read_classes("bad, good")
    for text in ("{", '{"a": "b"}', '["a", "a"]', "[1]"):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(OptionError):
            read_vocabulary("bad.json")
    with pytest.raises(OptionError, match="cannot be read as a vocabulary: No such file"):
        read_vocabulary("nowhere")
