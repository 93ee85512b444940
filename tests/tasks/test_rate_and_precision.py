"""The options that say how every task trains: a rate that is found, averaged weights, bfloat16."""

import signal
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest

from gatewise.errors import ModelFileError, OptionError
from gatewise.tasks import TASKS as NAMES
from gatewise.tasks import Classifier, Detector, Forecaster, Generator, Tagger, Transcriber, find, fitting
from gatewise.tasks.classify.network import Ensemble

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(60, 6, 2)).astype(np.float32)
Y = np.where(X[:, :, 0].sum(1) > 0, "up", "down")
SMALL = {"hidden_size": 4, "num_layers": 1, "ensemble": 1, "batch_size": 6, "epochs": 10, "augmentation": 0.0}
WAVE = np.sin(np.arange(300) / 3)[None]
TASKS = {
    "classify": lambda options: Classifier(**{**SMALL, "epochs": 1}, **options).fit(X, Y),
    "tag": lambda options: Tagger(hidden_size=4, epochs=1, **options).fit(list(X), [["a", "b"] * 3] * 60),
    "forecast": lambda options: Forecaster(horizon=3, hidden_size=4, epochs=1, **options).fit(WAVE),
    "detect": lambda options: Detector(hidden_size=4, epochs=1, **options).fit(WAVE[0]),
    "generate": lambda options: Generator(hidden_size=4, epochs=1, **options).fit(list(X)),
    "transcribe": lambda options: Transcriber(hidden_size=4, num_layers=1, epochs=1, **options).fit(
        list(X), ["a", "b"] * 30
    ),
}


def raced(**options):
    return Classifier(**SMALL, learning_rate="auto", schedule="schedule-free", **options)


def test_a_rate_that_is_found_is_told_and_kept(tmp_path, capfd):
    model = raced().fit(X, Y, output=tmp_path / "model", verbose=1)
    told = " ".join(capfd.readouterr().err.split())
    assert "learning rate 0.003 and others, which race over 6 steps each, schedule-free" in told
    assert f"learning rate {model.outcome_.learning_rate:.2g}: the best after 6 steps of each" in told
    kept = Classifier.load(tmp_path / "model").provenance_
    assert kept["learning_rate"] == model.outcome_.learning_rate in [rate for rate, _ in kept["race"]]
    assert kept["schedule"] == "schedule-free"
    assert kept["steps"] + 6 * (len(kept["race"]) - 1) == 100
    assert model.sizing_.learning_rate == 0.003


@pytest.mark.parametrize("step", [5, 20, 50])  # twice in the race, and after it
def test_a_race_resumes_from_the_command_of_a_task(tmp_path, monkeypatch, step):
    whole = raced().fit(X, Y, output=tmp_path / "whole")
    real, calls = Ensemble.training_loss, []

    def training_loss(self, batch):
        calls.append(None)
        if len(calls) == step:
            signal.raise_signal(signal.SIGINT)
        return real(self, batch)

    monkeypatch.setattr(Ensemble, "training_loss", training_loss)
    assert raced().fit(X, Y, output=tmp_path / "model").outcome_.reason == "interrupted"
    monkeypatch.undo()
    again = raced().fit(X, Y, output=tmp_path / "model", resume=True)
    assert again.outcome_.race == whole.outcome_.race
    want = whole.model_.state_dict()
    assert all(np.array_equal(tensor, want[name]) for name, tensor in again.model_.state_dict().items())


def test_too_few_steps_for_a_race_are_told(capfd):
    model = Classifier(**{**SMALL, "epochs": 4}, learning_rate="auto").fit(X, Y, verbose=1)
    assert "learning rate 0.003, as so few steps leave none for a race" in " ".join(capfd.readouterr().err.split())
    assert model.outcome_.race == ()


@pytest.mark.parametrize("task", TASKS)
def test_every_task_learns_in_bfloat16_with_averaged_weights(task):
    model = TASKS[task]({"precision": "bfloat16", "schedule": "schedule-free"})
    assert np.isfinite(model.outcome_.best_loss)
    assert model.provenance_["precision"] == "bf16-mixed"
    assert all(weight.isfinite().all() for weight in model.model_.parameters())


@pytest.mark.parametrize("multiplies", [True, False])
@pytest.mark.parametrize("task", NAMES)
def test_auto_is_bfloat16_where_it_gains_and_the_processor_has_it(task, multiplies, monkeypatch):
    monkeypatch.setattr(fitting, "_native", SimpleNamespace(rounds=lambda: multiplies))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)

    def found(**options):
        model = find(task)(**({"horizon": 3} if task == "forecast" else {}), **options)
        return fitting.plan_of(model, 100, 1e-3).precision

    assert found() == ("bf16-mixed" if multiplies and task == "translate" else "32-true")
    assert found(precision="float32") == "32-true"
    assert found(precision="bfloat16") == "bf16-mixed"
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)  # what trains is then no CPU
    assert found() == "32-true"


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_a_run_resumes_in_the_precision_that_it_began_in(tmp_path, monkeypatch, precision):
    """Whatever the option was called: "auto" may be another one on another processor."""
    monkeypatch.setattr(fitting, "IN_BFLOAT16", ("classify",))
    monkeypatch.setattr(fitting, "_native", SimpleNamespace(rounds=lambda: True))
    real, calls = Ensemble.training_loss, []

    def training_loss(self, batch):
        calls.append(None)
        if len(calls) == 20:
            signal.raise_signal(signal.SIGINT)
        return real(self, batch)

    monkeypatch.setattr(Ensemble, "training_loss", training_loss)
    options = {**SMALL, "precision": "auto"}
    assert Classifier(**options).fit(X, Y, output=tmp_path / "model").outcome_.reason == "interrupted"
    monkeypatch.setattr(Ensemble, "training_loss", real)
    again = Classifier(**{**options, "precision": precision})
    if precision == "bfloat16":
        assert again.fit(X, Y, output=tmp_path / "model", resume=True).outcome_.reason == "finished"
    else:
        with pytest.raises(ModelFileError, match="precision"):
            again.fit(X, Y, output=tmp_path / "model", resume=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"learning_rate": "fast"}, "learning_rate must be a number above 0, up to 10, or \"auto\", not 'fast'"),
        ({"learning_rate": 0}, "learning_rate must be a number above 0, up to 10, not 0"),
        ({"schedule": "cosin"}, "no schedule named 'cosin'. Did you mean 'cosine'?"),
        ({"precision": "float16"}, "no precision named 'float16'"),
    ],
)
def test_impossible_ones_are_refused(options, said):
    with pytest.raises(OptionError) as caught:
        Classifier(**options).fit(X, Y)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_rate_on_the_command_line():
    from gatewise.cli.options import of_task, read_task

    option = get_args(of_task(Classifier)["learning_rate"].annotation)[1]
    assert (option.default, *option.param_decls) == ("--learning-rate", "--rate")
    assert read_task(Classifier, {"learning_rate": "auto"}) == {"learning_rate": "auto"}
    assert read_task(Classifier, {"learning_rate": "3e-3"}) == {"learning_rate": 0.003}
