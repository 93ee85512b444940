"""Vectors of words from which of them stand near which."""

import numpy as np
import pytest

from gatewise.data.text import cooccurrence
from gatewise.data.text.cooccurrence import LEAST, REACH, cooccurrence_vectors


def text(seed=0, kinds=12, count=400):
    """Frequent and rare words, and some that are none."""
    rng = np.random.default_rng(seed)
    return np.minimum(rng.geometric(0.25, count), kinds) - 2


def plainly(ids, size, width, apart=None):
    """The same, pair by pair and with a whole decomposition."""
    counts = np.bincount(ids[ids >= 0], minlength=size)
    near = np.zeros((size, size))
    for i, left in enumerate(ids):
        for j in range(i + 1, min(i + REACH + 1, len(ids))):
            if apart is not None and apart in ids[i : j + 1]:
                break
            if left >= 0 and ids[j] >= 0 and min(counts[left], counts[ids[j]]) >= LEAST:
                near[left, ids[j]] += 1 / (j - i)
                near[ids[j], left] += 1 / (j - i)
    own = near.sum(1)
    context = own**0.75 / (own**0.75).sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        information = np.nan_to_num(np.maximum(np.log(near / np.outer(own, context)), 0))
    left, strengths, _ = np.linalg.svd(information)
    found = left[:, :width] * np.sqrt(strengths[:width])
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return np.where(lengths > 1e-9, found / np.maximum(lengths, 1e-30), 0) * np.sqrt(width)


@pytest.mark.parametrize("apart", [None, 0])
@pytest.mark.parametrize("width", [3, 10])
def test_vectors_are_those_of_a_whole_decomposition(width, apart):
    ids = text()
    found, wanted = cooccurrence_vectors(ids, 12, width, apart), plainly(ids, 12, width, apart)
    assert (found.shape, found.dtype) == ((12, width), np.float32)
    np.testing.assert_allclose(found @ found.T, wanted @ wanted.T, atol=2e-4 * width)  # signs are free


def test_a_text_in_pieces_is_the_same_text(monkeypatch):
    ids = text(1)
    whole = cooccurrence_vectors(ids, 12, 4, 0)
    monkeypatch.setattr(cooccurrence, "_PIECE", 7)
    monkeypatch.setattr(cooccurrence, "_BLOCK", 5)
    np.testing.assert_allclose(cooccurrence_vectors(ids, 12, 4, 0), whole, atol=1e-5)


def test_the_same_text_gives_the_same_bits():
    assert cooccurrence_vectors(text(2), 12, 4).tobytes() == cooccurrence_vectors(text(2), 12, 4).tobytes()


def test_rare_words_and_those_that_are_left_out_have_no_vector(monkeypatch):
    ids = np.array([0, 1, 0, 1, 2, -1, 1, 0, 3, 3, 1])
    found = cooccurrence_vectors(ids, 5, 3)
    assert not found[[2, 4]].any()  # once, and never
    assert np.mean(found[[0, 1, 3]] ** 2) == pytest.approx(1, rel=1e-5)
    monkeypatch.setattr(cooccurrence, "MOST_WORDS", 2)
    assert cooccurrence_vectors(ids, 5, 3)[3].tolist() == [0, 0, 0]


def test_only_the_pairs_that_are_seen_most_are_remembered(monkeypatch):
    monkeypatch.setattr(cooccurrence, "MOST_PAIRS", 2)
    found = cooccurrence_vectors(np.array([0, 1] * 9 + [2, 3] * 2), 4, 2, None)
    assert found.any(axis=1).tolist() == [True, True, False, False]


@pytest.mark.parametrize("ids", [[], [0], [0, 0, 0], [-1, -1], [0, 1]])
def test_too_little_text_gives_no_vectors(ids):
    assert not cooccurrence_vectors(np.array(ids, np.int64), 2, 4).any()


def test_more_columns_than_words_are_zero():
    found = cooccurrence_vectors(text(3, kinds=4), 4, 9)
    assert found.any(axis=0)[[0, 1, 4, 5, 6, 7, 8]].tolist() == [True, True, *[False] * 5]
