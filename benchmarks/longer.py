"""Does a training of more steps than the default plan's validate better?

    python -m benchmarks.longer [NAME ...]

Each small data set is learned from with half, once, twice and four times the steps of the default plan, with three
seeds; nothing but validation is measured. `fit --minutes` makes as many of these as there is time for, at most
`gatewise.tasks.budgeting.LONGER` times the default plan's.
"""

from __future__ import annotations

import gzip
import itertools
import statistics
import sys
from pathlib import Path
from typing import Any

from . import outlook
from .minutes import DATA, TASKS
from .record import measured_anew, write_table

QUESTION = __doc__.partition("\n")[0]
PARTS, SEEDS = (0.5, 1.0, 2.0, 4.0), (0, 1, 2)
SENTENCES = 150


def sentences(folder: Path) -> Path:
    with gzip.open(DATA / "wnut17/wnut17train.conll.gz", "rt", encoding="utf-8") as file:
        some = file.read().split("\n\n")[:SENTENCES]
    (folder / "some.conll").write_text("\n\n".join(some) + "\n", encoding="utf-8")
    return folder / "some.conll"


SETS: dict[str, outlook.Set] = {
    "classify, ItalyPowerDemand, training file": (
        "classify",
        {},
        lambda _: DATA / "ucr_uea/ItalyPowerDemand/ItalyPowerDemand_TRAIN.ts.gz",
    ),
    "forecast, daily-min-temperatures": ("forecast", *TASKS["forecast"][1:]),
    "generate, alice, 10,000 characters": ("generate", {}, outlook.text("alice/wonderland.txt", 10_000)),
    f"tag, wnut17, {SENTENCES} sentences": ("tag", {}, sentences),
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
