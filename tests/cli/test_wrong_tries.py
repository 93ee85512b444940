"""What newcomers try that cannot work: one line each, with the way out, and nothing written."""

import io
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from gatewise import bundle
from gatewise.cli import main
from gatewise.errors import ModelFileError, OptionError
from gatewise.tasks import Generator

MODELS = Path(__file__).parents[1] / "tasks" / "models"
TABLE = "time,heat\n" + "".join(f"2026-01-{day:02},{day}\n" for day in range(1, 29))


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("tag_entities", "forecast_counts", "generate_text"):
        shutil.copy(MODELS / f"{name}.model", name)
    Path("tables").mkdir()
    for name in ("one.csv", "tables/two.csv", "tables/three.tsv"):
        Path(name).write_text(TABLE)
    Path("texts").mkdir()
    Path("texts/a.txt").write_text("To be, or not to be. " * 30)
    Path("texts/b.csv").write_text(TABLE)
    before = sorted(tmp_path.rglob("*"))

    def call(words):
        capsys.readouterr()
        code = main(words.split())
        shown = capsys.readouterr()
        return SimpleNamespace(code=code, out=shown.out, err=shown.err, same=sorted(tmp_path.rglob("*")) == before)

    return call


WRONG = {
    "a model to learn from": ("fit tag tag_entities -o x", "'tag_entities' is a model, where data is wanted"),
    "a model to evaluate on": ("evaluate tag_entities forecast_counts", "'forecast_counts' is a model, where data"),
    "a model to predict for": ("predict tag_entities tag_entities", "`gatewise info tag_entities` describes it"),
    "data for a model": ("predict one.csv one.csv", "'one.csv' is not a model: it looks like text"),
    "a tagger that writes": ("sample tag_entities", 'Try: gatewise predict tag_entities --text "..."'),
    "a forecaster that writes": ("sample forecast_counts", "Try: gatewise predict forecast_counts DATA"),
    "a writer's table": ("predict generate_text texts/a.txt", "Try: gatewise sample generate_text"),
    "a table as text": ("fit generate one.csv -o x", "'one.csv' is a table. To continue its numbers"),
    "tables as text": ("fit generate tables -o x", "'tables/three.tsv' is a table, and so is 1 more"),
    "several tables": ("fit generate one.csv tables -o x", "'one.csv' is a table, and so are 2 more"),
    "text of a table": ("fit generate one.csv -o x", "to learn it as text, give it as standard input"),
    "a folder of tables": ("fit classify tables -o x", "It holds 1 file of .tsv, 1 file of .csv: name one of them"),
    "a folder without sound": ("fit transcribe texts -o x", "name one of them"),
    "Keras": (
        "fit generate texts -o x.h5",
        "'x.h5' is the name of a file of Keras, which a model is not. Name it",
    ),
    "PyTorch": ("fit generate texts -o x.pt", "Name it x.gatewise"),
    "ONNX": ("fit forecast one.csv -o net.onnx", "Name it net.gatewise"),
    "pickle": ("fit classify one.csv -o x.PKL", "'x.PKL' is the name of a pickle"),
}


@pytest.mark.parametrize(("words", "message"), WRONG.values(), ids=WRONG)
def test_one_line_with_the_way_out(call, words, message):
    done = call(words)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done.err
    assert message in done.err
    assert done.same


def test_a_folder_that_holds_texts_too_is_learned(call):
    tiny = "--hidden-size 4 --batch-size 2 --chunk-length 16 --epochs 0.02 -q"
    assert call(f"fit generate texts -o x.gatewise {tiny}").code == 0
    assert call(f"fit generate texts/a.txt -o x.safetensors {tiny}").code == 0


def test_in_python_the_same_names_are_refused_before_training(tmp_path):
    with pytest.raises(ModelFileError, match=r"x\.keras' is the name of a file of Keras"):
        Generator().fit(io.StringIO("abc " * 99), output=tmp_path / "x.keras")
    with pytest.raises(ModelFileError, match="which a model is not"):
        Generator.load(MODELS / "generate_text.model").save(tmp_path / "x.ckpt")
    (tmp_path / "t.csv").write_text(TABLE)
    with pytest.raises(OptionError, match=r"is a table.*columns='x,y'"):
        Generator().fit(tmp_path / "t.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


@pytest.mark.parametrize("name", ["model", "a.gatewise", "a.safetensors", "v1.2", "x.h5.gatewise", "a.model"])
def test_names_that_a_model_may_have(name):
    bundle.check_name(name)
