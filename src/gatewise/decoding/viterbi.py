"""The likeliest labels of sequences, given a score for each label at each step and for each pair of neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FORBIDDEN = -1e6  # beyond any sum of scores, and yet finite: where no path is legal, the least broken one is best
_STEPS = 1 << 16  # scores of pairs that are compared at once


@dataclass(frozen=True)
class Chain:
    """Scores of labels beside one another.

    Attributes:
        start: (L,) of the first label.
        transitions: (L, L) of each pair of neighbours, from row to column.
        end: (L,) of the last label.
    """

    start: np.ndarray
    transitions: np.ndarray
    end: np.ndarray

    @classmethod
    def allowing(cls, allowed: np.ndarray) -> Chain:
        """No preference between the pairs that are allowed, and none of the others.

        Args:
            allowed: (L + 2, L + 2) booleans as `data.text.tagging_schemes.allowed_transitions` makes them.
        """
        scores = np.where(allowed, 0.0, FORBIDDEN)
        L = len(allowed) - 2
        return cls(scores[L, :L], scores[:L, :L], scores[:L, L + 1])


def viterbi(scores: np.ndarray, offsets: np.ndarray, chain: Chain) -> np.ndarray:
    """The labels (n,) whose scores and pairs sum to the most, in each sequence.

    Args:
        scores: (n, L), of the steps of all sequences, one sequence behind the other.
        offsets: Where each begins, and where the last one ends.
        chain: Scores of neighbours.

    Source: Viterbi (1967), IEEE Transactions on Information Theory 13(2).
    """
    found = np.zeros(len(scores), np.int64)
    lengths = np.diff(offsets)
    order = np.argsort(-lengths, kind="stable")[: int((lengths > 0).sum())]
    at_once = max(1, _STEPS // max(1, scores.shape[1] ** 2))
    for first in range(0, len(order), at_once):
        some = order[first : first + at_once]
        rows = offsets[some] + np.arange(lengths[some[0]])[:, None]
        inside = np.arange(len(rows))[:, None] < lengths[some]
        labels = _likeliest(scores, rows, inside, chain)
        found[rows[inside]] = labels[inside]
    return found


def _likeliest(scores: np.ndarray, rows: np.ndarray, inside: np.ndarray, chain: Chain) -> np.ndarray:
    """(T, B) of sequences side by side, the longest first: at each step the first ones of them go on."""
    T, B = rows.shape
    going = inside.sum(1)
    best = scores[rows[0]] + chain.start
    pointers = []
    for t in range(1, T):
        n = going[t]
        pairs = best[:n, :, None] + chain.transitions
        pointer = pairs.argmax(1)
        most = np.take_along_axis(pairs, pointer[:, None], 1)[:, 0] + scores[rows[t, :n]]
        best[:n] = most - most.max(1, keepdims=True)  # near zero, where sums of thousands of scores stay exact
        pointers.append(pointer)
    labels = np.zeros((T, B), np.int64)
    at = (best + chain.end).argmax(1)
    labels[T - 1] = at
    for t in range(T - 1, 0, -1):
        n = going[t]
        at[:n] = pointers[t - 1][np.arange(n), at[:n]]
        labels[t - 1] = at
    return labels
