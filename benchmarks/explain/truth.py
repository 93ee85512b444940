"""How far explanations of planted tasks are the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.explanation import ledger, memories, trace
from gatewise.explanation.attribution import METHODS, attributed, occluded
from gatewise.explanation.question import Question
from gatewise.explanation.questions import question
from gatewise.explanation.reliability import reliability
from gatewise.tasks import load

from .digits import spoken
from .planted import COSTLY, Planted, adding, boxes, brackets, copy, lagged, negation, previous

SEEDS = (1, 2, 3, 4, 5)
JUDGED = 8  # rows of each net whose reliability is measured, too

TASKS: dict[str, Callable[[], Planted]] = {
    "adding, 40 steps": lambda: adding(40, 24),
    "adding, 200 steps": lambda: adding(200, 32),
    "first symbol of 30": lambda: copy(30, 16, COSTLY),
    "first symbol of 100": lambda: copy(100, 16, COSTLY),
    "bracket to close, 40 words": lambda: brackets(40, 16),
    "boxes, 40 steps of 10 channels": lambda: boxes(40, 10, 8),
    "negation, 12 words": lambda: negation(12, 8),
    "token before, 15 tokens": lambda: previous(15, 8),
    "lag of 12, 36 steps": lambda: lagged(36, 10),
    "spoken digits": lambda: spoken(8),
}


def fitted(name: str, task: Planted, seed: int, models: Path | None) -> Any:
    """The model of a seed; from the folder, if it is there."""
    path = None if models is None else models / f"{name}, {seed}.gatewise"
    if path is not None and path.exists():
        return load(path)
    model = task.fit(seed)
    if path is not None:
        model.save(path)
    return model


def found_of(added: np.ndarray, known: np.ndarray) -> dict[str, float]:
    """How far an attribution is the truth: the share of what is known that is among as many that add most, and its
    share of all that is added, by size."""
    sizes = np.abs(added)
    first = np.argsort(-sizes, axis=None, kind="stable")[: known.sum()]
    return {
        "hit": float(known.flat[first].mean()),
        "mass": float(sizes[known].sum() / max(sizes.sum(), 1e-12)),
    }


def of_ledger(asked: Question) -> np.ndarray:
    """(T,) how much of the last layer's memory was written at each step."""
    arrays = [part.values[:, None] for part in asked.parts]
    _, traces = trace(asked.network, lambda net: asked.scores(net, arrays))
    account = ledger(traces[-1], memories(traces[-1].cell)[0].name)
    return np.abs(account.written[:, 0]).sum(-1)


class Figures:
    """Of one method, over the rows of a net."""

    def __init__(self) -> None:
        self._rows: list[dict[str, float]] = []
        self._added: list[np.ndarray] = []
        self._truly: list[np.ndarray] = []

    def row(self, added: np.ndarray, known: np.ndarray, truly: np.ndarray | None) -> None:
        self._rows.append(found_of(added, known))
        if truly is not None:
            self._added.append(added)
            self._truly.append(truly)

    def means(self) -> dict[str, float]:
        """The correlation is that of all steps of all rows."""
        found = {one: float(np.mean([row[one] for row in self._rows])) for one in self._rows[0]}
        if self._truly:
            found["correlation"] = float(np.corrcoef(np.concatenate(self._added), np.concatenate(self._truly))[0, 1])
        return found


def measured(name: str, models: Path | None = None, seeds: Sequence[int] = SEEDS) -> dict[str, Any]:
    task = TASKS[name]()
    return {"measure": task.measure[0], "nets": [of_net(name, task, seed, models) for seed in seeds]}


def of_net(name: str, task: Planted, seed: int, models: Path | None) -> dict[str, Any]:
    model = fitted(name, task, seed, models)
    solved = task.measure[1](model)
    print(f"{name}, seed {seed}: {task.measure[0]} {solved:.3f}", flush=True)
    data, every = task.read(model), dict[str, Figures]()
    gaps, points, shares, verdicts = [], [], [], list[str]()
    by_method = dict.fromkeys(METHODS, 0)
    asked_of = task.asked(model)[: task.rows]
    for number, (row, ask) in enumerate(asked_of):
        asked, _ = question(model, data, row, ask)
        found, hidden = attributed(asked, row), occluded(asked)
        by_method[found.method] += 1
        gaps.append(found.gap)
        points.append(found.points)
        known = task.known(row, asked)
        shares.append(known.mean())
        truly = None if task.added is None else task.added(row, asked, found.score, found.baseline)
        of_steps = {"attribution": found.steps, "occlusion": hidden, "ledger": of_ledger(asked)}
        steps = known if known.ndim == 1 else known.any(1)
        for method, own in of_steps.items():
            if len(own) == len(steps):  # a network that reads several steps as one has another ledger
                every.setdefault(method, Figures()).row(own, steps, truly)
        if known.ndim > 1 and found.parts is not None:
            every.setdefault("attribution, by channel", Figures()).row(found.parts[0], known, None)
        if number < JUDGED:
            verdicts.append(reliability(asked, found, hidden, row).verdict)
    return {
        "seed": seed,
        "solved": solved,
        "rows": len(asked_of),
        "known": float(np.mean(shares)),
        "methods": {method: figures.means() for method, figures in every.items()},
        "found by": by_method,
        "largest gap": max(gaps),
        "median points": float(np.median(points)),
        "verdicts": {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))},
    }
