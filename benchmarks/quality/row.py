"""One row of the table of quality: data, split, measure, and how to get the figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gatewise.tasks.verdict import KEYS


@dataclass(frozen=True)
class Row:
    """Attributes:
    name: Of the row on the command line: "trec".
    task: "classify" and so on.
    data: Folder in the shared data sets, and how it is split, in words.
    measure: Key of the figure in what `run` returns: "accuracy".
    better: "more" or "less".
    run: Trains with this seed on the data under this folder and returns the figure by `measure`, the plain
        "baselines" by name on the same measure, "options" that are not the defaults, what `verdict.judged` said
        ("share", "strongest_plain", "earned"; see `judgement`), and whatever else is worth keeping. Reads the test part
        once, when all is decided.
    seeds: As many as fit into three minutes a run; one otherwise.
    yardstick: What others reached, with their source, or "".
    seen: Whose other items the training part holds: "speakers", "subjects", "series" of the test part; "" if nobody's.
    """

    name: str
    task: str
    data: str
    measure: str
    better: str
    run: Callable[[Any, int], dict[str, Any]]
    seeds: tuple[int, ...] = (0,)
    yardstick: str = ""
    seen: str = ""


def judgement(metrics: dict[str, Any]) -> dict[str, Any]:
    """What `verdict.judged` left in the metrics of a model."""
    return {name: metrics[name] for name in KEYS if name in metrics}
