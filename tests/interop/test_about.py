"""`gatewise info` of files of other libraries."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from tasks.sequential.test_sequential import lstm, made
from torch import nn

import gatewise
from gatewise.cli import main
from gatewise.interop.about import about
from gatewise.interop.exporting import export_chain
from gatewise.interop.formats import format_of
from gatewise.runtime.sequential import Dense

MODELS = Path(__file__).parents[1] / "tasks" / "models"


class Mood(nn.Module):
    def __init__(self, hidden=5):
        super().__init__()
        self.embedding = nn.Embedding(20, 4)
        self.rnn = nn.RNN(4, hidden)
        self.first = nn.Linear(5, 4)
        self.second = nn.Linear(4, 2)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("to", "suffix"), [("onnx", ".onnx"), ("keras", ".keras"), ("torch", ".safetensors")])
def test_a_file_of_ours_says_what_model_it_was(to, suffix, capsys):
    model = MODELS / "generate_words.model"
    assert main(["export", str(model), "--to", to, "-o", f"a{suffix}"]) == 0
    capsys.readouterr()
    assert main(["info", f"a{suffix}"]) == 0
    said = capsys.readouterr().out
    assert ", which `gatewise export` wrote\n" in said
    assert "layers          embedding 12 x 6, gru 6, dense 12; 408 weights\n" in said
    assert f"import          gatewise import a{suffix} -o a.gatewise\n" in said
    assert main(["info", str(model)]) == 0
    own = capsys.readouterr().out.splitlines()
    for label in ("task", "vocabulary", "sizes", "test"):
        [line] = [line for line in own if line.startswith(label)]
        assert line in said
    assert ("proof           " in said) == (to == "onnx")
    if to == "keras":  # which is opened in a process of its own, each time
        return
    assert main(["info", f"a{suffix}", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["document"]["vocabulary"] == gatewise.load(model)._document()["vocabulary"]
    assert found["layers"] == ["embedding", "recurrent", "dense"]
    assert main(found["import"].split()[1:]) == 0
    assert gatewise.load("a.gatewise").task == "generate"


def test_a_model_that_is_no_chain_says_why(capsys):
    assert main(["export", str(MODELS / "tag_numbers.model"), "--to", "onnx", "-o", "tag.onnx"]) == 0
    capsys.readouterr()
    assert main(["info", "tag.onnx"]) == 0
    said = capsys.readouterr().out
    assert "import          refused: 'tag.onnx'" in said
    assert "task            tag\n" in said
    assert main(["info", "tag.onnx", "--layers"]) == 2


def test_what_a_file_does_not_say_is_guessed_and_said(capsys):
    torch.save(Mood().state_dict(), "mood swings.pt")
    assert main(["info", "mood swings.pt", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    command = "gatewise import 'mood swings.pt' -o 'mood swings'.gatewise"
    assert found["import"] == f"{command} --reads last --activation relu --nonlinearity tanh"
    assert [choice.split(":")[0] for choice in found["choices"]] == [
        "--reads last is a guess, as the file does not say",
        "--activation relu is a guess, as the file does not say",
        "--nonlinearity tanh is a guess, as the file does not say",
        "--vocabulary FILE",
    ]
    torch.save({"lstm.weight_ih_l0": torch.zeros(8, 3), "lstm.weight_hh_l0": torch.zeros(8, 2)}, "plain.pt")
    found = about("plain.pt")
    assert found.command == "gatewise import plain.pt -o plain.gatewise"
    assert found.choices == ()
    assert main(["info", "plain.pt", "--layers"]) == 0
    assert "weight_hh_l0" in capsys.readouterr().out


def test_several_sigmoids_are_labels():
    for activation in ("sigmoid", "hard_sigmoid"):
        made(lstm(2, 4, outputs="end"), Dense(inputs=4, outputs=3, activation=activation)).save("m.gatewise")
        export_chain("m.gatewise", "torch", Path("labels.safetensors"))
        with safe_open("labels.safetensors", "np") as file:
            layers = {"layers": file.metadata()["layers"]}
        save_file(load_file("labels.safetensors"), "labels.safetensors", layers)  # as if it were not ours
        assert about("labels.safetensors").choices == (
            "--classes NAMES: its 3 labels, any number of which may hold, with commas between them",
        )


def test_of_weights_that_fit_in_no_order_it_is_said_what_to_add(capsys):
    save_file({name: weight.numpy() for name, weight in Mood().state_dict().items()}, "a.safetensors")
    assert main(["info", "a.safetensors"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "import refused: " in said
    assert "--layers" in said


def test_what_is_none_is_described_as_before(capsys):
    Path("a.csv").write_text("a,b\n1,2\n3,4\n")
    np.savez("b.npz", x=np.zeros((3, 2)))
    Path("cut.safetensors").write_bytes((MODELS / "generate_words.model").read_bytes()[:300])
    assert all(about(name) is None for name in ("a.csv", "b.npz", "cut.safetensors", ".", "none.pt"))
    assert about(str(MODELS / "generate_words.model")) is None
    assert main(["info", "cut.safetensors"]) == 2
    assert "cut off" in capsys.readouterr().err
    assert main(["info", "a.csv"]) == 0


def test_a_damaged_file_is_one_line(capsys):
    assert main(["export", str(MODELS / "generate_words.model"), "--to", "onnx", "-o", "a.onnx"]) == 0
    data = Path("a.onnx").read_bytes()
    capsys.readouterr()
    for end in (9, 100, len(data) // 2, len(data) - 3):
        Path("b.onnx").write_bytes(data[:end])
        assert main(["info", "b.onnx"]) in (0, 2)
        found = capsys.readouterr()
        assert "Traceback" not in found.err
        assert found.err.count("\n") <= 1


@pytest.mark.parametrize("first", [b"\x80\x02", b"\x80\x05", b"\x08\x03", b"PK"])
def test_the_length_of_a_header_is_no_other_format(first):
    """A file of safetensors begins with that length, and any bytes can be one."""
    header = json.dumps({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    length = int.from_bytes(first, "little")
    Path("a.safetensors").write_bytes(length.to_bytes(8, "little") + header.ljust(length) + bytes(4))
    assert format_of("a.safetensors") == "safetensors"
