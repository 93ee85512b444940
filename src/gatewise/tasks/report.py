"""What the reports of several tasks share: the scores of a model and its baselines as a table of at most 80 columns.

The report of one task alone is in its `evaluation.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..data.sequences import Sequences
from ..data.split import PARTS
from ..data.tables.frequency import Frequency
from . import verdict

Metrics = Mapping[str, Any]  # by part, and under "baselines" by name
Columns = Mapping[str, tuple[str, Callable[[Any], str]]]  # key of a score -> heading, format

NOTHING_MEASURED = "nothing was measured"


def table(
    heads: Sequence[str],
    rows: Iterable[tuple[str, Sequence[str]]],
    *,
    left: int,
    widths: Sequence[int],
    corner: str = "",
) -> list[str]:
    """Lines of a table: a name on the left, cells aligned to the right. Rows may have fewer cells than there are heads.

    Args:
        heads: Headings of the columns.
        rows: Name and cells of each row.
        left: Width of the names.
        widths: Width of each column.
        corner: Heading of the names.
    """
    lines = []
    for name, cells in ((corner, heads), *rows):
        aligned = "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=False))
        lines.append(f"{name:<{left}}{aligned}".rstrip())
    return lines


def scores_table(
    rows: Mapping[str, Metrics], columns: Columns, *, left: int, width: int, missing: str = ""
) -> list[str]:
    """A table of those columns that some row has a score for."""
    shown = {key: column for key, column in columns.items() if any(key in scores for scores in rows.values())}
    cells = (
        (name, [missing if scores.get(key) is None else show(scores[key]) for key, (_, show) in shown.items()])
        for name, scores in rows.items()
    )
    return table([head for head, _ in shown.values()], cells, left=left, widths=[width] * len(shown))


def parts_and_baselines(metrics: Metrics, suffix: str = "") -> dict[str, Metrics]:
    """Rows of a table: the parts, then the baselines, whose names end in `suffix`."""
    rows = {name: scores for name, scores in metrics.items() if name not in ("baselines", *verdict.KEYS)}
    return rows | {f"{name}{suffix}": scores for name, scores in metrics.get("baselines", {}).items()}


def parts_in_order(metrics: Metrics) -> dict[str, Metrics]:
    """The parts that there are, in the order of training, validation and test."""
    return {name: metrics[name] for name in (*PARTS, "all") if metrics.get(name)}


def recognised(data: Sequences, frequency: Frequency | None = None) -> str:
    """What was taken for the time and the key of series because nobody named any, as a line; "" if nothing was."""
    schema, said = data.schema, []
    if schema is not None and schema.time:
        said.append(f"taken as time: {', '.join(schema.time)}" + (f" ({frequency})" if frequency else ""))
    if schema is not None and schema.key:
        said.append(f"taken as key: {', '.join(schema.key)} ({len(data):,} series)")
    return "; ".join(said) + (". Others can be named: --time, --key" if said else "")


_TEXTS = {  # key of a score -> width of its column, digits behind the point
    "bleu": (8, 2),
    "chrf": (8, 2),
    "exact_match": (13, 4),
    "token_accuracy": (16, 4),
    "loss": (9, 4),
}


def text_report(metrics: Metrics) -> str:
    """Of `translate` and `caption`: the parts, then the network alone where a plain method answers some texts, the
    baselines, and the signatures of BLEU and chrF."""
    alone = {"network alone": metrics["network"]} if "network" in metrics else {}
    rows = (
        parts_in_order(metrics)
        | alone
        | {f"{name} (baseline)": some for name, some in metrics.get("baselines", {}).items()}
    )
    if not rows:
        return NOTHING_MEASURED
    keys = [key for key in _TEXTS if any(key in scores for scores in rows.values())]
    cells = (
        (row[:24], [f"{scores[key]:.{_TEXTS[key][1]}f}" if key in scores else "" for key in keys])
        for row, scores in rows.items()
    )
    lines = table([key.replace("_", " ") for key in keys], cells, left=24, widths=[_TEXTS[key][0] for key in keys])
    return "\n".join([*lines, *(f"{name}: {text}" for name, text in metrics.get("signatures", {}).items())])
