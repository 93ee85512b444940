"""Does a training of more steps than the default plan's validate better?

    python -m benchmarks.longer [NAME ...]

Each small data set is learned from with half, once, twice and four times the steps of the default plan, and with the
sizes and steps of the preset "large", with three seeds; nothing but validation is measured. So it shows what
`fit --minutes` gains or loses by what it does with more time, and how many steps it should make at most.
"""

from __future__ import annotations

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
SEEDS = (0, 1, 2)
PLANS = {  # part of the preset's steps, preset
    "half of its steps": (0.5, "medium"),
    "the default plan": (1.0, "medium"),
    "twice its steps": (2.0, "medium"),
    "four times": (4.0, "medium"),
    "preset `large`": (1.0, "large"),
}
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


def trained(name: str, plan: str, seed: int) -> dict[str, Any]:
    """How well a training of a plan validated."""
    (part, preset), (task, options, read) = PLANS[plan], SETS[name]
    run = outlook.trained((task, {**options, "preset": preset}, read), part, seed)
    best = min(run["losses"])
    found = {"plan": plan, "seed": seed, "ended": run["ended"], "planned": run["planned"]}
    return {**found, "best_step": run["steps"][run["losses"].index(best)], "best_loss": best}


def measured(name: str) -> list[dict[str, Any]]:
    sized = "hidden_size" in SETS[name][1]  # which a preset would not change
    plans = [plan for plan, (_, preset) in PLANS.items() if preset == "medium" or not sized]
    return [trained(name, plan, seed) for plan in plans for seed in SEEDS]


def table(answer: dict[str, list[dict[str, Any]]]) -> str:
    lines = [f"| task and data | its steps | {' | '.join(PLANS)} |", f"| --- |{' ---: |' * (1 + len(PLANS))}"]
    for name, runs in answer.items():
        figures = []
        for plan in PLANS:
            own = [run["best_loss"] for run in runs if run["plan"] == plan]
            figures.append(f"{statistics.mean(own):.3f} ± {statistics.stdev(own):.3f}" if own else "")
        steps = next(run["planned"] for run in runs if run["plan"] == "the default plan")
        lines.append(f"| {name} | {steps:,} | {' | '.join(figures)} |")
    return "\n".join(lines)


def main(wanted: list[str]) -> None:
    chosen = [name for name in SETS if any(name.startswith(one) for one in wanted)]
    write_table("docs/tasks.md", "longer", table(measured_anew("longer", QUESTION, SETS, chosen, measured)))


if __name__ == "__main__":
    main(sys.argv[1:])
