import json
import re
import sys

import pytest
from training_toy import Toy

from gatewise.errors import DataError, MissingExtra, OptionError
from gatewise.plots.loss_curve import plot


def line(kind, step, **losses):
    return json.dumps({"kind": kind, "step": step, "train_loss": 2.0 - step / 100, **losses})


@pytest.fixture
def record(tmp_path):
    path = tmp_path / "run.jsonl"
    lines = [line("train", 5), line("evaluation", 10, validation_loss=1.9), line("train", 15)]
    lines += [line("evaluation", 20, validation_loss=1.7), line("evaluation", 30, validation_loss=1.8)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_vector_picture_names_axes_and_the_best_step(record):
    picture = record.with_suffix(".svg")
    plot(record, picture)
    text = picture.read_text()
    for words in ("step", "loss (nats per target)", "training", "validation", "best: 1.7 at step 20"):
        assert f"<!-- {words} -->" in text


def test_a_pixel_picture_of_a_real_training(workshop):
    workshop.train(Toy())
    picture = workshop.folder / "curve.PNG"
    plot(workshop.metrics, str(picture))
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_it_is_drawn_without_global_state(record):
    import matplotlib

    before = dict(matplotlib.rcParams)
    plot(record, record.with_suffix(".png"))
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("kinds", [["train"], ["evaluation"]], ids=str)
def test_a_record_of_one_kind_is_enough(record, kinds):
    record.write_text(
        "".join(text + "\n" for text in record.read_text().splitlines() if json.loads(text)["kind"] in kinds)
    )
    plot(record, record.with_suffix(".png"))


def test_a_line_that_was_cut_short_is_left_out(record):
    record.write_text(record.read_text() + '{"kind": "evaluation", "st')
    plot(record, record.with_suffix(".png"))


@pytest.mark.parametrize("text", ["", "hello\n", "[1]\n", '{"kind": "train"}\n'])
def test_no_record(record, text):
    record.write_text(text)
    with pytest.raises(DataError, match=r"run\.jsonl holds no line"):
        plot(record, record.with_suffix(".png"))


def test_a_missing_record(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*nothing\.jsonl: No such file"):
        plot(tmp_path / "nothing.jsonl", tmp_path / "curve.png")


def test_another_kind_of_picture_is_refused(record):
    with pytest.raises(OptionError, match=r"'\.gif' .*\.png or \.svg"):
        plot(record, record.with_suffix(".gif"))


def test_a_missing_matplotlib_names_the_extra(record, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtra, match=r"gatewise\[plot\]"):
        plot(record, record.with_suffix(".png"))
    assert not record.with_suffix(".png").exists()


def said(picture):
    return set(re.findall("<!-- (.*?) -->", picture.read_text()))


def test_the_axis_names_the_loss_that_it_is(record):
    picture = record.with_suffix(".svg")
    plot(record, picture, loss="loss: squared error", regularised=True)
    assert {"loss: squared error", "training (regularised)", "validation"} <= said(picture)
    assert not any("nats" in words for words in said(picture))


def test_what_is_no_loss_has_an_axis_of_its_own(record, monkeypatch):
    from matplotlib.axes import Axes

    twins = []
    monkeypatch.setattr(Axes, "twinx", lambda self, real=Axes.twinx: twins.append(real(self)) or twins[-1])
    picture = record.with_suffix(".svg")
    plot(record, picture, loss="loss: nats per label", validated="share of wrong labels")
    assert {"loss: nats per label", "share of wrong labels", "best: 1.7 at step 20"} <= said(picture)
    [right] = twins
    assert right.lines[0].get_ydata().tolist() == [1.9, 1.7, 1.8]
