"""What a step of several processes costs by its parts, which `benchmarks.processes` has measured on one machine.

    seconds = batch + fixed + of a row * rows of the rank + copies + optimiser + exchange

Every rank makes the whole batch, draws the masks of all rows and updates all weights. A sum over K ranks goes round in
a ring, as gloo's does: 2 (K - 1) messages one after the other, which carry 2 (K - 1) / K times its bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

PAGE = "docs/scale.md"
NODES = (1, 2, 4, 8, 16, 32, 64)
MESSAGE = 50e-6  # seconds that a message takes between two machines at one switch; assumed
NETWORKS = {"1 Gbit/s": 1e9 / 8, "10 Gbit/s": 1e10 / 8}


@dataclass(frozen=True)
class Link:
    """Between processes.

    Attributes:
        message: Seconds from sending to having received an empty message.
        bandwidth: Bytes per second.
    """

    message: float
    bandwidth: float

    @classmethod
    def measured(cls, seconds: Mapping[str, float]) -> Link:
        """Of two processes, from the time that sums of so many bytes take them."""
        sizes = sorted(map(int, seconds))
        small, big = sizes[:3], sizes[-2:]
        least = float(np.median([seconds[str(size)] for size in small]))
        slope = (seconds[str(big[1])] - seconds[str(big[0])]) / (big[1] - big[0])
        return cls(least / 2, 1 / slope)

    def through(self, network: float) -> Link:
        """That of processes on several machines: what it takes here, and the network besides."""
        return Link(self.message + MESSAGE, 1 / (1 / self.bandwidth + 1 / network))

    def seconds(self, nodes: int, sums: int, size: int) -> float:
        """Of so many sums over so many nodes, of so many bytes in all."""
        return 2 * (nodes - 1) * (sums * self.message + size / nodes / self.bandwidth)


@dataclass(frozen=True)
class Step:
    """Seconds of the parts of a step.

    Attributes:
        every: What each rank does in full, but for what grows with its rows: the batch, fixed costs of the network's
            two passes with the masks of all rows, and the update.
        row: Of the network's two passes, for each row.
        copies: Of the gradients, in and out of what is summed.
        rows: Of the batch.
        sums, size: How many sums over all ranks it has, and their bytes.
    """

    every: float
    fixed: float
    row: float
    copies: float
    rows: int
    sums: int
    size: int

    @classmethod
    def measured(cls, parts: Mapping[str, Any]) -> Step:
        seconds = {int(size): own for size, own in parts["seconds"].items()}
        rows = np.array([parts["rows"] / size for size in seconds])
        compute = np.array([own["compute"] for own in seconds.values()])
        # Relative errors count, or the whole batch alone would say what a row takes.
        line = np.stack([np.ones_like(rows), rows], 1) / compute[:, None]
        fixed, row = np.linalg.lstsq(line, np.ones_like(rows), rcond=None)[0]
        whole = [own["batch"] + own["optimiser"] for own in seconds.values()]
        copies = [own["copies"] for size, own in seconds.items() if size > 1]
        return cls(
            float(np.median(whole)),
            float(max(0.0, fixed)),
            float(row),
            float(np.median(copies)),
            parts["rows"],
            parts["sums"],
            parts["bytes"],
        )

    def seconds(self, nodes: int, link: Link) -> float:
        alone = self.every + self.fixed + self.row * math.ceil(self.rows / nodes)
        return alone if nodes == 1 else alone + self.copies + link.seconds(nodes, self.sums, self.size)

    def best(self, link: Link) -> int:
        """The number of nodes, of at most the rows and 64, of which more do not help."""
        return min(range(1, min(self.rows, NODES[-1]) + 1), key=lambda nodes: self.seconds(nodes, link))


def projected(answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names of tables in the page, and the tables."""
    loopback = Link.measured(answer["exchange"])
    steps = {task: Step.measured(own["parts"]) for task, own in answer.items() if task != "exchange"}
    yield "cost", _cost(answer, steps, loopback)
    yield "projection", _projection(steps, loopback)


def _cost(answer: Mapping[str, Any], steps: Mapping[str, Step], link: Link) -> str:
    """The parts, and what they say of two processes beside what was measured."""
    lines = [
        "| task | rows | row | fixed | full | copies | exchange | sums, MB | one | measured | two | measured |",
        "| --- |" + " ---: |" * 11,
    ]
    for task, step in steps.items():
        runs = answer[task]["runs"]
        figures = [step.row, step.fixed, step.every, step.copies, link.seconds(2, step.sums, step.size)]
        compared = [
            *(step.seconds(1, link), runs["one process"]["seconds"]),
            *(step.seconds(2, link), runs["two processes"]["seconds"]),
        ]
        summed = f"{step.sums}, {step.size / 1e6:.1f}"
        cells = [*map(_milliseconds, figures), summed, *map(_milliseconds, compared)]
        lines.append(f"| {task} | {step.rows} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _projection(steps: Mapping[str, Step], loopback: Link) -> str:
    """Seconds of a step of so many nodes, and the number of which more do not help."""
    lines = [
        f"| task | network | {' | '.join(f'{nodes}' for nodes in NODES)} | most gain |",
        "| --- | --- |" + " ---: |" * (1 + len(NODES)),
    ]
    for task, step in steps.items():
        for name, bandwidth in NETWORKS.items():
            link = loopback.through(bandwidth)
            times = [step.seconds(nodes, link) if nodes <= step.rows else None for nodes in NODES]
            best = step.best(link)
            gain = step.seconds(1, link) / step.seconds(best, link)
            shown = " | ".join("" if own is None else _milliseconds(own) for own in times)
            lines.append(f"| {task} | {name} | {shown} | {gain:.1f} by {best} |")
    return "\n".join(lines)


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.3g}" if seconds < 0.1 else f"{1e3 * seconds:.0f}"
