"""Do engines for clusters that call `gatewise.score` give the bits of a plain loop over rows?

    python -m benchmarks.scale prepare FOLDER
    python -m benchmarks.scale run FOLDER [SECTION...]

The first trains a small detector and writes rows of pumps beside it. The second runs the programs of docs/scale.md
there, each under its section, with whatever engines are installed; torch is not needed. It ends with 1 if a number
differs.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import chdir, redirect_stdout
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import gatewise

PAGE = Path(__file__).resolve().parents[1] / "docs" / "scale.md"
PUMPS, STEPS, FILES = 40, 200, 4


def prepare(folder: Path, pumps: int = PUMPS, steps: int = STEPS) -> None:
    """The model, and the rows of pumps, some of which begin later than others."""
    rng, at = np.random.default_rng(0), pd.date_range("2024-01-01", periods=steps, freq="min", unit="us")
    parts = []
    for number in range(pumps):
        flow = np.sin(np.arange(steps) / 5 + number) + 0.1 * rng.standard_normal(steps)
        own = {"pump": f"{number:03d}", "at": at, "flow": flow, "heat": rng.standard_normal(steps)}
        parts.append(pd.DataFrame(own)[rng.integers(0, steps // 2) :])
    rows = pd.concat(parts, ignore_index=True)
    options = {"hidden_size": 16, "epochs": 2, "window": 32, "threads": 1}
    gatewise.Detector(key="pump", time="at", **options).fit(rows).save(folder / "pump.gatewise")
    (folder / "rows").mkdir()
    for number, place in enumerate(np.array_split(np.arange(steps), FILES)):
        some = rows[rows["at"].isin(at[place])].sample(frac=1, random_state=number)
        some.to_parquet(folder / "rows" / f"{number}.parquet", index=False)


def programs() -> dict[str, str]:
    """The program of each section of the page."""
    text = PAGE.read_text().partition("\n## The same bits\n")[2].partition("\n## ")[0]
    sections = [section.partition("\n") for section in text.split("\n### ")[1:]]
    return {name: text.split("```python\n")[1].split("```")[0] for name, _, text in sections}


def looped(folder: Path) -> pd.DataFrame:
    """Each row by itself, pushed into a stream for its pump."""
    streams: Any = gatewise.load(folder / "pump.gatewise").streams()
    rows = pd.read_parquet(folder / "rows").sort_values(["pump", "at"])
    opened = {pump: streams.open() for pump in rows["pump"].unique()}
    answers = []
    for pump, flow, heat in zip(rows["pump"], rows["flow"], rows["heat"], strict=True):
        step = np.array([flow, heat], np.float32)  # as tables hold numbers
        answers.append(streams.push({opened[pump]: step})[opened[pump]])
    found = {name: [answer[name][0] for answer in answers] for name in ("score", "alarm")}
    return rows[["pump", "at"]].assign(**found)


def scored(program: str, folder: Path) -> tuple[pd.DataFrame, float]:
    """What a program leaves, in the order of the loop, and how many seconds it took."""
    names: dict[str, Any] = {"__name__": "__main__"}
    with chdir(folder), redirect_stdout(sys.stderr):
        if "spark." in program:
            names["spark"] = _session()  # whose JVM stays in this folder
        start = time.perf_counter()
        exec(compile(program, str(PAGE), "exec"), names)
        seconds = time.perf_counter() - start
    return names["scored"].sort_values(["pump", "at"])[["pump", "at", "score", "alarm"]], seconds


def differences(found: pd.DataFrame, wanted: pd.DataFrame) -> int:
    """Numbers that do not have the same bits; all of them, if rows are missing."""
    if found["pump"].tolist() != wanted["pump"].tolist() or found["at"].tolist() != wanted["at"].tolist():
        return 2 * len(wanted)
    return sum(int((found[name].to_numpy() != wanted[name].to_numpy()).sum()) for name in ("score", "alarm"))


def _session() -> Any:
    from pyspark.sql import SparkSession

    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.shuffle.partitions": "4",
        "spark.log.level": "ERROR",
    }
    builder = SparkSession.builder.master("local[2]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def _installed(engine: str) -> str:
    try:
        return version(engine)
    except PackageNotFoundError:
        return ""


def run(folder: Path, sections: list[str]) -> int:
    """Run these programs, or all; returns how many numbers differ."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    engines = {"Dask": "dask", "Ray Data": "ray", "Ray actors": "ray", "Spark": "pyspark"}
    start = time.perf_counter()
    wanted, wrong = looped(folder), 0
    print(f"row by row: {len(wanted):,} rows of {wanted['pump'].nunique()} pumps, {time.perf_counter() - start:.1f} s")
    for name, program in programs().items():
        engine = engines.get(name.partition(",")[0], "pandas")
        if (sections and name not in sections) or not (found := _installed(engine)):
            continue
        rows, seconds = scored(program, folder)
        count = differences(rows, wanted)
        wrong += count
        print(f"{name} ({engine} {found}): {len(rows):,} rows, {count} numbers differ, {seconds:.1f} s", flush=True)
    return wrong


if __name__ == "__main__":
    what, where, *names = sys.argv[1:]
    if what == "prepare":
        prepare(Path(where))
    else:
        sys.exit(1 if run(Path(where), names) else 0)
