"""`gatewise predict --text`: a sentence in, an answer out."""

import io
import json
import shutil
from types import SimpleNamespace

import pytest

from gatewise.cli import main
from gatewise.tasks import Classifier, Tagger

PEOPLE = [f"{name} lives in {place}" for name in ("Ann", "Bob", "Cleo") for place in ("York", "Delft", "Nice")] * 6
LABELS = [["B-PER", "O", "O", "B-LOC"]] * len(PEOPLE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("texts")
    small = {"hidden_size": 12, "epochs": 8, "learning_rate": 0.03, "seed": 1}
    sentences = [sentence.split() for sentence in PEOPLE]
    Tagger(embedding_size=8, char_hidden_size=4, batch_size=8, **small).fit(sentences, LABELS).save(found / "names")
    moods = ["fine day", "awful day", "fine song", "awful song"] * 8
    mood = Classifier(num_layers=1, ensemble=1, batch_size=8, **small).fit(moods, ["good", "bad"] * 16)
    mood.save(found / "mood")
    return found


@pytest.fixture
def call(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)

    def call(*words, given=None):
        if given is not None:
            stream = SimpleNamespace(buffer=io.BytesIO(given), isatty=lambda: False)
            monkeypatch.setattr("sys.stdin", stream)
        capsys.readouterr()
        code = main(list(words))
        shown = capsys.readouterr()
        return SimpleNamespace(code=code, out=shown.out, err=shown.err)

    return call


def test_entities_stand_in_the_sentence(call):
    done = call("predict", "names", "--text", "Ann lives in Nice", "--text", "Bob lives in York")
    assert (done.code, done.err) == (0, "")
    assert done.out == "[Ann: PER] lives in [Nice: LOC]\n[Bob: PER] lives in [York: LOC]\n"


def test_json_is_a_line_for_each_text(call):
    done = call("predict", "mood", "--text", "fine day", "--text", "awful", "--json")
    found = [json.loads(line) for line in done.out.splitlines()]
    assert [one["text"] for one in found] == ["fine day", "awful"]
    assert [one["predicted"] for one in found] == ["good", "bad"]
    assert all(sum(one["probabilities"].values()) == pytest.approx(1) for one in found)


def test_a_dash_reads_lines_of_standard_input_where_it_stands(call):
    done = call("predict", "mood", "--text", "fine", "--text", "-", given="fine\r\n\r\nawful é\r\n".encode())
    assert [line.split(": ")[1:] for line in done.out.splitlines()] == [["fine"], ["fine"], [""], ["awful é"]]
    done = call("predict", "mood", "--text", "-", "--encoding", "utf-16", given="awful\nfine".encode("utf-16"))
    assert [line.split()[0] for line in done.out.splitlines()] == ["bad", "good"]
    assert call("predict", "mood", "--text", "-", given=b"").out == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("mood",), "`gatewise predict` needs DATA, or a text: --text"),
        (("mood", "some.csv", "--text", "fine"), "DATA does not go with --text"),
        (("mood", "--text", "fine", "-o", "x.csv"), "--output does not go with --text"),
        (("mood", "--text", "fine", "--times"), "--times does not go with --text"),
        (("mood", "--text", "fine", "--query", "SELECT 1"), "--query does not go with --text"),
        (("mood", "--text", "fine", "--plot", "x.png"), "--plot has nothing to draw"),
        (("mood", "--text", "fine", "--beam-size", "3"), "--beam-size is not an option"),
        (("forecaster", "--text", "fine"), "a model of the task 'forecast' reads no text"),
        (("writer", "--text", "it's"), "Try: gatewise sample writer --prompt 'it'\"'\"'s'"),
    ],
)
def test_what_does_not_go_with_a_text_is_said_in_one_line(call, folder, models, words, message):
    for name in ("forecaster", "writer"):
        shutil.copy(models[name], folder / name)
    done = call("predict", *words)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert message in done.err


def test_standard_input_in_another_encoding_is_named(call):
    done = call("predict", "mood", "--text", "-", given=b"gr\xe9at\n")
    assert done.code == 2
    assert "standard input is not utf-8" in done.err
    assert "--encoding" in done.err


@pytest.fixture
def models():
    """Models of other tasks, from the tests of `tasks`."""
    from pathlib import Path

    found = Path(__file__).parents[1] / "tasks" / "models"
    return {"forecaster": found / "forecast_counts.model", "writer": found / "generate_text.model"}
