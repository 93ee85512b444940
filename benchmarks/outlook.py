"""How much lower is the validation loss of a training of twice the steps?

    python -m benchmarks.outlook [NAME ...]

Each training is made with a sixteenth, an eighth, a quarter, a half and, where that is short, all of the default steps;
one seed. For each that validates five times or more, with positive losses, and gained something in its second half,
"share" is what twice the steps gained beside that, both as logarithms: its quantiles are the `GAINS` of
`gatewise.training.outlook`. "inside" says whether the longer training ended between the quantiles .1 and .9 of the
shares of all other data sets.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from gatewise.data.paired.pairs import Pairs, read_pairs
from gatewise.tasks import find, fitting
from gatewise.training.outlook import outlook

from .minutes import DATA, TASKS
from .quality.tag import drive
from .record import measured_anew, write, write_table

QUESTION = __doc__.partition("\n")[0]
PARTS = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
SHORT = ("temperatures", "sunspots", "wall")  # trained with all of the default steps too

Set = tuple[str, dict[str, Any], Callable[[Path], Any]]  # task, options, and how the data are read


def text(file: str, characters: int) -> Callable[[Path], Any]:
    def read(_: Path) -> Any:
        path = DATA / file
        with gzip.open(path, "rt") if path.suffix == ".gz" else open(path) as lines:
            return io.StringIO(lines.read(characters))

    return read


def questions(folder: Path) -> Path:
    with gzip.open(DATA / "trec" / "TREC.train.all.gz", "rt", encoding="latin-1") as lines:
        rows = [line.rstrip("\n").split(" ", 1) for line in lines][:1500]
    with open(folder / "trec.csv", "w", newline="") as file:
        csv.writer(file).writerows([("label", "text"), *rows])
    return folder / "trec.csv"


def pairs(_: Path) -> Pairs:
    whole = read_pairs(DATA / "tatoeba_eng_fra" / "fra.txt.gz")
    return Pairs(whole.sources[:1500], (whole.targets or [])[:1500], whole.name)


SETS: dict[str, Set] = {
    "temperatures": ("forecast", *TASKS["forecast"][1:]),
    "sunspots": (
        "forecast",
        {"target": "Sunspots", "time": "Month", "horizon": 12},
        lambda _: DATA / "univariate_small" / "monthly-sunspots.csv",
    ),
    "wall": (
        "tag",
        {"bidirectional": False, "split": (0.6, 0.15, 0.25)},
        lambda _: drive(DATA / "wall_following" / "sensor_readings_24.data.gz"),
    ),
    "sonnets": ("generate", {}, text("sonnets/sonnets.txt.gz", 30_000)),
    "shakespeare": ("generate", {}, text("tinyshakespeare/input.txt", 25_000)),
    "trec": ("classify", {"target": "label", "ensemble": 1}, questions),
    "pairs": ("translate", {}, pairs),
}


def trained(data: Set, part: float, seed: int = 0) -> dict[str, Any]:
    """A training with this part of the default steps; nothing but validation is measured."""
    task, options, read = data
    plan_of, prepared = fitting.plan_of, fitting.Prepared

    def shorter(estimator: Any, steps: int, rate: float, every: int | None = None, warmup: int = 20) -> Any:
        every = None if every is None else max(1, round(every * part))
        return plan_of(estimator, max(8, round(steps * part)), rate, every, warmup)

    def unmeasured(**given: Any) -> Any:
        return replace(prepared(**given), measure=lambda *_: {}, settle=lambda: None)

    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(fitting, "plan_of", shorter),
        patch.object(fitting, "Prepared", unmeasured),
    ):
        estimator = find(task)(**options, seed=seed, threads=1).fit(read(Path(folder)))
    outcome, history = estimator.outcome_, estimator.history_
    return {
        "part": part,
        "ended": outcome.reason,
        "planned": outcome.planned,
        "steps": history["step"],
        "losses": history["val_loss"],
    }


def measured(name: str) -> list[dict[str, Any]]:
    return [trained(SETS[name], part) for part in (*PARTS, *[1.0] * (name in SHORT))]


def shares(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What twice the steps gained, for each run whose curve says enough."""
    found = []
    for run in runs:
        longer = [other for other in runs if other["part"] == 2 * run["part"]]
        steps, losses, total = run["steps"], run["losses"], run["planned"]
        said = outlook(steps, losses, total) if run["ended"] == "finished" else ""
        if longer and said.startswith("Twice"):
            half = min(loss for step, loss in zip(steps, losses, strict=True) if 2 * step <= total)
            best, better = min(losses), min(longer[0]["losses"])
            gained = math.log(half / best)
            share = math.log(best / better) / gained
            found.append({"part": run["part"], "best": best, "twice": better, "gained": gained, "share": share})
    return found


def summary(answer: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    found = {name: shares(runs) for name, runs in answer.items()}
    every = [own["share"] for rows in found.values() for own in rows]
    for name, rows in found.items():
        others = [own["share"] for other, some in found.items() if other != name for own in some]
        low, likely, high = np.quantile(others, (0.1, 0.5, 0.9))
        for own in rows:
            own["predicted"] = own["best"] * math.exp(-likely * own["gained"])
            own["inside"] = bool(low <= own["share"] <= high)
    inside = sum(own["inside"] for rows in found.values() for own in rows)
    quantiles = dict(zip(("0.1", "0.5", "0.9"), np.quantile(every, (0.1, 0.5, 0.9)).tolist(), strict=True))
    return {"quantiles": quantiles, "trainings": len(every), "inside": inside, "by data": found}


def table(found: dict[str, Any]) -> str:
    lines = ["| data | steps, of the default plan's | it ended with | foretold of twice the steps | they ended with |"]
    lines.append("| --- | ---: | ---: | ---: | ---: |")
    for name, rows in found["by data"].items():
        for own in rows:
            figures = [f"{own[key]:.3f}" for key in ("best", "predicted", "twice")]
            lines.append(f"| {name} | 1/{round(1 / own['part'])} | {' | '.join(figures)} |")
    return "\n".join(lines)


def main(wanted: list[str]) -> None:
    found = summary(measured_anew("outlook-runs", QUESTION, SETS, wanted, measured))
    write("outlook", QUESTION, found)
    write_table("docs/tasks.md", "outlook", table(found))


if __name__ == "__main__":
    main(sys.argv[1:])
