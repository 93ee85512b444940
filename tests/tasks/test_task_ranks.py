"""Tasks that several ranks train, threads here: losses, weights and figures are those of one process."""

import itertools
import json
import random
import signal
from functools import partial
from typing import ClassVar

import numpy as np
import pytest
import torch
from ranks_in_threads import run_ranks
from tasks.classify.classify_examples import mixed, waves
from tasks.detect.detect_kit import table
from tasks.forecast.forecast_kit import sequences, wave
from tasks.tag.tag_examples import SIZES, SMALL, sentences, series, tagged

from gatewise import Classifier, Detector, Forecaster, Tagger
from gatewise.errors import RankError
from gatewise.runtime.network import Block
from gatewise.tasks.network import Listed, Network

USUAL = {"hidden_size": 6, "num_layers": 2, "epochs": 1, "threads": 1, "dropout": 0.3}
MASKS = {"recurrent_dropout": 0.2, "zoneout": 0.1, "weight_dropout": 0.2}


def texts(**options):
    draw = random.Random(1)
    words = ("a", "film", "it", "was", "truly", "indeed", "long", "and")
    some = [(draw.choice(("good", "fine")), draw.choice(("bad", "dull"))) for _ in range(25)]
    x = [" ".join([*draw.choices(words, k=draw.randint(0, 9)), word]) for pair in some for word in pair][:49]
    y = (["good", "bad"] * 25)[:49]
    given = {**USUAL, "batch_size": 9, "ensemble": 1, "embedding_size": 5, **options}
    return lambda: Classifier(**given).fit(x, y, validation=(x[:9], y[:9]))


def readings(**options):
    return lambda: Classifier(**{**USUAL, "target": "label", "batch_size": 7, "ensemble": 2, **options}).fit(mixed(44))


def numbers(several=False, **options):
    X, _ = waves(31, 0)
    y = np.stack([X[:, 0] > 0, X.mean(1) > 0, X[:, 0] > 1], 1).astype(int) if several else X[:, 0]
    return lambda: Classifier(**{**USUAL, "batch_size": 8, "ensemble": 1, **options}).fit(X, y)


def words(count=46, **options):
    return lambda: Tagger(**{**SIZES, **USUAL, "batch_size": 9, **options}).fit(tagged(count))


def measurements(numeric=False, **options):
    x, labels, difference = series(3, 60)
    given = {**SMALL, **USUAL, "batch_size": 5, "chunk_length": 17, **options}
    return lambda: Tagger(**given).fit(x, difference if numeric else labels)


def sales(columns=("y",), **options):
    drawn = [np.stack([wave(90 + 9 * k, seed=10 * k + c) for c in range(len(columns))], 1) for k in range(3)]
    given = {**USUAL, "horizon": 3, "season_length": 6, "context_length": 12, "batch_size": 10, **options}
    if len(columns) > 1:
        given["target"] = columns
    return lambda: Forecaster(**given).fit(sequences(*drawn, columns=columns))


def machines(**options):
    given = {**USUAL, "window": 16, "batch_size": 7, "target": "fault", "key": "machine", "time": "when", **options}
    return lambda: Detector(**given).fit(table(300, broken=(290, 291)))


CASES = {
    "texts": texts(tokens="both", word_dropout=0.3, **MASKS),
    "texts, smoothed": texts(tokens="words", label_smoothing=0.1, class_weight={"good": 3.0, "bad": 1.0}),
    "readings": readings(),
    "folds": numbers(ensemble=3, augmentation=0.5, pooling="last,mean,max,attention", **MASKS),
    "labels": numbers(several=True, bidirectional=False, cell="gru"),
    "words": words(crf=True, share=1.0, **MASKS),
    "words, no CRF": words(crf=False, bidirectional=False, share=1.0),
    "a network for each fold": words(12),
    "measurements": measurements(**MASKS),
    "measured numbers": measurements(numeric=True),
    "sales": sales(mode="direct", **MASKS),
    "two columns": sales(("y", "z"), mode="direct"),
    "two columns, joint": sales(("y", "z"), mode="direct", joint=True, head="student-t"),
    "step by step": sales(("y", "z"), mode="autoregressive", head="gaussian", **MASKS),
    "machines": machines(method="both", share=1.0, **MASKS),
}


def weights(model):
    return torch.cat([tensor.flatten() for tensor in model.model_.state_dict().values()])


def same(one, other, path=""):
    """Whether figures are equal but for the rounding of sums."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), path
        for name in one:
            same(one[name], other[name], f"{path}.{name}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), path
        for place, (a, b) in enumerate(zip(one, other, strict=True)):
            same(a, b, f"{path}[{place}]")
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=2e-3, abs=1e-4, nan_ok=True), path
    else:
        assert one == other, path


def assert_trained_alike(found, alone):
    for model in found:
        same(alone.history_, model.history_)
        assert torch.equal(weights(model), weights(found[0]))
        moved = weights(model) - weights(alone)
        assert moved.norm() < 1e-3 * weights(alone).norm()  # of an optimiser that divides by what is nearly zero
        same(alone.metrics_, model.metrics_)


@pytest.mark.parametrize(("name", "size"), list(zip(CASES, itertools.cycle((2, 3)), strict=False)))
def test_ranks_train_what_one_process_trains(name, size):
    assert_trained_alike(run_ranks(size, lambda rank: CASES[name]()), CASES[name]())


class Spelled(Network):
    axes: ClassVar = {"lengths": 0, "index": 1, "letters": Listed("index", 1), "counts": Listed("index", 0)}


def test_rows_of_a_batch_have_only_what_they_list():
    net = Spelled(Block({}))
    index = torch.tensor([[0, 3, 1], [2, 0, 1]])  # of four words, in three rows of two steps
    letters, counts = torch.arange(8).view(2, 4), torch.tensor([5, 6, 7, 8])
    batch = {
        "lengths": torch.tensor([2, 1, 2]),
        "a.index": index,
        "a.letters": letters,
        "a.counts": counts,
        "rate": 0.5,
    }
    assert net.work(batch) == [2, 1, 2]
    own = net.rows(batch, torch.tensor([0, 2]))
    assert own["lengths"].tolist() == [2, 2]
    assert own["rate"] == 0.5
    assert own["a.counts"].tolist() == [5, 6, 7]
    assert torch.equal(own["a.letters"][:, own["a.index"]], letters[:, index[:, [0, 2]]])
    assert net.work({"a.index": index}) == [1.0] * 3
    assert net.work({"criterion": None}) == []


def test_plain_methods_alone_are_those_of_one_process():
    """To the bit: each is learned by one rank, as one process would."""
    for fit in (words(only="plain"), measurements(only="plain", share=None), texts(only="plain"), sales(only="plain")):
        alone = fit()
        for model in run_ranks(2, lambda rank, fit=fit: fit()):
            assert json.dumps(model.metrics_) == json.dumps(alone.metrics_)


def test_a_network_that_goes_on_from_a_model_and_is_watched(tmp_path):
    X, y = waves(40, 0)
    options = {**USUAL, "batch_size": 7, "ensemble": 2}
    before = Classifier(**options).fit(X, y)

    def fit(rank):
        folder = tmp_path / f"{rank}"
        folder.mkdir()
        given = {"start_from": before, "output": folder / "m", "watch": folder / "m.html"}
        return Classifier(**{**options, "seed": 1}).fit(X[:31], y[:31], **given)

    found = run_ranks(2, fit)
    assert_trained_alike(found, fit("alone"))
    assert {path.name for path in (tmp_path / "0").iterdir()} == {"m", "m.metrics.jsonl", "m.html"}
    assert not list((tmp_path / "1").iterdir())


class Stop:
    """Progress that sends Ctrl-C at the fourth step."""

    def step(self, step, loss):
        if step == 4:
            signal.raise_signal(signal.SIGINT)

    def __getattr__(self, name):
        return lambda *values: None


def test_one_process_begins_and_three_ranks_go_on(tmp_path):
    x, y = sentences(40)
    fit = partial(Tagger(**{**SMALL, **USUAL, "batch_size": 9}).fit, x, y)
    whole = fit()
    options = whole.get_params()
    Tagger(**options).fit(x, y, output=tmp_path / "m", progress=lambda unit, per_step: Stop())
    assert (tmp_path / "m.checkpoint").exists()
    found = run_ranks(3, lambda rank: Tagger(**options).fit(x, y, output=tmp_path / "m", resume=True))
    assert_trained_alike(found, whole)


def test_in_bfloat16():
    fit = numbers(precision="bfloat16", epochs=4)
    alone = fit()
    for model in run_ranks(2, lambda rank: fit()):
        assert model.history_["loss"] == pytest.approx(alone.history_["loss"], rel=2e-2)


@pytest.mark.parametrize("options", [{"only": "plain"}, {"minutes": 0.2, "hidden_size": 4}])
def test_ranks_that_read_other_data_say_so_before_they_divide_anything(options):
    """Nothing is trained by the one, and the other trains for a moment to see how long it takes."""

    def one(rank):
        data = sequences(*[wave(60 + 9 * k, seed=k)[:, None] for k in range(3 + rank)])
        Forecaster(horizon=3, season_length=6, context_length=12, **options).fit(data)

    with pytest.raises(RankError, match=r"rank 1 .*does not train what rank 0 .*trains: data was "):
        run_ranks(2, one)


def test_one_rank_talks_to_the_user(capsys, tmp_path):
    """Of a script, in which each of several processes calls `fit`."""
    path = tmp_path / "x.csv"
    path.write_text("at,y\n" + "".join(f"2024-01-{1 + n // 24:02}T{n % 24:02}:00,{n % 5}\n" for n in range(240)))

    def one(_):
        found = Forecaster(hidden_size=4, epochs=1, threads=1, horizon=3).fit(str(path), verbose=1)
        return found.verdict(found.metrics_)

    said, _ = run_ranks(2, one)
    told = capsys.readouterr().err
    assert told.count(said) == told.count("taken as time") == 1
