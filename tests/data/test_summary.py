"""What `gatewise info DATA` says of each kind of data."""

import json

import numpy as np
import pytest
from PIL import Image

from gatewise.cli import main
from gatewise.data.summary import summarise

FILES = {
    "cases.ts": "@problemName x\n@univariate true\n@classLabel true a b\n@data\n1,2,3:a\n4,?:b\n5,6:b\n",
    "tokens.bio": "Ann B-PER\ncame O\n\nso O\nthere O\n",
    "lines.train": "good\tso warm\nbad\tso cold\ngood\tquite fine\nbad\tno\n",
    "pairs.tab": "A dog.\tEin Hund.\nTwo\tZwei\n",
    "poem.txt": "Roses are red,\nviolets blue.\n",
    "table.csv": "day,heat\n2026-01-01,1\n2026-01-02,2\n2026-01-04,4\n",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    for name in (
        "photos/a.png",
        "photos/b.png",
        "photos/c.png",
        "clips/one/1.png",
        "clips/one/2.png",
        "clips/two/1.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (7, 6) if "b" in name else (5, 4)).save(tmp_path / name)
    np.save(tmp_path / "arrays.npy", np.arange(12, dtype=np.float32).reshape(2, 3, 2))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "cases.ts",
            ["3 series", "steps: 2 to 3, median 2", "x 1, 1 to 6", "1 missing", "label: category", "of 2: b 2, a 1"],
        ),
        (
            "tokens.bio",
            ["2 sentences", "token: text per step: Ann, came, so", "label: category per step of 2: O 3, B-PER 1"],
        ),
        ("lines.train", ["4 lines\n", "4 lines of a label and its text", "of 2: bad 2, good 2"]),
        (
            "pairs.tab",
            ["2 pairs of texts", "source: text per pair: A dog., Two", "target: text per pair: Ein Hund., Zwei"],
        ),
        ("photos", ["3 images\n", "file: text per image: a.png, b.png", "height: number per image, 4 to 6", "5 to 7"]),
        ("clips", ["2 clips\n", "steps: 1 to 2, median 2", "file: text per image: one, two", "width: number"]),
        ("poem.txt", ["text of 29 characters, 17 different, 2 lines"]),
        ("table.csv", ["3 rows, 2 columns", "time: day, daily", "gaps: 1 step missing"]),
        ("arrays.npy", ["2 sequences", "steps: 3 to 3", "channels: number per step x 2, 0 to 11"]),
    ],
)
def test_what_is_said_of_data(name, said, folder, capsys):
    assert main(["info", name]) == 0
    out, err = capsys.readouterr()
    assert all(part in out for part in said), out
    assert (max(map(len, out.splitlines())) <= 80, err) == (True, "")
    assert main(["info", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == f"'{name}'"


def test_counts_are_those_of_the_data(folder):
    found = summarise("cases.ts").document()
    assert (found["sequences"], found["lengths"]) == (3, (2, 2.0, 3))
    assert found["columns"][1]["counts"] == {"a": 1, "b": 2}


def test_what_is_no_data_is_refused_as_a_model(folder, capsys):
    (folder / "noise.bin").write_bytes(bytes(range(256)) * 4)
    for name, said in (("noise.bin", "is not a model"), ("poem.tx", "Did you mean 'poem.txt'?")):
        assert main(["info", name]) == 2
        assert said in capsys.readouterr().err
    assert main(["info", "table.csv", "--query", "SELECT sum(heat) AS total FROM data"]) == 0
    assert "total" in capsys.readouterr().out
