import lzma
import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_data import SHARED, needs_shared

from gatewise.errors import DataError, OptionError
from gatewise.tasks.generate.text.baselines import ngram_bits, ngram_probabilities, unigram_bits, xz_bits

law = settings(derandomize=True, deadline=None, database=None, max_examples=150)
tokens = st.lists(st.integers(0, 4), max_size=60)


def plain_ngram(train, test, size, order):
    """The definition, with dictionaries: probability of each test token."""
    counts = defaultdict(Counter)
    for i in range(len(train)):
        for k in range(min(order - 1, i) + 1):
            counts[tuple(train[i - k : i])][train[i]] += 1

    def probability(word, history):
        shorter = 1 / size if not history else probability(word, history[1:])
        seen = counts[history]
        total, kinds = seen.total(), len(seen)
        return (seen[word] + kinds * shorter) / (total + kinds) if total else shorter

    text = list(train) + list(test)
    n = len(train)
    if order == 0:
        return [1 / size] * len(test)
    return [probability(text[i], tuple(text[max(0, i - order + 1) : i])) for i in range(n, len(text))]


def test_unigram_by_hand():
    # Seen 2, 1 and 0 times of 3; plus one each: 3/6, 2/6, 1/6.
    assert unigram_bits([0, 0, 1], [0, 1, 2], 3) == pytest.approx((1 + math.log2(3) + math.log2(6)) / 3)
    assert unigram_bits([], [5], 8) == 3
    assert unigram_bits([2**62], [0], 2**63) == pytest.approx(63)


def test_ngram_by_hand():
    # Unigrams: (2 + 2/2) / (5 + 2) = 3/7 for token 1. After 0 came 1, twice: (2 + 1 * 3/7) / (2 + 1) = 17/21.
    assert ngram_bits([0, 1, 0, 1, 0], [1], 2, order=1) == pytest.approx(-math.log2(3 / 7))
    assert ngram_bits([0, 1, 0, 1, 0], [1], 2, order=2) == pytest.approx(-math.log2(17 / 21))
    assert ngram_bits([0, 1, 0, 1, 0], [1], 2, order=0) == 1
    assert ngram_bits([], [1, 2], 4) == 2


@law
@given(tokens, tokens.filter(bool), st.integers(0, 6))
def test_ngram_is_the_plain_definition(train, test, order):
    assert ngram_probabilities(train, test, 5, order) == pytest.approx(plain_ngram(train, test, 5, order), rel=1e-12)


@law
@given(tokens, tokens.filter(bool), st.integers(0, 6))
def test_ngram_of_huge_ids_is_the_plain_definition(train, test, order):
    size = 2**62
    train, test = [size - 1 - 10**17 * id for id in train], [size - 1 - 10**17 * id for id in test]
    assert ngram_probabilities(train, test, size, order) == pytest.approx(
        plain_ngram(train, test, size, order), rel=1e-12, abs=0
    )


@law
@given(tokens, tokens, st.integers(0, 6))
def testngram_probabilities_of_all_tokens_sum_to_one(train, context, order):
    last = [ngram_probabilities(train, [*context, token], 7, order)[-1] for token in range(7)]
    assert sum(last) == pytest.approx(1, rel=1e-12)
    assert min(last) > 0


def test_training_text_predicts_itself_better_with_longer_contexts():
    text = np.tile([0, 1, 2, 3, 2, 1], 200)
    bits = [ngram_bits(text, text, 4, order) for order in (0, 1, 2, 3)]
    assert bits == sorted(bits, reverse=True)
    assert bits[0] == 2
    assert bits[3] < 0.05


def test_xz_counts_what_the_test_text_adds():
    train, test = "abcdefgh" * 100, "é日本語" * 3
    sizes = [len(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME)) for text in (train, train + test)]
    assert xz_bits(train, test) == 8 * (sizes[1] - sizes[0])
    assert xz_bits(train, train) < 100
    assert xz_bits("", "") == 0


@pytest.mark.parametrize("function", [unigram_bits, ngram_bits])
def test_mistakes(function):
    with pytest.raises(DataError, match="no tokens to test on"):
        function([1], [], 3)
    with pytest.raises(DataError, match="id 3 is outside a vocabulary of 3"):
        function([1], [3], 3)
    with pytest.raises(DataError, match="id -1 is"):
        function([-1], [0], 3)
    with pytest.raises(OptionError, match="size is 0"):
        function([], [0], 0)
    with pytest.raises(OptionError, match="order is -1"):
        ngram_bits([1], [1], 3, order=-1)


@needs_shared
def test_shakespeare_by_character():
    text = (SHARED / "tinyshakespeare" / "input.txt").read_text()
    ids = np.unique(np.frombuffer(text.encode(), np.uint8), return_inverse=True)[1]
    some = (ids[:40_000], ids[40_000:42_000], 65)
    assert ngram_bits(*some) == pytest.approx(
        float(-np.log2(plain_ngram(*map(np.ndarray.tolist, some[:2]), 65, 5)).mean())
    )
    train, test = ids[:-111_540], ids[-111_540:]  # the usual 90 % and 10 %
    # Entropy of single English letters, capitals and marks is near 4.8 bits; four characters of context halve it.
    assert 4.7 < unigram_bits(train, test, 65) < 4.9
    assert ngram_bits(train, test, 65) == pytest.approx(2.40757, abs=1e-5)  # plain_ngram on the same, which is slow
    assert xz_bits(text[:270_000], text[270_000:300_000]) / 30_000 == pytest.approx(2.49, abs=0.05)
