"""Is a folder of 10 GB of Parquet files learned from and predicted by processes that may have 1.5 GB of memory each?

python -m benchmarks.largefolder [GIGABYTES]

Rows of 4000 hourly series (a key, a time, 30 numbers) lie in a file for each month, `year=2020/month=1/rows.parquet`,
in the order of time. Three commands read the folder: `fit forecast`, `predict` and `fit detect`. What each holds is
looked at fifty times a second, and beyond the limit it is killed: its own memory, without the files it maps and without
the page cache. It is memory that is asked about, so the networks are small and learn for a few steps only.
Needs three times the size on the disk of TMPDIR.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from .largetable import LIMIT, limited
from .record import RESULTS, write, write_table

SERIES = 4000
NUMBERS = 30
BYTES_PER_ROW = 8 * NUMBERS + 2  # of the files, nearly
HOURS = 730  # of a month

READING = ["--key", "shop", "--time", "time"]
SMALL = ["--hidden-size", "16", "--seed", "1", "--quiet", "--json"]
STAGES: dict[str, list[str]] = {
    "fit forecast": [
        *("fit", "forecast", "FOLDER", "-o", "sales.gatewise", *READING, *SMALL),
        *(
            "--target",
            "sales",
            "--past-covariates",
            "temperature,price,sensor0,sensor1,sensor2,sensor3",
            "--horizon",
            "24",
            "--context-length",
            "72",
        ),
        *("--batch-size", "256", "--epochs", "0.0005"),
    ],
    "predict": ["predict", "sales.gatewise", "FOLDER", "-o", "forecast.parquet", "--json"],
    "fit detect": [
        *("fit", "detect", "FOLDER", "-o", "odd.gatewise", *READING, *SMALL),
        *("--columns", "sales,temperature,price", "--epochs", "0.0005"),
    ],
}


def generate(folder: Path, gigabytes: float) -> int:
    """Write the files; returns their rows."""
    import duckdb

    steps = round(gigabytes * 1e9 / BYTES_PER_ROW / SERIES)
    others = ", ".join(f"random() AS sensor{number}" for number in range(NUMBERS - 3))
    with duckdb.connect(config={"memory_limit": "1GB", "threads": "1"}) as con:
        con.execute("SELECT setseed(0.5)")
        for month, start in enumerate(range(0, steps, HOURS)):
            path = folder / f"year={2020 + month // 12}" / f"month={month % 12 + 1}" / "rows.parquet"
            path.parent.mkdir(parents=True)
            con.execute(
                f"""COPY (
                    SELECT 'shop ' || lpad(k::VARCHAR, 4, '0') AS shop,
                        TIMESTAMP '2020-01-01' + to_hours(t) AS time,
                        k + sin(t * 0.2618) + random() AS sales,
                        random() AS temperature,
                        20 * random() AS price,
                        {others}
                    FROM range({start}, {min(start + HOURS, steps)}) AS times(t), range({SERIES}) AS shops(k)
                ) TO '{path}' (FORMAT parquet)"""
            )
    return steps * SERIES


def child(words: list[str]) -> None:
    """Run a command of Gatewise, and print what it took."""
    from gatewise.cli import main as gatewise

    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    # By it Gatewise divides the memory. It also counts what allocators only reserved, so it is twice what may be held.
    resource.setrlimit(resource.RLIMIT_DATA, (2 * LIMIT, hard))
    start, busy = time.perf_counter(), time.process_time()
    if code := gatewise(words):
        raise SystemExit(code)
    took = {"seconds": round(time.perf_counter() - start, 1), "cpu_seconds": round(time.process_time() - busy, 1)}
    print(json.dumps(took), flush=True)


def forecasts(folder: Path) -> dict[str, Any]:
    """What was predicted, and how far it is from what the series are made of."""
    import duckdb

    with duckdb.connect() as con:
        rows = con.sql(
            f"SELECT shop, time, sales FROM '{folder / 'forecast.parquet'}' ORDER BY shop, time"
        ).fetchnumpy()
    assert len(rows["shop"]) == SERIES * 24
    hours = (rows["time"] - np.datetime64("2020-01-01")) / np.timedelta64(1, "h")
    truth = np.repeat(np.arange(SERIES), 24) + np.sin(hours * 0.2618) + 0.5
    return {"rows": len(rows["shop"]), "mean_error": round(float(np.abs(rows["sales"] - truth).mean()), 3)}


def run(words: list[str], folder: Path) -> dict[str, Any]:
    """What a command answers, what it took, and the most memory that it held."""
    places = {"FOLDER": str(folder / "rows")}
    files = [
        str(folder / word) if word.endswith((".gatewise", ".parquet")) else places.get(word, word) for word in words
    ]
    command = [sys.executable, "-m", "benchmarks.largefolder", "--child", *files]
    lines, most = [], 0
    for line, held in limited(command, str(folder)):
        lines.append(line)
        most = max(most, held)
    *answer, took = lines
    return {**json.loads(took), "most_megabytes_held": round(most / 1e6), "said": json.loads("".join(answer))}


def table() -> str:
    """What each run found, as Markdown."""
    lines = [
        "| folder | rows | command | most memory held | processor time | result |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for path in sorted(RESULTS.glob("largefolder*.json")):
        answer = json.loads(path.read_text())["answer"]
        size = f"{answer['gigabytes']:.1f} GB, {answer['files']} files"
        for name in STAGES:
            if found := answer.get(name):
                result = f"{found['rows']:,} rows" if name == "predict" else f"training steps: {found['steps']:,}"
                if name == "fit detect":
                    result += f"; steps of the test part that are measured: {found['test']['steps']:,}"
                held, took = f"{found['most_megabytes_held'] / 1000:.2f} GB", f"{found['cpu_seconds']:.0f} s"
                lines.append(f"| {size} | {answer['rows']:,} | `{name}` | {held} | {took} | {result} |")
    return "\n".join(lines)


def main(gigabytes: float) -> None:
    with tempfile.TemporaryDirectory(prefix="gatewise-large-") as place:
        folder = Path(place)
        start = time.perf_counter()
        rows = generate(folder / "rows", gigabytes)
        files = [*(folder / "rows").rglob("*.parquet")]
        answer: dict[str, Any] = {
            "rows": rows,
            "files": len(files),
            "gigabytes": round(sum(file.stat().st_size for file in files) / 1e9, 2),
            "seconds_to_write_them": round(time.perf_counter() - start, 1),
            "limit_gigabytes": LIMIT / 1e9,
        }
        print(answer, flush=True)
        for name, words in STAGES.items():
            found = run(words, folder)
            said = found.pop("said")
            if name == "predict":
                found |= forecasts(folder)
            else:
                test = said["metrics"]["test"]
                found |= {
                    "steps": said["outcome"]["step"],
                    "test": {key: test[key] for key in ("mase", "steps") if key in test},
                }
            answer[name] = found
            print(name, found, flush=True)
            target = "largefolder" + (f"-{gigabytes:g}" if gigabytes != 10 else "")
            write(target, __doc__.partition("\n")[0].replace("10 GB", f"{gigabytes:g} GB"), answer)
    write_table("docs/scale.md", "large folder", table())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2:])
    else:
        main(float(sys.argv[1]) if sys.argv[1:] else 10)
