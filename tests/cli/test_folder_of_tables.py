"""Every verb that takes a table takes one in several files: the same answers as from one file."""

import json
from pathlib import Path

import duckdb
import numpy as np
import pytest

import gatewise
from gatewise.cli import main
from gatewise.tasks import Forecaster, Tagger, Translator

SMALL = ["--hidden-size", "4", "--epochs", "0.1", "--seed", "3"]
FITS = {
    "forecast": ["--target", "flow", "--horizon", "2", "--context-length", "6", "--key", "pump", "--time", "day"],
    "detect": ["--columns", "flow", "--key", "pump", "--time", "day"],
    "classify": ["--target", "state", "--columns", "flow,heat", "--key", "pump,week", "--time", "day"],
    "tag": ["--target", "heat", "--columns", "flow", "--key", "pump", "--time", "day"],
    "generate": ["--columns", "flow,heat", "--key", "pump", "--time", "day"],
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table in three files of a folder, and in one file."""
    folder = tmp_path_factory.mktemp("several")
    rows = (
        "SELECT 'p' || (i % 4) AS pump, DATE '2024-01-01' + (i // 4)::INTEGER AS day, sin(i) + i % 4 AS flow, "
        "cos(i) AS heat, 'w' || (i // 28) AS week, if(i % 2 = 0, 'on', 'off') AS state FROM range(400) AS t(i)"
    )
    with duckdb.connect() as con:
        con.execute(f"COPY ({rows}) TO '{folder}/whole.parquet'")
        (folder / "rows").mkdir()
        for place, name in enumerate((1, 2, 10)):
            query = f"SELECT * FROM ({rows}) OFFSET {133 * place} LIMIT {133 if place < 2 else 200}"
            con.execute(f"COPY ({query}) TO '{folder}/rows/part-{name}.parquet'")
    return folder


def call(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    capsys.readouterr()
    assert main(tuple(map(str, words))) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("task", FITS)
def test_a_model_of_several_files_is_that_of_one(task, rows, tmp_path, capsys):
    files = sorted((rows / "rows").iterdir())
    found = {}
    for name, data in {"one": [rows / "whole.parquet"], "folder": [rows / "rows"], "files": files}.items():
        model = tmp_path / f"{name}.gatewise"
        call(capsys, "fit", task, *data, *FITS[task], *SMALL, "-q", "-o", model)
        metrics = json.loads(call(capsys, "evaluate", model, *data, "--json"))
        answers = "" if task == "generate" else call(capsys, "predict", model, *data)
        document = json.loads(call(capsys, "info", model, "--json"))
        found[name] = metrics, answers, document["training"]["data"]["fingerprint"]
    assert found["one"] == found["folder"] == found["files"]
    if task != "generate":
        pattern = call(capsys, "predict", tmp_path / "one.gatewise", f"{rows}/rows/*.parquet")
        assert pattern == found["one"][1]


def test_parts_of_a_folder_make_up_the_whole(rows, tmp_path, capsys):
    model = tmp_path / "m.gatewise"
    call(capsys, "fit", "detect", rows / "rows", *FITS["detect"], *SMALL, "-q", "-o", model)
    whole = call(capsys, "predict", model, rows / "rows").splitlines()
    parts = [call(capsys, "predict", model, rows / "rows", "--shard", f"{part}/3").splitlines() for part in (1, 2, 3)]
    assert sorted(line for part in parts for line in part[1:]) == sorted(whole[1:])


def test_info_explain_and_tune_take_several_files(rows, tmp_path, capsys):
    files = sorted((rows / "rows").iterdir())
    assert "400 rows" in " ".join(call(capsys, "info", *files).split())
    model = tmp_path / "m.gatewise"
    call(capsys, "fit", "forecast", *files, *FITS["forecast"], *SMALL, "-q", "-o", model)
    one, other = (call(capsys, "explain", model, *data, "--json") for data in ([rows / "whole.parquet"], files))
    one, other = json.loads(one), json.loads(other)
    assert one["answer"] == other["answer"]
    assert "learning_rate" in call(capsys, "tune", "forecast", *files, *FITS["forecast"], "--trials", "1", "--dry")


def test_a_model_is_called_after_the_folder(rows, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call(capsys, "fit", "detect", f"{rows}/rows/*.parquet", *FITS["detect"], *SMALL, "-q")
    assert (tmp_path / "rows.gatewise").is_file()


def test_a_frame_in_several_files_is_scored_as_one(rows):
    model = Tagger(
        target="heat", columns="flow", key="pump", time="day", hidden_size=4, epochs=0.1, bidirectional=False
    )
    model.fit(rows / "rows")
    one, states = gatewise.score(model, rows / "whole.parquet")
    for frame in (rows / "rows", sorted((rows / "rows").iterdir())):
        found, own = gatewise.score(model, frame)
        assert own == states
        for name, values in one.items():
            np.testing.assert_array_equal(found[name], values)


def test_python_takes_a_list(rows):
    files = sorted((rows / "rows").iterdir(), reverse=True)
    model = Forecaster(horizon=2, target="flow", key="pump", time="day", context_length=6, hidden_size=4, epochs=0.1)
    model.fit(files)
    np.testing.assert_array_equal(model.predict(files), model.predict(rows / "whole.parquet"))


def test_pairs_of_texts_lie_in_several_files(tmp_path):
    with duckdb.connect() as con:
        for part in (0, 1):
            query = f"SELECT 'a' || i AS source, 'b' || i AS target FROM range({9 * part}, {9 * part + 9}) AS t(i)"
            con.execute(f"COPY ({query}) TO '{tmp_path}/{part}.parquet'")
    options: dict = {"hidden_size": 4, "epochs": 0.1}
    files = tuple(tmp_path / f"{part}.parquet" for part in (0, 1))
    model = Translator(**options).fit(files)
    assert len(model.predict(tmp_path)) == len(model.predict(list(files))) == 18


@pytest.mark.parametrize("verb", ["fit detect", "evaluate MODEL", "predict MODEL", "explain MODEL"])
def test_several_other_files_are_refused_in_one_line(verb, rows, tmp_path, capsys):
    model = tmp_path / "m.gatewise"
    call(capsys, "fit", "detect", rows / "rows", *FITS["detect"], *SMALL, "-q", "-o", model)
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_bytes(b"RIFF")
    words = verb.replace("MODEL", str(model)).split()
    assert main((*words, str(tmp_path / "a.wav"), str(tmp_path / "b.wav"))) == 2
    assert "one DATA at a time, not 2; several files are one table if they end in .parquet" in capsys.readouterr().err
