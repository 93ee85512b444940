"""Tasks that several ranks train, threads here: losses, weights and figures are those of one process."""

import random

import numpy as np
import pytest
import torch
from ranks_in_threads import run_ranks
from tasks.classify.classify_examples import mixed, waves
from tasks.detect.detect_kit import table
from tasks.forecast.forecast_kit import sequences, wave
from tasks.tag.tag_examples import SMALL, series, tagged

from gatewise import Classifier, Detector, Forecaster, Tagger

USUAL = {"hidden_size": 6, "num_layers": 2, "epochs": 2, "threads": 1, "dropout": 0.3}
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


def words(**options):
    return lambda: Tagger(**{**SMALL, **USUAL, "batch_size": 9, **options}).fit(tagged(46))


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
    "words": words(crf=True, **MASKS),
    "words, no CRF": words(crf=False, bidirectional=False),
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


@pytest.mark.parametrize("name", CASES)
def test_ranks_train_what_one_process_trains(name):
    alone = CASES[name]()
    for size in (2, 3):
        found = run_ranks(size, lambda rank: CASES[name]())
        for model in found:
            same(alone.history_, model.history_)
            assert torch.equal(weights(model), weights(found[0]))
            moved = weights(model) - weights(alone)
            assert moved.norm() < 1e-3 * weights(alone).norm()  # of an optimiser that divides by what is nearly zero
            same(alone.metrics_, model.metrics_)
