"""`gatewise sample` with a model that continues numbers."""

import json
import subprocess
import sys

import numpy as np
import pytest
from numbers_examples import strokes

from gatewise.cli import main


@pytest.fixture(scope="module")
def pen(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pen")
    data = strokes(folder / "s.zip", np.random.default_rng(0))
    quick = ("--hidden-size", "8", "--mixtures", "2", "--epochs", "2", "--quiet")
    assert main(("fit", "generate", str(data), "-o", str(folder / "pen"), *quick)) == 0
    return folder


def test_it_draws_pictures_and_tables(pen, tmp_path, capsys):
    model = str(pen / "pen")
    assert main(("sample", model, "--seed", "1", "-n", "9", "--count", "2")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "sequence,step,dx,dy,up"
    assert {line[0] for line in lines[1:]} == {"0", "1"}
    for name in ("drawn.png", "drawn.svg", "drawn.jsonl", "drawn.parquet"):
        assert main(("sample", model, "--seed", "1", "-n", "9", "-o", str(tmp_path / name))) == 0
        assert (tmp_path / name).stat().st_size > 100
    assert len((tmp_path / "drawn.svg").read_text().split('<g id="axes_')) == 16 + 1
    capsys.readouterr()
    begun = ("--prompt", str(pen / "s.zip"), "--first", "4", "-n", "3", "--json")
    assert main(("sample", model, *begun)) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["sequence"] for row in rows} <= set(range(30))
    assert {row["step"] for row in rows} <= {4, 5, 6}
    assert main(("sample", model, *begun[:4], "-c", "3", "-o", str(tmp_path / "on.png"))) == 0
    assert main(("evaluate", model, str(pen / "s.zip"))) == 0
    assert "linear, two steps" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--top-k", "3"), "--top-k is for text"),
        (("--stop", "x"), "--stop is for text"),
        (("--count", "0"), "--count must be a whole number, 1 or more, not 0"),
        (("-o", "x.doc"), "cannot write a table as '.doc'"),
        (("--prompt", "nowhere.zip"), "no file or folder named"),
        (("--seed", "-1"), "--seed must be a whole number, 0 or more, not -1"),
        (("--first", "3"), "--first is how many steps of a prompt are read, and there is none"),
        (("--unknown", "skip"), "--unknown is for text"),
        (("--first", "0", "--prompt", "s.zip"), "--first must be a whole number, 1 or more, not 0"),
    ],
)
def test_mistakes_are_one_line(words, said, pen, capsys, monkeypatch):
    monkeypatch.chdir(pen)
    before = sorted(pen.iterdir())
    assert main(("sample", "pen", *words)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error
    assert sorted(pen.iterdir()) == before


def test_options_of_numbers_are_not_for_text(model_file, capsys):
    assert main(("sample", str(model_file), "--count", "2")) == 2
    assert "--count is for models that continue numbers" in capsys.readouterr().err


def test_it_draws_without_torch(pen):
    script = (
        f"from gatewise.cli import main; main(['sample', {str(pen / 'pen')!r}, '--prompt', {str(pen / 's.zip')!r}, "
        "'--first', '3', '-n', '3', '-c', '1']); import sys; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
