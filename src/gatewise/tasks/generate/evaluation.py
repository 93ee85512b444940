"""How scores of text and of numbers are reported."""

from __future__ import annotations

import math
import textwrap

from ..report import Metrics, parts_in_order, table

_FEW = 500  # characters held out, below which figures are rough
_REMEMBERED = "Nothing was held out: this says how well the data is remembered, not how well new data is predicted."
_MORE = {
    "text": "More text or epochs may help; to learn a short text by heart, train with memorise.",
    "sequences": "More or longer sequences may help, or more epochs.",
}


def generate_report(metrics: Metrics) -> str:
    """The parts, then the baselines; of text in bits per character where that is defined. And a line that says so where
    the model is worse than a baseline, or nothing was held out."""
    parts = parts_in_order(metrics)
    if numbers := any("sequences" in scores for scores in parts.values()):
        heads, widths, key = ["nats/step", "steps", "sequences"], [12, 12, 12], "loss"
        cells = {n: [f"{s['loss']:.3f}", f"{s['steps']:,}", f"{s['sequences']:,}"] for n, s in parts.items()}
        compared = next(reversed(parts), "all")
    else:
        heads, widths, key = ["bits/char", "nats/token", "perplexity"], [10, 12, 12], "bits_per_character"
        cells = {n: _text_cells(s) for n, s in parts.items()}
        compared = next((name for name in ("test", "validation", "all") if name in metrics), "held-out")
    lines = table(heads, cells.items(), left=14, widths=widths)
    if baselines := metrics.get("baselines"):
        where, what = "same" if compared == "all" else compared, "sequences" if numbers else "text"
        lines.append(f"for comparison, plain methods on the {where} {what}:")
        rows = ((name, [f"{some['loss']:.3f}"] if numbers else _text_cells(some)) for name, some in baselines.items())
        lines += table([], rows, left=14, widths=widths)[1:]
        own = metrics.get(compared, {})
        if own.get(key) is None:  # of unknown words, which xz alone spells: only what sees the same tokens compares
            key, baselines = "bits_per_token", {n: s for n, s in baselines.items() if s.get(key) is None}
        best = min(baselines, key=lambda name: baselines[name].get(key, math.inf), default=None)
        # What follows the table in every task says the same of the method that was strongest on validation data.
        if (
            "strongest_plain" not in metrics
            and best is not None
            and baselines[best].get(key, math.inf) < own.get(key, -math.inf)
        ):
            lines += textwrap.wrap(f"'{best}' does better than the model here. {_MORE[what]}", 80)
        if compared != "all" and own.get("characters", _FEW) < _FEW:
            few = f"Only {own['characters']} characters were held out, so these figures are rough."
            lines += textwrap.wrap(f"{few} To learn a short text by heart, train with memorise.", 80)
    elif parts.keys() == {"train"}:
        lines += textwrap.wrap(_REMEMBERED, 80)
    return "\n".join(lines)


def _text_cells(scores: Metrics) -> list[str]:
    """Bits per character, or "-" where they are not defined; nats per token and perplexity, where those are."""
    bits, per_token = scores.get("bits_per_character"), scores.get("bits_per_token")
    nats = scores.get("loss", None if per_token is None else per_token * math.log(2))
    perplexity = scores.get("perplexity", None if nats is None else math.exp(min(nats, 700)))
    shown = [] if nats is None else [f"{nats:.3f}", f"{perplexity:.2f}"]
    return ["-" if bits is None else f"{bits:.3f}", *shown]
