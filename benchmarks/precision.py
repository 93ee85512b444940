"""What do products of bfloat16 cost in figures, and how much time do they save?

    python -m benchmarks.precision [ROW ...] [--seeds 0,1,2]
    python -m benchmarks.precision table

A row of each task of the table of quality is trained with its options in float32 and in bfloat16, one right after
the other in one thread, with either of them first in turn. Where `PARTS` says so, a training has a part of its steps.
A cell is one training: its test figure, its best validation loss (the mean, where a row trains several networks), its
steps, and its processor seconds, which other programs on the machine disturb less than those of the clock. Cells are
written as they come, and a second call makes those that are missing. `table` writes docs/tasks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from typing import Any
from unittest.mock import patch

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line does

import numpy as np
import torch

from gatewise.native.library import _native
from gatewise.tasks import Tagger, fitting
from gatewise.tasks.options import PRECISIONS

from .quality import classify, detect, forecast
from .quality.row import Row
from .quality.table import NAMES, shown
from .record import RESULTS, ROOT, write, write_table

DATA = ROOT.parent / "shared" / "data"
QUESTION = "What do products of bfloat16 cost in figures, and how much time do they save?"
ROWS = {  # task -> row
    "classify": "JapaneseVowels",
    "tag": "wall_following",
    "forecast": "tourism_monthly",
    "detect": "skab",
    "generate": "basicmotions_continued",
    "translate": "dates",
    "transcribe": "digit_lines",
    "caption": "drawn_scenes",
}
PARTS = {"dates": 1 / 2, "drawn_scenes": 1 / 4}  # of the steps, where all would take too long


def rows(names: list[str]) -> dict[str, Row]:
    """Those of the table of quality that are wanted, or one of each task."""
    found = {row.name: row for task in ROWS for row in import_module(f".quality.{task}", __package__).ROWS}
    return {name: found[name] for name in names or ROWS.values()}


@contextmanager
def trained_in(precision: str, part: float) -> Iterator[dict[str, float]]:
    """Every training in here is in this precision and makes this part of its steps; what they took."""
    usual_plan, usual_train = fitting.plan_of, fitting.train
    took = {"seconds": 0.0, "steps": 0, "loss": 0.0, "trainings": 0}

    def plan_of(*given: Any, **more: Any) -> Any:
        plan = usual_plan(*given, **more)
        steps, every = (max(1, round(part * count)) for count in (plan.steps, plan.evaluate_every))
        warmup = min(round(part * plan.warmup), steps // 2)
        return replace(plan, steps=steps, evaluate_every=every, warmup=warmup, precision=PRECISIONS[precision])

    def train(*given: Any, **more: Any) -> Any:
        began = time.process_time()
        outcome = usual_train(*given, **more)
        if outcome.reason == "interrupted":
            raise KeyboardInterrupt
        took["seconds"] += time.process_time() - began
        took["steps"] += outcome.step
        took["loss"] += outcome.best_loss or 0.0
        took["trainings"] += 1
        return outcome

    with patch.object(fitting, "plan_of", plan_of), patch.object(fitting, "train", train):
        yield took


@contextmanager
def one_thread_and_few_baselines() -> Iterator[None]:
    """Rows compare their models with more plain methods than anybody asks about here, some of which take minutes."""
    plain = {name: detect.BASELINES[name] for name in (detect.z_name(detect.WINDOWS[-1]),)}
    with (
        patch.object(forecast, "_THREADS", 1),
        patch.object(classify, "nearest", lambda *given: 0.0),
        patch.object(detect, "BASELINES", plain),
    ):
        yield


def cell(row: Row, precision: str, seed: int) -> dict[str, Any]:
    """Train a row once."""
    forecast._competition_of.cache_clear()  # which would hand over what the other precision trained
    with one_thread_and_few_baselines(), trained_in(precision, PARTS.get(row.name, 1)) as took:
        figure = row.run(DATA, seed)[row.measure]
    found = {"figure": figure, "loss": took["loss"] / took["trainings"], "steps": took["steps"]}
    return found | {"seconds": round(took["seconds"], 2)}


def warm_up() -> None:
    """Load what a training needs, which the first one would otherwise be charged for."""
    data, labels = [np.zeros((6, 2))] * 6, [["a", "b"] * 3] * 6
    for precision in PRECISIONS:
        Tagger(hidden_size=4, epochs=1, threads=1, precision=precision).fit(data, labels)


def summary(cells: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of each row, over the seeds that have both precisions: figures, seconds for a thousand steps, and whether
    bfloat16 may be chosen unasked: no figure is worse by more than the spread of float32, and steps take a fifth less
    time."""
    found = {}
    for name, row in rows([]).items():
        seeds = [seed for seed in range(10) if all(f"{name}/{p}/{seed}" in cells for p in PRECISIONS)]
        if not seeds:
            continue
        by_precision = {p: [cells[f"{name}/{p}/{seed}"] for seed in seeds] for p in PRECISIONS}
        figures, losses = ({p: [run[key] for run in by_precision[p]] for p in PRECISIONS} for key in ("figure", "loss"))
        seconds = {
            p: 1000 * sum(run["seconds"] for run in runs) / sum(run["steps"] for run in runs)
            for p, runs in by_precision.items()
        }
        found[name] = {
            "task": row.task,
            "measure": row.measure,
            "better": row.better,
            "part": PARTS.get(name, 1),
            "seeds": seeds,
            "figures": figures,
            "losses": losses,
            "seconds": seconds,
            "safe": is_safe(*figures.values(), row.better) and is_safe(*losses.values(), "less"),
            "quicker": seconds["bfloat16"] < 0.8 * seconds["float32"],
        }
    return found


def is_safe(usual: Sequence[float], other: Sequence[float], better: str) -> bool:
    """Whether no figure of the other is worse than the same seed's usual one by more than the usual ones differ."""
    sign = 1 if better == "more" else -1
    differ = max(usual) - min(usual)
    return all(sign * (theirs - ours) <= differ for ours, theirs in zip(other, usual, strict=True))


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """For docs/tasks.md."""
    heads = ["data", "task", "seeds", "measure", *PRECISIONS, *(f"loss, {p}" for p in PRECISIONS)]
    heads += ["seconds, float32", "bfloat16", "none worse"]
    lines = [heads, ["---"] * len(heads)]
    for name, row in found.items():
        part = "" if row["part"] == 1 else f", {row['part']:.2g} of the steps"
        cells = [f"{name}{part}", row["task"], str(len(row["seeds"]))]
        cells += [NAMES.get(row["measure"], row["measure"].replace("_", " "))]
        cells += [spread(figures) for figures in row["figures"].values()]
        cells += [shown(statistics.mean(losses)) for losses in row["losses"].values()]
        cells += [f"{seconds:.1f}" for seconds in row["seconds"].values()]
        lines.append([*cells, "yes" if row["safe"] else "**no**"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def spread(figures: Sequence[float]) -> str:
    """The mean, and from least to most where they differ."""
    least, most = shown(min(figures)), shown(max(figures))
    return shown(statistics.mean(figures)) + (f" ({least} to {most})" if least != most else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*")
    parser.add_argument("--seeds", default="0,1,2")
    given = parser.parse_args()
    torch.set_num_threads(1)
    path = RESULTS / "precision.json"
    answer = json.loads(path.read_text())["answer"] if path.exists() else {"cells": {}, "rows": {}}
    if given.what[:1] != ["table"]:
        if not _native.rounds():
            parser.error("this processor has no products of bfloat16, so there is nothing to measure")
        warm_up()
        for seed in map(int, given.seeds.split(",")):
            for place, (name, row) in enumerate(rows(given.what).items()):
                for precision in [*PRECISIONS][:: 1 if (seed + place) % 2 else -1]:
                    key = f"{name}/{precision}/{seed}"
                    if key not in answer["cells"]:
                        answer["cells"][key] = cell(row, precision, seed)
                        answer["rows"] = summary(answer["cells"])
                        write("precision", QUESTION, answer)
                        print(key, answer["cells"][key], flush=True)
    else:
        answer["rows"] = summary(answer["cells"])
        write("precision", QUESTION, answer)
    write_table("docs/tasks.md", "precision", table(answer["rows"]))
    print(table(answer["rows"]))


if __name__ == "__main__":
    main()
