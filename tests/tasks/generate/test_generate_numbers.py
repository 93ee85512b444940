"""`Generator` with numbers: what it learns, its files, and what it draws."""

import math
import signal

import numpy as np
import pytest
import torch
from numbers_examples import TINY, wave
from shared_data import SHARED, needs_shared

from gatewise import bundle
from gatewise.errors import DataError, ModelFileError, OptionError
from gatewise.tasks.generate.estimator import Generator
from gatewise.tasks.generate.numbers.predictor import Tracer
from gatewise.tasks.generate.text.predictor import Writer


def test_it_learns_what_no_gaussian_can():
    """A coin decides between two ways; then that way is kept, and the end comes after the eighth step."""
    rng = np.random.default_rng(1)
    data = [rng.choice([-1.0, 1.0]) * np.arange(8)[:, None] + 0.05 * rng.standard_normal((8, 1)) for _ in range(200)]
    options = {"hidden_size": 24, "mixtures": 4, "epochs": 20, "learning_rate": 0.02, "batch_size": 8, "dropout": 0.0}
    model = Generator(**options, seed=1).fit(data)
    test = model.metrics_["test"]["loss"]
    assert test < min(plain["loss"] for plain in model.metrics_["baselines"].values()) - 0.5
    ways = [np.array(list(model.sample(length=20, temperature=1.0, seed=seed)))[:, 0] for seed in range(30)]
    assert {len(way) for way in ways} == {8}
    assert 5 < sum(way[-1] > 0 for way in ways) < 25
    assert sum(abs(abs(way[-1]) - 7) < 1 for way in ways) > 28
    going = np.array(list(model.sample(data[0][:4], seed=0)))[:, 0]
    np.testing.assert_allclose(going[:3], np.sign(data[0][3, 0]) * np.arange(4, 7), atol=0.5)


def test_a_saved_model_is_the_model(fitted, waves, tmp_path):
    fitted.save(tmp_path / "model")
    loaded = Generator.load(tmp_path / "model")
    assert loaded.evaluate(waves) == fitted.evaluate(waves)
    assert {"train", "validation", "test"} <= loaded.evaluate(waves).keys()
    assert loaded.metrics_ == fitted.metrics_
    assert loaded.get_params() == fitted.get_params()
    want = list(fitted.sample(seed=3))
    np.testing.assert_array_equal(list(loaded.sample(seed=3)), want)
    np.testing.assert_array_equal(list(Tracer.load(tmp_path / "model").trace(seed=3)), want)
    assert set(np.array(want)[:, 2]) <= {0.0, 1.0}
    loaded.save(tmp_path / "again")
    assert bundle.load(tmp_path / "again").document == bundle.load(tmp_path / "model").document
    with pytest.raises(ModelFileError, match="continues numbers and does not write"):
        Writer.load(tmp_path / "model")


def test_a_pushed_beginning_is_continued_as_a_given_one(fitted, waves):
    tracer, beginning = fitted.tracer(), waves[0][:8]
    want = list(tracer.trace(beginning, length=12, seed=3))
    assert len(want) > 1
    assert tracer.state is None
    tracer.push(beginning[:4])
    with pytest.raises(DataError, match="a piece must be"):
        tracer.push([[np.nan]])
    tracer.push(beginning[4:])
    pushed = tracer.state
    np.testing.assert_array_equal(list(tracer.trace(beginning, length=12, seed=3)), want)
    assert tracer.state is pushed  # a beginning of its own leaves what was pushed
    np.testing.assert_array_equal(list(tracer.trace(length=12, seed=3)), want)
    assert tracer.finish() is None


def test_a_state_goes_on_in_another_tracer(fitted, waves):
    tracer, other = fitted.tracer(), fitted.tracer()
    new = list(tracer.trace(length=12, seed=3))
    tracer.push(waves[1])
    next(tracer.trace(seed=0))  # the state follows what was traced
    other.state = kept = tracer.state
    want = list(tracer.trace(length=12, seed=4))
    np.testing.assert_array_equal(list(other.trace(length=12, seed=4)), want)
    tracer.state = kept
    np.testing.assert_array_equal(list(tracer.trace(length=12, seed=4)), want)
    tracer.reset()
    assert tracer.state is None
    np.testing.assert_array_equal(list(tracer.trace(length=12, seed=3)), new)


def test_a_fit_that_fails_leaves_the_model_as_it_was(waves):
    model = Generator(**{**TINY, "epochs": 0.2}).fit(waves)
    want = list(model.sample(length=5, seed=1))
    with pytest.raises(DataError, match="no validation part"):
        model.fit([np.zeros((2, 1))])
    with pytest.raises(OptionError, match="hidden_size"):
        model.set_params(proj_size=12).fit([np.arange(100.0)])
    np.testing.assert_array_equal(list(model.set_params(proj_size=0).sample(length=5, seed=1)), want)


def test_a_model_of_text_is_no_model_of_numbers(model_file, rhyme):
    with pytest.raises(ModelFileError, match="does not continue numbers"):
        Tracer.load(model_file)
    with pytest.raises(OptionError, match="writes text and does not continue numbers"):
        Generator.load(model_file).tracer()


class Stops:
    """Progress that a user interrupts at the twentieth step."""

    def __getattr__(self, name):
        return lambda *_: None

    def step(self, step, loss):
        if step == 20:
            signal.raise_signal(signal.SIGINT)


def test_a_resumed_run_ends_with_the_same_bits(waves, tmp_path):
    whole = Generator(**TINY).fit(waves, output=tmp_path / "whole")
    stopped = Generator(**TINY).fit(waves, output=tmp_path / "model", progress=lambda *_: Stops())
    assert stopped.outcome_.reason == "interrupted"
    assert len(list(Generator.load(tmp_path / "model").sample(length=3, seed=0))) <= 3
    resumed = Generator(**TINY).fit(waves, output=tmp_path / "model", resume=True)
    assert resumed.outcome_.reason == "finished"
    for name, weight in whole.model_.state_dict().items():
        assert torch.equal(weight, resumed.model_.state_dict()[name]), name
    assert resumed.metrics_ == whole.metrics_


@pytest.mark.parametrize("name", ["ends", "channels", "beginnings", "sizes"])
def test_a_document_without_something_is_refused(name, fitted, tmp_path):
    fitted.save(tmp_path / "model")
    found = bundle.load(tmp_path / "model")
    bundle.save(tmp_path / "less", {k: v for k, v in found.document.items() if k != name}, found.tensors)
    with pytest.raises(ModelFileError):
        Generator.load(tmp_path / "less")
    with pytest.raises(ModelFileError):
        Tracer.load(tmp_path / "less")


@pytest.mark.parametrize("name", ["output.bias", "expected.spread", "expected.weights", "layers.weight_hh_l0"])
def test_a_weight_of_another_shape_is_refused(name, fitted, tmp_path):
    fitted.save(tmp_path / "model")
    found = bundle.load(tmp_path / "model")
    bundle.save(tmp_path / "less", found.document, {**found.tensors, name: found.tensors[name][:1]})
    with pytest.raises(ModelFileError):
        Tracer.load(tmp_path / "less")
    with pytest.raises(ModelFileError):
        Generator.load(tmp_path / "less")


def test_validation_data_of_its_own(waves):
    model = Generator(**{**TINY, "epochs": 0.2}).fit(waves[:30], validation=waves[30:])
    assert model.metrics_["train"]["sequences"] == 30
    assert model.metrics_["validation"]["sequences"] == 10
    assert "all" in model.evaluate(waves[:30])


def test_whole_sequences_have_an_end(waves):
    once = {**TINY, "epochs": 0.2}
    assert Generator(**once).fit(waves[:10]).numbers_.ends
    assert Generator(**once).fit(waves[:5], validation=waves[5:8]).numbers_.ends
    assert not Generator(**once).fit(waves[:9], validation=None).numbers_.ends


def test_a_channel_is_binary_only_if_it_is_so_everywhere():
    late = np.zeros(100)
    late[95:] = [0.5, 1.5, -1, 2, 0.3]
    model = Generator(**TINY).fit([late])
    assert model.numbers_.channels.binary == [False]
    assert math.isfinite(model.metrics_["validation"]["loss"])
    zeros = [np.zeros(30) for _ in range(12)]
    assert Generator(**TINY).fit(zeros, validation=[late]).numbers_.channels.binary == [False]
    with pytest.raises(DataError, match=r"has 2 channels, but .* has 1"):
        Generator(**TINY).fit(zeros, validation=[np.zeros((9, 2))])


def test_a_constant_channel_is_no_trouble():
    rng = np.random.default_rng(0)
    data = [np.column_stack([np.full(20, 7.5), rng.standard_normal(20).cumsum()]) for _ in range(20)]
    model = Generator(**TINY).fit(data)
    assert math.isfinite(model.metrics_["test"]["loss"])
    steps = np.array(list(model.sample(seed=0, length=5)))
    np.testing.assert_allclose(steps[:, 0], 7.5, atol=0.01)


@needs_shared
def test_real_drawings_begin_and_end():
    from gatewise.data.readers.strokes import read_strokes

    data = read_strokes(SHARED / "omniglot_small1" / "strokes_background_small1.zip")
    data = data.take(range(0, len(data), 60))
    model = Generator(hidden_size=16, epochs=3, batch_size=4, seed=0).fit(data)
    assert model.numbers_.ends
    assert model.numbers_.channels.binary == [False, False, True]
    np.testing.assert_array_equal(np.unique(model.numbers_.beginnings[:, :2]), [0])
    assert model.metrics_["test"]["loss"] < model.metrics_["baselines"]["Gaussian"]["loss"]


@pytest.mark.parametrize(("least", "most"), [(40, 40), (38, 42), (9, 9)])
def test_new_sequences_are_as_long_as_those_of_training(least, most):
    """Even where there was hardly any training: the network need not learn to count."""
    rng = np.random.default_rng(3)
    model = Generator(**{**TINY, "epochs": 0.5}).fit([wave(rng, rng.integers(least, most + 1)) for _ in range(40)])
    lengths = [len(list(model.sample("", 500, temperature=t, seed=s))) for s in range(20) for t in (0.8, 1.0)]
    assert least <= np.median(lengths) <= most
    assert np.mean([least - 1 <= length <= most + 2 for length in lengths]) > 0.85
    prompt = wave(rng, 5)
    assert least - 6 <= np.median([len(list(model.sample(prompt, 500, seed=s))) for s in range(20)]) <= most - 4


def test_numbers_of_which_none_are_held_out(waves):
    model = Generator(**{**TINY, "epochs": 0.5, "split": (1, 0, 0)}).fit(waves)
    assert model.metrics_.keys() == {"train"}
    assert model.metrics_["train"]["sequences"] == len(waves)
    assert model.outcome_.best_loss == pytest.approx(model.metrics_["train"]["loss"], rel=1e-5)
    assert model.evaluate(waves).keys() == {"train"}


def test_what_a_model_knows_of_ends_is_checked(fitted):
    tracer = fitted.tracer()
    document = {"task": "generate", **fitted._document(), "options": fitted.plain_options()}
    for odds in (np.zeros(0, np.float32), np.zeros((2, 2), np.float32), np.full(3, np.nan, np.float32)):
        with pytest.raises(ModelFileError, match="it does not know when sequences end"):
            Tracer(document, {**fitted._tensors(), "lengths.odds": odds})
    old = {name: array for name, array in fitted._tensors().items() if name != "lengths.odds"}
    before = Tracer(document, old)  # a model from before: the network alone says when
    for one in (tracer, before):
        one.push(wave(np.random.default_rng(0), 4))
    odds = fitted.numbers_.lengths.after(np.array(4))
    assert tracer.state.output[-1] == pytest.approx(before.state.output[-1] + odds, rel=1e-5)
