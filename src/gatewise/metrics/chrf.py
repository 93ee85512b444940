"""chrF of many texts beside each other, with numpy alone.

n texts; O orders of n-grams; of each order how many n-grams text and reference have, and how many of them are the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

_ORDERS = 6  # n-grams of one to six characters
_RECALL = 4.0  # the square of chrF's beta: recall counts twice


def overlaps(texts: Sequence[str]) -> np.ndarray:
    """(n, n, O, 3) counts of each text with each as its reference: n-grams of it, of the reference, and of both."""
    plain = ["".join(text.split()) for text in texts]
    found = np.zeros((len(texts), len(texts), _ORDERS, 3))
    for n in range(1, _ORDERS + 1):
        grams = [Counter(text[start : start + n] for start in range(len(text) - n + 1)) for text in plain]
        place = {gram: column for column, gram in enumerate({gram for own in grams for gram in own})}
        table = np.zeros((len(texts), len(place)), np.int32)
        for row, own in enumerate(grams):
            table[row, [place[gram] for gram in own]] = [*own.values()]
        totals = table.sum(1)
        found[:, :, n - 1, 0] = totals[:, None] * (totals > 0)  # a reference without any says nothing, as in sacrebleu
        found[:, :, n - 1, 1] = totals
        for row, own_counts in enumerate(table):
            some = np.flatnonzero(own_counts)
            found[row, :, n - 1, 2] = np.minimum(own_counts[some], table[:, some]).sum(1)
    return found


def chrf_of(counts: np.ndarray) -> np.ndarray:
    """chrF, from 0 to 1, of counts (..., O, 3), which of a corpus are the sums of its texts.

    Source: Popović (2015), "chrF: character n-gram F-score for automatic MT evaluation", WMT; orders that text or
    reference is too short for are left out, as sacrebleu does.
    """
    own, reference, same = np.moveaxis(counts, -1, 0)
    both = (own > 0) & (reference > 0)
    orders = np.maximum(1, both.sum(-1))
    precision = np.where(both, same / np.maximum(1, own), 0).sum(-1) / orders
    recall = np.where(both, same / np.maximum(1, reference), 0).sum(-1) / orders
    return np.asarray((1 + _RECALL) * precision * recall / np.maximum(1e-16, _RECALL * precision + recall))
