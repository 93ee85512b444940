"""The file that keeps a measurement, with where and with what it was made."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from gatewise.bench import document, save

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parents[1]


def write(name: str, question: str, answer: Any, program: str | None = None) -> Path:
    """Write `results/NAME.json`: the answer, and what is needed to judge it.

    Args:
        program: What measured it, if that has not the result's name.
    """
    path = RESULTS / f"{name}.json"
    command = f"python -m benchmarks.{program or name.partition('-')[0]} {name.partition('-')[2]}".strip()
    path.parent.mkdir(exist_ok=True)
    save(document(question, command, answer), path)
    return path


def measured_anew(
    name: str,
    question: str,
    every: Iterable[str],
    wanted: Collection[str],
    measure: Callable[[str], Any],
    program: str | None = None,
) -> dict[str, Any]:
    """The parts of `results/NAME.json` by name, in the order of all: those that are wanted, or all, are measured, and
    each is written as it comes; the others are as they were."""
    path = RESULTS / f"{name}.json"
    known = json.loads(path.read_text())["answer"] if path.exists() else {}
    for part in wanted or every:
        known[part] = measure(part)
        known = {one: known[one] for one in every if one in known}
        write(name, question, known, program)
    return known


def write_table(page: str, name: str, table: str) -> None:
    """Put a table between the page's markers of this name."""
    path = ROOT / page
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, rest = path.read_text().split(begin)
    path.write_text(f"{before}{begin}\n{table}\n{end}{rest.split(end)[1]}")
