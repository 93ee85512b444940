"""`gatewise export`: models of tasks, their files and refusals."""

import io
import json
import re

import numpy as np
import pytest
from export_examples import needs_compiler, needs_node

from gatewise.cli import main
from gatewise.tasks.detect.estimator import Detector
from gatewise.tasks.forecast.estimator import Forecaster
from gatewise.tasks.generate.estimator import Generator
from gatewise.tasks.tag.estimator import Tagger

pytestmark = [needs_compiler, needs_node]

TEXT = "the cat sat on the mat, and the dog saw the cat.\n" * 60
KINDS = {"c": ("float32", "int8"), "html": ("float16", "int8")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def text_model(folder):
    path = folder / "text.gatewise"
    Generator(hidden_size=12, num_layers=2, epochs=1, cell="gru", batch_size=4).fit(io.StringIO(TEXT), output=path)
    return path


def table(folder, labelled=False):
    rng, t = np.random.default_rng(0), np.arange(600)
    heat, load = np.sin(t / 12) + 0.1 * rng.normal(size=600), np.cos(t / 30) + 0.1 * rng.normal(size=600)
    label = np.where(heat > 0.3, "up", np.where(heat < -0.3, "down", "between"))
    rows = [f"{a:.4f},{b:.4f}" for a, b in zip(heat, load, strict=True)]
    header = "heat,load"
    if labelled:
        header, rows = (
            f"run,{header},label",
            [f"{k // 50},{row},{c}" for k, (row, c) in enumerate(zip(rows, label, strict=True))],
        )
    path = folder / f"wave{labelled}.csv"
    path.write_text("\n".join([header, *rows]))
    return str(path)


def exported(model, target, kind, folder, capsys):
    output = folder / f"{model.stem}-{kind}.{target}"
    assert main(["export", str(model), "--to", target, "--weights", kind, "-o", str(output), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["difference"] <= 1e-5
    assert (found["changed_by_weights"] > 0) == (kind != "float32")
    return output, found


@pytest.mark.parametrize(("target", "kind"), [(to, kind) for to, kinds in KINDS.items() for kind in kinds])
def test_a_text_model(text_model, target, kind, tmp_path, capsys):
    output, found = exported(text_model, target, kind, tmp_path, capsys)
    files = [output] if target == "html" else [output / name for name in ("model.h", "model.c", "model_test.c")]
    assert [str(file) for file in files] == found["files"]
    assert sum(file.stat().st_size for file in files) == found["bytes"]
    assert sorted(tmp_path.iterdir()) == [output]
    if target == "html":
        page = output.read_text().replace('<link rel="icon" href="data:,">', "")
        assert not re.search(r"(src|href)=|@import|url\(|fetch\(|XMLHttpRequest|WebSocket", page)
        assert "default-src 'none'" in page
    else:
        assert re.search(r'#define GW_DIGEST "[0-9a-f]{64}"', files[0].read_text())


@pytest.mark.parametrize("target", KINDS)
def test_byte_pairs_are_cut_and_joined_alike(target, folder, tmp_path, capsys):
    pytest.importorskip("tokenizers")
    path = folder / "pairs.gatewise"
    words = "naïve café, it's 12 o'clock… 日本 x_y\n" * 80
    Generator(hidden_size=8, epochs=1, tokens="byte-pairs", vocabulary_size=300).fit(io.StringIO(words), output=path)
    exported(path, target, KINDS[target][0], tmp_path, capsys)


@pytest.mark.parametrize("target", KINDS)
def test_words_are_said_in_c_and_refused_as_a_page(target, folder, tmp_path, capsys):
    path = folder / "words.gatewise"
    Generator(hidden_size=8, epochs=1, tokens="words").fit(io.StringIO(TEXT), output=path)
    if target == "c":
        exported(path, "c", "float32", tmp_path, capsys)
        return
    assert main(["export", str(path), "--to", "html", "-o", str(tmp_path / "page.html")]) == 2
    assert "cut text into words" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("names", [("dx", "dy", "up"), ("a", "b", "c", "d")], ids=["pen", "numbers"])
def test_numbers(target, names, folder, tmp_path, capsys):
    rng = np.random.default_rng(1)
    rows = ["key," + ",".join(names)]
    for key in range(12):
        steps = np.cumsum(rng.normal(0, 0.1, (20, len(names))), 0)
        steps[:, 2] = rng.random(20) < 0.2
        rows += [f"{key}," + ",".join(f"{v:.4f}" for v in step) for step in steps]
    (folder / f"{names[0]}.csv").write_text("\n".join(rows))
    path = folder / f"{names[0]}.gatewise"
    if not path.exists():
        options = {"hidden_size": 8, "epochs": 1, "key": "key", "columns": ",".join(names)}
        Generator(**options).fit(str(folder / f"{names[0]}.csv"), output=path)
    exported(path, target, KINDS[target][0], tmp_path, capsys)


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize(
    "options",
    [{}, {"head": "gaussian", "target": "heat,load"}, {"target": "heat,load", "joint": True, "scaling": "last"}],
    ids=str,
)
def test_forecasts(target, options, folder, tmp_path, capsys):
    path = tmp_path / "forecast.gatewise"
    chosen = {"target": "heat", "hidden_size": 8, "epochs": 1, "horizon": 6, "share": 1, **options}
    Forecaster(**chosen).fit(table(folder), output=path)
    path.with_name(f"{path.name}.metrics.jsonl").unlink(missing_ok=True)
    exported(path, target, KINDS[target][0], tmp_path, capsys)


def test_forecasts_that_know_the_calendar(tmp_path, capsys):
    rows = [f"2020-{1 + day // 28:02}-{1 + day % 28:02},{np.sin(day / 3):.3f},{day % 5}" for day in range(150)]
    (tmp_path / "sales.csv").write_text("\n".join(["day,sold,left", *rows]))
    path = tmp_path / "sales.gatewise"
    chosen = {"target": "sold,left", "time": "day", "hidden_size": 4, "epochs": 1, "horizon": 3, "share": 1}
    Forecaster(**chosen).fit(str(tmp_path / "sales.csv"), output=path)
    exported(path, "c", "float32", tmp_path, capsys)
    assert "Export it to c or onnx" in refused(capsys, path, "--to", "html", "-o", tmp_path / "page.html")


@pytest.mark.parametrize("target", KINDS)
def test_labels_and_alarms(target, folder, tmp_path, capsys):
    tagger, detector = folder / "tag.gatewise", folder / "detect.gatewise"
    if not tagger.exists():
        Tagger(hidden_size=8, epochs=1, key="run", bidirectional=False, share=1).fit(
            table(folder, labelled=True), output=tagger
        )
        Detector(hidden_size=8, epochs=1, columns="heat,load").fit(table(folder), output=detector)
    for model in (tagger, detector):
        exported(model, target, KINDS[target][0], tmp_path, capsys)


def refused(capsys, *words):
    assert main(["export", *map(str, words)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("gatewise: ")
    return error


def test_refusals_in_one_line(text_model, folder, tmp_path, capsys, monkeypatch):
    there = tmp_path / "there.html"
    there.write_text("mine")
    assert "exists" in refused(capsys, text_model, "--to", "html", "-o", there)
    assert there.read_text() == "mine"
    assert "no target named 'cc'" in refused(capsys, text_model, "--to", "cc", "-o", tmp_path / "x")
    assert "int8" in refused(capsys, text_model, "--to", "c", "--weights", "int9", "-o", tmp_path / "x")
    assert "no folder" in refused(capsys, text_model, "--to", "c", "-o", tmp_path / "no" / "x")
    assert "a folder is to be" in refused(capsys, text_model, "--to", "c", "-o", there)
    assert "there is no file" in refused(capsys, tmp_path / "none.gatewise", "--to", "c", "-o", tmp_path / "x")
    plain = folder / "plain.gatewise"
    Generator(only="plain").fit(io.StringIO(TEXT), output=plain)
    assert "no network" in refused(capsys, plain, "--to", "c", "-o", tmp_path / "x")
    monkeypatch.setenv("CC", "false")
    assert "does not compile" in refused(capsys, text_model, "--to", "c", "-o", tmp_path / "x")
    assert list(tmp_path.iterdir()) == [there]


def test_without_a_compiler_it_says_that_nothing_was_run(text_model, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    assert main(["export", str(text_model), "--to", "c", "-o", str(tmp_path / "x")]) == 0
    assert "not run: there is no C compiler here" in capsys.readouterr().out
