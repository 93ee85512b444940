"""What `gatewise info DATA` says of each kind of data."""

import io
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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("texts", "'texts' of 2 files: text of 58 characters"),
        ("poem.txt pairs.tab lines.train", "'poem.txt', 'pairs.tab', 'lines.train': text of"),
        ("left.txt right.txt", "'left.txt', 'right.txt': 2 pairs of texts"),
        ("semi.csv --separator ; --decimal ,", "heat    number"),
        ("table.csv --columns heat", "3 rows, 1 column"),
        ("strange.csv --encoding latin-1", "héat"),
    ],
)
def test_what_fit_reads_is_read_with_its_options(words, said, folder, capsys):
    (folder / "texts").mkdir()
    for name in ("a.txt", "b.txt"):
        (folder / "texts" / name).write_text(FILES["poem.txt"])
    (folder / "left.txt").write_text("A dog.\nTwo\n")
    (folder / "right.txt").write_text("Ein Hund.\nZwei\n")
    (folder / "semi.csv").write_text("day;heat\n2026-01-01;1,5\n2026-01-02;2,5\n")
    (folder / "strange.csv").write_bytes("day,héat\n2026-01-01,1\n2026-01-02,2\n".encode("latin-1"))
    assert main(["info", *words.split()]) == 0, capsys.readouterr().err
    assert said in capsys.readouterr().out


def test_standard_input_is_described(folder, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"one\ntwo\n")))
    assert main(["info", "-"]) == 0
    assert capsys.readouterr().out == "standard input: text of 8 characters, 6 different, 2 lines\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("tables", "'tables' holds 2 files of .csv, and no sound, image, pen stroke or text. Name one of them"),
        ("empty", "the folder 'empty' holds no text file"),
        ("table.csv --columns hot", "no column named 'hot'"),
    ],
)
def test_what_cannot_be_described_is_said_in_a_line(words, said, folder, capsys):
    for name in ("tables/a.csv", "tables/b.csv", "empty/.hidden"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(FILES["table.csv"])
    assert main(["info", *words.split()]) == 2
    assert said in capsys.readouterr().err


PROSE = """the owl and the cat went out
in a lovely green boat
the moon was up and so was he
and he sang to a small guitar
they took some money and some tea
the owl looked up to the stars
in a five pound note
and so they sailed away
for a year and a day
the end of the night
"""
CODE = "\n".join([f"find . -name '*.{n}'" for n in range(9)] + ["cd ..", "ls -la x", "cat a b", "echo c d", "rm -r e"])


@pytest.mark.parametrize("text", [PROSE, CODE, "To be, or not\nTo be so\nThat is\nThat is it\nAnd so on\nOr not\n"])
def test_the_first_words_of_prose_and_code_are_no_labels(text, folder):
    (folder / "some.txt").write_text(text)
    assert summarise("some.txt").examples is None


@pytest.mark.parametrize("labels", ["yes no", "DESC:manner ENTY:cremat LOC:city HUM:ind"])
def test_words_that_come_back_are_labels(labels, folder):
    rows = [f"{label} some text of it {n}" for n in range(5) for label in labels.split()]
    (folder / "some.txt").write_text("\n".join(["Label Text", *rows]))  # a header is a word that stands once
    assert "lines of a label" in summarise("some.txt").examples.format


@pytest.mark.parametrize(
    ("text", "described"),
    [
        ("a;b\n1;2\n3;4\n", "standard input: 2 rows, 2 columns"),
        ('{"a": 1}\n{"a": 2}\n', "standard input: 2 rows, 1 column"),
        ("Hello there, my friend.\nHow are you?\n", "standard input: text of 37 characters"),
    ],
)
def test_what_comes_through_a_pipe(text, described, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert summarise("-").describe().startswith(described)
