"""Two trainings in two threads of a process, each with the weights that it would have alone."""

import io
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from gatewise import Captioner, Classifier, Detector, Forecaster, Generator, Tagger, Transcriber, Translator
from gatewise.data.datasets.scenes import scenes
from gatewise.randomness import Dropout, Generators, built, drawing, dropout, generator
from gatewise.training import Silent

USUAL = {"hidden_size": 8, "batch_size": 4, "epochs": 2.0, "dropout": 0.3, "threads": 1}
MASKS = {"recurrent_dropout": 0.2, "zoneout": 0.1, "weight_dropout": 0.2}


def writer(seed):
    text = "an ant ate ten tea tins.\na net, a tan nest: eat it at ten!\n" * 10
    options = USUAL | MASKS | {"num_layers": 2, "chunk_length": 16, "seed": seed}
    return lambda: Generator(**options).fit(io.StringIO(text))


def drawer(seed):
    rng = np.random.default_rng(0)
    waves = [np.cumsum(rng.normal(size=(20, 2)), 0).round(3) for _ in range(24)]
    return lambda: Generator(**USUAL, mixtures=2, chunk_length=12, num_layers=2, seed=seed).fit(waves)


def reader(seed):
    draw = random.Random(1)
    some = [(draw.choice(("good", "fine")), draw.choice(("bad", "dull"))) for _ in range(15)]
    x = [f"a {word} film it was" for pair in some for word in pair]
    options = {"tokens": "words", "word_dropout": 0.3, "num_layers": 2, "ensemble": 2, "seed": seed}
    return lambda: Classifier(**USUAL, **MASKS, **options).fit(x, ["good", "bad"] * 15)


def tagger(seed):
    words = ("Ann", "Bob", "sat", "in", "York", "here")
    draw = random.Random(0)
    x = [draw.choices(words, k=draw.randint(2, 6)) for _ in range(24)]
    y = [["P" if word[0].isupper() else "O" for word in one] for one in x]
    return lambda: Tagger(**USUAL, **MASKS, embedding_size=4, char_hidden_size=3, num_layers=2, seed=seed).fit(x, y)


def forecaster(seed):
    rng = np.random.default_rng(0)
    y = 5 + np.sin(np.arange(150) / 3) + rng.normal(size=150) / 10
    options = {"horizon": 3, "season_length": 6, "context_length": 12, "num_layers": 2, "seed": seed}
    return lambda: Forecaster(**USUAL, **MASKS, **options).fit(y[None])


def detector(seed):
    rng, t = np.random.default_rng(0), np.arange(300)[:, None]
    x = np.sin(2 * np.pi * t / np.array([20, 27])) + 0.1 * rng.standard_normal((300, 2))
    options = {name: value for name, value in USUAL.items() if name != "dropout"}
    return lambda: Detector(**options, **MASKS, method="both", history=100, window=16, seed=seed).fit(x)


def translator(seed):
    draw = random.Random(5)
    some = [draw.choices("0123", k=draw.randint(1, 4)) for _ in range(60)]
    options = {name: value for name, value in USUAL.items() if name != "batch_size"} | {"batch_tokens": 40}
    options |= MASKS | {"scheduled_sampling": 0.5, "seed": seed, "input_feeding": True}
    x, y = [" ".join(one) for one in some], [" ".join(one[::-1]) for one in some]
    return lambda: Translator(**options).fit(x, y)


def transcriber(seed):
    rng = np.random.default_rng(0)
    letters = [rng.integers(0, 3, rng.integers(1, 4)) for _ in range(40)]
    x = [np.repeat(np.eye(3)[one], 5, 0) + 0.1 * rng.normal(size=(5 * len(one), 3)) for one in letters]
    y = ["".join("ack"[letter] for letter in one) for one in letters]
    return lambda: Transcriber(**USUAL, **MASKS, time_mask=0.1, frequency_mask=0.3, num_layers=2, seed=seed).fit(x, y)


def captioner(seed):
    pictures = scenes(12)
    return lambda: Captioner(**USUAL | {"epochs": 1.0}, seed=seed).fit(pictures)


TASKS = [writer, drawer, reader, tagger, forecaster, detector, translator, transcriber, captioner]


def weights(estimator):
    return {name: tensor.clone() for name, tensor in estimator.model_.state_dict().items()}


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.__name__)
def test_two_fits_in_two_threads_are_what_each_is_alone(task):
    fits = [task(seed) for seed in (1, 2)]
    state = torch.get_rng_state()
    alone = [weights(fit()) for fit in fits]
    assert torch.equal(torch.get_rng_state(), state)  # they draw nothing from the process's generator
    assert any(not torch.equal(alone[0][name], alone[1][name]) for name in alone[0])
    found = {}
    together = threading.Barrier(3)

    def run(number):
        together.wait()
        found[number] = weights(fits[number]())

    threads = [threading.Thread(target=run, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    together.wait()
    while any(thread.is_alive() for thread in threads):  # whoever else draws in this process
        torch.rand(100)
        threads[0].join(0.001)
    for number in (0, 1):
        assert_same(found[number], alone[number])


# The parts.


def test_dropout_has_the_bits_of_torchs_own():
    x = torch.randn(7, 5, 33)
    for rate in (0.1, 0.5, 0.9):
        torch.manual_seed(3)
        wanted = nn.functional.dropout(x, rate, True)
        with drawing(Generators(3)):
            assert torch.equal(dropout(x, rate, True), wanted)
            assert dropout(x, rate, False) is x
        with drawing(Generators(3)):
            assert torch.equal(Dropout(rate)(x), wanted)
        torch.manual_seed(3)
        assert torch.equal(dropout(x, rate, True), wanted)  # outside of a run


def test_layers_begin_as_after_a_manual_seed():
    def build():
        return nn.Sequential(nn.Linear(4, 3), nn.Conv2d(2, 3, 3), nn.Embedding(5, 2), nn.LSTM(3, 2))

    torch.manual_seed(9)
    wanted, state = build().state_dict(), torch.get_rng_state()
    assert_same(built(9, build).state_dict(), wanted)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_state_goes_on_where_it_was_taken():
    generators = Generators(4)
    with drawing(generators):
        torch.rand(10, generator=generator())
        states = generators.states()
        wanted = torch.rand(5, generator=generator())
    other = Generators(0)
    other.restore(states)
    with drawing(other):
        assert torch.equal(torch.rand(5, generator=generator()), wanted)
    assert generator() is None


def test_a_number_of_threads_is_of_one_fit_alone():
    """Neither what this thread has, nor what threads that are new begin with."""

    def in_another(work):
        with ThreadPoolExecutor(1) as another:
            return another.submit(work).result()

    torch.set_num_threads(2)
    seen = []

    def watch(unit, per_step):
        seen.append((torch.get_num_threads(), in_another(torch.get_num_threads)))
        return Silent()

    def fit():
        text = "an ant ate ten tea tins. " * 20
        Generator(hidden_size=4, epochs=0.1, threads=1).fit(io.StringIO(text), progress=watch)

    for run in (fit, lambda: in_another(fit)):
        run()
        assert (torch.get_num_threads(), in_another(torch.get_num_threads)) == (2, 2)
    assert seen == [(1, 2)] * 2
