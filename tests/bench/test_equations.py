import pytest
import torch

from gatewise import cells
from gatewise.bench import equations
from gatewise.errors import CellError, OptionError

CELL = """
from gatewise import cell, tanh

@cell(carry="h", pack="n")
def elman(x, h_prev, W, U, b):
    h = tanh(W.n @ x + U.n @ h_prev + b.n)
    return h
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(CELL)
    return path


def test_a_cell_is_loaded_from_a_file_or_from_the_family(file):
    assert equations.load(f"{file}:elman").carry == ("h",)
    assert equations.load("gru") is cells.find("gru")
    assert equations.load("peephole") is equations.peephole


def test_what_is_no_cell_is_refused(file, tmp_path):
    text, empty, broken = tmp_path / "mine.txt", tmp_path / "empty.py", tmp_path / "broken.py"
    text.write_text(CELL)
    empty.write_text("x = 1\n")
    broken.write_text("def f(:\n")
    for place, kind, said in (
        (f"{file}:elmann", OptionError, "named 'elmann'. Did you mean 'elman'?"),
        (f"{tmp_path}/none.py:a", OptionError, "there is no file"),
        (f"{text}:elman", OptionError, "is no Python file"),
        (f"{empty}:x", OptionError, "holds no cell"),
        (f"{broken}:f", CellError, "cannot be run: SyntaxError"),
        ("lsmt", OptionError, "no cell named 'lsmt'. Did you mean 'lstm'?"),
    ):
        with pytest.raises(kind) as error:
            equations.load(place)
        assert said in str(error.value)


def test_a_mistake_in_the_equations_is_told_as_usual(tmp_path):
    path = tmp_path / "wrong.py"
    path.write_text(CELL.replace("return h", "return h, h"))
    with pytest.raises(CellError, match="carries 'h' but returns 2"):
        equations.load(f"{path}:elman")


def test_without_peepholes_it_is_the_lstm():
    from gatewise.nn import LSTM, Recurrent

    layer, lstm = Recurrent(equations.peephole, 3, 4), LSTM(3, 4)
    layer.load_state_dict({**lstm.state_dict(), "weight_p_l0": torch.zeros(12)})
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(layer(x)[0], lstm(x)[0])
