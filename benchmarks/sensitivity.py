"""How much does a training depend on the learning rate that it is given, before and after the race and averaging?

    python -m benchmarks.sensitivity [--problems chars,vowels] [--methods before,after] [--seeds 0,1]
    python -m benchmarks.sensitivity table
    python -m benchmarks.sensitivity compare [ROW ...] [--seeds 0,1,2]

A cell is one training: a problem, a method, a width beside the usual one, a rate beside the table's, a seed. All have
the same number of steps: the race's are among them. Its figure is the best validation loss, on the part that the
race chooses by too, so that figures are a little kind, the race's most. With `best` the lowest mean over the seeds
that any method and rate reached at this width, and `start` the loss before training,

    sensitivity = mean over rates and widths of (loss - best) / (start - best),  worst = its largest cell.

Cells are written as they come, and a second call makes those that are missing. `compare` trains rows of the table of
quality as they are and with "after", and writes their test figures and seconds.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import numpy as np
import torch

from gatewise.data.readers.conll import read_conll
from gatewise.data.readers.labelled_text import read_labelled_text
from gatewise.data.readers.ts import read_ts
from gatewise.randomness import built
from gatewise.tasks import Classifier, Forecaster, Generator, Tagger, fitting
from gatewise.training import TrainingStopped, train
from gatewise.training.trainable import Trainable

from .quality.forecast import _lines, _sequences
from .record import RESULTS, ROOT, write

DATA = ROOT.parent / "shared" / "data"
QUESTION = "How much does a training depend on the learning rate that it is given?"
RATES, WIDTHS, STEPS = (0.1, 0.316, 1.0, 3.16, 10.0), (0.25, 1.0, 4.0), 192

METHODS: dict[str, dict[str, Any]] = {
    "before": {},
    "after": {"race": True, "schedule": "schedule-free"},
    "race": {"race": True},
    "schedule-free": {"schedule": "schedule-free"},
}

# Rows of the table of quality that are trained in a minute or less.
COMPARED = (
    "ucr_anomaly_135", "wall_following", "monthly_sunspots", "nsl_kdd", "basicmotions_continued", "ItalyPowerDemand",
    "JapaneseVowels", "digit_lines",
)  # fmt: skip

# What `fit` has prepared: the estimator, which knows the sizes, and the rest.
Made = tuple[Any, fitting.Prepared]


def made(model: Any, *data: Any, **reading: Any) -> Made:
    """What `fit` of this model prepares; nothing is trained."""
    caught: list[Made] = []
    with patch.object(fitting, "fit", lambda estimator, prepare, run: caught.append((estimator, prepare()))):
        model.fit(*data, **reading)
    return caught[0]


def chars(width: float, seed: int) -> Made:
    """80,000 characters of Alice, 64 units, chunks of 32."""
    text = (DATA / "alice" / "wonderland.txt").read_text(encoding="utf-8")[:80_000]
    options = {"hidden_size": round(64 * width), "embedding_size": 32, "dropout": 0.0, "num_layers": 1}
    model = Generator(**options, batch_size=8, chunk_length=32, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "alice.txt")
        path.write_text(text, encoding="utf-8")
        return made(model, path)


def vowels(width: float, seed: int) -> Made:
    """JapaneseVowels, a third of the training file validates; one network of 32 units per direction."""
    options = {"num_layers": 1, "ensemble": 1, "batch_size": 16, "split": (0.667, 0.333, 0)}
    data = read_ts(DATA / "ucr_uea" / "JapaneseVowels" / "JapaneseVowels_TRAIN.ts.gz")
    return made(Classifier(hidden_size=round(32 * width), seed=seed, **options), data)


def questions(width: float, seed: int) -> Made:
    """trec: 2,000 questions of six kinds, 300 others validate; one network."""
    options = {"num_layers": 1, "ensemble": 1, "embedding_size": 32, "dropout": 0.2, "batch_size": 16}
    data = read_labelled_text(DATA / "trec" / "TREC.train.all.gz", encoding="latin-1")
    model = Classifier(hidden_size=round(32 * width), seed=seed, **options)
    return made(model, data.take(range(2_000)), validation=data.take(range(2_000, 2_300)))


def words(width: float, seed: int) -> Made:
    """Parts of speech: 600 sentences of ud_en_ewt, 60 of its dev file validate. The loss is the share of wrong tags."""
    options = {"num_layers": 1, "embedding_size": 32, "char_hidden_size": 8, "dropout": 0.2, "batch_size": 8}
    data, held = (read_conll(DATA / "ud_en_ewt" / f"en_ewt-ud-{part}.conllu.gz") for part in ("train", "dev"))
    model = Tagger(hidden_size=round(32 * width), seed=seed, **options)
    return made(model, data.take(range(600)), validation=held.take(range(60)))


def load(width: float, seed: int) -> Made:
    """The first 6,000 hours of etth1, seven columns, 24 hours ahead; two of ten parts validate."""
    names, *rows = _lines(DATA / "etth1" / "ETTh1.csv.gz")
    values = np.array([[float(value) for value in row[1:]] for row in rows[:6_000]])
    stamps = np.array([row[0] for row in rows[:6_000]], "datetime64[us]")
    options = {"horizon": 24, "time": "date", "batch_size": 8, "context_length": 96, "split": (0.6, 0.2, 0.2)}
    model = Forecaster(hidden_size=round(32 * width), seed=seed, **options)
    return made(model, _sequences("etth1", [values], names[1:], stamps))


PROBLEMS: dict[str, Callable[[float, int], Made]] = {
    "chars": chars,
    "vowels": vowels,
    "words": words,
    "questions": questions,
    "load": load,
}


def cell(problem: str, method: str, width: float, rate: float, seed: int) -> dict[str, Any]:
    """Train one cell."""
    model, prepared = PROBLEMS[problem](width, seed)
    rate *= prepared.plan.learning_rate
    plan = replace(
        prepared.plan, steps=STEPS, evaluate_every=STEPS // 8, warmup=STEPS // 20, learning_rate=rate, patience=None,
        **METHODS[method],
    )  # fmt: skip
    network = cast(Trainable, built(seed, prepared.build))
    model.model_ = network
    start = _validated(network, prepared)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        files = {"checkpoint": Path(folder, "checkpoint"), "history": Path(folder, "history")}
        try:
            found = train(
                network, prepared.training, prepared.validation, plan, identity={}, checkpoint_seconds=1e9, **files
            )
        except TrainingStopped as error:
            found = error.outcome
    if found.reason == "interrupted":
        raise KeyboardInterrupt
    loss = start if found.best_loss is None else min(start, found.best_loss)
    return {
        "loss": loss,
        "start": start,
        "rate": found.learning_rate / rate,
        "raced": len(found.race),
        "recoveries": found.recoveries,
        "seconds": round(time.monotonic() - began, 2),
    }


@torch.no_grad()
def _validated(network: Any, prepared: fitting.Prepared) -> float:
    network.eval()
    network.begin("validation")
    batches = prepared.validation
    sums = [network.validation_sums(batches.at(index)) for index in range(len(batches))]
    network.train()
    return float(sum(float(total) for total, _ in sums) / sum(count for _, count in sums))


def summary(cells: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Sensitivity and worst cell, by problem and method, over the widths and seeds that have every rate of both."""
    found: dict[str, dict[str, Any]] = {}
    for problem in PROBLEMS:
        names = [key.split("/") for key in cells if key.startswith(f"{problem}/")]
        methods = [method for method in METHODS if any(name[1] == method for name in names)]
        seeds = sorted({name[4] for name in names})

        def mean(
            method: str, width: float, rate: float, what: str, seeds: list[str] = seeds, of: str = problem
        ) -> float:
            of_seeds = [cells.get(f"{of}/{method}/{width}/{rate}/{seed}") for seed in seeds]
            made = [own[what] for own in of_seeds if own is not None]
            return statistics.mean(made) if made else math.nan

        losses = {(m, w): [mean(m, w, rate, "loss") for rate in RATES] for m in methods for w in WIDTHS}
        starts = {w: mean(methods[0], w, 1.0, "start") for w in WIDTHS if methods}
        widths = [w for w in WIDTHS if methods and all(math.isfinite(one) for m in methods for one in losses[m, w])]
        for method in methods if widths else []:
            lost = []
            for width in widths:
                best = min(min(losses[m, width]) for m in methods)
                lost += [(loss - best) / (starts[width] - best) for loss in losses[method, width]]
            found.setdefault(problem, {})[method] = {
                "sensitivity": statistics.mean(lost),
                "worst": max(lost),
                "seeds": len(seeds),
                "losses": {str(width): losses[method, width] for width in widths},
                "start": {str(width): starts[width] for width in widths},
            }
    return found


def table(answer: dict[str, Any]) -> str:
    lines = ["| problem | method | seeds | widths | sensitivity | worst cell |", f"|{' - |' * 6}"]
    for problem, methods in answer["summary"].items():
        for method, found in methods.items():
            widths = ", ".join(found["losses"])
            figures = f"{found['sensitivity']:.3f} | {found['worst']:.3f}"
            lines.append(f"| {problem} | {method} | {found['seeds']} | {widths} | {figures} |")
    for problem, methods in answer["summary"].items():
        for width in next(iter(methods.values()))["losses"]:
            for method, found in methods.items():
                losses = " ".join(f"{loss:.3f}" for loss in found["losses"][width])
                lines.append(f"{problem} width x{width} {method}: {losses} (start {found['start'][width]:.3f})")
    return "\n".join(lines)


def _grid(problems: list[str], methods: list[str], seeds: list[int]) -> Iterator[tuple[str, str, float, float, int]]:
    """What matters most first, so that an end at any time leaves something to compare."""
    for seed in seeds:
        for width in (1.0, 0.25, 4.0):
            for problem in problems:
                for rate in RATES:
                    for method in methods:
                        yield problem, method, width, rate, seed


def compare(names: list[str], seeds: list[int]) -> None:
    """Test figures of rows of the table of quality, as they are and with "after", in as many steps."""
    path = RESULTS / "sensitivity-compare.json"
    compared = json.loads(path.read_text())["answer"] if path.exists() else {}
    usual = fitting.plan_of
    tasks = ("classify", "tag", "forecast", "detect", "generate", "transcribe")
    rows = {row.name: row for task in tasks for row in import_module(f".quality.{task}", __package__).ROWS}
    for seed in seeds:
        for name in names:
            for method in ("before", "after"):
                key = f"{name}/{method}/{seed}"
                if key in compared:
                    continue
                began = time.monotonic()
                with patch.object(fitting, "plan_of", lambda *a, m=method, **k: replace(usual(*a, **k), **METHODS[m])):
                    found = rows[name].run(DATA, seed)
                figures = {"figure": found[rows[name].measure], "seconds": round(time.monotonic() - began, 1)}
                compared[key] = figures | {"better": rows[name].better, "measure": rows[name].measure}
                write("sensitivity-compare", "Is the race with averaged weights better on test parts?", compared)
                print(key, figures, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*")
    parser.add_argument("--problems", default="chars,vowels,words,questions,load")
    parser.add_argument("--methods", default="before,after")
    parser.add_argument("--seeds", default="0,1")
    given = parser.parse_args()
    torch.set_num_threads(1)
    path = RESULTS / "sensitivity.json"
    answer = json.loads(path.read_text())["answer"] if path.exists() else {"cells": {}, "summary": {}}
    seeds = [int(seed) for seed in given.seeds.split(",")]
    if given.what[:1] == ["compare"]:
        compare(given.what[1:] or list(COMPARED), seeds)
        return
    if given.what[:1] != ["table"]:
        for parts in _grid(given.problems.split(","), given.methods.split(","), seeds):
            key = "/".join(map(str, parts))
            if key not in answer["cells"]:
                answer["cells"][key] = cell(*parts)
                answer["summary"] = summary(answer["cells"])
                write("sensitivity", QUESTION, answer)
                print(key, answer["cells"][key], flush=True)
    print(table(answer))


if __name__ == "__main__":
    main()
