"""Does an explanation find the steps that are known to be responsible, and how long does it take?

    python -m benchmarks.explain [TASK ...]

Each task is drawn so that the responsible steps of every row are known, and a model is fitted to it that solves it.
Then its answers to rows it has not seen are explained. "hit": share of the known steps that are among as many steps
that add most; "mass": their share of all that is added, by size; "correlation" with what the steps truly add to the
mean answer, where that is a number. The same of occlusion, and of the ledger of the memory, which says when it was
written and not why. Captum's integrated gradients on the same network and points are compared and timed beside ours, if
captum is installed.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from gatewise.explanation import ledger, memories, trace
from gatewise.explanation.attribution import METHODS, attributed, gradients, occluded
from gatewise.explanation.explaining import explain
from gatewise.explanation.question import Ask, Question
from gatewise.explanation.questions import question
from gatewise.explanation.reliability import reliability
from gatewise.tasks import Classifier, Forecaster, Tagger

from .record import measured_anew, write_table

QUESTION = __doc__.partition("\n")[0]
PAGE = "docs/explain.md"
ROWS = 64  # explained
WHOLE = 8  # of these, with a report of their own and its reliability
SMALL = {"bidirectional": False, "pooling": "last", "ensemble": 1, "share": 1.0, "seed": 1, "hidden_size": 32}
SMALL |= {"dropout": 0.0, "word_dropout": 0.0, "augmentation": 0.0}


@dataclass(frozen=True)
class Drawn:
    """A task whose truth is known.

    Attributes:
        model: That was fitted to it.
        solved: How well it does on rows that it has not seen, in words.
        data: Those rows.
        asks: What is asked of each.
        truth: Of each row, which steps are responsible.
        values: Of each row what its steps truly add; None where that is no number.
    """

    model: Any
    solved: str
    data: Any
    asks: list[Ask]
    truth: list[np.ndarray]
    values: list[np.ndarray] | None = None


def adding(steps: int, epochs: int) -> Drawn:
    """The sum of two numbers that a second channel marks (Hochreiter & Schmidhuber 1997, task 4)."""

    def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        rows = np.zeros((count, steps, 2), np.float32)
        rows[..., 0] = rng.random((count, steps))
        places = np.argsort(rng.random((count, steps)), 1)[:, :2]
        rows[np.arange(count)[:, None], places, 1] = 1
        return rows, (rows[..., 0] * rows[..., 1]).sum(1)

    train, y = drawn(8000, 0)
    model = Classifier(target_kind="number", epochs=epochs, learning_rate=0.01, **SMALL).fit(train, y)
    rows, wanted = drawn(ROWS, 1)
    error = float(np.sqrt(np.mean((model.predict(rows) - wanted) ** 2)))
    marked = [np.flatnonzero(row[:, 1]) for row in rows]
    return Drawn(
        model, f"rmse {error:.3f}", rows, [Ask()] * ROWS, marked, [(row[:, 0] - 0.5) * row[:, 1] for row in rows]
    )


def copy(steps: int, epochs: int) -> Drawn:
    """The first of some symbols."""

    def drawn(count: int, seed: int, least: int) -> tuple[list[str], np.ndarray]:
        rng = np.random.default_rng(seed)
        rows = [rng.integers(8, size=length) for length in rng.integers(least, steps + 1, size=count)]
        return [" ".join(f"s{symbol}" for symbol in row) for row in rows], np.array([f"s{row[0]}" for row in rows])

    train, y = drawn(8000, 0, 2)  # short ones, too, from which it learns what to keep
    model = Classifier(tokens="words", embedding_size=16, epochs=epochs, learning_rate=0.01, **SMALL).fit(train, y)
    rows, wanted = drawn(ROWS, 1, steps)
    right = float(np.mean(model.predict(rows) == wanted))
    return Drawn(model, f"accuracy {right:.3f}", rows, [Ask()] * ROWS, [np.array([0])] * ROWS)


def negation(steps: int, epochs: int) -> Drawn:
    """Good or bad, by one word, and the other way round where "not" stands before it."""

    def drawn(count: int, seed: int) -> tuple[list[str], np.ndarray, list[np.ndarray]]:
        rng = np.random.default_rng(seed)
        texts, classes, places = [], [], []
        for _ in range(count):
            words = [f"w{k}" for k in rng.integers(20, size=steps)]
            at, good, negated = int(rng.integers(1, steps)), rng.random() < 0.5, rng.random() < 0.5
            words[at] = "good" if good else "bad"
            words[at - 1] = "not" if negated else words[at - 1]
            texts.append(" ".join(words))
            classes.append("praise" if good != negated else "blame")
            places.append(np.array([at - 1, at] if negated else [at]))
        return texts, np.array(classes), places

    train, y, _ = drawn(4000, 0)
    model = Classifier(tokens="words", embedding_size=16, epochs=epochs, learning_rate=0.01, **SMALL).fit(train, y)
    rows, wanted, places = drawn(ROWS, 1)
    right = float(np.mean(model.predict(rows) == wanted))
    return Drawn(model, f"accuracy {right:.3f}", rows, [Ask()] * ROWS, places)


def previous(steps: int, epochs: int) -> Drawn:
    """A tag that is the token before."""

    def drawn(count: int, seed: int) -> tuple[list[list[str]], list[list[str]]]:
        rng = np.random.default_rng(seed)
        tokens = [[f"s{k}" for k in rng.integers(6, size=steps)] for _ in range(count)]
        return tokens, [["start", *row[:-1]] for row in tokens]

    options = {"bidirectional": False, "hidden_size": 32, "share": 1.0, "crf": False, "seed": 1}
    model = Tagger(epochs=epochs, **options).fit(*drawn(2000, 0))
    rows, wanted = drawn(ROWS, 1)
    right = float(
        np.mean(
            [
                a == b
                for own, row in zip(model.predict(rows), wanted, strict=True)
                for a, b in zip(own, row, strict=True)
            ]
        )
    )
    asked = [int(at) for at in np.random.default_rng(2).integers(1, steps, size=ROWS)]
    return Drawn(
        model, f"accuracy {right:.3f}", rows, [Ask(step=at) for at in asked], [np.array([at - 1]) for at in asked]
    )


def lagged(steps: int, epochs: int) -> Drawn:
    """A series whose next value is nine tenths of that twelve steps before, beside noise."""
    rng = np.random.default_rng(0)
    series = list(rng.normal(size=12))
    for _ in range(4000):
        series.append(0.9 * series[-12] + 0.3 * rng.normal())
    values = np.array(series)
    model = Forecaster(
        horizon=1, context_length=steps, epochs=epochs, share=1.0, scaling="none", seed=1, hidden_size=32
    ).fit([values[:3500]])
    ends = 3500 + np.arange(ROWS)
    rows = [values[:end] for end in ends]
    error = float(np.sqrt(np.mean((model.predict(rows)[:, 0] - values[ends]) ** 2)))
    return Drawn(model, f"rmse {error:.3f}, of which noise .300", rows, [Ask()] * ROWS, [np.array([steps - 12])] * ROWS)


TASKS: dict[str, Callable[[], Drawn]] = {
    "adding, 40 steps": lambda: adding(40, 8),
    "adding, 200 steps": lambda: adding(200, 8),
    "first symbol of 30": lambda: copy(30, 8),
    "first symbol of 100": lambda: copy(100, 8),
    "negation, 12 words": lambda: negation(12, 8),
    "token before, 15 tokens": lambda: previous(15, 8),
    "lag of 12, 36 steps": lambda: lagged(36, 10),
}


def found_of(steps: np.ndarray, truth: np.ndarray, values: np.ndarray | None) -> dict[str, float]:
    """How far an attribution (T,) is the truth."""
    sizes = np.abs(steps)
    first = np.argsort(-sizes, kind="stable")[: len(truth)]
    found = {"hit": float(np.isin(truth, first).mean()), "mass": float(sizes[truth].sum() / max(sizes.sum(), 1e-12))}
    return found if values is None else {**found, "correlation": float(np.corrcoef(steps, values)[0, 1])}


def of_ledger(asked: Question) -> np.ndarray:
    """(T,) how much of the last layer's memory was written at each step."""
    arrays = [part.values[:, None] for part in asked.parts]
    _, traces = trace(asked.network, lambda net: asked.scores(net, arrays))
    account = ledger(traces[-1], memories(traces[-1].cell)[0].name)
    return np.abs(account.written[:, 0]).sum(-1)


def measured(name: str) -> dict[str, Any]:
    drawn = TASKS[name]()
    print(f"{name}: {drawn.solved}", flush=True)
    every: dict[str, list[dict[str, float]]] = {"attribution": [], "occlusion": [], "ledger": []}
    gaps, points, first = [], [], None
    by_method = dict.fromkeys(METHODS, 0)
    for row in range(ROWS):
        asked, _ = question(drawn.model, drawn.data, row, drawn.asks[row])
        first = first or asked
        found = attributed(asked, row)
        by_method[found.method] += 1
        gaps.append(found.gap)
        points.append(found.points)
        values = None if drawn.values is None else drawn.values[row]
        steps = {"attribution": found.steps, "occlusion": occluded(asked)}
        if len(trace_steps := of_ledger(asked)) == len(steps["occlusion"]):
            steps["ledger"] = trace_steps
        for method, own in steps.items():
            every[method].append(found_of(own, drawn.truth[row], values))
    assert first is not None
    verdicts, seconds = [], []
    for row in range(WHOLE):
        asked, _ = question(drawn.model, drawn.data, row, drawn.asks[row])
        verdicts.append(reliability(asked, attributed(asked, row), occluded(asked), row).verdict)
        began = time.perf_counter()
        explain(drawn.model, drawn.data, row=row, **vars(drawn.asks[row]))
        seconds.append(time.perf_counter() - began)
    means = {
        method: {one: float(np.mean([row[one] for row in rows])) for one in rows[0]}
        for method, rows in every.items()
        if rows
    }
    return {
        "solved": drawn.solved,
        "rows": ROWS,
        "methods": means,
        "found by": by_method,
        "largest gap": max(gaps),
        "median points": float(np.median(points)),
        "verdicts": {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))},
        "seconds a report": sorted(seconds)[len(seconds) // 2],
        "captum": captum(first),
    }


def captum(asked: Question) -> dict[str, float] | None:
    """The largest difference from captum's integrated gradients at 32 points, and both times in milliseconds; None
    where captum is not installed."""
    try:
        from captum.attr import IntegratedGradients
    except ImportError:
        return None
    import torch

    net = asked.trainable()
    peer = IntegratedGradients(lambda *inputs: asked.scores(net, [one.swapaxes(0, 1) for one in inputs]))
    rows, usual = (
        tuple(torch.from_numpy(np.array(getattr(part, which)))[None] for part in asked.parts)
        for which in ("values", "usual")
    )

    def theirs() -> list[np.ndarray]:
        found = peer.attribute(rows, baselines=usual, n_steps=32, method="gausslegendre")
        return [one[0].detach().double().numpy() for one in found]

    ours = lambda: gradients(asked, net, 32)  # noqa: E731 - beside `theirs`
    difference = max(float(np.abs(a - b).max()) for a, b in zip(ours(), theirs(), strict=True))
    times: dict[str, list[float]] = {"ours": [], "captum": []}
    for _ in range(15):
        for label, function in (("ours", ours), ("captum", theirs)):
            began = time.perf_counter()
            function()
            times[label].append(1000 * (time.perf_counter() - began))
    ratios = np.sort(np.array(times["captum"]) / np.array(times["ours"]))
    return {
        "difference": difference,
        **{f"{label} ms": float(np.median(own)) for label, own in times.items()},
        "ratio": float(np.median(ratios)),
        "ratio, least": float(ratios[1]),
        "ratio, most": float(ratios[-2]),
    }


def main(names: list[str]) -> None:
    rows = measured_anew("explain", QUESTION, TASKS, names, measured)
    lines = [
        "| task | solved | method | hit | mass | correlation |",
        "| --- | --- | --- | ---: | ---: | ---: |",
    ]
    for task, row in rows.items():
        for number, (method, figures) in enumerate(row["methods"].items()):
            begin = [task, row["solved"]] if number == 0 else ["", ""]
            shown = [f"{figures[one]:.3f}" if one in figures else "" for one in ("hit", "mass", "correlation")]
            lines.append(f"| {' | '.join([*begin, method, *shown])} |")
    print("\n".join(lines))
    write_table(PAGE, "explain", "\n".join(lines))


if __name__ == "__main__":
    main(sys.argv[1:])
