"""How far a text is from what was meant: edit distance, error rates of characters and words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np


def edit_distance(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """The fewest insertions, deletions and substitutions that turn one sequence into the other.

    Source: Levenshtein (1966), Soviet Physics Doklady 10(8); the table is filled row by row, Wagner & Fischer (1974).
    """
    if len(one) < len(other):
        one, other = other, one
    number: dict[Hashable, int] = {}
    codes = np.array([number.setdefault(item, len(number)) for item in other], np.int64)
    places = np.arange(len(other) + 1)
    row = places.copy()
    for item in one:
        code = number.get(item, -1)
        changed = np.concatenate([row[:1] + 1, np.minimum(row[1:] + 1, row[:-1] + (codes != code))])
        # An insertion costs one more than the place before; of all places before, the cheapest counts.
        row = np.minimum.accumulate(changed - places) + places
    return int(row[-1])


def text_scores(truth: Sequence[str], said: Sequence[str]) -> dict[str, Any]:
    """Error rates of texts, a pair each.

    Returns:
        "cer" and "wer": edits of characters and of words, over how many the truth has, so that both may exceed 1;
        "exact": share of texts that are right to the last character; "characters", "words" and "texts": of the truth.
        Where the truth has none, a rate is that of edits themselves.
    """
    pairs = list(zip(truth, said, strict=True))
    characters, words = sum(map(len, truth)), sum(len(text.split()) for text in truth)
    return {
        "cer": sum(edit_distance(a, b) for a, b in pairs) / max(1, characters),
        "wer": sum(edit_distance(a.split(), b.split()) for a, b in pairs) / max(1, words),
        "exact": sum(a == b for a, b in pairs) / max(1, len(pairs)),
        "characters": characters,
        "words": words,
        "texts": len(pairs),
    }


def most_frequent(texts: Sequence[str]) -> str:
    """The text that occurs most often; of equals, the first by name."""
    counts = Counter(texts)
    return min(counts, key=lambda text: (-counts[text], text))


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
