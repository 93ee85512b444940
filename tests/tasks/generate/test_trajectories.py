"""`generate` for numbers: its densities, its training, and what it draws."""

import json
import math
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
from scipy.stats import multivariate_normal
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

from gatewise import bundle
from gatewise.cli import main
from gatewise.data.channels import Channels
from gatewise.data.sequences import Column, Sequences
from gatewise.errors import DataError, GatewiseError, ModelFileError, OptionError
from gatewise.tasks.generate.estimator import Generator
from gatewise.tasks.generate.numbers import batches as _trajectory_data
from gatewise.tasks.generate.numbers.baselines import Plain
from gatewise.tasks.generate.numbers.batches import Examples, Steps, Windows, split_sequences
from gatewise.tasks.generate.numbers.mixture import NARROWEST, Expected, Layout, draw
from gatewise.tasks.generate.numbers.network import binary_loss, end_loss, log_density
from gatewise.tasks.generate.numbers.predictor import Tracer
from gatewise.tasks.generate.text.predictor import Writer

TINY = {"hidden_size": 12, "mixtures": 3, "epochs": 4, "batch_size": 4, "learning_rate": 0.02, "dropout": 0.1}


def wave(rng, length=30):
    """A pen on its way around, lifted now and then."""
    turn = np.cumsum(0.3 + 0.05 * rng.standard_normal(length))
    up = (np.arange(length) % 10 == 9).astype(float)
    return np.column_stack([np.cos(turn), 3 * np.sin(turn) + 5, up])


@pytest.fixture(scope="module")
def waves():
    rng = np.random.default_rng(0)
    return [wave(rng, rng.integers(12, 40)) for _ in range(40)]


@pytest.fixture(scope="module")
def fitted(waves):
    return Generator(**TINY).fit(waves)


# --- the density ------------------------------------------------------------------------------------------------------


def parts(found, layout):
    K, D = layout.mixtures, layout.real
    scores, means, widths, couplings, *_ = found.split(layout.sizes, -1)
    width = NARROWEST + torch.nn.functional.softplus(widths).unflatten(-1, (K, D))
    slant = torch.eye(D, dtype=found.dtype).expand(*found.shape[:-1], K, D, D).clone()
    rows, columns = layout.lower
    slant[..., rows, columns] = couplings.unflatten(-1, (K, -1)) if len(rows) else 0.0
    return scores, means.unflatten(-1, (K, D)), width, width[..., None] * slant


@pytest.mark.parametrize("layout", [Layout(D, 2, 4, True) for D in (1, 2, 3, 6, 7)], ids=str)
def test_the_density_is_that_of_torch(layout):
    torch.manual_seed(1)
    found, real = torch.randn(5, 3, layout.size).double(), torch.randn(5, 3, layout.real).double()
    scores, means, width, factor = parts(found, layout)
    apart = Independent(Normal(means, width), 1)
    each = MultivariateNormal(means, scale_tril=factor) if layout.coupled else apart
    want = MixtureSameFamily(Categorical(logits=scores), each).log_prob(real)
    torch.testing.assert_close(log_density(found, layout, real), want)


def test_two_channels_are_graves_bivariate_gaussian():
    """With the correlation that the coupling r stands for, r / sqrt(1 + r^2), and the second width grown by it."""
    found, layout = torch.tensor([0.0, 0.3, -0.2, 0.5, -0.4, 0.9], dtype=torch.float64), Layout(2, 0, 1, False)
    first, second = (NARROWEST + math.log1p(math.exp(v)) for v in (0.5, -0.4))
    second *= math.sqrt(1 + 0.9**2)
    rho = 0.9 / math.sqrt(1 + 0.9**2)
    covariance = [[first**2, rho * first * second], [rho * first * second, second**2]]
    want = multivariate_normal([0.3, -0.2], covariance).logpdf([1.0, 0.5])
    got = log_density(found, layout, torch.tensor([1.0, 0.5], dtype=torch.float64))
    assert got.item() == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("layout", [Layout(2, 1, 3, True), Layout(8, 0, 2, False)], ids=str)
def test_gradients(layout):
    torch.manual_seed(2)
    found = torch.randn(4, layout.size).double().requires_grad_()
    real, binary = torch.randn(4, layout.real).double(), (torch.rand(4, layout.binary) < 0.5).double()
    assert torch.autograd.gradcheck(lambda f: log_density(f, layout, real) - binary_loss(f, layout, binary), found)


@pytest.mark.parametrize("size", [1e2, 1e4])
def test_it_stays_finite_far_away(size):
    layout = Layout(2, 1, 3, True)
    torch.manual_seed(3)
    found = (size * torch.randn(50, layout.size)).requires_grad_()
    loss = binary_loss(found, layout, torch.ones(50, 1)) + end_loss(found, torch.zeros(50))
    (loss - log_density(found, layout, torch.randn(50, 2))).sum().backward()
    assert found.grad.isfinite().all()


def test_drawing_follows_the_density():
    layout, rng = Layout(2, 1, 3, True), np.random.default_rng(0)
    found = torch.randn(layout.size, generator=torch.Generator().manual_seed(4)).double()
    scores, means, _, factor = (part.numpy() for part in parts(found, layout))
    drawn = [draw(found.numpy(), layout, rng) for _ in range(10_000)]
    weights = np.exp(scores) / np.exp(scores).sum()
    mean = weights @ means
    each = [w * (f @ f.T + np.outer(m, m)) for w, m, f in zip(weights, means, factor, strict=True)]
    points = np.array([real for real, _, _ in drawn])
    np.testing.assert_allclose(points.mean(0), mean, atol=0.06)
    np.testing.assert_allclose(np.cov(points.T), sum(each) - np.outer(mean, mean), atol=0.1)
    chances = 1 / (1 + np.exp(-found.numpy()[-2:]))
    np.testing.assert_allclose(np.mean([[b.item(), e] for _, b, e in drawn], 0), chances, atol=0.02)
    real, binary, ended = draw(found.numpy(), layout, rng, 0)
    np.testing.assert_allclose(real, means[scores.argmax()])
    assert ([binary.item() == 1, ended] == (chances > 0.5)).all()
    cold = np.array([draw(found.numpy(), layout, rng, 0.01)[0] for _ in range(2000)])
    k = scores.argmax()
    np.testing.assert_allclose(np.cov(cold.T), 0.01 * factor[k] @ factor[k].T, rtol=0.15, atol=1e-4)


# --- the model --------------------------------------------------------------------------------------------------------


def by_hand(tracer, sequence):
    """Nats of a sequence in its own units, step by step, from what the framework-free model says."""
    state, nats = None, 0.0
    scale, real = np.array(tracer.channels.scale), tracer.channels.real
    layout = tracer.layout
    for number, step in enumerate(sequence):
        state = tracer._advance(tracer.channels.scaled(step), state)
        found = torch.from_numpy(np.asarray(state.output, np.float64))
        scores, means, _, factor = (part.numpy() for part in parts(found, layout))
        ends = 1 / (1 + math.exp(-state.output[-1]))
        if number + 1 == len(sequence):
            return nats - math.log(ends)
        nats -= math.log(1 - ends)
        units = tracer._expected.spread * scale[real]
        middle = np.array(tracer.channels.mean)[real] + scale[real] * state.expected
        weights = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
        nats -= math.log(
            sum(
                w * multivariate_normal(middle + units * m, (units[:, None] * f) @ (units[:, None] * f).T).pdf(after)
                for w, m, f in zip(weights, means, factor, strict=True)
                for after in [sequence[number + 1][real]]
            )
        )
        chances = 1 / (1 + np.exp(-state.output[-2:-1]))
        nats -= np.log(np.where(sequence[number + 1][~real] > 0, chances, 1 - chances)).sum()
    return nats


def test_the_loss_is_that_of_each_step_by_hand(fitted, waves):
    some = waves[:3]
    want = sum(by_hand(fitted.tracer(), one) for one in some) / sum(map(len, some))
    assert fitted.evaluate(some)["all"]["loss"] == pytest.approx(want, rel=1e-4)
    assert fitted.score(some) == -fitted.evaluate(some)["all"]["loss"]


def test_pieces_are_as_good_as_the_whole(fitted, waves, monkeypatch):
    whole = fitted.evaluate(waves[:9])["all"]
    monkeypatch.setattr(_trajectory_data, "CHUNK", 7)
    monkeypatch.setattr(_trajectory_data, "ROWS", 4)
    assert fitted.evaluate(waves[:9])["all"] == pytest.approx(whole, rel=1e-5)


COUNT = Channels(["x"], ["x"], [False], [0.0], [1.0])


def test_windows_hold_every_sequence_once():
    lengths = np.array([5, 12, 3, 31])
    values = np.arange(lengths.sum(), dtype=np.float32)[:, None]
    steps = Steps(values, np.concatenate([[0], np.cumsum(lengths)]))
    examples = Examples.of(steps, Expected(np.array([[1.0], [1.0]]), np.ones(1)), COUNT)
    windows = Windows(examples, 3, 12, seed=0)
    for epoch in range(3):
        rows = []
        for number in range(len(windows)):
            batch = windows.at(epoch * len(windows) + number)
            for b, count in enumerate(batch.lengths.tolist()):
                read = batch.inputs[:count, b, 0]
                assert (read.diff() == 1).all()
                row = int(np.searchsorted(steps.offsets, int(read[0]), side="right")) - 1
                rows.append(row)
                ended = int(read[-1]) == steps.offsets[row + 1] - 1
                assert batch.marks[0, :, b].sum() == count - ended
                assert batch.marks[1, :, b].tolist() == [0.0] * (count - 1) + [float(ended)] + [0.0] * (
                    len(batch.inputs) - count
                )
                assert (batch.targets[:, b] == 0).all()  # each is exactly one more, as was expected
        assert sorted(rows) == [0, 1, 2, 3, 3, 3]


def test_plain_methods_are_those_of_scipy(waves):
    data = [np.asarray(one, np.float32).astype(float) for one in waves]
    sequences = read(data)
    channels = Channels.fit(sequences)
    steps = Steps.of(sequences, channels)
    found = Plain.learn(steps, channels).evaluate(steps, channels, True)
    after = np.concatenate([one[1:, :2] for one in data])
    before = np.concatenate([one[:-1, :2] for one in data])
    lifted = np.concatenate([one[1:, 2] for one in data])
    design = np.hstack([np.ones((len(before), 1)), before])
    left = after - design @ np.linalg.lstsq(design, after, rcond=None)[0]
    N, P = len(data), len(after)
    up = np.concatenate([one[:-1, 2] for one in data])
    last = np.array([one[-1, 2] for one in data])
    for name, rest, was, ended in (("Gaussian", after - after.mean(0), 0 * up, 0 * last), ("linear", left, up, last)):
        nats = -multivariate_normal(np.zeros(2), rest.T @ rest / P).logpdf(rest).sum()
        for value in {*was, *ended}:  # coins that may depend on whether the pen was up
            seen, stops, ones = (was == value).sum(), (ended == value).sum(), lifted[was == value].sum()
            p, e = (ones + 0.5) / (seen + 1), (stops + 0.5) / (seen + stops + 1)
            nats -= ones * math.log(p) + (seen - ones) * math.log(1 - p) + seen * math.log(1 - e)
            nats -= stops * math.log(e)
        assert found[name]["loss"] == pytest.approx(nats / (P + N), rel=1e-4)


def test_two_steps_tell_a_sine_from_its_slope():
    data = read([np.sin(0.2 * np.arange(50) + phase) for phase in range(9)])
    channels = Channels.fit(data)
    steps = Steps.of(data, channels)
    plain = Plain.learn(steps, channels)
    np.testing.assert_allclose(plain.weights[3][:, 0], [0, 2 * math.cos(0.2), -1], atol=5e-3)
    found = plain.evaluate(steps, channels, False)
    assert found["linear, two steps"]["loss"] < found["linear"]["loss"] - 4


def read(sequences):
    from gatewise.data.sources import read as door

    return door(sequences)


def test_it_learns_what_no_gaussian_can():
    """A coin decides between two ways; then that way is kept, and the end comes after the eighth step."""
    rng = np.random.default_rng(1)
    data = [rng.choice([-1.0, 1.0]) * np.arange(8)[:, None] + 0.05 * rng.standard_normal((8, 1)) for _ in range(200)]
    options = {"hidden_size": 24, "mixtures": 4, "epochs": 20, "learning_rate": 0.02, "batch_size": 8, "dropout": 0.0}
    model = Generator(**options, seed=1).fit(data)
    test = model.metrics_["test"]["loss"]
    assert test < min(plain["loss"] for plain in model.metrics_["baselines"].values()) - 0.5
    ways = [np.array(list(model.sample(length=20, temperature=1.0, seed=seed)))[:, 0] for seed in range(30)]
    assert sum(len(way) == 8 for way in ways) > 25
    assert 5 < sum(way[-1] > 0 for way in ways) < 25
    assert all(abs(abs(way[-1]) - 7) < 1 for way in ways if len(way) == 8)
    going = np.array(list(model.sample(data[0][:4], seed=0)))[:, 0]
    np.testing.assert_allclose(going[:3], np.sign(data[0][3, 0]) * np.arange(4, 7), atol=0.5)


# --- files, seeds, resuming -------------------------------------------------------------------------------------------


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


# --- data -------------------------------------------------------------------------------------------------------------


def table(waves):
    rows = [(n, t, *step) for n, one in enumerate(waves) for t, step in enumerate(one)]
    return pandas.DataFrame(rows, columns=["who", "when", "x", "y", "up"])


def strokes(path, rng, count=30):
    with zipfile.ZipFile(path, "w") as file:
        for number in range(count):
            steps = wave(rng, 20)
            lines = [f"{x},{y},0" + ("\nBREAK" if up else "") for x, y, up in steps]
            file.writestr(f"all/hand{number % 3}/{number}_0.txt", "\n".join(["START", *lines, ""]))
    return path


def test_ways_to_give_numbers(waves, tmp_path):
    frame, roles = table(waves), {"key": "who", "time": "when"}
    frame.to_csv(tmp_path / "t.csv", index=False)
    np.savez(tmp_path / "a.npz", x=np.stack([one[:12] for one in waves]))
    once = {**TINY, "epochs": 0.2}
    want = ["x", "y", "up"]
    for data, options, names in [
        (frame, roles, want),
        (str(tmp_path / "t.csv"), roles, want),
        ([str(tmp_path / "t.csv")], {**roles, "columns": "y,up"}, ["y", "up"]),
        (frame[["x", "y"]], {}, ["x", "y"]),
        (str(tmp_path / "a.npz"), {}, ["channels 0", "channels 1", "channels 2"]),
        (strokes(tmp_path / "s.zip", np.random.default_rng(0)), {}, ["dx", "dy", "up"]),
        (np.sin(np.arange(90.0))[None], {}, ["channels"]),
    ]:
        model = Generator(**once, **options).fit(data)
        assert model.numbers_.channels.names == names
        assert (
            model.numbers_.ends == (len(names) != 2 or "up" in names)
            if names != ["channels"]
            else not model.numbers_.ends
        )
        assert math.isfinite(model.metrics_["test"]["loss"])
    assert not Generator().reads_numbers(
        str(tmp_path / "t.csv")
    )  # a text like any other, as long as no column is named


def test_tables_are_read_one_at_a_time(waves, tmp_path):
    table(waves).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(
        OptionError, match=r"only drawings are read from several files, and '.*t.csv' holds none. Give one table"
    ):
        Generator(columns="x").fit([str(tmp_path / "t.csv")] * 2)


def test_validation_data_of_its_own(waves):
    model = Generator(**{**TINY, "epochs": 0.2}).fit(waves[:30], validation=waves[30:])
    assert model.metrics_["train"]["sequences"] == 30
    assert model.metrics_["validation"]["sequences"] == 10
    assert "all" in model.evaluate(waves[:30])


def test_few_sequences_are_cut_by_time():
    data = read([np.arange(100.0), np.arange(40.0)])
    found = split_sequences(data, None, (0.5, 0.25, 0.25), 0)
    assert [part.lengths.tolist() for part in found.values()] == [[50, 20], [25, 10], [25, 10]]
    assert found["validation"].steps["channels"].values.ravel()[[0, 24, 25]].tolist() == [50, 74, 20]


@pytest.mark.parametrize("count", [9, 10, 11, 13, 15, 16, 20])
def test_any_number_of_sequences_leaves_some_to_choose_the_weights_by(count):
    data = read([np.arange(40.0) + 100 * number for number in range(count)])
    found = split_sequences(data, None, (0.9, 0.05, 0.05), 0)
    assert {"train", "validation"} <= found.keys()
    firsts = np.concatenate([part.steps["channels"].values.ravel()[part.offsets[:-1]] for part in found.values()])
    if count >= 10:  # whole, each in one part
        assert sorted(firsts) == [100 * number for number in range(count)]


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


def test_tables_may_be_in_any_encoding(tmp_path):
    rows = "".join(f"Köln,{n},{math.sin(n)}\n" for n in range(80))
    (tmp_path / "t.csv").write_text(f"ort,zeit,wärme\n{rows}", encoding="latin-1")
    model = Generator(**{**TINY, "epochs": 0.2}, key="ort", time="zeit")
    with pytest.raises(DataError, match="is not utf-8"):
        model.fit(str(tmp_path / "t.csv"))
    model.fit(str(tmp_path / "t.csv"), encoding="latin-1")
    assert model.numbers_.channels.names == ["wärme"]
    assert "test" in model.evaluate(str(tmp_path / "t.csv"), encoding="latin-1")


def one(values):
    return Sequences(np.array([0, len(values)]), {"x": Column("x", "number", np.asarray(values, np.float32))})


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        (one([1, math.nan, *range(80)]), {}, "'x' is [nan] at step 1. Fill such gaps first"),
        (one([1.0, 2.0]), {}, "too few steps|no validation part"),
        (one(np.arange(50.0)), {"columns": "y"}, "no column of steps named 'y'"),
        (one(np.arange(50.0)), {"split": (1, 0, 0)}, "50 steps leave no validation part"),
        (one(np.arange(50.0)), {"tie_weights": False}, "tie_weights is for text, and these are numbers"),
        (one(np.arange(100.0)), {"proj_size": 12}, "proj_size must be below hidden_size, which is 12"),
        (np.zeros((2, 0)), {}, "Give at least one sequence"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_data_and_options(data, options, said, tmp_path):
    with pytest.raises(GatewiseError) as caught:
        Generator(**{**TINY, **options}).fit(data, output=tmp_path / "model")
    assert any(part in str(caught.value) for part in said.split("|")), caught.value
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_other_data_must_have_the_channels(fitted):
    with pytest.raises(DataError, match="has 2 channels, but the model learned from 3"):
        fitted.evaluate([np.zeros((5, 2))] * 2)
    with pytest.raises(DataError, match="'channels 2' holds other numbers than 0 and 1"):
        fitted.evaluate([np.full((5, 3), 0.5)] * 2)
    for beginning in ([[1.0, 2.0]], np.zeros((0, 3)), [1.0, 2.0, 3.0], [[1, 2, math.nan]]):
        with pytest.raises(DataError, match=r"a beginning must be \(T, 3\) finite numbers \(.*\), not of shape"):
            fitted.sample(np.array(beginning))
    with pytest.raises(OptionError, match="length must be"):
        fitted.sample(length=0)
    with pytest.raises(OptionError, match="temperature must be"):
        fitted.sample(temperature=-1)
    with pytest.raises(OptionError, match="top_k, top_p, stop and unknown are for text"):
        fitted.sample(top_k=3)
    with pytest.raises(OptionError, match="unknown is for text"):
        fitted.evaluate(np.zeros((2, 5, 3)), unknown="skip")
    for beginning in ([[1.0, 2.0, 0.0], [3.0]], [["a", "b", "c"]]):
        with pytest.raises(DataError, match=r"a beginning must be \(T, 3\) numbers \(.*\), not a list"):
            fitted.sample(beginning)
    with pytest.raises(OptionError, match="a prompt of numbers is an array"):
        fitted.sample("today.csv")
    for seed in (-1, "x", 0.5):
        with pytest.raises(OptionError, match="seed must be a whole number, 0 or more"):
            fitted.sample(seed=seed)


def test_a_constant_channel_is_no_trouble():
    rng = np.random.default_rng(0)
    data = [np.column_stack([np.full(20, 7.5), rng.standard_normal(20).cumsum()]) for _ in range(20)]
    model = Generator(**TINY).fit(data)
    assert math.isfinite(model.metrics_["test"]["loss"])
    steps = np.array(list(model.sample(seed=0, length=5)))
    np.testing.assert_allclose(steps[:, 0], 7.5, atol=0.01)


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pen(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pen")
    data = strokes(folder / "s.zip", np.random.default_rng(0))
    quick = ("--hidden-size", "8", "--mixtures", "2", "--epochs", "2", "--quiet")
    assert main(("fit", "generate", str(data), "-o", str(folder / "pen"), *quick)) == 0
    return folder


def test_it_draws_pictures_and_tables(pen, tmp_path, capsys):
    model = str(pen / "pen")
    assert main(("sample", model, "--seed", "1", "-n", "9", "--count", "2")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "sequence,step,dx,dy,up"
    assert {line[0] for line in lines[1:]} == {"0", "1"}
    for name in ("drawn.png", "drawn.svg", "drawn.jsonl", "drawn.parquet"):
        assert main(("sample", model, "--seed", "1", "-n", "9", "-o", str(tmp_path / name))) == 0
        assert (tmp_path / name).stat().st_size > 100
    assert len((tmp_path / "drawn.svg").read_text().split('<g id="axes_')) == 16 + 1
    capsys.readouterr()
    begun = ("--prompt", str(pen / "s.zip"), "--first", "4", "-n", "3", "--json")
    assert main(("sample", model, *begun)) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["sequence"] for row in rows} <= set(range(30))
    assert {row["step"] for row in rows} <= {4, 5, 6}
    assert main(("sample", model, *begun[:4], "-c", "3", "-o", str(tmp_path / "on.png"))) == 0
    assert main(("evaluate", model, str(pen / "s.zip"))) == 0
    assert "linear, two steps" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--top-k", "3"), "--top-k is for text"),
        (("--stop", "x"), "--stop is for text"),
        (("--count", "0"), "--count must be a whole number, 1 or more, not 0"),
        (("-o", "x.doc"), "cannot write a table as '.doc'"),
        (("--prompt", "nowhere.zip"), "no file or folder named"),
        (("--seed", "-1"), "--seed must be a whole number, 0 or more, not -1"),
        (("--first", "3"), "--first is how many steps of a prompt are read, and there is none"),
        (("--unknown", "skip"), "--unknown is for text"),
        (("--first", "0", "--prompt", "s.zip"), "--first must be a whole number, 1 or more, not 0"),
    ],
)
def test_mistakes_are_one_line(words, said, pen, capsys, monkeypatch):
    monkeypatch.chdir(pen)
    before = sorted(pen.iterdir())
    assert main(("sample", "pen", *words)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error
    assert sorted(pen.iterdir()) == before


def test_options_of_numbers_are_not_for_text(model_file, capsys):
    assert main(("sample", str(model_file), "--count", "2")) == 2
    assert "--count is for models that continue numbers" in capsys.readouterr().err


def test_it_draws_without_torch(pen):
    script = (
        f"from gatewise.cli import main; main(['sample', {str(pen / 'pen')!r}, '--prompt', {str(pen / 's.zip')!r}, "
        "'--first', '3', '-n', '3', '-c', '1']); import sys; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


@pytest.mark.skipif(
    not (Path(__file__).parents[3] / "shared" / "data" / "omniglot_small1").exists(),
    reason="the shared data sets are not here",
)
def test_real_drawings_begin_and_end():
    from gatewise.data.readers.strokes import read_strokes

    data = read_strokes(Path(__file__).parents[3] / "shared/data/omniglot_small1/strokes_background_small1.zip")
    data = data.take(range(0, len(data), 60))
    model = Generator(hidden_size=16, epochs=3, batch_size=4, seed=0).fit(data)
    assert model.numbers_.ends
    assert model.numbers_.channels.binary == [False, False, True]
    np.testing.assert_array_equal(np.unique(model.numbers_.beginnings[:, :2]), [0])
    assert model.metrics_["test"]["loss"] < model.metrics_["baselines"]["Gaussian"]["loss"]
