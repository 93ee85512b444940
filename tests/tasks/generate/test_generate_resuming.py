"""Trainings that are interrupted or fail, and go on."""

import io
import math
import signal

import pytest
from generate_examples import REGULARISED, TINY, same, weights

from gatewise.errors import ModelFileError, OptionError
from gatewise.tasks import verdict
from gatewise.tasks.generate.estimator import Generator
from gatewise.tasks.generate.text import evaluation as _measuring
from gatewise.tasks.generate.text.network import LanguageModel
from gatewise.training import TrainingStopped


def interrupt_at(monkeypatch, step, act):
    """Do something in the training step of this number."""
    real, calls = LanguageModel.training_loss, []

    def training_loss(self, batch):
        calls.append(None)
        if len(calls) == step:
            act()
        return real(self, batch)

    monkeypatch.setattr(LanguageModel, "training_loss", training_loss)


@pytest.fixture
def ctrl_c():
    """Python's own handler, which tests that run in the background lack."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("more", [{}, REGULARISED], ids=["plain", "regularised"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_model_and_a_checkpoint_from_which_it_goes_on(
    number, more, monkeypatch, ctrl_c, rhyme, folder
):
    options = {**TINY, "epochs": 0.5, "dropout": 0.2, **more}
    whole = Generator(**options).fit(io.StringIO(rhyme), output="whole")
    with monkeypatch.context() as patch:
        interrupt_at(patch, 17, lambda: signal.raise_signal(number))
        stopped = Generator(**options).fit(io.StringIO(rhyme), output="model")
    assert (stopped.outcome_.reason, stopped.outcome_.step) == ("interrupted", 17)
    assert sorted(p.name for p in folder.iterdir()) == [
        *("model", "model.checkpoint", "model.metrics.jsonl", "whole", "whole.metrics.jsonl")
    ]
    assert "".join(Generator.load("model").sample("A ", 5))
    assert "baselines" not in stopped.metrics_
    resumed = Generator(**options).fit(io.StringIO(rhyme), output="model", resume=True)
    assert same(weights(resumed), weights(whole))
    assert resumed.metrics_ == whole.metrics_
    assert not (folder / "model.checkpoint").exists()


def test_a_second_ctrl_c_leaves_the_checkpoint(monkeypatch, ctrl_c, rhyme, folder):
    interrupt_at(monkeypatch, 17, lambda: (ctrl_c(), ctrl_c()))
    with pytest.raises(KeyboardInterrupt):
        Generator(**{**TINY, "epochs": 0.5}).fit(io.StringIO(rhyme), output="model")
    assert sorted(p.name for p in folder.iterdir()) == ["model.checkpoint", "model.metrics.jsonl"]


def test_ctrl_c_while_measuring_keeps_what_was_learned(monkeypatch, rhyme, folder):
    def never_ending(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(_measuring, "xz_bits", never_ending)
    with pytest.raises(KeyboardInterrupt):
        Generator(**TINY).fit(io.StringIO(rhyme), output="model")
    assert sorted(p.name for p in folder.iterdir()) == ["model", "model.checkpoint", "model.metrics.jsonl"]
    assert Generator.load("model").metrics_ == {}
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    resumed = Generator(**TINY).fit(io.StringIO(rhyme), output="model", resume=True)
    assert resumed.metrics_.keys() == {"train", "validation", "test", "baselines", *verdict.KEYS}


def test_a_loss_that_is_no_number_leaves_the_best_weights(monkeypatch, rhyme, folder):
    real = LanguageModel.training_loss
    calls = []

    def training_loss(self, batch):
        calls.append(None)
        return real(self, batch) * (math.nan if len(calls) >= 30 else 1)  # lower rates do not help

    monkeypatch.setattr(LanguageModel, "training_loss", training_loss)
    with pytest.raises(TrainingStopped) as caught:
        Generator(**{**TINY, "epochs": 0.5}).fit(io.StringIO(rhyme), output="model")
    message = str(caught.value)
    assert "the loss became nan at step 29" in message  # the first after the validation that it went back to
    assert "last good checkpoint is model.checkpoint (step 28)" in message
    assert message.endswith("The best weights so far are in model.")
    assert (caught.value.outcome.step, caught.value.outcome.recoveries) == (28, 3)
    assert Generator.load("model").metrics_["test"]["loss"] < 4


def test_nothing_learned_is_nothing_kept(monkeypatch, rhyme, folder):
    monkeypatch.setattr(LanguageModel, "training_loss", lambda self, batch: self.output.bias.sum() * math.nan)
    with pytest.raises(TrainingStopped, match="before anything was learned"):
        Generator(**TINY).fit(io.StringIO(rhyme), output="model")
    assert not (folder / "model").exists()


@pytest.mark.parametrize("change", [{"hidden_size": 9}, {"seed": 1}, {"dropout": 0.11}, {"text": "x"}], ids=str)
def test_resuming_something_else(change, monkeypatch, ctrl_c, rhyme, folder):
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3, ctrl_c)
        fit_into("model", rhyme)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    text = rhyme + change.get("text", "")
    with pytest.raises(
        ModelFileError, match=r"cannot resume from model.checkpoint, which was made differently"
    ) as caught:
        fit_into("model", text, resume=True, **{k: v for k, v in change.items() if k != "text"})
    assert (*change, "")[0].replace("text", "data") in str(caught.value)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def fit_into(path, text, resume=False, **options):
    return Generator(**{**TINY, "epochs": 0.5, **options}).fit(io.StringIO(text), output=path, resume=resume)


def test_resuming_nothing(rhyme, folder):
    with pytest.raises(ModelFileError, match=r"there is no checkpoint at model.checkpoint"):
        fit_into("model", rhyme, resume=True)
    with pytest.raises(OptionError, match="resume goes on from the checkpoint beside the output"):
        Generator(**TINY).fit(io.StringIO(rhyme), resume=True)
    assert not list(folder.iterdir())
