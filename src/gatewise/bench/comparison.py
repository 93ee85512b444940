"""Every kind of work at every shape: checked, timed in turns, and compared with the limits of the machine."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ..algebra import Cell
from ..errors import OptionError
from . import memory, peers
from .contest import ROUNDS, TOLERANCE, Contestant, Spread, alternate, difference, rounded
from .limits import Ceilings, Limit
from .peers.pytorch import ours
from .problem import Problem, cell_for, pose
from .shapes import DEFAULT as DEFAULT_SHAPES
from .shapes import Shape
from .works import DEFAULT, MEMORY, WORKS

_SETTINGS = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "MKL_NUM_THREADS", "XLA_FLAGS", "KERAS_BACKEND")

QUESTION = "How fast are the layers, compared with other libraries, and what limits them?"


def compare(
    shapes: Sequence[Shape] = DEFAULT_SHAPES,
    works: Sequence[str] = DEFAULT,
    peer_names: Iterable[str] | None = None,
    cell: Cell | None = None,
    threads: int | None = None,
    seconds: float = 2.0,
    rounds: int = ROUNDS,
    compiled: bool = False,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Compare our layers with other implementations.

    Args:
        shapes: Sizes of the layers and their input.
        works: Kinds of work, out of `works.NAMES`.
        peer_names: Names out of `peers.PEERS`; None for all that are installed.
        cell: The cell for the work "cell" and "cell-training".
        threads: CPU threads; None for as many as torch uses.
        seconds: Time per comparison, shared equally by the contestants. Long calls may take more.
        rounds: Number of rounds.
        compiled: Also measure `torch.compile` of the eager loop, which takes half a minute or more each time.
        progress: Called with a line of text at the start of each comparison.

    Returns:
        A document: "threads", "seconds", "environment" (variables that libraries read), "ceilings", "comparisons" (one
        per work and shape, see `_comparison` and `_limited`), "memory" (one per shape, bytes by library and work).
        Times are in microseconds.

    Raises:
        OptionError: A peer is unknown or not installed, a number is invalid, or a kind of work is impossible at a
            shape.
    """
    if threads is not None and threads < 1:
        raise OptionError(f"threads must be 1 or more, not {threads}")
    if not 0 < seconds < math.inf:
        raise OptionError(f"seconds must be more than 0 and finite, not {seconds:g}")
    chosen = peers.choose(peer_names, compiled)
    tasks = [(WORKS[name], shape) for name in works if name != MEMORY for shape in shapes]
    for work, shape in tasks:  # refuse what is impossible before anything is measured
        cell_for(work, shape, cell)
    with _threads(threads) as count:
        ceilings = Ceilings(count, seconds / 20)
        measured = []
        for number, (work, shape) in enumerate(tasks, 1):
            progress(f"[{number}/{len(tasks)}] {work.name} {shape}")
            problem = pose(work, shape, count, cell)
            measured.append((_comparison(problem, chosen, seconds, rounds), ceilings.ask(problem)))
        document = {
            "threads": count,
            "seconds": seconds,
            "environment": {name: os.environ[name] for name in _SETTINGS if name in os.environ},
            "ceilings": ceilings.document() if tasks else None,
            "comparisons": [found | _limited(found, ceilings.limit(demand)) for found, demand in measured],
        }
        if MEMORY in works:
            document["memory"] = [_memory(shape, count, progress) for shape in shapes] if memory.measurable() else None
    return document


def mistakes(document: dict[str, Any]) -> list[str]:
    """Peers that failed or whose results differ, one line each."""
    return [
        f"{found['work']} {found['shape']}: {name} {row['error']}"
        for found in document["comparisons"]
        for name, row in found["contestants"].items()
        if "error" in row
    ]


def _comparison(problem: Problem, chosen: Sequence[str], seconds: float, rounds: int) -> dict[str, Any]:
    """One kind of work at one shape: "contestants" with their times and, for peers, the "ratio" to our time in each
    round."""
    first = ours(problem)
    want = first.read(first.run())
    contestants, rows = [first], {first.name: dict[str, Any]()}
    for name in problem.work.peers:
        if name in chosen:
            entrant, rows[name] = _admitted(name, problem, want)
            contestants += [entrant] if entrant else []
    times = alternate(contestants, seconds, rounds)
    for name, found in times.items():
        rows[name]["microseconds"] = Spread.of(found).document()
        if name != first.name:
            ratios = [t / mine for t, mine in zip(found, times[first.name], strict=True)]
            rows[name]["ratio"] = Spread.of(ratios).document()
    return {
        "work": problem.work.name,
        "summary": problem.work.summary,
        "cell": problem.cell.name,
        "shape": str(problem.shape),
        "contestants": rows,
    }


def _limited(found: Mapping[str, Any], limit: Limit) -> dict[str, Any]:
    """The limit of a comparison, and how close ours comes to it."""
    floor = limit.floor * 1e6
    return {
        "limit": {"rule": limit.rule, "floor_microseconds": rounded(floor), "flops": int(limit.flops)},
        "reached_percent": rounded(100 * floor / found["contestants"]["gatewise"]["microseconds"]["median"]),
    }


def _admitted(name: str, problem: Problem, want: Mapping[str, Tensor]) -> tuple[Contestant | None, dict[str, Any]]:
    """The peer as a contestant, or None if its results differ from ours, and its row of the document."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about slow or deprecated features of other libraries
            entrant = peers.enter(name, problem)
            where, share = difference(entrant.read(entrant.run()), want)
    except Exception as error:  # other libraries, in whatever version is installed
        return None, {"error": f"failed: {type(error).__name__}: {error}".partition("\n")[0]}
    tolerance = TOLERANCE["training" if problem.work.training else "forward"]
    if share > tolerance:
        return None, {"error": f"differs: {where} by {share:.1e} of its largest value, more than {tolerance:.0e}"}
    detail = {"detail": entrant.detail} if entrant.detail else {}
    return entrant, {**detail, "difference": {"of": where, "share": rounded(share)}}


def _memory(shape: Shape, threads: int, progress: Callable[[str], None]) -> dict[str, Any]:
    progress(f"memory {shape}")
    peaks = {who: {work: memory.peak(who, work, shape, threads) for work in memory.WORKS} for who in memory.WHO}
    return {"shape": str(shape), "bytes": peaks}


@contextmanager
def _threads(wanted: int | None) -> Iterator[int]:
    """Set the number of threads of torch, which is also ours, inside a block."""
    before = torch.get_num_threads()
    torch.set_num_threads(wanted or before)
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
