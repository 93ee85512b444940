"""How scores of text and of numbers are reported."""

from __future__ import annotations

import math

from ..report import Metrics, parts_in_order, table


def generate_report(metrics: Metrics) -> str:
    """The parts, then the baselines in the same units; of text in bits per character too, where that is defined."""
    parts = parts_in_order(metrics)
    if numbers := any("sequences" in scores for scores in metrics.values()):
        heads, widths = ["nats/step", "steps", "sequences"], [12, 12, 12]
        cells = {n: [f"{s['loss']:.3f}", f"{s['steps']:,}", f"{s['sequences']:,}"] for n, s in parts.items()}
        compared = next(reversed(parts), "all")
    else:
        heads, widths = ["bits/char", "nats/token", "perplexity"], [10, 12, 12]
        cells = {n: _text_cells(s) for n, s in parts.items()}
        compared = next((name for name in ("test", "validation", "all") if name in metrics), "held-out")
    lines = table(heads, cells.items(), left=14, widths=widths)
    if baselines := metrics.get("baselines"):
        where, what = "same" if compared == "all" else compared, "sequences" if numbers else "text"
        lines.append(f"for comparison, plain methods on the {where} {what}:")
        rows = ((name, [f"{some['loss']:.3f}"] if numbers else _text_cells(some)) for name, some in baselines.items())
        lines += table([], rows, left=14, widths=widths)[1:]
    return "\n".join(lines)


def _text_cells(scores: Metrics) -> list[str]:
    """Bits per character, nats per token and perplexity; "-" for what is not defined."""
    per_character, per_token = scores.get("bits_per_character"), scores.get("bits_per_token")
    nats = None if per_token is None else per_token * math.log(2)
    perplexity = None if nats is None else f"{math.exp(min(nats, 700)):.2f}"
    shown = ["-" if value is None else f"{value:.3f}" for value in (per_character, nats)]
    return [*shown, "-" if perplexity is None else perplexity]
