"""Character and word error rates (CER, WER) of transcripts, and edit distance."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np


def edit_distance(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """Minimum number of insertions, deletions and substitutions that turn one sequence into the other.

    Source: Levenshtein (1966), Soviet Physics Doklady 10(8); the table is filled row by row, Wagner & Fischer (1974).
    """
    if len(one) < len(other):
        one, other = other, one
    code_of: dict[Hashable, int] = {}
    codes = np.array([code_of.setdefault(item, len(code_of)) for item in other], np.int64)
    columns = np.arange(len(other) + 1)
    row = columns.copy()
    for item in one:
        code = code_of.get(item, -1)
        changed = np.concatenate([row[:1] + 1, np.minimum(row[1:] + 1, row[:-1] + (codes != code))])
        # An insertion costs one more than the column before; of all columns before, the cheapest counts.
        row = np.minimum.accumulate(changed - columns) + columns
    return int(row[-1])


def transcription_scores(truth: Sequence[str], predicted: Sequence[str]) -> dict[str, Any]:
    """Error rates of transcripts.

    Args:
        truth: N texts.
        predicted: N texts.

    Returns:
        "cer" and "wer": edits of characters and of words, divided by their number in the truth, so that both may exceed
        1; "exact": share of texts without any error; "characters", "words" and "texts": counts of the truth. Where the
        truth has none, the rate is the number of edits.
    """
    pairs = list(zip(truth, predicted, strict=True))
    characters, words = sum(map(len, truth)), sum(len(text.split()) for text in truth)
    return {
        "cer": sum(edit_distance(a, b) for a, b in pairs) / max(1, characters),
        "wer": sum(edit_distance(a.split(), b.split()) for a, b in pairs) / max(1, words),
        "exact": sum(a == b for a, b in pairs) / max(1, len(pairs)),
        "characters": characters,
        "words": words,
        "texts": len(pairs),
    }
