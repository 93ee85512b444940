"""`gatewise explain`: reports of every task, and what it refuses."""

import json

import pytest
from old_models import written
from tasks.test_old_models import MODELS, opened

from gatewise.cli import main
from gatewise.explanation.report import Report

ASKED = {
    "classify_number": (),
    "detect_prediction": ("--step", "9"),
    "forecast_quantiles": ("--horizon", "2", "--quantile", "0.8"),
    "generate_text": ("--step", "5"),
    "tag_numbers": (),
    "tag_entities": ("--row", "1"),
    "transcribe_lines": (),
    "translate_characters": ("--step", "1"),
    "caption_images": ("--step", "1"),
    "sequential_texts": (),
}


@pytest.mark.parametrize("name", ASKED)
def test_every_task_is_explained(name, tmp_path, capsys):
    data = written(name, tmp_path)
    assert main(["explain", str(MODELS / f"{name}.model"), str(data), *ASKED[name], "--json"]) == 0
    out = capsys.readouterr().out
    report = Report.from_json(json.loads(out))
    assert report.because.terms
    assert report.provenance.task == name.split("_")[0]
    assert report.provenance.command.startswith("gatewise explain")
    assert report.streams
    assert report.gate_ablation
    assert set(report.missing) <= {"flip", "units", "contrasts", "interactions", "memory", "composition", "grids"}


def test_a_report_is_written_by_the_ending_of_its_name(tmp_path, capsys):
    model = str(opened("classify_text", tmp_path))
    words = ["explain", model, "--text", "a dull film"]
    assert main([*words, "-o", str(tmp_path / "why.json")]) == 0
    assert "because      The lead of" in capsys.readouterr().out
    report = Report.from_json(json.loads((tmp_path / "why.json").read_text()))
    assert report.inputs[0].labels == ("a", "dull", "film")
    assert main([*words, "-o", str(tmp_path / "why.csv")]) == 0
    header, *rows = (tmp_path / "why.csv").read_text().splitlines()
    assert header == "input,step,label,channel,value,added,occluded"
    assert [row.split(",")[2] for row in rows] == ["a", "dull", "film"]
    assert main([*words, "-o", str(tmp_path / "why.csv")]) == 2
    assert "exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("classify_number", ["--row", "99"], "there is no row 99 in"),
        ("classify_number", ["--target", "prize"], "no column named 'prize'"),
        ("classify_number", ["--step", "1"], "--step is no part of an answer of the task 'classify'"),
        ("tag_entities", ["--target", "LOC"], "no tag named 'LOC'"),
        ("tag_entities", ["--step", "50"], "there is no step 50"),
        ("tag_entities", ["--target", "O", "--against", "O"], "tag 'O' cannot be compared with itself"),
        ("forecast_quantiles", ["--horizon", "99"], "must be a whole number, from 1 to"),
        ("forecast_quantiles", ["--quantile", "0.33"], "the model forecasts the quantiles"),
        ("detect_prediction", ["--target", "x9"], "no channel named 'x9'"),
        ("generate_text", ["--step", "0"], "nothing stands before step 0"),
        ("generate_text", ["--query", "select 1"], "--query is not an option for models of the task 'generate'"),
        ("transcribe_lines", ["--target", "?"], "no symbol named '?'"),
        ("translate_characters", ["--step", "77"], "there is no step 77"),
    ],
)
def test_what_cannot_be_explained_is_one_line(name, words, message, tmp_path, capsys):
    data = written(name, tmp_path)
    assert main(["explain", str(MODELS / f"{name}.model"), str(data), *words]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "needs either DATA or a text"),
        (["data.csv", "--text", "x"], "needs either DATA or a text"),
        (["--text", "x"], "this classifier reads"),
        (["--text", ""], "--text is empty"),
        (["data.csv", "-o", "why.html", "--walk", "why.html"], "--output and --walk both name 'why.html'"),
        (["data.csv", "-o", "why.doc"], "End its name in one of"),
    ],
)
def test_what_does_not_go_together_is_one_line(words, message, capsys):
    assert main(["explain", str(MODELS / "classify_number.model"), *words]) == 2
    assert message in capsys.readouterr().err


def test_a_model_of_numbers_reads_no_text(capsys):
    assert main(["explain", str(MODELS / "generate_numbers.model"), "--text", "abc"]) == 2
    assert "continues numbers and reads no text" in capsys.readouterr().err


def test_data_of_other_channels_are_refused(tmp_path, capsys):
    (tmp_path / "x.csv").write_text("time,other\n1,2\n2,3\n")
    assert main(["explain", str(MODELS / "detect_prediction.model"), str(tmp_path / "x.csv")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_units_of_a_text_model_are_named_where_that_is_asked_for(tmp_path, capsys):
    words = ["explain", str(MODELS / "generate_text.model"), str(written("generate_text", tmp_path)), "--json"]
    assert main(words) == 0
    assert "--units" in json.loads(capsys.readouterr().out)["missing"]["units"]
    assert main([*words, "--units"]) == 0
    report = Report.from_json(json.loads(capsys.readouterr().out))
    assert report.units or report.missing["units"] == "no unit follows anything nameable beyond chance"


def test_a_walk_is_a_page_of_its_own(tmp_path, capsys, monkeypatch):
    page = tmp_path / "walk.html"
    words = ["explain", str(MODELS / "forecast_quantiles.model"), str(written("forecast_quantiles", tmp_path))]
    assert main([*words, "--walk", str(page)]) == 0
    assert "walk.html is written" in capsys.readouterr().err
    assert page.read_text().startswith("<!doctype html>")
    assert "forecast_quantiles.model, layer 1: the" in page.read_text()
    assert main([*words, "--walk", str(page)]) == 2
    assert "exists" in capsys.readouterr().err
    monkeypatch.setattr("gatewise.explanation.walking.MOST_WALKED", 100)
    page.unlink()
    assert main([*words, "--walk", str(page), "-o", str(tmp_path / "why.json")]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert "weights of layer 1 are too many to walk through, 100 at most" in err
    assert err.count("\n") == 1
    assert not [*tmp_path.glob("w*.*")]
