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
    """Bits per character, or "-" where they are not defined; nats per token and perplexity, where those are."""
    bits, per_token = scores.get("bits_per_character"), scores.get("bits_per_token")
    nats = scores.get("loss", None if per_token is None else per_token * math.log(2))
    perplexity = scores.get("perplexity", None if nats is None else math.exp(min(nats, 700)))
    shown = [] if nats is None else [f"{nats:.3f}", f"{perplexity:.2f}"]
    return ["-" if bits is None else f"{bits:.3f}", *shown]
