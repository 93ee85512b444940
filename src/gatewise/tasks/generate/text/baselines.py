"""Plain methods for text: what a learned model must beat to have been worth the training.

Frequencies, n-grams of two kinds, and xz. To compare across vocabularies, turn bits per token into bits per character:
multiply by tokens, divide by characters. The stronger n-grams, which can also write, are `runtime.ngrams.KneserNey`.
"""

from __future__ import annotations

import lzma
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ....errors import DataError, OptionError
from ....runtime.ngrams import KneserNey, best_order, find, in_vocabulary

KNESER_NEY = "Kneser-Ney"
# Tokens at the end of the training text that plain methods learn from. A model's file holds them, so that all can be
# compared on new text, and the n-grams can write.
MOST_COUNTED = 3_000_000
USUAL_ORDER = 6  # where nothing is held out that could choose it


@dataclass(frozen=True)
class Plain:
    """What the plain methods learned.

    Attributes:
        ids: (N,) tokens of the training text, at most its last `MOST_COUNTED`, as small integers.
        size: Entries of the vocabulary.
        order: Tokens of the longest n-gram of `KneserNey`.
        strongest: The method with the fewest bits on the validation text; None if there was none.
        validated: How many these were per token, where it was learned just now.
    """

    ids: np.ndarray
    size: int
    order: int = USUAL_ORDER
    strongest: str | None = None
    validated: float | None = field(default=None, compare=False)

    @classmethod
    def learn(cls, ids: np.ndarray, size: int, held_out: np.ndarray, texts: tuple[str, str] | None = None) -> Plain:
        """From training tokens, with what a held-out text chooses, if there is any.

        Args:
            held_out: (M,) tokens that follow them.
            texts: Training and held-out text, where xz takes part.
        """
        counted = ids[-MOST_COUNTED:].astype(np.min_scalar_type(max(0, size - 1)))
        if not len(held_out):
            return cls(counted, size)
        model = best_order(KneserNey(counted, size), held_out, counted)
        found = cls(counted, size, model.order)
        vars(found)["counted"] = model  # which need not be counted again
        bits = {name: float(each.sum()) for name, each in found.bits(held_out, True).items()}
        if texts is not None:
            bits["xz"] = xz_bits(*texts)
        best = min(bits, key=lambda name: bits[name])
        vars(found).update(strongest=best, validated=bits[best] / len(held_out))
        return found

    @cached_property
    def counted(self) -> KneserNey:
        """Takes about a second per million tokens."""
        return KneserNey(self.ids, self.size, self.order)

    def bits(self, ids: np.ndarray, follows: bool) -> dict[str, np.ndarray]:
        """Bits of each token of a text, (M,), by method; without xz, which knows no tokens.

        Args:
            ids: (M,) integers, M >= 1.
            follows: Whether the text goes on where training ended.
        """
        before = self.ids if follows else self.ids[:0]
        return {
            "frequencies": unigram_token_bits(self.ids, ids, self.size),
            "5-gram": -np.log2(ngram_probabilities(self.ids, ids, self.size, 5)),
            KNESER_NEY: self.counted.bits(ids, before),
        }


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
    return float(unigram_token_bits(train_ids, test_ids, size).mean())


def unigram_token_bits(train_ids: np.ndarray, test_ids: np.ndarray, size: int) -> np.ndarray:
    """The same for each token, (M,) float64."""
    train, test = _checked(train_ids, test_ids, size)
    kinds, counts = np.unique(train, return_counts=True)  # not bincount: the vocabulary may be larger than memory
    seen, at = find(kinds, test)
    count = np.where(seen, counts[at] if len(counts) else 0, 0)
    return np.asarray(-np.log2((count + 1) / float(len(train) + size)))


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
    return float(-np.log2(ngram_probabilities(train_ids, test_ids, size, order)).mean())


def xz_bits(train_text: str, test_text: str) -> int:
    """Bits in all (not per character) that xz at its strongest adds for `test_text` once it has `train_text`.

    Its window is 64 MiB; of a longer training text it knows only the end. Takes about 1 s per MB and 0.7 GB of memory.
    """
    train, both = (text.encode("utf-8", "surrogatepass") for text in (train_text, train_text + test_text))
    return 8 * (_xz_bytes(both) - _xz_bytes(train))


def ngram_probabilities(train_ids: np.ndarray, test_ids: np.ndarray, size: int, order: int) -> np.ndarray:
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
        seen, at = find(grams, codes[N:])
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


def _checked(train_ids: np.ndarray, test_ids: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    if not np.size(test_ids):
        raise DataError("no tokens to test on: the held-out part is empty. Give it more text.")
    return in_vocabulary(train_ids, size), in_vocabulary(test_ids, size)


def _xz_bytes(data: bytes) -> int:
    return len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))
