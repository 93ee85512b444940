"""Does a training that is given so many minutes end with them?

    python -m benchmarks.minutes [TASK ...]

Each task learns from a small real data set (those of `caption` are drawn) with two budgets of the whole `fit`, from
reading the data to the last figure. The times are of the wall clock, on one thread.
"""

from __future__ import annotations

import gzip
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from gatewise.data.datasets import scenes
from gatewise.data.paired.pairs import Pairs, read_pairs
from gatewise.errors import OptionError
from gatewise.tasks import find

from .quality.transcribe import takes, write_strings
from .record import ROOT, measured_anew, write_table

QUESTION = __doc__.partition("\n")[0]
DATA = ROOT.parent / "shared" / "data"
BUDGETS = (1.0, 2.0)  # minutes

Task = tuple[str, dict[str, Any], Callable[[Path], Any]]  # what it learns from, options, and how that is read


def sonnets(_: Path) -> Any:
    with gzip.open(DATA / "sonnets" / "sonnets.txt.gz", "rt", encoding="utf-8") as file:
        return io.StringIO(file.read())


def pairs(_: Path) -> Any:
    whole = read_pairs(DATA / "tatoeba_eng_fra" / "fra.txt.gz")
    return Pairs(whole.sources[:5000], (whole.targets or [])[:5000], whole.name)


def spoken(folder: Path) -> Any:
    for name, recordings in takes(DATA / "fsdd").items():
        write_strings(folder, name, recordings)
    return folder / "validation.csv"


TASKS: dict[str, Task] = {
    "generate": ("sonnets", {}, sonnets),
    "classify": (
        "JapaneseVowels, training file",
        {},
        lambda _: DATA / "ucr_uea/JapaneseVowels/JapaneseVowels_TRAIN.ts.gz",
    ),
    "tag": ("wnut17, training file", {}, lambda _: DATA / "wnut17/wnut17train.conll.gz"),
    "forecast": (
        "daily-min-temperatures",
        {"target": "Temp", "time": "Date", "horizon": 14},
        lambda _: DATA / "univariate_small/daily-min-temperatures.csv",
    ),
    "detect": (
        "nab, machine_temperature_system_failure",
        {"time": "timestamp", "duplicates": "mean"},
        lambda _: DATA / "nab/data/realKnownCause/machine_temperature_system_failure.csv.gz",
    ),
    "translate": ("tatoeba, 5,000 pairs", {}, pairs),
    "transcribe": ("fsdd, strings of digits", {"target": "text"}, spoken),
    "caption": ("1,000 drawn scenes", {}, lambda _: scenes.scenes(1000, "train")),
}


def measured(task: str) -> dict[str, Any]:
    data, options, read = TASKS[task]
    found: dict[str, Any] = {"data": data, "budgets": {}}
    for minutes in BUDGETS:
        with tempfile.TemporaryDirectory() as folder:
            source = read(Path(folder))
            estimator = find(task)(**options, minutes=minutes, threads=1)
            started = time.monotonic()
            try:
                estimator.fit(source, output=Path(folder, "model.gatewise"))
            except OptionError as error:  # the budget is too short for this machine
                found["budgets"][f"{minutes:g}"] = {"refused": str(error)}
                continue
            used = (time.monotonic() - started) / 60
            outcome = estimator.outcome_
            found["budgets"][f"{minutes:g}"] = {
                "used": used,
                "off": used / minutes - 1,
                "ended": outcome.reason,
                "most_steps": outcome.full,
                "steps": outcome.step,
                "preset": estimator.sized_as,
                "best_loss": outcome.best_loss,
                "load": os.getloadavg()[0],
            }
    return found


def table(answer: dict[str, Any]) -> str:
    lines = ["| task | data | minutes asked | used | off | ended |", "| --- | --- | ---: | ---: | ---: | --- |"]
    for task, own in answer.items():
        for asked, one in own["budgets"].items():
            figures = "| | too short here"
            if "used" in one:
                ended = "most steps" if one["most_steps"] else one["ended"]
                figures = f"{one['used']:.2f} | {100 * one['off']:+.1f} % | {ended}, {one['steps']:,} steps"
            lines.append(f"| {task} | {own['data']} | {asked} | {figures} |")
    return "\n".join(lines)


def main(wanted: list[str]) -> None:
    write_table("docs/tasks.md", "minutes", table(measured_anew("minutes", QUESTION, TASKS, wanted, measured)))


if __name__ == "__main__":
    main(sys.argv[1:])
