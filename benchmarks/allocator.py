"""What does it save to keep freed memory (`training/memory.py`) in a training step?

python -m benchmarks.allocator
"""

from __future__ import annotations

import ctypes
import os
import resource
import statistics
import time

os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import torch

from gatewise.training.memory import keep_freed_memory

from .record import write

SHAPES = [(128, 16, 64, 512), (128, 8, 64, 384), (64, 4, 64, 128)]  # T, B, D, H: what `fit generate` chooses
ROUNDS, STEPS = 7, 10


def give_back() -> None:
    """glibc's own settings, as far as they can be had back: thresholds of 128 kB."""
    libc = ctypes.CDLL(None)
    libc.mallopt(-1, 128 * 1024)
    libc.mallopt(-3, 128 * 1024)


def measure(T: int, B: int, D: int, H: int) -> dict[str, object]:
    torch.manual_seed(0)
    layer, output = torch.nn.LSTM(D, H), torch.nn.Linear(H, 96)
    weights = [*layer.parameters(), *output.parameters()]
    optimizer = torch.optim.AdamW(weights, fused=True)
    x, targets = torch.randn(T, B, D), torch.randint(0, 96, (T * B,))

    def step() -> None:
        loss = torch.nn.functional.cross_entropy(output(layer(x)[0]).flatten(0, 1), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    times: dict[str, list[float]] = {"default": [], "kept": []}
    faults = {"default": 0, "kept": 0}
    for _ in range(ROUNDS):
        for name, choose in (("default", give_back), ("kept", keep_freed_memory)):
            choose()
            step()
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            start = time.perf_counter()
            for _ in range(STEPS):
                step()
            times[name].append((time.perf_counter() - start) / STEPS * 1e3)
            faults[name] += resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    ratios = [a / b for a, b in zip(times["default"], times["kept"], strict=True)]
    return {
        "T, B, D, H": [T, B, D, H],
        "milliseconds_per_step": {name: round(statistics.median(values), 2) for name, values in times.items()},
        "default / kept": {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)},
        "page_faults_per_step": {name: round(count / ROUNDS / STEPS) for name, count in faults.items()},
    }


if __name__ == "__main__":
    answer = [measure(*shape) for shape in SHAPES]
    for row in answer:
        print(row)
    write("allocator", __doc__.partition("\n")[0], answer)
