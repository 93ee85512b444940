"""How long does a user wait before anything happens?

python -m benchmarks.startup MODEL
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from .record import write

RUNS = 11


def main(model: str) -> None:
    calls = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import gatewise": [sys.executable, "-c", "import gatewise"],
        "import torch": [sys.executable, "-c", "import torch"],
        "gatewise --help": [sys.executable, "-m", "gatewise", "--help"],
        "gatewise info": [sys.executable, "-m", "gatewise", "info", model],
        "gatewise sample, first character": [sys.executable, "-m", "gatewise", "sample", model, "-n", "1"],
        "gatewise sample, 500 characters": [sys.executable, "-m", "gatewise", "sample", model, "-n", "500"],
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(RUNS):  # in turn, so that all see the same machine
        for name, call in calls.items():
            start = time.perf_counter()
            subprocess.run(call, check=True, stdout=subprocess.DEVNULL)
            times[name].append(time.perf_counter() - start)
    answer = {
        name: {"median_ms": round(1e3 * statistics.median(values)), "least_ms": round(1e3 * min(values))}
        for name, values in times.items()
    }
    for name, row in answer.items():
        print(f"{name:<36}{row['median_ms']:>6} ms")
    write("startup", __doc__.partition("\n")[0], answer)


if __name__ == "__main__":
    main(sys.argv[1])
