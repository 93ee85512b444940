"""`minutes` of every task: what is refused, which size is chosen, and that a run of it ends, resumes and says so.

How well the time is kept is tested with a clock that is made up (tests/training/test_training_minutes.py), and measured
with a real one by benchmarks/minutes.py.
"""

import io
import signal
from functools import partial

import pytest

from gatewise.data.text.vectors import read_vectors
from gatewise.errors import OptionError
from gatewise.tasks import TASKS, Classifier, Generator, Tagger, Translator, budgeting, find, vectors
from gatewise.tasks.tag import fitting
from gatewise.training import Silent

TEXT = "to be or not to be, that is the question\n" * 60
SIZES = {"hidden_size": 8, "embedding_size": 4, "batch_size": 4, "chunk_length": 16, "threads": 1}


@pytest.fixture
def few(monkeypatch):
    """The most steps are few, so that no test waits for a clock."""
    monkeypatch.setattr(budgeting, "_MOST", 0.1)
    monkeypatch.setattr(budgeting, "_MOST_WITH_PATIENCE", 0.1)


def fit(path, progress=None, **more):
    model = Generator(**{**SIZES, "minutes": 1000.0, **more})
    resume = path.with_name(f"{path.name}.checkpoint").exists()
    return model.fit(io.StringIO(TEXT), output=path, resume=resume, progress=progress and (lambda *_: progress))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"minutes": 5.0, "epochs": 2.0}, "minutes=5 and epochs=2 both say how long"),
        ({"minutes": 0.0}, "minutes must be"),
        ({"minutes": float("nan")}, "minutes must be"),
    ],
)
def test_what_is_impossible_is_refused(task, options, message):
    with pytest.raises(OptionError, match=message):
        find(task)(**options).check()


def test_a_model_without_network_needs_no_time():
    with pytest.raises(OptionError, match="Leave one of them out"):
        Generator(minutes=1.0, only="plain").check()


def test_too_short_a_time_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(OptionError, match=r"a budget of 0\.0001 minutes .* at least about \d+\.\d\d"):
        fit(tmp_path / "model.gatewise", minutes=1e-4)
    assert not list(tmp_path.glob("*model*"))


@pytest.mark.parametrize(
    ("wanted", "left", "preset"), [(100, 40, "small"), (100, 60, "medium"), (100, 200, "medium"), (100, 400, "large")]
)
def test_the_size_follows_from_the_time(wanted, left, preset):
    assert budgeting.preset_for(wanted, left) == preset


@pytest.mark.parametrize(("seconds", "sized"), [(1e-7, "large"), (1e5, "small")])
@pytest.mark.parametrize("given", [None, "medium"])
def test_a_size_is_chosen_unless_one_was_given(tmp_path, monkeypatch, seconds, sized, given):
    monkeypatch.setattr(budgeting, "_few_steps", lambda *_: (seconds, 0.0))
    monkeypatch.setattr(budgeting, "rehearsed", lambda *_: 0.0)
    monkeypatch.setattr(budgeting, "_MOST_WITH_PATIENCE", 0.01)
    model = fit(tmp_path / "model.gatewise", hidden_size=None, num_layers=1, minutes=1e5, preset=given)
    assert (model.sized_as, model.preset) == (given or sized, given)
    units = {"small": 128, "medium": 128, "large": 192}  # of so short a text
    assert model.sizing_.hidden_size == units[given or sized]


def test_a_run_that_needs_less_says_so_and_keeps_what_it_took(tmp_path, few):
    said = Notes()
    model = fit(tmp_path / "model.gatewise", said)
    assert model.outcome_.full
    assert model.outcome_.step == model.outcome_.planned
    assert any("of 1000 minutes, about" not in line and "Ended after" in line for line in said.lines)
    loaded = Generator.load(tmp_path / "model.gatewise")
    assert loaded.minutes == 1000
    minutes = loaded.provenance_["minutes"]
    assert minutes["asked"] == 1000
    assert 0 < minutes["used"] < 1000


@pytest.mark.parametrize(("patience", "times"), [(None, 4), (8, 2)])
def test_a_training_that_may_end_early_makes_fewer_steps_at_most(monkeypatch, patience, times):
    most = []
    monkeypatch.setattr(budgeting, "_few_steps", lambda *_: (1e-3, 0.0))
    monkeypatch.setattr(budgeting, "rehearsed", lambda *args: most.append((args[1].plan.steps, args[2])) or 1e9)
    with pytest.raises(OptionError, match="less than it takes"):
        Generator(**SIZES, minutes=1e5, preset="medium", patience=patience).fit(io.StringIO(TEXT))
    assert [steps * times for steps, _ in most] == [found for _, found in most]


def test_an_interrupted_run_resumes(tmp_path, monkeypatch, few):
    whole = fit(tmp_path / "whole.gatewise")
    stopped = fit(tmp_path / "model.gatewise", Interrupting(3))
    assert stopped.outcome_.reason == "interrupted"
    monkeypatch.setattr(budgeting, "_few_steps", None)  # what these would show is in the checkpoint
    monkeypatch.setattr(budgeting, "rehearsed", None)
    monkeypatch.setattr(budgeting, "_rehearse_with", lambda *_: None)
    resumed = fit(tmp_path / "model.gatewise", said := Notes())
    assert any("as many as what is left of the time allows" in " ".join(line.split()) for line in said.lines)
    assert resumed.outcome_.reason == "finished"
    assert resumed.sized_as == whole.sized_as
    assert resumed.outcome_.outside > stopped.outcome_.outside
    for name, weight in resumed.model_.state_dict().items():
        assert weight.equal(whole.model_.state_dict()[name])


def fit_tagger():
    """Of so few steps that networks of folds, which learn once more, choose its shares."""
    x = [[[float(t % 3), float(t % 2)] for t in range(9)] for _ in range(3)]
    y = [["a" if t % 3 else "b" for t in range(9)] for _ in range(3)]
    return Tagger(hidden_size=4, num_layers=1, minutes=1000.0, threads=1).fit(x, y)


def test_a_tagger_of_few_steps_is_measured_by_networks_of_folds(few):
    assert fit_tagger().outcome_.full


def test_ctrl_c_while_networks_of_folds_rehearse_ends_it(few, monkeypatch):
    """They end when it is pressed; `fit` must not go on then."""
    monkeypatch.setattr(fitting, "train", partial(fitting.train, progress=Interrupting(1)))
    with pytest.raises(KeyboardInterrupt):
        fit_tagger()


@pytest.mark.parametrize("kind", ["text", "folds"])
def test_measuring_is_rehearsed_in_the_middle_and_leaves_no_trace(tmp_path, monkeypatch, few, kind):
    calls, rehearse, few_steps = [], budgeting._rehearse_with, budgeting._few_steps

    def timed(*args):
        few_steps(*args)
        return 0.01, 0.0  # how often there is a validation follows from these

    def counted(estimator, prepared, weights, steps):
        before, learned = dict(vars(estimator)), {name: weight.clone() for name, weight in weights.items()}
        rehearse(estimator, prepared, weights, steps)
        assert vars(estimator).keys() == before.keys()
        assert all(value is before[name] for name, value in vars(estimator).items())
        assert all(weight.equal(learned[name]) for name, weight in weights.items())
        calls.append(steps)

    monkeypatch.setattr(budgeting, "_few_steps", timed)
    found = []
    for own in (counted, lambda *_: calls.append(0)):
        monkeypatch.setattr(budgeting, "_rehearse_with", own)
        found.append(fit(tmp_path / f"{len(calls)}.gatewise") if kind == "text" else fit_tagger())
    assert calls == [found[0].outcome_.step, 0]
    for name, weight in found[0].model_.state_dict().items():
        assert weight.equal(found[1].model_.state_dict()[name])


def test_vectors_are_read_once_whatever_size_is_chosen(tmp_path, monkeypatch, few):
    """They may come from a pipe, or take long."""
    path, calls = tmp_path / "vectors.txt", []
    path.write_text("be 1 2 3 4\nnot 4 3 2 1\n")

    def counted(*args):
        calls.append(args)
        return read_vectors(*args)

    monkeypatch.setattr(vectors, "read_vectors", counted)
    monkeypatch.setattr(budgeting, "preset_for", lambda *_: "small")
    monkeypatch.setattr(Classifier, "_measure", lambda self, *data: {})  # whose plain methods take long
    texts, others = ["to be", "or not"] * 20, ["a b", "b a"] * 20
    own = {"hidden_size": 4, "num_layers": 1, "minutes": 1000.0, "threads": 1, "vectors": str(path)}
    Generator(**own, tokens="words", batch_size=4, chunk_length=8).fit(io.StringIO(TEXT))
    Classifier(**own, tokens="words", ensemble=1).fit(texts, ["a", "b"] * 20)
    Tagger(**own).fit([text.split() for text in texts], [["x", "y"]] * 40)
    Translator(**own, tokens="words").fit(texts, others)
    assert len(calls) == 4


class Notes(Silent):
    def __init__(self):
        self.lines = []

    def note(self, text):
        self.lines.append(text)


class Interrupting(Silent):
    def __init__(self, at):
        self.at = at

    def step(self, step, loss):
        if step == self.at:
            signal.raise_signal(signal.SIGINT)
