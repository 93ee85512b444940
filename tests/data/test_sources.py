"""The one door: each kind of source comes to the reader that is meant."""

import numpy as np
import pandas
import pytest

from gatewise.data.sequences import Column, Sequences
from gatewise.data.sources import Roles, read
from gatewise.errors import DataError, OptionError

TABLE = "who,when,heat,mood\nann,2,1.5,good\nbob,1,0.5,bad\nann,1,2.5,good\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.csv").write_text(TABLE)
    (tmp_path / "lines.txt").write_text("good\tso warm\nbad\tso cold\ngood\tquite fine\n")
    (tmp_path / "tokens.bio").write_text("Ann B-PER\ncame O\n\nso O\n")
    (tmp_path / "cases.ts").write_text(
        "@problemName x\n@univariate true\n@classLabel true a b\n@data\n1,2,3:a\n4,5:b\n"
    )
    np.savez(tmp_path / "arrays.npz", x=np.zeros((2, 3, 1), np.float32), y=np.array([0, 1]))
    return tmp_path


@pytest.mark.parametrize(
    ("source", "roles", "steps", "static", "count"),
    [
        ("table.csv", Roles(target=["mood"], key=["who"], time="when"), {"when", "heat"}, {"who", "mood"}, 2),
        ("table.csv", Roles(target=["mood"]), {"when", "heat", "who"}, {"mood"}, 3),
        ("table.csv", Roles(target=["mood"], columns=["heat"]), {"heat"}, {"mood"}, 3),
        ("table.csv", Roles(target=["mood"], columns=["heat"], per_step=True), {"heat", "mood"}, set(), 1),
        ("lines.txt", Roles(lines="labels"), set(), {"text", "label"}, 3),
        ("tokens.bio", Roles(lines="tokens", per_step=True), {"token", "label"}, set(), 2),
        ("cases.ts", Roles(), {"channels"}, {"label"}, 2),
        ("arrays.npz", Roles(), {"channels"}, {"label"}, 2),
        ([[1.0, 2.0], [3.0]], Roles(), {"channels"}, set(), 2),
        ({"heat": [1.0, 2.0], "mood": ["a", "b"]}, Roles(target=["mood"]), {"heat"}, {"mood"}, 2),
        ([{"heat": 1.0}, {"heat": 2.0}], Roles(per_step=True), {"heat"}, set(), 1),
        (pandas.DataFrame({"heat": [1.0, 2.0]}), Roles(per_step=True), {"heat"}, set(), 1),
    ],
    ids=lambda value: " ".join(sorted(value)) if isinstance(value, set) else str(value),
)
def test_a_source_comes_to_its_reader(source, roles, steps, static, count, folder):
    found = read(source, None, roles)
    assert (set(found.steps), set(found.static), len(found)) == (steps, static, count)


def test_sequences_come_back_as_they_are():
    sequences = Sequences(np.array([0, 1]), {"x": Column("x", "number", np.zeros(1, np.float32))})
    assert read(sequences) is sequences


def test_a_query_makes_the_table(folder):
    found = read("table.csv", None, Roles(target=["mood"]), query="SELECT heat * 2 AS twice, mood FROM data")
    assert found.column("twice").values.tolist() == [3.0, 1.0, 5.0]


@pytest.mark.parametrize(
    ("call", "kind", "said"),
    [
        (
            lambda: read("lines.txt", roles=Roles(lines="labels"), query="SELECT 1"),
            OptionError,
            "query='SELECT 1' is for",
        ),
        (lambda: read([[1.0]], query="SELECT 1"), OptionError, "not for arrays"),
        (lambda: read("table.csv", ["a"]), OptionError, "y goes with arrays and lists; of 'table.csv' a column"),
        (lambda: read("table.csv", roles=Roles(time="when")), OptionError, "Name what tells sequences apart: key="),
        (lambda: read("tabel.csv"), DataError, "table.csv"),
    ],
)
def test_what_does_not_go_together(call, kind, said, folder):
    with pytest.raises(kind, match=said):
        call()
