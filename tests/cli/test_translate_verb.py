"""`translate` on the command line: two files in, a table out."""

import json
from pathlib import Path

import pytest

from gatewise.cli import main

SOURCES = [f"{one} {two}" for one in ("red", "blue", "old") for two in ("dog", "cat", "bird", "house")] * 5
TARGETS = [" ".join(text.split()[::-1]).upper() for text in SOURCES]
TINY = [
    "--tokens",
    "words",
    "--hidden-size",
    "16",
    "--embedding-size",
    "8",
    "--batch-tokens",
    "60",
    "-q",
    "--learning-rate",
    "0.02",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("translate")
    (found / "t.src").write_text("\n".join(SOURCES))
    (found / "t.tgt").write_text("\n".join(TARGETS))
    (found / "pairs.tsv").write_text("\n".join(map("\t".join, zip(SOURCES, TARGETS, strict=True))))
    (found / "new.txt").write_text("old dog\nblue house\n")
    names = [str(found / name) for name in ("t.src", "t.tgt", "model")]
    assert main(["fit", "translate", *names[:2], *TINY, "--epochs", "9", "--only", "network", "-o", names[2]]) == 0
    (found / "head.csv").write_text("source,target\n")
    blind = [*TINY, "--attention", "none", "--epochs", "0.1", "-o", str(found / "blind")]
    assert main(["fit", "translate", *names[:2], *blind]) == 0
    return found


@pytest.fixture
def call(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    capsys.readouterr()

    def run(*words):
        code = main(list(words))
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def test_two_files_with_validation_in_two_files_more(call):
    words = ("--validation", "t.src,t.tgt", "--epochs", "1", "-o", "other", "--json")
    code, out, _ = call("fit", "translate", "t.src", "t.tgt", *TINY, *words)
    assert code == 0
    assert json.loads(out)["metrics"]["train"]["pairs"] == 60
    code, out, _ = call("evaluate", "other", "pairs.tsv")
    assert code == 0
    assert "bleu: nrefs:1|" in out
    assert "copy (baseline)" in out
    assert json.loads(call("evaluate", "other", "t.src", "t.tgt", "--json")[1])["train"]["pairs"] == 60


def test_predictions_are_a_table(call):
    code, out, _ = call("predict", "model", "new.txt")
    assert (code, out.splitlines()[0], len(out.splitlines())) == (0, "source,predicted,score", 3)
    code, out, _ = call("predict", "model", "new.txt", "--n-best", "2", "--beam-size", "3", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [(row["text"], row["rank"]) for row in rows] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    sampled = [call("predict", "model", "new.txt", "--sampling", "--seed", seed)[1] for seed in "112"]
    assert sampled[0] == sampled[1]
    assert call("predict", "model", "pairs.tsv", "--plot", "looked.svg", "-o", "said.csv", "--force")[0] == 0
    assert Path("looked.svg").read_text().count("<svg") == 1
    assert len(Path("said.csv").read_text().splitlines()) == 61


def test_info_tells_what_it_is(call):
    code, out, _ = call("info", "model")
    assert code == 0
    assert out.startswith("task            translate")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("fit translate t.src t.tgt new.txt -o none", "from one file or from two, not from 3"),
        ("fit translate t.src new.txt -o none", "'t.src' has 60 lines, but 'new.txt' has 2"),
        ("fit translate t.src -o none", "'t.src', line 1: 'red dog' is not text, a tab and a text"),
        ("fit translate t.src t.tgt --attention dot -o none", "no attention named 'dot'"),
        ("predict model new.txt --beam-size 2 --n-best 3", "--n-best is 3, but a beam of 2 finds no more"),
        ("predict model new.txt --length-penalty -1", "--length-penalty must be a number from 0 to 10, not -1.0"),
        ("predict model none.txt", "none.txt"),
        ("predict model - --plot p.png", "--plot reads the data a second time, which standard input does not allow"),
        ("predict model head.csv --plot h.png -o h.csv", "there is no text whose translation could be drawn"),
        ("predict blind new.txt --plot b.png -o b.csv", "this translator has no attention to draw"),
        ("evaluate model new.txt", "'new.txt', line 1: 'old dog' is not text, a tab and a text"),
        ("evaluate model t.src t.tgt new.txt", "from one file or from two, not from 3"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(call, folder, words, said):
    before = sorted(path.name for path in folder.iterdir())
    code, out, err = call(*words.split())
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert said in err
    assert sorted(path.name for path in folder.iterdir()) == before
