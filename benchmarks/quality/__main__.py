"""How good are the models that defaults make, beside plain baselines and published figures?

    python -m benchmarks.quality [ROW ...]

Trains on the shared data sets and measures the test parts, which chose nothing. Without rows, all of them; a row
that is named is measured anew, and the others keep the figures that they have.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from importlib import import_module
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line does

from ..record import RESULTS, ROOT, write
from .row import Row

DATA = ROOT.parent / "shared" / "data"
TASKS = ("classify", "tag", "forecast", "detect", "generate", "translate", "transcribe", "caption")


def main(names: list[str]) -> None:
    rows = {row.name: row for task in TASKS for row in import_module(f".{task}", __package__).ROWS}
    unknown = set(names) - rows.keys()
    if unknown or not DATA.is_dir():
        sys.exit(f"no rows {sorted(unknown)}; there are {sorted(rows)}" if unknown else f"no data at {DATA}")
    known = results()
    for name in names or rows:
        row = rows[name]
        known[name] = measured(row)
        found = known[name]
        print(f"{name}: {row.measure} {found['mean']:.4f}, {found['seconds']} s", flush=True)
        ordered = {name: known[name] for name in rows if name in known}
        write("quality", (__doc__ or "").partition("\n")[0], {"rows": ordered})


def results() -> dict[str, Any]:
    """The rows that were measured before."""
    path = RESULTS / "quality.json"
    return dict(json.loads(path.read_text())["answer"]["rows"]) if path.exists() else {}


def measured(row: Row) -> dict[str, Any]:
    """Every seed of a row."""
    started = time.monotonic()
    runs = {str(seed): row.run(DATA, seed) for seed in row.seeds}
    figures = [run[row.measure] for run in runs.values()]
    mean = statistics.fmean(figures)
    return {
        "task": row.task,
        "data": row.data,
        "measure": row.measure,
        "mean": mean,
        "least": min(figures),
        "most": max(figures),
        "better": row.better,
        "yardstick": row.yardstick,
        "seen": row.seen,
        "share": _mean([run.get("share") for run in runs.values()]),
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
        "seconds": round((time.monotonic() - started) / len(figures), 1),  # of one seed, baselines and measuring too
        "seeds": runs,
    }


def _mean(values: list[float | None]) -> float | None:
    """None if one is not known."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if values and len(known) == len(values) else None


if __name__ == "__main__":
    main(sys.argv[1:])
