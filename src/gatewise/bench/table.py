"""The results as tables of at most 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from textwrap import wrap
from typing import Any

from .peers import PEERS

_HEAD = f"{'B,T,I,H':<15}{'gatewise':>10}{'floor':>9} {'limit':<8}{'%':>4}"


def text(document: Mapping[str, Any]) -> str:
    """One table per kind of work, and one for memory."""
    lines = [*_preface(document)]
    for _, found in groupby(document["comparisons"], key=lambda comparison: comparison["work"]):
        lines += ["", *_work(list(found))]
    if "memory" in document:
        lines += ["", *_memory(document["memory"])]
    return "\n".join(lines).strip("\n")


def _preface(document: Mapping[str, Any]) -> Iterator[str]:
    threads, ceilings = document["threads"], document["ceilings"]
    if ceilings is None:
        return
    rates = ", ".join(f"{rate:.0f} ({size})" for size, rate in ceilings["weights_gigabytes_per_second"].items())
    yield from wrap(
        f"float32, {threads} thread{'s' * (threads != 1)}. Highest measured here: {ceilings['gflops']:.0f} GFLOP/s "
        f"({ceilings['gflops_by']}); GB/s when reading weights: {rates}. The floor is the shortest time that these "
        "allow; % is floor / time of gatewise. Peers: time relative to gatewise. Below each: min-max over the rounds.",
        79,
    )


def _work(comparisons: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The comparisons of one kind of work."""
    peers = [name for name in comparisons[0]["contestants"] if name in PEERS]
    wide = 9 if len(peers) <= 3 else 8
    yield f"{comparisons[0]['work']}: {comparisons[0]['summary']}"
    yield _HEAD + "".join(f"{PEERS[name].label:>{wide}}" for name in peers)
    for found in comparisons:
        mine, limit = found["contestants"]["gatewise"], found["limit"]
        yield (
            f"{found['shape']:<15}{_time(mine['microseconds']['median']):>10}{_time(limit['floor_microseconds']):>9} "
            f"{limit['rule']:<8}{found['reached_percent']:>4.0f}"
            + "".join(f"{_ratio(found['contestants'][name]):>{wide}}" for name in peers)
        )
        yield (
            f"{'':<15}{_times(mine['microseconds']):>10}{'':>22}"
            + "".join(f"{_ratios(found['contestants'][name]):>{wide}}" for name in peers)
        ).rstrip()


def _memory(found: Sequence[Mapping[str, Any]] | None) -> Iterator[str]:
    yield "memory: peak growth of a process, in MiB"
    if found is None:
        yield "not measured: this system does not report the peak memory of a process"
        return
    columns = [(work, who) for work in found[0]["bytes"]["gatewise"] for who in found[0]["bytes"]]
    yield f"{'':<15}" + "".join(f"{work if who == 'gatewise' else '':>11}" for work, who in columns)
    yield f"{'B,T,I,H':<15}" + "".join(f"{who:>11}" for _, who in columns)
    for row in found:
        sizes = (row["bytes"][who][work] / 2**20 for work, who in columns)
        yield f"{row['shape']:<15}" + "".join(f"{size:>11.1f}" for size in sizes)


_UNITS = ((1e6, "s"), (1e3, "ms"), (1.0, "µs"))


def _time(microseconds: float) -> str:
    scale, unit = _unit(microseconds)
    return f"{_three(microseconds / scale)} {unit}"


def _times(spread: Mapping[str, float]) -> str:
    scale, _ = _unit(spread["median"])
    return f"{_three(spread['least'] / scale)}-{_three(spread['most'] / scale)}"


def _unit(microseconds: float) -> tuple[float, str]:
    return next((unit for unit in _UNITS if microseconds >= unit[0]), _UNITS[-1])


def _three(value: float) -> str:
    """Three digits."""
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def _ratio(row: Mapping[str, Any]) -> str:
    return row["error"].partition(":")[0] if "error" in row else f"{_three(row['ratio']['median'])}x"


def _ratios(row: Mapping[str, Any]) -> str:
    if "error" in row:
        return ""
    return "-".join(f"{row['ratio'][end]:.{int(row['ratio'][end] < 9.95)}f}" for end in ("least", "most"))
