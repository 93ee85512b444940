"""`gatewise bench`, called as a user calls it."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from gatewise.bench import memory, peers
from gatewise.bench.peers import pytorch
from gatewise.cli import main

SHORT = ("--seconds", "0.01", "--threads", "1", "--shape", "2,3,4,5")

CELL = """
from gatewise import cell, tanh

@cell(carry="h", pack="n")
def elman(x, h_prev, W, U, b):
    h = tanh(W.n @ x + U.n @ h_prev + b.n)
    return h
"""


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    # Other libraries may be installed here; the command works without, and starting them takes seconds.
    monkeypatch.setattr(peers, "find_spec", lambda package: None)

    def call(*words):
        code = main(["bench", *words])
        return SimpleNamespace(code=code, **dict(zip(("out", "err"), capsys.readouterr(), strict=True)))

    return call


def test_the_table(call):
    done = call(*SHORT, "--work", "forward,peephole")
    assert done.code == 0
    assert done.err == "[1/2] forward 2,3,4,5\n[2/2] peephole 2,3,4,5\n"
    lines = done.out.splitlines()
    assert max(map(len, lines)) <= 80
    heads = [line.split() for line in lines if line.startswith("B,T,I,H")]
    assert heads == [["B,T,I,H", "gatewise", "floor", "limit", "%", name] for name in ("torch", "eager")]
    rows = [line for line in lines if line.startswith("2,3,4,5")]
    row = r"2,3,4,5 +[\d.]+ (µs|ms) +[\d.]+ (µs|ms) (compute|weights|latency) +\d+ +[\d.]+x"
    assert len(rows) == 2
    assert all(re.fullmatch(row, line) for line in rows)


def test_json_and_the_file_hold_the_same(call):
    done = call(*SHORT, "--work", "training", "--json", "-o", "found.json")
    assert done.code == 0
    found = json.loads(done.out)
    assert found == json.loads(Path("found.json").read_text())
    assert found.keys() == {"question", "command", "answer", "measured"}
    assert found["command"].startswith("gatewise bench --seconds 0.01")
    assert found["measured"]["torch"]
    (row,) = found["answer"]["comparisons"]
    assert row["contestants"].keys() == {"gatewise", "torch"}
    assert row["limit"].keys() == {"rule", "floor_microseconds", "flops"}
    done = call(*SHORT, "--work", "training", "-o", "found.json")
    assert (done.code, done.out) == (2, "")
    assert "'found.json' exists. Pass --force" in done.err
    assert call(*SHORT, "--work", "training", "-o", "found.json", "--force").code == 0


def test_a_cell_of_ones_own(call):
    Path("mine.py").write_text(CELL)
    done = call(*SHORT, "--cell", "mine.py:elman", "--json")
    assert done.code == 0
    rows = json.loads(done.out)["answer"]["comparisons"]
    assert [(row["work"], row["cell"]) for row in rows] == [("cell", "elman"), ("cell-training", "elman")]
    assert all(row["contestants"].keys() == {"gatewise", "eager"} for row in rows)


def test_memory(call, monkeypatch):
    monkeypatch.setattr(memory, "measurable", lambda: True)
    monkeypatch.setattr(memory, "peak", lambda who, work, shape, threads: len(who) * 2**20)  # a process each takes long
    done = call(*SHORT, "--work", "memory")
    assert (done.code, done.err) == (0, "memory 2,3,4,5\n")
    assert done.out.splitlines()[-1].split() == ["2,3,4,5", "8.0", "5.0", "8.0", "5.0"]


def test_a_wrong_peer_is_shown_and_ends_in_an_error(call, monkeypatch):
    def enter(problem):
        return pytorch.contestant("torch", problem, lambda x: (problem.layer(x)[0] + 1, None), [])

    monkeypatch.setattr(pytorch, "torch_layer", enter)
    done = call(*SHORT, "--work", "forward")
    assert done.code == 1
    assert "differs" in done.out
    assert "forward 2,3,4,5: torch differs: y by " in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "--shape 1,2",
            "--shape takes batch, steps, input size and hidden size, each 1 or more, such as 32,100,64,128",
        ),
        ("--work forwrd", "no kind of work named 'forwrd'. Did you mean 'forward'?"),
        ("--work cell", "--work cell measures a cell of your own. Name it: --cell FILE.py:NAME"),
        (
            "--peers jax",
            "the peer 'jax' needs jax, not installed here. Install it: pip install jax, or leave 'jax' out",
        ),
        ("--peers jx", "no peer named 'jx'. Did you mean 'jax'?"),
        ("--cell none.py:a", "there is no file 'none.py'"),
        ("--threads 0", "--threads must be 1 or more, not 0"),
        ("--seconds 0", "--seconds must be more than 0 and finite, not 0"),
        ("--work projected --shape 1,1,1,1", "H must be 2 or more, not 1"),
        ("-o none/found.json", "'none/found.json' cannot be written: there is no folder 'none'"),
    ],
)
def test_a_mistake_is_one_line(call, words, said):
    done = call(*words.split())
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("gatewise: ")
    assert done.err.count("\n") == 1
    assert said in done.err
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("columns", [52, 72, 100])
def test_help_cuts_no_option_off(columns, call, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    done = call("--help")
    assert (done.code, done.err) == (0, "")
    assert "…" not in done.out
    assert max(map(len, done.out.splitlines())) <= columns


def test_the_help_names_all_there_is(call):
    from gatewise.bench.works import NAMES

    words = set(re.findall(r"[a-z-]+", call("--help").out))
    assert {*NAMES, *peers.PEERS} <= words
