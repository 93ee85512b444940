"""What a training says before its first step, and what it leaves to read afterwards."""

import io

import numpy as np
import pytest

from gatewise import Classifier, Forecaster, Generator, Tagger
from gatewise.tasks.announcement import announcement, counted, listed, parts_text
from gatewise.training import Silent

TINY = {"hidden_size": 4, "epochs": 2, "threads": 1}


class Told(Silent):
    def __init__(self):
        self.heard = []

    def note(self, text):
        self.heard.append(text)

    def step(self, step, loss):
        if "step" not in self.heard:
            self.heard.append("step")


def entries(text):
    """By label; continued lines joined."""
    found = {}
    for line in text.splitlines():
        label = line[:11].strip() or label  # noqa: F821 - of the line before
        found[label] = f"{found.get(label, '')} {line[12:]}".strip()
    return found


def fitted(model, *data, **options):
    told = Told()
    model.fit(*data, **options, progress=lambda unit, per_step: told)
    return told


def mails(tmp_path, count=60):
    path = tmp_path / "mails.csv"
    rows = [f"{n},{('spam', 'ham')[n % 2]},{('buy now', 'see you')[n % 2]} {n},{n % 7}.5" for n in range(count)]
    path.write_text("\n".join(["id,kind,body,size", *rows]) + "\n")
    return path


def test_columns_parts_and_choices_are_told_before_the_first_step(tmp_path):
    told = fitted(Classifier(**TINY, target="kind", key="id", dropout=0.25), mails(tmp_path))
    assert told.heard[1] == "step"
    found = entries(told.heard[0])
    assert found["data"] == f"'{tmp_path / 'mails.csv'}': 60 sequences"
    assert found["target"] == "kind: 2 classes (ham, spam)"
    assert "text body, as words and their letters (" in found["inputs"]
    assert "numbers size" in found["inputs"]
    why = "none is held out for validation: cross-validation chooses the weights"  # of so few
    assert found["parts"] == f"train 54, test 6 sequences ({why})"
    assert "learning_rate" in found["chosen"]
    assert "hidden_size" not in found["chosen"]
    assert "hidden_size 4" in found["network"]
    assert found["training"].startswith(f"{told_steps(told)} steps of about ")
    assert found["loss"].startswith("cross-entropy, nats per sequence, with dropout 0.25")
    by = "cross-validation: each network on the training sequences that it leaves out"
    assert found["loss"].endswith(f"; validation: {by}")
    assert len(told.heard[0].splitlines()) <= 20
    assert max(map(len, told.heard[0].splitlines())) <= 100


def told_steps(told):
    [end] = [text for text in told.heard if text.startswith("finished after step")]
    return end.split()[5]


def test_what_validation_measures_is_named_where_it_is_not_the_loss():
    x, y = [["Ann", "sat"], ["Bob", "ran"]] * 20, [["B-P", "O"], ["B-P", "O"]] * 20
    for scheme, said in (("BIO", "1 - F1 of spans"), (None, "share of wrong labels")):
        model = Tagger(**TINY, scheme=scheme, **({} if scheme else {"crf": False}))
        if scheme is None:
            y = [["P", "O"]] * 40
        found = entries(fitted(model, x, y).heard[0])
        assert found["data"] == "arrays: 40 sequences, 80 steps"  # of all parts
        assert found["loss"].endswith(f"; validation: {said}")
        assert model.provenance_["loss"]["validation"] == said


def test_series_and_time_are_told(tmp_path):
    path = tmp_path / "shops.csv"
    rows = [f"2024-01-{1 + n:02d},{shop},{n + 2}" for shop in "ab" for n in range(30)]
    path.write_text("\n".join(["day,shop,sold", *rows]) + "\n")
    model = Forecaster(**TINY, time="day", key="shop", target="sold", horizon=2, season_length=7)
    found = entries(fitted(model, path).heard[0])
    assert found["data"].endswith("2 series, 60 steps")
    assert found["target"].startswith("sold, 2 steps ahead")
    assert found["series"] == "one for each shop"
    assert found["time"].startswith("day: ")


def test_verbose_shows_it_in_python_and_nothing_is_shown_without(capsys):
    text = "an ant ate ten tea tins. " * 30
    Generator(**TINY).fit(io.StringIO(text))
    assert capsys.readouterr() == ("", "")
    Generator(**TINY).fit(io.StringIO(text), verbose=1)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("data        text: 750 characters\n")
    assert "\nloss        cross-entropy, nats per token" in err
    assert "finished after step" in err


def test_history_has_a_list_for_each_name_as_in_keras(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 8, 1))
    model = Classifier(**{**TINY, "epochs": 6}).fit(x, (x.mean((1, 2)) > 0).astype(int), validation=None)
    history = model.history_
    assert list(history) == ["epoch", "step", "loss", "val_loss", "learning_rate"]
    assert len({len(values) for values in history.values()}) == 1
    assert history["step"][-1] == model.outcome_.step
    assert history["epoch"][-1] == pytest.approx(6, abs=0.2)
    assert min(history["val_loss"]) == model.outcome_.best_loss
    assert history["step"][int(np.argmin(history["val_loss"]))] == model.outcome_.best_step
    model.save(tmp_path / "m")
    assert Classifier.load(tmp_path / "m").history_ == history


def test_names_from_data_cannot_control_the_terminal():
    text = announcement({"target": "a\x1b[2J\u202eb", "long": "word " * 200})
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert r"a\x1b[2J\u202eb" in text
    assert len(text.splitlines()) == 4  # one, and three of the long one
    assert text.endswith(" ...")


def test_counts_and_lists():
    assert [counted(1, "images"), counted(1200, "series"), counted(1, "series")] == [
        "1 image",
        "1,200 series",
        "1 series",
    ]
    assert listed(range(14)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more"
    assert parts_text({"train": 1200, "validation": 3, "test": 0}, "pairs", "") == "train 1,200, validation 3 pairs"
    assert "the training part chooses the weights" in parts_text({"train": 9}, "pairs", "")
