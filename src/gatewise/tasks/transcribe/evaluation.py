"""How well a transcriber does, and how well a trivial baseline does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...data.sequences import Sequences
from ...metrics.error_rates import transcription_scores
from ..report import NOTHING_MEASURED, Metrics, parts_and_baselines, table
from .predictor import Predictor


def evaluate(
    predictor: Predictor, parts: Mapping[str, Sequences], texts: Mapping[str, list[str]], baseline: str | None
) -> dict[str, Any]:
    """Error rates by part; and those of the baseline on the last part.

    Args:
        texts: The true text of each sequence, by part.
        baseline: The most frequent text of the training data; None to leave the baseline out.
    """
    found: dict[str, Any] = {
        name: transcription_scores(texts[name], predictor.texts(part)) for name, part in parts.items()
    }
    if baseline is not None:
        truth = texts[list(parts)[-1]]
        found["baselines"] = {"most frequent": transcription_scores(truth, [baseline] * len(truth))}
    return found


def transcribe_report(metrics: Metrics) -> str:
    """The parts, then the baselines."""
    rows = parts_and_baselines(metrics, " (baseline)")
    if not rows:
        return NOTHING_MEASURED
    rates, counts = ("cer", "wer", "exact"), ("words", "texts")
    cells = (
        (row[:34], [*(f"{scores[name]:.4f}" for name in rates), *(f"{scores[name]:,}" for name in counts)])
        for row, scores in rows.items()
    )
    return "\n".join(table([*rates, *counts], cells, left=34, widths=[9] * 5))
