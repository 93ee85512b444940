"""The file that keeps a measurement, with where and with what it was made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gatewise.bench import document, save

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parents[1]


def write(name: str, question: str, answer: Any) -> Path:
    """Write `results/NAME.json`: the answer, and what is needed to judge it."""
    path = RESULTS / f"{name}.json"
    command = f"python -m benchmarks.{name.partition('-')[0]} {name.partition('-')[2]}".strip()
    path.parent.mkdir(exist_ok=True)
    save(document(question, command, answer), path)
    return path


def write_table(page: str, name: str, table: str) -> None:
    """Put a table between the page's markers of this name."""
    path = ROOT / page
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, rest = path.read_text().split(begin)
    path.write_text(f"{before}{begin}\n{table}\n{end}{rest.split(end)[1]}")
