"""`fit` of every task, watched."""

import io
import json

import numpy as np
import pytest

from gatewise import Captioner, Classifier, Detector, Forecaster, Generator, Tagger, Transcriber, Translator
from gatewise.cli import main
from gatewise.data.datasets.builtin import written_dates
from gatewise.data.datasets.scenes import scenes
from gatewise.errors import OptionError
from gatewise.watch import look

WAVES = [np.sin(np.arange(60) * (0.2 + 0.02 * k)) for k in range(12)]
SIGNS = ["up" if wave[-1] > 0 else "down" for wave in WAVES]
SMALL = {"hidden_size": 8, "epochs": 4, "learning_rate": 0.01}

FITS = {
    "generate": lambda **run: Generator(**SMALL, batch_size=4, chunk_length=16).fit(
        io.StringIO("an ant ate ten tea tins.\n" * 60), **run
    ),
    "generate numbers": lambda **run: Generator(**SMALL, mixtures=2).fit([wave[:, None] for wave in WAVES], **run),
    "classify": lambda **run: Classifier(**SMALL, ensemble=2, batch_size=4).fit(WAVES, SIGNS, **run),
    "tag": lambda **run: Tagger(**SMALL, batch_size=4).fit(
        [["the", "old", "cat"], ["a", "cat", "sat"]] * 12, [["d", "a", "n"], ["d", "n", "v"]] * 12, **run
    ),
    "forecast": lambda **run: Forecaster(**SMALL, horizon=4).fit(WAVES, **run),
    "detect": lambda **run: Detector(**SMALL, window=16).fit(WAVES, **run),
    "translate": lambda **run: Translator(**SMALL, batch_tokens=200).fit(written_dates(60, 0), **run),
    "transcribe": lambda **run: Transcriber(**SMALL, batch_size=4).fit([wave[:, None] for wave in WAVES], SIGNS, **run),
    "caption": lambda **run: Captioner(**SMALL, batch_size=8).fit(scenes(24), **run),
}
NOTHING_TO_COMPARE = {"generate numbers", "detect", "transcribe"}


@pytest.mark.parametrize(
    "task", [pytest.param(task, marks=pytest.mark.slow) if task == "caption" else task for task in FITS]
)
def test_every_task_is_looked_at(task, tmp_path, monkeypatch):
    monkeypatch.setattr(look.Look.__init__, "__defaults__", (1e9,))
    output, page = tmp_path / "model.gatewise", tmp_path / "run.html"
    model = FITS[task](output=output, watch=page)
    lines = [json.loads(line) for line in (tmp_path / "model.gatewise.metrics.jsonl").read_text().splitlines()]
    looks = [line for line in lines if line["kind"] == "look"]
    assert len(looks) == sum(line["kind"] == "evaluation" for line in lines) >= 2
    last = looks[-1]
    assert last["layers"]
    assert all(own["units"] > 0 and own["gates"].keys() == {"i", "f", "g", "o"} for own in last["layers"].values())
    assert last["losses"][0] is not None
    assert last["losses"][1] is not None
    assert (last["spread"] is None) == (task in NOTHING_TO_COMPARE)
    assert set(last["updates"]) <= {name for name, _ in model.model_.named_parameters()}
    assert "model.gatewise" not in page.read_text()
    assert isinstance(model.advice_, list)


def test_the_verb_writes_the_page_and_says_one_line_at_most(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(look.Look.__init__, "__defaults__", (1e9,))
    text, output, page = tmp_path / "noise.txt", tmp_path / "noise.gatewise", tmp_path / "run.html"
    text.write_text("".join(map(chr, np.random.default_rng(0).integers(97, 123, 4000))))
    options = [
        "--hidden-size",
        "8",
        "--epochs",
        "3",
        "--learning-rate",
        "1e-5",
        "--batch-size",
        "4",
        "--chunk-length",
        "32",
    ]
    asked = ["fit", "generate", str(text), "-o", str(output), "--watch", str(page), *options]
    assert main([*asked, "-q", "--json"]) == 0
    said = capsys.readouterr()
    advice = json.loads(said.out)["advice"]
    assert "flat" in [own["sign"] for own in advice]
    assert said.err == f"{advice[0]['english']}\n"
    assert "中文" in page.read_text()


def test_plain_methods_are_not_watched(tmp_path):
    with pytest.raises(OptionError, match="nothing to watch"):
        Classifier(only="plain").fit(WAVES, SIGNS, watch=tmp_path / "run.html")


@pytest.mark.parametrize("place", ["missing/run.html", "."])
def test_a_page_that_cannot_be_written_is_refused_before_anything_is_done(tmp_path, capsys, place):
    text = tmp_path / "text.txt"
    text.write_text("an ant ate ten tea tins.\n" * 60)
    asked = ["fit", "generate", str(text), "-o", str(tmp_path / "model.gatewise"), "--watch", str(tmp_path / place)]
    assert main(asked) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]
