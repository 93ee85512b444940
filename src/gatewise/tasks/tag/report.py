"""Metrics of `tag` as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def report(metrics: Mapping[str, Any]) -> str:
    """Figures as a table for the terminal: the parts, then the baselines, then each type."""
    parts = {name: some for name, some in metrics.items() if name != "baselines"}
    rows = {**parts, **{f"{name} (baseline)": some for name, some in metrics.get("baselines", {}).items()}}
    if not rows:
        return "nothing was measured"
    names = [
        n
        for n in ("f1", "precision", "recall", "accuracy", "macro_f1", "mae", "rmse", "r2")
        if n in next(iter(rows.values()))
    ]
    lines = [f"{'':<34}" + "".join(f"{name:>11}" for name in names[:4])]
    lines += [f"{row[:34]:<34}" + "".join(f"{some[n]:>11.4f}" for n in names[:4]) for row, some in rows.items()]
    last = list(parts)[-1] if parts else None
    if last and parts[last].get("types"):
        lines += ["", f"{last + ', by type':<34}{'f1':>11}{'precision':>11}{'recall':>11}{'count':>11}"]
        for kind, some in sorted(parts[last]["types"].items(), key=lambda item: -item[1]["gold"])[:30]:
            figures = f"{some['f1']:>11.4f}{some['precision']:>11.4f}{some['recall']:>11.4f}{some['gold']:>11,}"
            lines.append(f"{kind[:34]:<34}{figures}")
    return "\n".join(lines)
