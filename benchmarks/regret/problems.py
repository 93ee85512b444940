"""Eight small data sets, each with a plan that one thread makes in a second or so."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.data.readers.conll import read_conll
from gatewise.data.readers.labelled_text import read_labelled_text
from gatewise.data.readers.ts import read_ts

from ..quality.forecast import _lines, as_sequences, read_table
from ..record import ROOT

DATA = ROOT.parent / "shared" / "data"

_SMALL = {"preset": "small", "share": 1.0}  # the network alone is what a search changes
_ONE = {**_SMALL, "ensemble": 1, "num_layers": 1, "bidirectional": False}

Parts = tuple[Any, Any, Any]  # to learn from, to validate on (None: a part of those), to test (None: likewise)


@dataclass(frozen=True)
class Problem:
    """What is fitted and tuned.

    Attributes:
        name: "trec".
        task: "classify" and so on.
        what: Its data and split, in words.
        options: Of `fit`, beside the defaults.
        measure: Of the test part: "accuracy".
        better: Its direction, 1 where more is better and -1 else.
        read: Gives the data.
    """

    name: str
    task: str
    what: str
    options: dict[str, Any]
    measure: str
    better: int
    read: Callable[[], Parts] = field(repr=False)

    @cached_property
    def parts(self) -> Parts:
        return self.read()

    def figure(self, metrics: dict[str, Any]) -> float:
        """The measure, of what `fit` has measured."""
        return float(metrics["test"][self.measure])


def _series(name: str, learned: int, epochs: float) -> Problem:
    """Of the training file so many rows, evenly over the classes, are learned from; the others validate."""

    def read() -> Parts:
        [folder] = [DATA / where / name for where in ("ucr_uea", "ucr_uea_more") if (DATA / where / name).is_dir()]
        known, test = (read_ts(folder / f"{name}_{part}.ts.gz") for part in ("TRAIN", "TEST"))
        strata = np.array(known.static["label"].strings())
        order = np.random.default_rng(0).permutation(len(known))
        order = order[np.argsort(strata[order], kind="stable")]
        taken = np.zeros(len(known), bool)
        taken[order[np.linspace(0, len(known) - 1, learned).round().astype(int)]] = True
        return known.take(np.flatnonzero(taken)), known.take(np.flatnonzero(~taken)), test

    what = f"{learned} rows of its training file, whose others validate; its test file"
    return Problem(name, "classify", what, {**_ONE, "epochs": epochs}, "accuracy", 1, read)


def _questions() -> Parts:
    train, test = (
        read_labelled_text(DATA / "trec" / f"TREC.{part}.all.gz", encoding="latin-1") for part in ("train", "test")
    )
    return train.take(range(400)), train.take(range(400, 700)), test


def _entities() -> Parts:
    parts = (
        read_conll(DATA / "resume_ner_zh" / f"{part}.char.bmes.gz", repair=True) for part in ("train", "dev", "test")
    )
    train, dev, test = parts
    return train.take(range(80)), dev.take(range(60)), test.take(range(120))


def _sunspots() -> Parts:
    values = np.array([float(row[1]) for row in _lines(DATA / "univariate_small" / "monthly-sunspots.csv")[1:]])
    return as_sequences("monthly-sunspots", [values], ["value"]), None, None


def _load() -> Parts:
    values, columns, stamps = read_table(DATA / "etth1" / "ETTh1.csv.gz", 1_200, None)
    return as_sequences("etth1", [values], columns, stamps), None, None


def _text() -> Parts:
    text = (DATA / "alice" / "wonderland.txt").read_text(encoding="utf-8")[2_000:17_000]
    folder = Path(tempfile.gettempdir(), "gatewise-regret")
    folder.mkdir(exist_ok=True)
    path = folder / "alice.txt"
    path.write_text(text, encoding="utf-8")
    return path, None, None


PROBLEMS = {
    problem.name: problem
    for problem in (
        _series("ItalyPowerDemand", 35, 40),
        _series("JapaneseVowels", 150, 9),
        _series("ECG200", 60, 20),
        Problem(
            "trec",
            "classify",
            "400 questions, 300 others validate; its test file",
            {**_ONE, "epochs": 4},
            "accuracy",
            1,
            _questions,
        ),
        Problem(
            "resume_ner_zh",
            "tag",
            "80 sentences, 60 others validate, 120 test",
            {"epochs": 5, "preset": "small"},
            "f1",
            1,
            _entities,
        ),
        Problem(
            "sunspots",
            "forecast",
            "70/10/20 by time, 12 months ahead",
            {"horizon": 12, "season_length": 12, "split": (0.7, 0.1, 0.2), "epochs": 3, **_SMALL},
            "mase",
            -1,
            _sunspots,
        ),
        Problem(
            "etth1",
            "forecast",
            "the first 1,200 hours, 60/20/20 by time, 24 hours ahead",
            {"horizon": 24, "time": "date", "split": (0.6, 0.2, 0.2), "epochs": 2, **_SMALL},
            "mae_standardised",
            -1,
            _load,
        ),
        Problem(
            "alice",
            "generate",
            "15,000 characters, 80/10/10",
            {"epochs": 2, "preset": "small"},
            "bits_per_character",
            -1,
            _text,
        ),
    )
}
