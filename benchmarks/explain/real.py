"""Whether the steps that an explanation calls the main ones matter, on real data, where no truth is known."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.data.readers.labelled_text import read_labelled_text
from gatewise.data.readers.ts import read_ts
from gatewise.explanation.attribution import METHODS, attributed, occluded, replaced, steps_of
from gatewise.explanation.question import Ask, Question
from gatewise.explanation.questions import question
from gatewise.explanation.reliability import deletion
from gatewise.tasks import Classifier, Forecaster, Generator, load

from ..quality.forecast import read_table
from ..record import ROOT

DATA = ROOT.parent / "shared" / "data"
ROWS = 200  # of the test part, drawn at random
SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)  # of the steps, DeYoung et al. (2020), section 5
ONE = {"share": 1.0, "ensemble": 1, "hidden_size": 48, "seed": 1}  # one small network, alone


@dataclass(frozen=True)
class Real:
    """A data set.

    Attributes:
        budget: What a model learned from and for how long, in words.
        fit: The model.
        rows: Of a generator of random numbers, data of the test part, the row in it, and what is asked.
    """

    budget: str
    fit: Callable[[], Any]
    rows: Callable[[np.random.Generator], list[tuple[Any, int, Ask]]]


def texts(folder: str, train: str, test: str, epochs: int, **reading: Any) -> Real:
    data = read_labelled_text(DATA / folder / test, **reading)
    return Real(
        f"the training file, {epochs} epochs",
        lambda: Classifier(epochs=epochs, split=(1, 0, 0), **ONE).fit(
            read_labelled_text(DATA / folder / train, **reading)
        ),
        lambda rng: [(data, int(row), Ask()) for row in rng.permutation(len(data))[:ROWS]],
    )


def vowels(epochs: int) -> Real:
    train, test = (
        read_ts(DATA / "ucr_uea" / "JapaneseVowels" / f"JapaneseVowels_{part}.ts.gz") for part in ("TRAIN", "TEST")
    )
    return Real(
        f"the training file, {epochs} epochs",
        lambda: Classifier(epochs=epochs, split=(1, 0, 0), **ONE).fit(train),
        lambda rng: [(test, int(row), Ask()) for row in rng.permutation(len(test))[:ROWS]],
    )


def temperature(epochs: int) -> Real:
    """The oil temperature of a transformer a day ahead, after four days of it and of six loads."""
    hours, past, ahead = 14_400, 96, 24
    values = read_table(DATA / "etth1" / "ETTh1.csv.gz", hours, None)[0][:, ::-1]  # the temperature is the last one
    learned = values[: int(0.6 * hours)]

    def rows(rng: np.random.Generator) -> list[tuple[Any, int, Ask]]:
        ends = rng.integers(int(0.8 * hours) + past, hours - ahead, ROWS)
        return [([values[end - 2 * past : end]], 0, Ask(horizon=ahead)) for end in ends]

    return Real(
        f"the first 60 % of the hours, {epochs} epochs",
        lambda: Forecaster(horizon=ahead, context_length=past, epochs=epochs, share=1.0, seed=1).fit([learned]),
        rows,
    )


def words(learned: int, vocabulary: int, shown: int) -> Real:
    """The next word."""

    def read(part: str, most: int | None = None) -> list[str]:
        with gzip.open(DATA / "ptb" / f"ptb.{part}.txt.gz", "rt") as file:
            return file.read().replace("\n", " <eos> ").split()[:most]

    def fit() -> Any:
        options = {"tokens": "words", "vocabulary_size": vocabulary, "hidden_size": 64, "epochs": 1, "seed": 1}
        return Generator(**options).fit(io.StringIO(" ".join(read("train", learned))))

    def rows(rng: np.random.Generator) -> list[tuple[Any, int, Ask]]:
        test = read("test")
        starts = rng.integers(0, len(test) - shown, ROWS)
        return [(io.StringIO(" ".join(test[start : start + shown])), 0, Ask()) for start in starts]

    return Real(
        f"{learned:,} words of the training file, {vocabulary:,} of them told apart, one epoch; "
        f"rows are {shown} words of the test file",
        fit,
        rows,
    )


TASKS: dict[str, Callable[[], Real]] = {
    "sst2": lambda: texts("sst2", "stsa.binary.train.gz", "stsa.binary.test.gz", 3),
    "trec": lambda: texts("trec", "TREC.train.all.gz", "TREC.test.all.gz", 5, encoding="latin-1"),
    "JapaneseVowels": lambda: vowels(30),
    "etth1": lambda: temperature(3),
    "ptb": lambda: words(200_000, 2000, 40),
}


def gradient_times_input(one: Question) -> np.ndarray:
    """(S,) the gradient at the row times what is read there."""
    import torch

    arrays = [torch.from_numpy(np.array(part.values))[:, None].requires_grad_() for part in one.parts]
    slopes = torch.autograd.grad(one.scores(one.trainable(), arrays).sum(), arrays, allow_unused=True)
    steps = [np.zeros(len(shown.labels)) for shown in one.inputs]
    for part, slope in zip(one.parts, slopes, strict=True):
        if slope is not None and part.input is not None:
            steps[part.input] += (slope[:, 0].double().numpy() * part.values).sum(1)
    return np.concatenate(steps)


def eraser(one: Question, steps: np.ndarray) -> tuple[float, float, float]:
    """What the most relevant steps take away when they become the usual ones, what is missing when only they are not,
    both on average over `SHARES` and signed so that more is in favour of the score, and the score's whole change.

    Source: DeYoung et al. (2020), "ERASER", ACL, equations 1 to 3.
    """
    S, input = len(steps), steps_of(one)
    score, usual = replaced(one, np.stack([np.zeros(S, bool), np.ones(S, bool)]), input)
    way = np.sign(score - usual)
    order = np.argsort(-way * steps, kind="stable")
    hidden = np.zeros((2, len(SHARES), S), bool)
    for place, share in enumerate(SHARES):
        first = order[: max(1, round(share * S))]
        hidden[0, place, first] = True
        hidden[1, place] = ~hidden[0, place]
    lost = way * (score - replaced(one, hidden.reshape(-1, S), input)).reshape(2, -1).mean(1)
    return float(lost[0]), float(lost[1]), float(abs(score - usual))


def measured(name: str, models: Path | None = None) -> dict[str, Any]:
    """The figures of a network. Comprehensiveness and sufficiency are shares of what all steps change together."""
    task = TASKS[name]()
    path = None if models is None else models / f"{name}.gatewise"
    model = load(path) if path is not None and path.exists() else task.fit()
    if path is not None:
        model.save(path)
    rng = np.random.default_rng(0)
    every: dict[str, list[Sequence[float]]] = {}
    by_method, steps_read = dict.fromkeys(METHODS, 0), []
    for number, (data, row, ask) in enumerate(task.rows(rng)):
        one, _ = question(model, data, row, ask)
        found = attributed(one, number)
        by_method[found.method] += 1
        steps_read.append(len(found.steps))
        methods = {
            "attribution": found.steps,
            "occlusion": occluded(one),
            "gradient x input": gradient_times_input(one),
            "random": rng.permutation(len(found.steps)).astype(float),
        }
        for method, steps in methods.items():
            deleted = deletion(one, steps, np.random.default_rng(number))
            every.setdefault(method, []).append((*deleted, *eraser(one, steps)))
    print(name, by_method, flush=True)
    return {
        "budget": task.budget,
        "rows": len(steps_read),
        "median steps": float(np.median(steps_read)),
        "found by": by_method,
        "methods": {method: figures_of(np.array(rows)) for method, rows in every.items()},
    }


def figures_of(rows: np.ndarray) -> dict[str, float]:
    """Ratios of means over the rows, so that those in which next to nothing changes count little."""
    deleted, at_random, taken, missing, whole = rows.mean(0)
    return {
        "deletion": float(deleted / at_random),
        "comprehensiveness": float(taken / whole),
        "sufficiency": float(missing / whole),
    }
