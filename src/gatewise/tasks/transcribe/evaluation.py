"""How well a transcriber does, and how well a trivial baseline does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...data.sequences import Sequences
from ...metrics.error_rates import edit_distance, transcription_scores
from ..baselines import MOST_FREQUENT
from ..report import NOTHING_MEASURED, Metrics, parts_and_baselines, table
from ..verdict import judged
from .predictor import Predictor


def evaluate(
    predictor: Predictor, parts: Mapping[str, Sequences], texts: Mapping[str, list[str]], baseline: str | None
) -> dict[str, Any]:
    """Error rates by part; those of the baseline on the last part, and whether the network earned its place beside it.

    Args:
        texts: The true text of each sequence, by part.
        baseline: The most frequent text of the training data; None to leave the baseline out.
    """
    predicted = {name: predictor.texts(part) for name, part in parts.items()}
    found: dict[str, Any] = {name: transcription_scores(texts[name], predicted[name]) for name in parts}
    if baseline is not None:
        last = list(parts)[-1]
        truth = texts[last]
        found["baselines"] = {MOST_FREQUENT: transcription_scores(truth, [baseline] * len(truth))}
        if last != "train":
            found |= judged(
                measure="cer",
                part=last,
                model=found[last]["cer"],
                plain={MOST_FREQUENT: found["baselines"][MOST_FREQUENT]["cer"]},
                strongest=MOST_FREQUENT,
                share=0.0 if predictor.net is None else 1.0,
                standard_error=None if predictor.net is None else _standard_error(truth, predicted[last], baseline),
            )
    return found


def _standard_error(truth: list[str], predicted: list[str], baseline: str) -> float | None:
    """Of the difference of the character error rates, over texts."""
    lengths = np.array([len(text) for text in truth])
    if len(truth) < 2 or not lengths.sum():
        return None
    errors = [
        edit_distance(text, ours) - edit_distance(text, baseline) for text, ours in zip(truth, predicted, strict=True)
    ]
    residuals = np.array(errors) - sum(errors) / lengths.sum() * lengths  # of a ratio of sums
    return float(np.sqrt(len(truth) * residuals.var(ddof=1)) / lengths.sum())


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
