"""Is a 5 GB Parquet file read and trained on by a process that may have 1.5 GB of memory, and how long does it take?

python -m benchmarks.largetable [GIGABYTES]

Rows of 5000 hourly series (key, time, value, two covariates) lie in the order of time, as a log has them: every row has
to be sorted to its series. What the process holds is looked at fifty times a second, and beyond the limit it is killed:
its own memory, without the files it maps, whose pages the system may take back whenever it wants (as if it had no more
to give).
Needs four times the file's size on the disk of TMPDIR.
"""

from __future__ import annotations

import json
import os
import queue
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.data.sequences import Sequences
from gatewise.data.tables.sequences import sequences
from gatewise.data.tables.table import open_table
from gatewise.tasks import Forecaster

from .record import write

SERIES = 5000
BYTES_PER_ROW = 24  # of the file, measured
LIMIT = 1_500_000_000  # bytes
INTERVAL = 0.02  # seconds between two looks at what is held
EPOCHS = 0.002  # passes over all windows: it is memory that is asked about


def generate(path: Path, gigabytes: float) -> int:
    """Write the file; returns its rows."""
    import duckdb

    steps = round(gigabytes * 1e9 / BYTES_PER_ROW / SERIES)
    with duckdb.connect(config={"memory_limit": "1GB", "threads": "1"}) as con:
        con.execute("SELECT setseed(0.5)")
        con.execute(
            f"""COPY (
                SELECT 'shop ' || lpad(k::VARCHAR, 4, '0') AS shop,
                    TIMESTAMP '2020-01-01' + to_hours(t) AS time,
                    k + sin(t * 0.2618) + random() AS sales,
                    random() AS temperature,
                    20 * random() AS price
                FROM range({steps}) AS times(t), range({SERIES}) AS shops(k)
            ) TO '{path}' (FORMAT parquet)"""
        )
    return steps * SERIES


def read(state: dict[str, Any]) -> dict[str, Any]:
    """The table as sequences, and whether they are what was written."""
    with open_table(state["path"]) as table:
        found: Sequences = sequences(table, key="shop", time="time")
    steps = int(found.lengths[0])
    assert len(found) == SERIES
    assert (found.lengths == steps).all()
    for index in (0, 2500, 4999):
        part = slice(found.offsets[index], found.offsets[index + 1])
        hours = np.datetime64("2020-01-01", "us") + np.arange(steps) * np.timedelta64(1, "h")
        np.testing.assert_array_equal(found.steps["time"].values[part], hours)
        rest = found.steps["sales"].values[part] - index - np.sin(np.arange(steps) * 0.2618)
        assert -0.001 <= rest.min() <= rest.max() <= 1.001
    state["sequences"] = found
    return {"series": len(found), "steps": steps, "kept_in_files": isinstance(found.steps["sales"].values, np.memmap)}


def train(state: dict[str, Any]) -> dict[str, Any]:
    """A forecaster that learns from windows all over the table, for a little while."""
    found = Forecaster(
        horizon=24,
        target="sales",
        past_covariates=["temperature"],
        context_length=72,
        hidden_size=32,
        batch_size=256,
        epochs=EPOCHS,
        threads=1,
    ).fit(state["sequences"])
    test, plain = found.metrics_["test"], found.metrics_["baselines"]["seasonal naive"]
    return {
        "steps": found.outcome_.step,
        "windows": found.outcome_.step * found.sizing_.batch_size,
        "mase": test["mase"],
        "mase_of_seasonal_naive": plain["mase"],
    }


STAGES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"read": read, "train": train}


def child(path: str) -> None:
    """Run the stages and print what they took."""
    state: dict[str, Any] = {"path": path}
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    for name, stage in STAGES.items():
        # Reading goes by what a process may have; later, this limit would count what DuckDB's allocator only reserved.
        resource.setrlimit(resource.RLIMIT_DATA, (LIMIT if name == "read" else hard, hard))
        start, busy = time.perf_counter(), time.process_time()
        answer = stage(state)
        answer["seconds"] = round(time.perf_counter() - start, 1)
        answer["cpu_seconds"] = round(time.process_time() - busy, 1)
        print(json.dumps({name: answer}), flush=True)


def limited(command: list[str], folder: str) -> Iterator[tuple[str, int]]:
    """The lines that a command prints, each with the most memory (bytes) that it has held since the line before.

    Raises:
        MemoryError: It went beyond the limit, and was killed.
    """
    found: queue.Queue[str | None] = queue.Queue()

    def pump(lines: Any) -> None:
        for line in lines:
            found.put(line)
        found.put(None)

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": folder}) as process:
        threading.Thread(target=pump, args=(process.stdout,), daemon=True).start()
        most, line = 0, ""
        while line is not None:
            most = max(most, held(process.pid))
            if most > LIMIT:
                process.kill()
                raise MemoryError(f"it held {most / 1e9:.2f} GB, more than {LIMIT / 1e9:g}")
            try:
                line = found.get(timeout=INTERVAL)
            except queue.Empty:
                continue
            if line is not None:
                yield line, most
                most = 0
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def held(pid: int) -> int:
    """Bytes of memory of its own that a process holds; 0 once it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    kilobytes = re.findall(r"^Rss(?:Anon|Shmem):\s+(\d+) kB$", status, re.MULTILINE)
    return sum(map(int, kilobytes)) * 1024


def main(gigabytes: float) -> None:
    with tempfile.TemporaryDirectory(prefix="gatewise-large-") as folder:
        path = Path(folder) / "large.parquet"
        start = time.perf_counter()
        rows = generate(path, gigabytes)
        answer: dict[str, Any] = {
            "rows": rows,
            "file_gigabytes": round(path.stat().st_size / 1e9, 2),
            "seconds_to_write_it": round(time.perf_counter() - start, 1),
            "limit_gigabytes": LIMIT / 1e9,
        }
        print(answer, flush=True)
        command = [sys.executable, "-m", "benchmarks.largetable", "--child", str(path)]
        for line, most in limited(command, folder):
            for name, stage in json.loads(line).items():
                answer[name] = {**stage, "most_megabytes_held": round(most / 1e6)}
                print(answer[name], flush=True)
    print(answer)
    write("largetable" + (f"-{gigabytes:g}" if gigabytes != 5 else ""), __doc__.partition("\n")[0], answer)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2])
    else:
        main(float(sys.argv[1]) if sys.argv[1:] else 5)
