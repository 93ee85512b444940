"""A cell from a file of the user's: found, or refused in one line that says where."""

import sys

import pytest

from gatewise import cells
from gatewise.errors import CellError, OptionError

CELL = """from gatewise import cell, tanh

@cell(carry="h", pack="n")
def elman(x, h_prev, W, U, b):
    h = tanh(W.n @ x + U.n @ h_prev + b.n)
    return h
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def file(folder):
    (folder / "mine.py").write_text(CELL)
    return "mine.py"


def test_a_cell_is_loaded_from_a_file_or_from_the_family(file, folder):
    for path in (file, folder / file):
        found = cells.load(f"{path}:elman")
        assert found.carry == ("h",)
        assert found.text in CELL
    assert cells.load("gru") is cells.find("gru")
    assert [path.name for path in folder.iterdir()] == ["mine.py"]  # no __pycache__


def test_the_file_may_import_its_neighbours_and_leaves_no_trace(folder):
    (folder / "gates_of_mine.py").write_text("from gatewise import tanh as squash\n")
    (folder / "mine.py").write_text(
        '"""Mine."""\nfrom gates_of_mine import squash as tanh\n' + CELL.replace(", tanh", "")
    )
    path, modules = sys.path[:], set(sys.modules)
    assert cells.load("mine.py:elman").summary == "Mine."
    assert sys.path == path
    assert set(sys.modules) - modules == {"gates_of_mine"}
    del sys.modules["gates_of_mine"]


def test_a_file_that_would_do_more_when_started_itself(folder):
    (folder / "mine.py").write_text(CELL + "if __name__ == '__main__':\n    raise SystemExit\n")
    assert cells.load("mine.py:elman").name == "elman"


WRONG = {  # what the file holds, what is asked for, what is said
    "no file": (None, "none.py:a", OptionError, "there is no file 'none.py'. A cell is FILE.py:NAME, or one of: "),
    "a folder": (None, ".py:a", OptionError, "there is no file '.py'."),
    "no Python": (None, "mine.txt:elman", OptionError, "'mine.txt' is no Python file, whose name would end in .py."),
    "no name": (CELL, "mine.py", OptionError, "'mine.py' is a file. Name the cell in it, too: mine.py:NAME"),
    "misspelt": (CELL, "mine.py:elmann", OptionError, "no cell in 'mine.py' named 'elmann'. Did you mean 'elman'?"),
    "misspelt family": (None, "lsmt", OptionError, "no cell named 'lsmt'. Did you mean 'lstm'?"),
    "no cell at all": ("x = 1\n", "mine.py:y", OptionError, "'mine.py' holds no cell. Write one: a function of"),
    "a function": ("def f(x): return x\n", "mine.py:f", OptionError,
                   "'f' in 'mine.py' is no cell, but of type function. Put @gatewise.cell(...) over its function"),
    "bad syntax": (CELL + "def f(:\n", "mine.py:elman", CellError, "mine.py:7: it cannot be run: SyntaxError: invalid"),
    "it raises": (CELL + "\n1 / 0\n", "mine.py:elman", CellError, "mine.py:8: it cannot be run: ZeroDivisionError: "),
    "it exits": ("import sys\nsys.exit(3)\n", "mine.py:elman", CellError, "mine.py:2: it cannot be run: SystemExit: 3"),
    "no module": ("import nothing_here\n", "mine.py:f", CellError, "mine.py:1: it cannot be run: ModuleNotFoundError"),
    "unbound": (CELL.replace("tanh(W", "tahn(W"), "mine.py:elman", CellError,
                "mine.py:5: cell 'elman': name 'tahn' is not defined. Did you mean 'tanh'?"),
    "not imported": (CELL.replace("tanh(W", "relu(W"), "mine.py:elman", CellError,
                     "mine.py:5: cell 'elman': name 'relu' is not defined. Add: from gatewise import relu"),
    "shapes": (CELL.replace("@ x", "@ x + x"), "mine.py:elman", CellError,
               "mine.py:5: cell 'elman': add of vectors that differ in size: matmul(W.n, x) of size H and x of size D"),
    "forgotten": (CELL.replace('"h"', '"h c"').replace("h_prev,", "h_prev, c_prev,"), "mine.py:elman", CellError,
                  "mine.py:3: cell 'elman' carries 'h c' but returns 1 value. Return one expression per carried name"),
    "no argument": (CELL.replace('"h"', '"h c"'), "mine.py:elman", CellError,
                    "mine.py:3: cell 'elman' carries 'h c', so its function needs the argument c_prev, but has (x,"),
    "unknown function": ("import math\n" + CELL.replace("tanh(W", "math.tanh(W"), "mine.py:elman", CellError,
                         "mine.py:6: cell 'elman': must be real number, not Node (TypeError). The equations may use"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_said_with_its_place(mistake, folder):
    text, asked, kind, said = WRONG[mistake]
    (folder / "mine.txt").write_text(CELL)
    (folder / ".py").mkdir()
    if text is not None:
        (folder / "mine.py").write_text(text)
    with pytest.raises(kind) as caught:
        cells.load(asked)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)
