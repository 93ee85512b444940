"""Word vectors from a text alone: which words stand near which.

Positive pointwise mutual information of words that stand within a few words of each other, reduced by a singular value
decomposition. Of little text that says more about what words mean than a network learns from predicting the next word.

Source: Levy, Goldberg & Dagan (2015), "Improving distributional similarity with lessons learned from word embeddings",
TACL 3; the decomposition: Halko, Martinsson & Tropp (2011), "Finding structure with randomness", SIAM Review 53(2),
algorithm 4.4.
"""

from __future__ import annotations

import numpy as np

REACH = 5  # words to each side that count as near, each one over its distance
LEAST = 2  # how often a word must occur to have a vector
MOST_WORDS = 20_000  # that have a vector, the most frequent ones
MOST_PAIRS = 4_000_000  # different ones that are remembered; of more, those that are seen most often
_PIECE = 1 << 18  # tokens that are counted at once
_BLOCK = 1 << 16  # pairs that are multiplied at once
_MORE, _PASSES = 10, 4  # directions beyond those that are wanted, and passes that sharpen them


def cooccurrence_vectors(ids: np.ndarray, size: int, width: int, apart: int | None = None) -> np.ndarray:
    """A vector of each word, all of one length but for those of words that are too rare, which are zero.

    Two million words take about ten seconds on one core. Memory is half a gigabyte at most, whatever the length of the
    text.

    Args:
        ids: (N,) integers below `size`; negative ones are no words, but take their place.
        size: Kinds of words, V.
        width: Numbers of a vector, W.
        apart: An id between texts: words before it and after it are never near.

    Returns:
        (V, W) float32, whose mean square over the words that have a vector is 1. If fewer directions than W tell the
        words apart, the last columns are zero.
    """
    found = np.zeros((size, width), np.float32)
    counts = np.bincount(ids[ids >= 0], minlength=size)
    if apart is not None:
        counts[apart] = 0
    words = np.argsort(-counts, kind="stable")[:MOST_WORDS]
    words = words[counts[words] >= LEAST]
    n = len(words)
    if n < 2:
        return found
    places = np.full(size + 1, -1)  # of a negative id, the last one
    places[words] = np.arange(n)
    keys, values = _pairs(places[np.maximum(ids, -1)], n, np.zeros(len(ids)) if apart is None else ids == apart)
    rows, columns = keys // n, keys % n
    own = np.bincount(rows, values, n)
    context = own**0.75 / np.maximum((own**0.75).sum(), 1e-30)  # smoothed, so that rare contexts do not stand out
    information = np.log(values / (own[rows] * context[columns]))
    kept = information > 0
    if not kept.any():
        return found
    vectors = _left(rows[kept], columns[kept], information[kept], n, min(width, n))
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.where(lengths > 1e-6 * lengths.max(), vectors / np.maximum(lengths, 1e-30), 0)
    found[words, : vectors.shape[1]] = vectors * np.sqrt(width)
    return found


def _pairs(places: np.ndarray, n: int, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of words that stand near each other, left * n + right, ascending, and their weights; both ways round."""
    text = np.cumsum(ends)
    keys: np.ndarray = np.zeros(0, np.int64)
    weights: np.ndarray = np.zeros(0)
    for start in range(0, len(places), _PIECE):
        piece, of = places[start : start + _PIECE + REACH], text[start : start + _PIECE + REACH]
        found, shares = [keys], [weights]
        for distance in range(1, min(REACH, len(piece) - 1) + 1):
            left, right = piece[:-distance][:_PIECE], piece[distance:][:_PIECE]
            near = (left >= 0) & (right >= 0) & (of[:-distance][:_PIECE] == of[distance:][:_PIECE])
            left, right = left[near], right[near]
            found += [left * n + right, right * n + left]
            shares += [np.full(2 * len(left), 1 / distance)]
        keys, inverse = np.unique(np.concatenate(found), return_inverse=True)
        total = np.bincount(inverse, np.concatenate(shares), len(keys))
        most = np.sort(np.argsort(-total, kind="stable")[:MOST_PAIRS])
        keys, weights = keys[most], total[most]
    return keys, weights


def _left(rows: np.ndarray, columns: np.ndarray, values: np.ndarray, n: int, width: int) -> np.ndarray:
    """(n, width): the left singular vectors of a sparse matrix, times the roots of its singular values.

    Args:
        rows: Ascending.
    """
    order = np.argsort(columns, kind="stable")
    there, back = (rows, columns, values), (columns[order], rows[order], values[order])
    drawn = np.random.default_rng(0).standard_normal((n, min(n, width + _MORE)))
    basis = np.linalg.qr(_product(there, drawn))[0]
    for _ in range(_PASSES):
        basis = np.linalg.qr(_product(back, basis))[0]
        basis = np.linalg.qr(_product(there, basis))[0]
    inner, strengths, _ = np.linalg.svd(_product(back, basis).T, full_matrices=False)
    found = (basis @ inner)[:, :width]
    found *= np.sign(found[np.abs(found).argmax(0), np.arange(width)])  # either sign is right; this one is the same
    return np.asarray(found * np.sqrt(strengths[:width]))


def _product(matrix: tuple[np.ndarray, np.ndarray, np.ndarray], dense: np.ndarray) -> np.ndarray:
    """A sparse matrix, whose rows ascend, times a dense one."""
    rows, columns, values = matrix
    found = np.zeros_like(dense)
    for start in range(0, len(rows), _BLOCK):
        block = slice(start, start + _BLOCK)
        first = np.flatnonzero(np.diff(rows[block], prepend=-1))
        found[rows[block][first]] += np.add.reduceat(values[block, None] * dense[columns[block]], first)
    return found
