"""Does a training of more steps than the default plan's validate better?

    python -m benchmarks.longer [NAME ...]

Each small data set is learned from with half, once, twice and four times the steps of the default plan, with three
seeds; nothing but validation is measured. So it shows what `fit --minutes` gains or loses by the passes that it makes
in a longer time, and how many it should make at most.
"""

from __future__ import annotations

import itertools
import statistics
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.data.sequences import Sequences

from . import outlook
from .minutes import DATA, TASKS
from .quality.tag import drive
from .record import measured_anew, write_table

QUESTION = __doc__.partition("\n")[0]
PARTS, SEEDS = (0.5, 1.0, 2.0, 4.0), (0, 1, 2)
ROBOT = 1500


def robot(_: Path) -> Sequences:
    whole = drive(DATA / "wall_following" / "sensor_readings_24.data.gz")
    steps = {name: replace(column, values=column.values[:ROBOT]) for name, column in whole.steps.items()}
    return Sequences(np.array([0, ROBOT]), steps, {}, "wall_following")


SETS: dict[str, outlook.Set] = {
    "classify, ItalyPowerDemand, training file, 16 units": (
        "classify",
        {"hidden_size": 16, "num_layers": 1},
        lambda _: DATA / "ucr_uea/ItalyPowerDemand/ItalyPowerDemand_TRAIN.ts.gz",
    ),
    "forecast, daily-min-temperatures": ("forecast", *TASKS["forecast"][1:]),
    "generate, alice, 10,000 characters": ("generate", {}, outlook.text("alice/wonderland.txt", 10_000)),
    f"tag, wall_following, first {ROBOT:,} steps, 16 units": (
        "tag",
        {"hidden_size": 16, "num_layers": 1, "bidirectional": False, "split": (0.6, 0.15, 0.25)},
        robot,
    ),
}


def measured(name: str) -> list[dict[str, Any]]:
    found = []
    for part, seed in itertools.product(PARTS, SEEDS):
        run = outlook.trained(SETS[name], part, seed)
        best = min(run["losses"])
        at = run["steps"][run["losses"].index(best)]
        one = {"part": part, "seed": seed, "ended": run["ended"], "planned": run["planned"], "best_step": at}
        found.append({**one, "best_loss": best})
        print(name, found[-1], flush=True)
    return found


def table(answer: dict[str, list[dict[str, Any]]]) -> str:
    lines = ["| task and data | default steps | half of them | once | twice | four times |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, runs in answer.items():
        figures = []
        for part in PARTS:
            own = [run["best_loss"] for run in runs if run["part"] == part]
            figures.append(f"{statistics.mean(own):.3f} ± {statistics.stdev(own):.3f}")
        steps = next(run["planned"] for run in runs if run["part"] == 1.0)
        lines.append(f"| {name} | {steps:,} | {' | '.join(figures)} |")
    return "\n".join(lines)


def main(wanted: list[str]) -> None:
    chosen = [name for name in SETS if any(name.startswith(one) for one in wanted)]
    write_table("docs/tasks.md", "longer", table(measured_anew("longer", QUESTION, SETS, chosen, measured)))


if __name__ == "__main__":
    main(sys.argv[1:])
