"""Losses of what continues a text or numbers as a small table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..data.split import PARTS


def losses(metrics: Mapping[str, Any]) -> str:
    """Model and baselines, a line each, of text in bits per character where that is defined."""
    if any("sequences" in found for found in metrics.values()):
        return _of_numbers(metrics)
    lines = [f"{'':<14}{'bits/char':>10}{'nats/token':>12}{'perplexity':>12}"]
    lines += _splits(metrics)
    baselines = metrics.get("baselines", {})
    if baselines:
        held_out = next((name for name in ("test", "validation", "all") if name in metrics), "held-out")
        lines.append(f"for comparison, plain methods on the {'same' if held_out == 'all' else held_out} text:")
        lines += [f"{name:<14}{_number(found.get('bits_per_character')):>10}" for name, found in baselines.items()]
    return "\n".join(lines)


def _of_numbers(metrics: Mapping[str, Any]) -> str:
    lines = [f"{'':<14}{'nats/step':>12}{'steps':>12}{'sequences':>12}"]
    held = "all"
    for name in (*PARTS, "all"):
        if found := metrics.get(name):
            lines.append(f"{name:<14}{found['loss']:>12.3f}{found['steps']:>12,}{found['sequences']:>12,}")
            held = name
    if baselines := metrics.get("baselines"):
        lines.append(f"for comparison, plain methods on the {'same' if held == 'all' else held} sequences:")
        lines += [f"{name:<14}{found['loss']:>12.3f}" for name, found in baselines.items()]
    return "\n".join(lines)


def _splits(metrics: Mapping[str, Any]) -> Iterator[str]:
    for name in (*PARTS, "all"):
        if found := metrics.get(name):
            columns = _number(found["bits_per_character"]), f"{found['loss']:.3f}", f"{found['perplexity']:.2f}"
            yield f"{name:<14}{columns[0]:>10}{columns[1]:>12}{columns[2]:>12}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def text_report(metrics: Mapping[str, Any]) -> str:
    """Figures as a table for the terminal: the parts, then the baselines."""
    parts = {name: some for name, some in metrics.items() if name != "baselines"}
    rows = {**parts, **{f"{name} (baseline)": some for name, some in metrics.get("baselines", {}).items()}}
    if not rows:
        return "nothing was measured"
    names = ("cer", "wer", "exact", "words", "texts")
    lines = [f"{'':<34}" + "".join(f"{name:>9}" for name in names)]
    for row, some in rows.items():
        rates = "".join(f"{some[name]:>9.4f}" for name in names[:3])
        lines.append(f"{row[:34]:<34}{rates}" + "".join(f"{some[name]:>9,}" for name in names[3:]))
    return "\n".join(lines)
