"""Is gatewise.nn.LSTM ever slower than torch.nn.LSTM? 200 random shapes, forward and training.

python -m benchmarks.sweep

Steps, rows, features and units are drawn log-uniformly up to 256, 128, 512 and 1024, what would take more than a few
seconds is drawn again. Both run in turns in one process; results are compared before they are timed.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable

import torch

from gatewise.nn import LSTM

from .record import write

MOST = (256, 128, 512, 1024)  # T, B, D, H
MOST_FLOPS = 2e10
ROUNDS, SLICE = 7, 0.02  # seconds for which one of the two runs before the other does


def draw(rng: random.Random) -> tuple[int, ...]:
    while True:
        T, B, D, H = (round(most ** rng.random()) for most in MOST)
        if 2 * T * B * 4 * H * (D + H) < MOST_FLOPS:
            return T, B, D, H


def alternate(contestants: list[Callable[[], object]]) -> list[list[float]]:
    """Microseconds per call, one figure per round and contestant."""
    times: list[list[float]] = [[] for _ in contestants]
    for run in contestants:
        run()
    for _ in range(ROUNDS + 1):
        for run, kept in zip(contestants, times, strict=True):
            start, calls = time.perf_counter(), 0
            while (spent := time.perf_counter() - start) < SLICE or not calls:
                run()
                calls += 1
            kept.append((time.perf_counter() - start if calls == 1 else spent) / calls * 1e6)
    return [kept[1:] for kept in times]  # the first round warms up


def measure(shape: tuple[int, ...]) -> list[dict[str, object]]:
    T, B, D, H = shape
    torch.manual_seed(0)
    ours = LSTM(D, H)
    theirs = torch.nn.LSTM(D, H)
    theirs.load_state_dict(ours.state_dict())
    x, gradient = torch.randn(T, B, D), torch.randn(T, B, H)

    def forward(layer: torch.nn.Module) -> torch.Tensor:
        with torch.no_grad():
            y: torch.Tensor = layer(x)[0]
            return y

    def train(layer: torch.nn.Module) -> None:
        layer.zero_grad()
        layer(x)[0].backward(gradient)

    torch.testing.assert_close(forward(ours), forward(theirs), atol=1e-4, rtol=1e-4)
    train(ours)
    train(theirs)
    for (name, mine), weight in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        scale = weight.grad.abs().max() + 1e-6
        assert (mine.grad - weight.grad).abs().max() < 1e-3 * scale, name

    rows = []
    for work, run in (("forward", forward), ("training", train)):
        mine, torchs = alternate([lambda run=run: run(ours), lambda run=run: run(theirs)])
        ratios = [b / a for a, b in zip(mine, torchs, strict=True)]
        rows.append(
            {
                "work": work,
                "T, B, D, H": list(shape),
                "us": {"gatewise": statistics.median(mine), "torch": statistics.median(torchs)},
                "torch / gatewise": {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)},
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shapes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rng = random.Random(options.seed)
    rows = [row for _ in range(options.shapes) for row in measure(draw(rng))]
    answer: dict[str, object] = {"threads": options.threads, "seed": options.seed}
    for work in ("forward", "training"):
        some = [row for row in rows if row["work"] == work]
        some.sort(key=lambda row: row["torch / gatewise"]["median"])
        ratios = [row["torch / gatewise"]["median"] for row in some]
        answer[work] = {
            "shapes": len(some),
            "slower than torch": sum(ratio < 1 for ratio in ratios),
            "torch / gatewise": {"least": ratios[0], "median": statistics.median(ratios), "most": ratios[-1]},
            "worst ten": some[:10],
        }
        print(work, {key: value for key, value in answer[work].items() if key != "worst ten"})
        for row in some[:10]:
            print("  ", row["T, B, D, H"], {k: round(v) for k, v in row["us"].items()}, row["torch / gatewise"])
    if options.shapes >= 200:
        write("sweep", __doc__.partition("\n")[0], answer)


if __name__ == "__main__":
    main()
