"""`fit transcribe`, and what the other verbs make of its model."""

import csv
import io
import json
import wave
from types import SimpleNamespace

import numpy as np
import pytest

from gatewise.cli import main

TINY = ("--hidden-size", "8", "--num-layers", "1", "--epochs", "1", "--batch-size", "4", "-q")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A folder of sounds with their texts beside them, and a model that was fitted on it."""
    folder, random = tmp_path_factory.mktemp("transcribe"), np.random.default_rng(0)
    (folder / "clips").mkdir()
    for number in range(20):
        with wave.open(str(folder / "clips" / f"{number}.wav"), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(random.normal(0, 1000, 4000).astype("<i2").tobytes())
        (folder / "clips" / f"{number}.txt").write_text("a b" if number % 2 else "b")
    assert main(("fit", "transcribe", str(folder / "clips"), "-o", str(folder / "model"), *TINY)) == 0
    return folder


@pytest.fixture
def call(clips, capsys, monkeypatch):
    monkeypatch.chdir(clips)

    def call(*words):
        capsys.readouterr()
        code = main(tuple(map(str, words)))
        return SimpleNamespace(code=code, **dict(zip(("out", "err"), capsys.readouterr(), strict=True)))

    return call


def test_evaluate_shows_rates_beside_the_baseline(call):
    done = call("evaluate", "model", "clips")
    assert done.code == 0, done.err
    assert done.out.split("\n")[0].split() == ["cer", "wer", "exact", "words", "texts"]
    assert all(f"\n{name} " in done.out for name in ("train", "validation", "test", "most frequent (baseline)"))
    wide = call("evaluate", "model", "clips", "--beam-size", 4, "--length-bonus", 9, "--json")
    assert (
        json.loads(wide.out)["test"]["cer"]
        > json.loads(call("evaluate", "model", "clips", "--json").out)["test"]["cer"]
    )


def test_predict_writes_files_and_texts(call, clips):
    done = call("predict", "model", "clips", "--length-bonus", 9, "--beam-size", 4)
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [row["file"] for row in rows] == sorted(f"{n}.wav" for n in range(20))
    words = call("predict", "model", "clips/3.wav", "--times", "--length-bonus", 9, "--beam-size", 4, "--json")
    spoken = [json.loads(line) for line in words.out.splitlines()]
    assert (
        " ".join(word["word"] for word in spoken)
        == rows[sorted(f"{n}.wav" for n in range(20)).index("3.wav")]["text"].strip()
    )
    assert all(0 <= word["start"] < word["end"] <= 0.52 for word in spoken)
    assert call("predict", "model", "clips", "-o", "said.parquet").out.startswith("said.parquet: 20 rows")


def test_info_shows_what_it_is(call):
    done = call("info", "model")
    assert done.code == 0
    assert "transcribe" in done.out
    assert "sample rate 8000" in done.out


MISTAKES = {
    "no such option for the task": (
        ("predict", "model", "clips", "--n-best", "2"),
        "--n-best is not an option for models of",
    ),
    "no language model": (("predict", "model", "clips", "--language-model", "model"), "only 'generate' writes"),
    "a beam of none": (
        ("predict", "model", "clips", "--beam-size", "0"),
        "--beam-size must be a whole number, 1 or more, not 0",
    ),
    "no texts": (("fit", "transcribe", "bare", "-o", "m", *TINY), "there is no text for"),
    "nothing to read": (("fit", "transcribe", "none.csv", "-o", "m", *TINY), "none.csv"),
    "an impossible stack": (
        ("fit", "transcribe", "clips", "-o", "m", *TINY, "--frame-stacking", "0"),
        "--frame-stacking must be a whole number",
    ),
    "too few steps": (
        ("fit", "transcribe", "clips", "-o", "m", *TINY, "--frame-stacking", "40"),
        "Leave it out, or lower --frame-stacking",
    ),
}


@pytest.mark.parametrize(("words", "said"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_one_line(call, clips, words, said):
    (clips / "bare").mkdir(exist_ok=True)
    (clips / "bare" / "a.wav").write_bytes((clips / "clips" / "1.wav").read_bytes())
    before = sorted(clips.rglob("*"))
    done = call(*words)
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert done.err.startswith("gatewise: ")
    assert said in done.err
    assert sorted(clips.rglob("*")) == before
