"""A cell in a file of the user's: trained, saved in the model file as its graph, and never run again."""

import json
import signal
from itertools import count, pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from gatewise import bundle
from gatewise.algebra import Cell
from gatewise.cli import main
from gatewise.tasks.generate.text.network import LanguageModel

TINY = ("--hidden-size", "8", "--batch-size", "2", "--chunk-length", "16", "--epochs", "0.05", "-q")
CELL = '''"""An LSTM that makes room."""
from pathlib import Path

from gatewise import cell, sigmoid, tanh

Path("was-run").touch()


@cell(carry="h c", pack="f g o")
def mine(x, h_prev, c_prev, W, U, b):
    f = sigmoid(W.f @ x + U.f @ h_prev + b.f)
    g = tanh(W.g @ x + U.g @ h_prev + b.g)
    o = sigmoid(W.o @ x + U.o @ h_prev + b.o)
    c = f * c_prev + (1 - f) * g
    h = o * tanh(c)
    return h, c
'''


@pytest.fixture
def call(tmp_path, monkeypatch, capsys, rhyme):
    monkeypatch.chdir(tmp_path)
    Path("rhyme.txt").write_text(rhyme)
    Path("mine.py").write_text(CELL)

    def call(*words):
        code = main(words)
        return SimpleNamespace(code=code, **dict(zip(("out", "err"), capsys.readouterr(), strict=True)))

    return call


def test_from_a_file_to_a_model_that_needs_it_no_more(call):
    fitted = call("fit", "generate", "rhyme.txt", "--cell", "mine.py:mine", "-o", "model", *TINY)
    assert (fitted.code, fitted.err) == (0, "")
    assert Path("was-run").exists()
    Path("was-run").unlink()

    def results():
        done = [
            call("sample", "model", "-n", "40", "--seed", "1"),
            call("info", "model"),
            call("evaluate", "model", "rhyme.txt"),
        ]
        assert [d.code for d in done] == [0, 0, 0]
        return [d.out for d in done]

    with_file = results()
    assert not Path("was-run").exists()  # nobody ran it again
    Path("mine.py").unlink()
    assert results() == with_file
    assert "mine" in with_file[1]

    # What the file holds is JSON and numbers, to the last byte.
    data = Path("model").read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    tensors = [entry for name, entry in header.items() if name != "__metadata__"]
    spans = sorted(entry["data_offsets"] for entry in tensors)
    assert spans[0][0] == 0
    assert all(end == start for (_, end), (start, _) in pairwise(spans))
    assert 8 + length + spans[-1][1] == len(data)
    assert {entry["dtype"] for entry in tensors} == {"F32", "U8"}  # U8: the tokens that n-grams are counted in
    saved = Cell.from_json(bundle.read_header("model").document["cell"])
    assert (saved.name, saved.summary) == ("mine", "An LSTM that makes room.")
    assert "def mine(" in saved.text


def test_training_goes_on_with_the_same_equations_only(call, monkeypatch):
    fit = ("fit", "generate", "rhyme.txt", "--cell", "mine.py:mine", "-o", "model", *TINY, "--epochs", "0.5")
    real, steps = LanguageModel.training_loss, count(1)

    def stopped_by_ctrl_c(self, batch):
        if next(steps) == 9:
            signal.raise_signal(signal.SIGINT)
        return real(self, batch)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with monkeypatch.context() as patch:
        patch.setattr(LanguageModel, "training_loss", stopped_by_ctrl_c)
        assert call(*fit).code == 130
    signal.signal(signal.SIGINT, before)
    Path("mine.py").write_text(CELL.replace("(1 - f) * g", "f * g"))
    refused = call(*fit, "--resume")
    assert refused.code == 2
    assert "which was made differently: equations was " in refused.err
    Path("mine.py").write_text(CELL)
    assert call(*fit, "--resume").code == 0


def test_its_equations_are_shown(call):
    shown = call("cells", "mine.py:mine")
    assert shown.code == 0
    assert shown.out.startswith("mine: An LSTM that makes room.\n")
    assert "c = f * c_prev + (1 - f) * g" in shown.out
    assert "mine backward" in call("cells", "mine.py:mine", "--program").out


def test_a_mistake_is_one_line_with_its_place_and_leaves_nothing(call, tmp_path):
    Path("mine.py").write_text(CELL.replace("o * tanh(c)", "o * tahn(c)"))
    before = sorted(tmp_path.iterdir())
    done = call("fit", "generate", "rhyme.txt", "--cell", "mine.py:mine", "-o", "model", *TINY)
    assert (done.code, done.out) == (2, "")
    assert done.err == "gatewise: mine.py:15: cell 'mine': name 'tahn' is not defined. Did you mean 'tanh'?\n"
    assert {path.name for path in tmp_path.iterdir()} - {path.name for path in before} == {"was-run"}


def test_a_file_may_be_named_as_an_option_is(call):
    Path("cell.py").write_text(CELL.replace("o * tanh(c)", "o * tahn(c)"))
    done = call("fit", "generate", "rhyme.txt", "--cell", "cell.py:mine", *TINY)
    assert done.err.startswith("gatewise: cell.py:15: cell 'mine': name 'tahn'")
