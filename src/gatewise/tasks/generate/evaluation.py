"""How scores of text and of numbers are reported."""

from __future__ import annotations

from ..report import Metrics, parts_in_order, table


def generate_report(metrics: Metrics) -> str:
    """The parts, then the baselines; of text in bits per character where that is defined."""
    parts = parts_in_order(metrics)
    if numbers := any("sequences" in scores for scores in metrics.values()):
        heads, widths = ["nats/step", "steps", "sequences"], [12, 12, 12]
        cells = {n: [f"{s['loss']:.3f}", f"{s['steps']:,}", f"{s['sequences']:,}"] for n, s in parts.items()}
        compared = next(reversed(parts), "all")
    else:
        heads, widths = ["bits/char", "nats/token", "perplexity"], [10, 12, 12]
        cells = {n: [_bits(s), f"{s['loss']:.3f}", f"{s['perplexity']:.2f}"] for n, s in parts.items()}
        compared = next((name for name in ("test", "validation", "all") if name in metrics), "held-out")
    lines = table(heads, cells.items(), left=14, widths=widths)
    if baselines := metrics.get("baselines"):
        where, what = "same" if compared == "all" else compared, "sequences" if numbers else "text"
        lines.append(f"for comparison, plain methods on the {where} {what}:")
        rows = ((name, [f"{some['loss']:.3f}" if numbers else _bits(some)]) for name, some in baselines.items())
        lines += table([], rows, left=14, widths=widths)[1:]
    return "\n".join(lines)


def _bits(scores: Metrics) -> str:
    bits = scores.get("bits_per_character")
    return "-" if bits is None else f"{bits:.3f}"
