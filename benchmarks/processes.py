"""What do several processes that train one model gain, and what would more of them?

    python -m benchmarks.processes [TASK ...]

Each task makes the same few steps as one process of one thread, one of two threads, and two of one thread, which take
turns. Beside these runs the parts of a step are timed one by one, and so is what gloo needs to sum over loopback; they
make a model of cost, which is compared with the runs, and projected (`projections`). A quiet machine of two cores
needs under ten minutes. Nothing is measured after training, and there is no validation but the last.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import torch.distributed as dist
from torch import nn

from gatewise.data.paired.pairs import Pairs, read_pairs
from gatewise.randomness import Generators, built, drawing
from gatewise.ranks import Ranks, among, joined
from gatewise.tasks import find
from gatewise.training import Silent, train
from gatewise.training.division import Division
from gatewise.training.memory import keep_freed_memory
from gatewise.training.trainable import Divisible

from .projections import PAGE, projected
from .record import ROOT, measured_anew, write_table

QUESTION = __doc__.partition("\n")[0]
DATA = ROOT.parent / "shared" / "data"
ROUNDS, STEPS, WARMING = 3, 20, 4
SETUPS = {"one process": (1, 1), "one process, two threads": (1, 2), "two processes": (2, 1)}
MESSAGES = tuple(4**power for power in range(2, 12))  # float32 numbers that are summed at once, up to 16 MB
TIMES = 5  # of each part, of which the median counts

Data = Callable[[Path], tuple[Any, ...]]


def text(_: Path) -> tuple[Any, ...]:
    return (io.StringIO((DATA / "tinyshakespeare/input.txt").read_text()[:400_000]),)


def questions(folder: Path) -> tuple[Any, ...]:
    with gzip.open(DATA / "trec" / "TREC.train.all.gz", "rt", encoding="latin-1") as lines:
        rows = [line.rstrip("\n").split(" ", 1) for line in lines]
    with open(folder / "trec.csv", "w", newline="") as file:
        csv.writer(file).writerows([("label", "text"), *rows])
    return (folder / "trec.csv",)


def pairs(_: Path) -> tuple[Any, ...]:
    whole = read_pairs(DATA / "tatoeba_eng_fra" / "fra.txt.gz")
    return (Pairs(whole.sources[:5000], (whole.targets or [])[:5000], whole.name),)


TASKS: dict[str, tuple[str, dict[str, Any], Data]] = {  # what it learns from, options, and how that is read
    "generate": (
        "tinyshakespeare, 400,000 characters",
        {"hidden_size": 512, "num_layers": 1, "batch_size": 64, "chunk_length": 64},
        text,
    ),
    "classify": (
        "trec, training file",
        {"target": "label", "ensemble": 1, "hidden_size": 256, "batch_size": 64},
        questions,
    ),
    "forecast": (
        "etth1, column OT",
        {"target": "OT", "time": "date", "horizon": 24, "hidden_size": 256, "batch_size": 64},
        lambda _: (DATA / "etth1/ETTh1.csv.gz",),
    ),
    "translate": ("tatoeba, 5,000 pairs", {"hidden_size": 256}, pairs),
}


class Watch(Silent):
    """Sees when steps end, and their losses."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.losses: list[float] = []

    def step(self, step: int, loss: float) -> None:
        self.times.append(time.monotonic())
        self.losses.append(loss)


def prepared_of(task: str, folder: Path) -> Any:
    _, options, read = TASKS[task]
    return find(task)(**options, epochs=2.0).fit_as(lambda prepare: prepare()(), *read(folder))


def rank(task: str, folder: Path) -> None:
    """One process of a run: its figures are left in the folder."""
    with joined() as ranks, tempfile.TemporaryDirectory() as own:
        prepared, watch = prepared_of(task, Path(own)), Watch()
        network = built(0, prepared.build)
        train(
            network,
            prepared.training,
            prepared.validation,
            replace(prepared.plan, steps=STEPS, evaluate_every=STEPS, warmup=WARMING, patience=None, race=False),
            checkpoint=Path(own, "checkpoint"),
            history=Path(own, "history"),
            identity={},
            progress=watch,
        )
        digest = hashlib.sha256()
        for weight in network.parameters():
            digest.update(weight.detach().numpy().tobytes())
        steps = [after - before for before, after in zip(watch.times, watch.times[1:], strict=False)][WARMING:]
        found = {
            "seconds": statistics.median(steps),
            "losses": watch.losses,
            "weights": digest.hexdigest(),
            "peak_megabytes": _peak_megabytes(),
        }
        (folder / f"{ranks.rank}.json").write_text(json.dumps(found))


def _peak_megabytes() -> float:
    """Of the memory of this process that was resident."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def run(setup: tuple[int, int], *arguments: str) -> list[dict[str, Any]]:
    """What each process of so many, with so many threads each, leaves in a folder that it is given last."""
    processes, threads = setup
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)] if processes > 1 else []
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, *torchrun, "-m", "benchmarks.processes", *arguments, folder]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "GOMP_SPINCOUNT": "1000"}  # as the command line
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)} failed: {done.stderr.strip()[-2000:]}")
        return [json.loads(path.read_text()) for path in sorted(Path(folder).glob("*.json"))]


def runs(task: str) -> dict[str, Any]:
    """The setups, which take turns."""
    every: dict[str, list[list[dict[str, Any]]]] = {name: [] for name in SETUPS}
    for _ in range(ROUNDS):
        for name, setup in SETUPS.items():
            every[name].append(run(setup, "--rank", task))
    alone = every["one process"][0][0]["losses"]
    found: dict[str, Any] = {}
    for name, rounds in every.items():
        seconds = [one[0]["seconds"] for one in rounds]
        found[name] = {
            "seconds": statistics.median(seconds),
            "least": min(seconds),
            "most": max(seconds),
            "peak_megabytes": [max(own["peak_megabytes"] for own in rank) for rank in zip(*rounds, strict=True)],
            "losses": rounds[0][0]["losses"],
            "largest_difference": max(
                abs(own - loss) / abs(loss) for own, loss in zip(rounds[0][0]["losses"], alone, strict=True)
            ),
            "same_bits": len({own["weights"] for one in rounds for own in one}) == 1,
        }
    return found


# The parts of a step


class Deaf(Ranks):
    """The first of so many ranks, which hears nothing of the others: it computes what it would, and counts what it
    would exchange."""

    def __init__(self, size: int):
        super().__init__(0, size)
        self.sums: list[int] = []  # bytes of each

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        self.sums.append(tensor.numel() * tensor.element_size())
        return tensor


class Clock:
    """Adds up the time of the parts of a step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begun


def parts(task: str) -> dict[str, Any]:
    """Of a step of the first of 1, 2, 4 ... ranks, with the first batches: seconds of each part, and what is exchanged.
    The sizes take turns."""
    keep_freed_memory()  # as training does
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepared_of(task, Path(folder))
    network: Any = built(0, prepared.build)
    network.train()
    weights = list(network.parameters())
    optimizer = torch.optim.AdamW(network.parameter_groups(0.01), lr=1e-4, fused=True)
    training = prepared.training
    rows = training.count(0) if isinstance(training, Divisible) else len(network.work(training.at(0)))
    sizes = [2**power for power in range(rows.bit_length()) if 2**power <= rows]
    clocks: dict[int, list[dict[str, float]]] = {size: [] for size in sizes}
    exchanged: dict[int, list[int]] = {}
    for turn in range(1 + TIMES):
        for size in sizes:
            ranks, clock = Deaf(size), Clock()
            network.begin("train")
            with among(ranks), drawing(Generators(turn)):
                division = Division(network)
                with clock.part("batch"):
                    own = division.training(training, turn)
                optimizer.zero_grad()
                with clock.part("compute"):
                    division.training_loss(own).backward()
                with clock.part("copies"):
                    division.sum_gradients(weights)
                with clock.part("optimiser"):
                    if prepared.plan.clip is not None:
                        nn.utils.clip_grad_norm_(weights, prepared.plan.clip)
                    optimizer.step()
            ranks.sum(torch.zeros(6, dtype=torch.float64))  # the loss, the time, whether to stop and to save
            exchanged[size] = ranks.sums
            if turn:  # the first warms up
                clocks[size].append(clock.seconds)
    seconds = {
        str(size): {part: statistics.median(one[part] for one in own) for part in own[0]}
        for size, own in clocks.items()
    }
    gradient = exchanged[sizes[-1]]
    return {
        "rows": rows,
        "weights": sum(weight.numel() for weight in weights),
        "seconds": seconds,
        "sums": len(gradient),
        "bytes": sum(gradient),
    }


def exchange(folder: Path) -> None:
    """One of two processes that sum so many numbers over and over."""
    with joined() as ranks:
        found = {}
        for numbers in MESSAGES:
            tensor, seconds = torch.zeros(numbers), []
            for _ in range(40 if numbers < 2**18 else 12):
                dist.barrier()
                begun = time.perf_counter()
                ranks.sum(tensor)
                seconds.append(time.perf_counter() - begun)
            found[str(4 * numbers)] = statistics.median(seconds)
        (folder / f"{ranks.rank}.json").write_text(json.dumps(found))


def measured(name: str) -> dict[str, Any]:
    if name == "exchange":
        first, second = run((2, 1), "--exchange")
        return {size: max(first[size], second[size]) for size in first}
    data, options, _ = TASKS[name]
    return {"data": data, "options": options, "runs": runs(name), "parts": parts(name)}


# Tables


def tables(answer: dict[str, Any]) -> dict[str, str]:
    """Those of the page, by name."""
    return {"processes": _table(answer), **dict(projected(answer))}


def _table(answer: dict[str, Any]) -> str:
    lines = [
        "| task | weights | one process | one of two threads | two processes | gain | memory | losses differ by |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for task, own in answer.items():
        if task == "exchange":
            continue
        one, threads, two = (own["runs"][name] for name in SETUPS)
        times = " | ".join(f"{1e3 * each['seconds']:.0f} ({_spread(each)})" for each in (one, threads, two))
        memory = " + ".join(f"{peak:.0f}" for peak in two["peak_megabytes"])
        lines.append(
            f"| {task} | {own['parts']['weights']:,} | {times} | {one['seconds'] / two['seconds']:.2f} | "
            f"{one['peak_megabytes'][0]:.0f}; {memory} | {two['largest_difference']:.1e} |"
        )
    return "\n".join(lines)


def _spread(times: dict[str, Any]) -> str:
    return f"{1e3 * times['least']:.0f} to {1e3 * times['most']:.0f}"


def main(wanted: Sequence[str]) -> None:
    if wanted and wanted[0] in ("--rank", "--exchange"):  # one process of a run
        folder = Path(wanted[-1])
        exchange(folder) if wanted[0] == "--exchange" else rank(wanted[1], folder)
        return
    answer = measured_anew("processes", QUESTION, ("exchange", *TASKS), wanted, measured)
    for name, lines in tables(answer).items():
        write_table(PAGE, name, lines)


if __name__ == "__main__":
    main(sys.argv[1:])
