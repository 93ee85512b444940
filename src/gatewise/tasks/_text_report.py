"""Figures of texts that a model wrote, as a small table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..data.split import PARTS


def report(metrics: Mapping[str, Any]) -> str:
    """Figures as a table for the terminal: the parts, then the baselines, and how BLEU and chrF were counted."""
    rows = dict(_rows(metrics))
    if not rows:
        return "nothing was measured"
    names = [name for name in _WIDTH if any(name in some for some in rows.values())]
    lines = [f"{'':<24}" + "".join(f"{name.replace('_', ' '):>{_WIDTH[name]}}" for name in names)]
    for row, some in rows.items():
        cells = (f"{some[name]:.{_DIGITS[name]}f}" if name in some else "" for name in names)
        lines.append(
            (f"{row[:24]:<24}" + "".join(f"{c:>{_WIDTH[n]}}" for c, n in zip(cells, names, strict=True))).rstrip()
        )
    lines += [f"{name}: {text}" for name, text in metrics.get("signatures", {}).items()]
    return "\n".join(lines)


_WIDTH = {"bleu": 8, "chrf": 8, "exact_match": 13, "token_accuracy": 16, "loss": 9}
_DIGITS = {"bleu": 2, "chrf": 2, "exact_match": 4, "token_accuracy": 4, "loss": 4}


def _rows(metrics: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, float]]]:
    for part in (*PARTS, "all"):
        if part in metrics:
            yield part, metrics[part]
    for name, some in metrics.get("baselines", {}).items():
        yield f"{name} (baseline)", some
