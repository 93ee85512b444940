"""The command line as one of several processes that `torchrun` started."""

import pytest

from gatewise.cli import VERBS, main


@pytest.fixture
def as_rank(monkeypatch):
    def start(rank):
        own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
        for name, value in own.items():
            monkeypatch.setenv(name, value)

    return start


COMMANDS = {
    "tune": ["tune", "classify", "x.csv"],
    "predict": ["predict", "m.gatewise", "x.csv"],
    "evaluate": ["evaluate", "m.gatewise", "x.csv"],
    "sample": ["sample", "m.gatewise"],
    "explain": ["explain", "m.gatewise"],
    "serve": ["serve", "m.gatewise"],
    "compress": ["compress", "m.gatewise", "-o", "n.gatewise", "--weights", "int8"],
    "import": ["import", "m.onnx", "-o", "m.gatewise"],
    "export": ["export", "m.gatewise", "--to", "c", "-o", "m.c"],
    "watch": ["watch", "m.gatewise.metrics.jsonl", "-o", "m.html"],
    "info": ["info", "m.gatewise"],
    "cells": ["cells"],
    "bench": ["bench"],
}


def test_all_verbs_are_tested():
    assert COMMANDS.keys() == VERBS.keys() - {"fit", "demo"}


@pytest.mark.parametrize("words", [["-"], ["a.txt", "--validation", "/dev/stdin"]])
def test_what_can_be_read_but_once_is_refused(words, as_rank, capsys):
    """Each process would get a part of it."""
    as_rank("0")
    assert main(["fit", "generate", *words]) == 2
    said = capsys.readouterr().err
    assert "can be read but once, and each of several processes reads all data" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("verb", COMMANDS)
def test_what_one_process_does_is_not_done_by_several(verb, as_rank, capsys):
    as_rank("0")
    assert main(COMMANDS[verb]) == 2
    said = capsys.readouterr().err
    assert said.startswith("gatewise: torchrun started 2 processes, but only `gatewise fit` is divided among them. ")
    assert said.count("\n") == 1
    assert {"predict": "--shard", "tune": "--workers"}.get(verb, "without torchrun") in said


@pytest.mark.parametrize("words", [["fit", "generate"], ["fit", "nothing", "a.txt"], ["serve", "m.gatewise"]])
def test_one_process_of_a_machine_tells_of_a_mistake(words, as_rank, capsys):
    as_rank("1")
    assert main(words) == 2
    assert capsys.readouterr().err == ""
    as_rank("0")
    assert main(words) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("size", ["", "two"])
def test_a_size_that_is_no_number_starts_nothing(size, monkeypatch, as_rank, capsys):
    as_rank("0")
    monkeypatch.setenv("WORLD_SIZE", size)
    assert main(["cells"]) == 0
    assert "lstm" in capsys.readouterr().out


@pytest.mark.parametrize("rank", ["", "first", "-1", "2"])
def test_a_process_without_a_number_says_so(rank, monkeypatch, as_rank, tmp_path, capsys):
    as_rank("0")
    monkeypatch.setenv("RANK", rank)
    (tmp_path / "a.txt").write_text("Peter Piper picked a peck. " * 50)
    assert main(["fit", "generate", str(tmp_path / "a.txt"), "-o", str(tmp_path / "m.gatewise")]) == 2
    assert f"RANK is '{rank}', where WORLD_SIZE=2 wants a number from 0 to 1" in capsys.readouterr().err
