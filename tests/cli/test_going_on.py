"""`gatewise fit --from`."""

import shutil
from pathlib import Path

import pytest

from gatewise import Generator
from gatewise.bundle import read_header
from gatewise.cli import main

MODELS = Path(__file__).parents[1] / "tasks" / "models"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("generate_text", "tag_entities"):
        shutil.copy(MODELS / f"{name}.model", name)
    Path("a.txt").write_text("an ant ate ten tea tins. Eat it!\n" * 40)
    return tmp_path


def test_it_says_what_was_kept(folder, capsys):
    assert (
        main(
            [
                "fit",
                "generate",
                "a.txt",
                "--from",
                "generate_text",
                "--freeze",
                "layers.0,embedding",
                "--epochs",
                "1",
                "-o",
                "new",
            ]
        )
        == 0
    )
    told = " ".join(capsys.readouterr().err.split())
    assert "goes on from generate_text: kept 13 of 13 tensors (embedding: 12 of 13 rows; output: 12 of 13" in told
    assert "frozen: layers.0, embedding" in told
    assert main(["info", "new"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    digest = read_header("generate_text").document["sha256"]
    assert f"from file generate_text · task generate · sha256 {digest} · weights kept 13 of 13 tensors" in told
    assert Generator.load("new").cell == "peephole"  # of the model


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--from tag_entities", "'tag_entities' is a model of the task 'tag'; generate goes on from generate"),
        ("--from generate_tex", "there is no file 'generate_tex'. Did you mean 'generate_text'?"),
        ("--from a.txt", "'a.txt' is not a model: it looks like text"),
        (
            "--from generate_text --hidden-size 9",
            "--hidden-size 9 contradicts 'generate_text', with which --hidden-size is 8",
        ),
        ("--from generate_text -o ./generate_text --force", "'generate_text' is the model to go on from"),
        ("--freeze embedding", "--freeze embedding keeps parts of a model. Name it: --from"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(folder, capsys, words, message):
    before = sorted(folder.iterdir())
    assert main(["fit", "generate", "a.txt", "-o", "new", *words.split()]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert message in told.err
    assert sorted(folder.iterdir()) == before
