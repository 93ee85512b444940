"""Plain baselines for text: what a learned model must beat to have been worth the training.

The first two return bits per token, the last one bits in all. To compare across vocabularies, turn both into bits per
character: multiply by tokens, divide by characters.
"""

from __future__ import annotations

import lzma

import numpy as np

from ....errors import DataError, OptionError


def unigram_bits(train_ids: np.ndarray, test_ids: np.ndarray, size: int) -> float:
    """Bits per token of `test_ids` when each token is as likely as it was frequent, plus one, in training.

    Args:
        train_ids: (N,) integers, may be empty.
        test_ids: (M,) integers, M >= 1.
        size: Entries of the vocabulary; all ids lie in 0 .. size - 1.

    Raises:
        DataError: there is nothing to test on, or an id is outside the vocabulary.
        OptionError: `size` is less than 1.
    """
    train, test = _checked(train_ids, test_ids, size)
    kinds, counts = np.unique(train, return_counts=True)  # not bincount: the vocabulary may be larger than memory
    seen, at = _find(kinds, test)
    count = np.where(seen, counts[at] if len(counts) else 0, 0)
    return float(-np.log2((count + 1) / float(len(train) + size)).mean())


def ngram_bits(train_ids: np.ndarray, test_ids: np.ndarray, size: int, order: int = 5) -> float:
    """Bits per token of `test_ids` under interpolated n-grams with Witten-Bell smoothing.

    With h the k - 1 tokens before w, N(h) how often h was followed by anything in training and K(h) by how many
    different tokens, P_k(w | h) = (count(h w) + K(h) P_{k-1}(w | h')) / (N(h) + K(h)), where h' leaves out the oldest
    token of h and P_0 is 1 / size. The context of the first test tokens is the end of training; test tokens serve as
    context but are never counted.

    Args:
        train_ids: (N,) integers, may be empty.
        test_ids: (M,) integers, M >= 1.
        size: Entries of the vocabulary; all ids lie in 0 .. size - 1.
        order: Tokens in the longest n-gram, the predicted one among them; 0 is uniform.

    Raises:
        DataError: there is nothing to test on, or an id is outside the vocabulary.
        OptionError: `size` is less than 1 or `order` less than 0.

    Source: Witten & Bell (1991), IEEE Trans. Information Theory 37(4), method C; interpolated as in Chen & Goodman
    (1998), section 2.4.
    """
    return float(-np.log2(_ngram_probabilities(train_ids, test_ids, size, order)).mean())


def xz_bits(train_text: str, test_text: str) -> int:
    """Bits in all (not per character) that xz at its strongest adds for `test_text` once it has `train_text`.

    Its window is 64 MiB; of a longer training text it knows only the end. Takes about 1 s per MB and 0.7 GB of memory.
    """
    train, both = (text.encode("utf-8", "surrogatepass") for text in (train_text, train_text + test_text))
    return 8 * (_xz_bytes(both) - _xz_bytes(train))


def _ngram_probabilities(train_ids: np.ndarray, test_ids: np.ndarray, size: int, order: int) -> np.ndarray:
    """P(token | up to order - 1 tokens before it) of every test token, (M,) float64."""
    train, test = _checked(train_ids, test_ids, size)
    if order < 0:
        raise OptionError(f"order is {order}. Give 0 or more.")
    N = len(train)
    # Token and context are numbered by first use, so a pair of them is below len(all)², whatever the vocabulary.
    kinds, tokens = np.unique(np.concatenate([train, test]), return_inverse=True)
    p = np.full(len(test), 1 / size)
    context = np.zeros(len(tokens), np.int64)  # number of the context before each token; -1: not in training
    for _ in range(order):
        codes = np.where(context >= 0, context * len(kinds) + tokens, -1)
        known, first = codes[:N], int(np.argmax(codes[:N] >= 0)) if N else 0
        grams, inverse, counts = np.unique(known[first:], return_inverse=True, return_counts=True)
        if not len(grams) or grams[0] < 0:
            break  # training is shorter than the n-gram
        seen, at = _find(grams, codes[N:])
        contexts = int(context.max()) + 1
        follows = np.bincount(grams // len(kinds), counts, minlength=contexts)
        different = np.bincount(grams // len(kinds), minlength=contexts)
        usable = (context[N:] >= 0) & (follows[context[N:]] > 0)  # where there is nothing to go by, p stays
        h = context[N:][usable]
        count = np.where(seen, counts[at], 0)[usable]
        p[usable] = (count + different[h] * p[usable]) / (follows[h] + different[h])
        # The n-gram that ends at a token is the next order's context of the token behind it.
        context = np.concatenate([np.full(first + 1, -1), inverse, np.where(seen, at, -1)])[:-1]
    return p


def _find(sorted_values: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each wanted value is there, and its place (0 where it is not)."""
    if not len(sorted_values):
        return np.zeros(len(wanted), bool), np.zeros(len(wanted), np.int64)
    at = np.minimum(np.searchsorted(sorted_values, wanted), len(sorted_values) - 1)
    seen = sorted_values[at] == wanted
    return seen, np.where(seen, at, 0)


def _checked(train_ids: np.ndarray, test_ids: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    if size < 1:
        raise OptionError(f"size is {size}. Give the number of entries in the vocabulary, 1 or more.")
    train, test = (np.asarray(ids, np.int64).ravel() for ids in (train_ids, test_ids))
    if not len(test):
        raise DataError("no tokens to test on: the held-out part is empty. Give it more text.")
    for ids in (train, test):
        if len(ids) and not (ids.min() >= 0 and ids.max() < size):
            wrong = ids[(ids < 0) | (ids >= size)][0]
            raise DataError(f"id {wrong} is outside a vocabulary of {size}. Encode the text with that vocabulary.")
    return train, test


def _xz_bytes(data: bytes) -> int:
    return len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))
