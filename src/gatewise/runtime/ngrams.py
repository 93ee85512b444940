"""N-grams of tokens with Kneser-Ney smoothing: a language model that is counted, not trained, in numpy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import DataError, OptionError

HIGHEST_ORDER = 8  # tokens of the longest n-gram that is counted; on seven texts nothing was gained beyond

Places = tuple[int, ...]


@dataclass(frozen=True)
class _Level:
    """N-grams of one length n, each known by the place of its first n - 1 tokens among the shorter ones.

    Attributes:
        codes: (G,) sorted: place of the context times the number of kinds, plus the kind of the last token.
        counts: How often each occurred.
        continuations: Before how many different tokens' n-grams it stood as the shorter part: see `KneserNey`.
    """

    codes: np.ndarray
    counts: np.ndarray
    continuations: np.ndarray


@dataclass(frozen=True)
class _Smoothed:
    """Counts of one level, ready to be interpolated: what is taken off each, and per context their sum and what was
    taken off in all."""

    counts: np.ndarray
    discounts: np.ndarray
    sums: np.ndarray
    freed: np.ndarray


class KneserNey:
    """Interpolated n-grams with modified Kneser-Ney smoothing.

    P(w | h) = (c(h w) - D(c(h w)) + F(h) P(w | h')) / C(h), where C(h) is the sum of c(h .), D takes off an amount that
    follows from how many n-grams occurred once, twice, three and four times, F(h) is what was taken off after h, and h'
    leaves out the oldest token of h. c counts, for the longest n-grams, occurrences; for shorter ones, before how
    many different tokens they occurred. The shortest is interpolated with 1 / size. Where a context is new, its shorter
    one decides.

    Args:
        ids: (N,) tokens of the training text, may be empty.
        size: Entries of the vocabulary; all ids lie in 0 .. size - 1.
        order: Tokens in the longest n-gram, the predicted one among them, 1 or more.

    Attributes:
        order: The same; it can be lowered by `with_order`.

    Raises:
        DataError: An id is outside the vocabulary.
        OptionError: `size` or `order` is less than 1.

    Source: Chen & Goodman (1998), "An empirical study of smoothing techniques for language modeling", section 3.
    """

    def __init__(self, ids: np.ndarray, size: int, order: int = HIGHEST_ORDER):
        if order < 1:
            raise OptionError(f"order is {order}. Give 1 or more.")
        train = in_vocabulary(ids, size)
        self.size, self.order = size, order
        self._kinds, tokens = np.unique(train, return_inverse=True)
        self._levels: list[_Level] = []
        contexts, below = np.zeros(len(train), np.int64), None
        for n in range(1, order + 1):
            if len(train) < n:
                break
            # The first n - 1 tokens end no n-gram.
            found = np.unique(
                contexts[n - 1 :] * len(self._kinds) + tokens[n - 1 :],
                return_index=True,
                return_inverse=True,
                return_counts=True,
            )
            codes, first, places, counts = found
            if below is not None:  # each n-gram's shorter part, one token later in the text than its context
                shorter = below[1:][first]
                self._levels[-1].continuations[:] = np.bincount(shorter, minlength=len(self._levels[-1].codes))
            self._levels.append(_Level(codes, counts, np.zeros(len(codes), np.int64)))
            below = places
            contexts = np.concatenate([np.zeros(n, np.int64), places[:-1]])  # those before n are cut off above
        self._smoothed = self._smooth()

    def with_order(self, order: int) -> KneserNey:
        """The same counts with shorter n-grams."""
        if not 1 <= order <= self.order:
            raise OptionError(f"order is {order}. Give 1 to {self.order}, which were counted.")
        other = object.__new__(KneserNey)
        other.__dict__.update(self.__dict__, order=order, _levels=self._levels[:order])
        other._smoothed = other._smooth()
        return other

    def bits(self, ids: np.ndarray, before: np.ndarray | Sequence[int] = ()) -> np.ndarray:
        """Bits of each token of a text, (M,) float64.

        Args:
            ids: (M,) tokens. They serve as context but are never counted.
            before: Tokens of the text before it.

        Raises:
            DataError: An id is outside the vocabulary.
        """
        before = in_vocabulary(np.asarray(before, np.int64)[max(0, len(before) - self.order + 1) :], self.size)
        both = np.concatenate([before, in_vocabulary(ids, self.size)])
        return -np.log2(self._probabilities(both)[len(before) :])

    def _probabilities(self, text: np.ndarray) -> np.ndarray:
        seen, kinds = find(self._kinds, text)
        p = np.full(len(text), 1 / self.size)
        contexts = np.zeros(len(text), np.int64)
        for level, smoothed in zip(self._levels, self._smoothed, strict=True):
            usable = contexts >= 0
            usable[usable] = smoothed.sums[contexts[usable]] > 0  # not the text's very end
            hit, at = find(level.codes, contexts * len(self._kinds) + kinds)
            hit &= seen & (contexts >= 0)
            h, own = contexts[usable], at[usable]
            left = np.where(hit[usable], smoothed.counts[own] - smoothed.discounts[own], 0.0)
            p[usable] = (left + smoothed.freed[h] * p[usable]) / smoothed.sums[h]
            contexts = np.concatenate([[-1], np.where(hit, at, -1)])[: len(text)]
        return p

    # One token at a time. `places` are those of the n-grams that end here, the empty one first; -1 for unknown ones.

    def begin(self) -> Places:
        """The places before any token."""
        return (0, *[-1] * (self.order - 1))

    def advance(self, places: Places, token: int) -> Places:
        """The places after one more token."""
        seen, kind = find(self._kinds, np.array([token]))
        after = [0]
        for place, level in zip(places, self._levels[: self.order - 1], strict=False):
            code = np.array([place * len(self._kinds) + kind[0]])
            hit, at = find(level.codes, code)
            after.append(int(at[0]) if seen[0] and place >= 0 and hit[0] else -1)
        return (*after, *[-1] * (self.order - len(after)))

    def probabilities(self, places: Places) -> np.ndarray:
        """(size,) probability of each token being next, float64."""
        p = np.full(self.size, 1 / self.size)
        kinds = len(self._kinds)
        for h, level, smoothed in zip(places, self._levels, self._smoothed, strict=False):
            if not 0 <= h < len(smoothed.sums) or not smoothed.sums[h]:  # a stranger's state may claim any place
                break
            followers = slice(*np.searchsorted(level.codes, [h * kinds, (h + 1) * kinds]))
            p *= smoothed.freed[h] / smoothed.sums[h]
            left = smoothed.counts[followers] - smoothed.discounts[followers]
            p[self._kinds[level.codes[followers] - h * kinds]] += left / smoothed.sums[h]
        return p

    def scores(self, places: np.ndarray) -> np.ndarray:
        """(..., size) float32 log-probabilities of each token being next, in nats, from places (..., order)."""
        rows = [self.probabilities(tuple(row)) for row in places.reshape(-1, self.order).tolist()]
        return np.log(np.array(rows)).astype(np.float32).reshape(*places.shape[:-1], self.size)

    def _smooth(self) -> list[_Smoothed]:
        found = []
        for n, level in enumerate(self._levels, 1):
            # An n-gram at the text's beginning has nothing before it.
            counts = level.counts if n == len(self._levels) else np.maximum(level.continuations, 1)
            contexts = level.codes // max(1, len(self._kinds))
            many = 1 if n == 1 else len(self._levels[n - 2].codes)
            discounts = _discounts(counts)[np.minimum(counts, 3)]
            found.append(
                _Smoothed(
                    counts, discounts, np.bincount(contexts, counts, many), np.bincount(contexts, discounts, many)
                )
            )
        return found


def _discounts(counts: np.ndarray) -> np.ndarray:
    """What is taken off a count of 0, 1, 2, and 3 or more."""
    n1, n2, n3, n4 = (int((counts == many).sum()) for many in (1, 2, 3, 4))
    if not n1:  # as of a text that repeats itself: then Witten and Bell's amount would be all that is known
        return np.array([0.0, 0.5, 0.5, 0.5])
    rate = n1 / (n1 + 2 * n2)
    pairs = ((1, n1, n2), (2, n2, n3), (3, n3, n4))
    amounts = [i - (i + 1) * rate * more / own if own else i / 2 for i, own, more in pairs]
    # Something must stay, and something must be given to what was not seen.
    return np.array([0.0, *(min(max(a, 0.05), i - 0.05) for i, a in enumerate(amounts, 1))])


def best_order(model: KneserNey, ids: np.ndarray, before: np.ndarray | Sequence[int] = ()) -> KneserNey:
    """The model with the order that gives a held-out text the fewest bits; of those that differ by less than a
    thousandth, the lowest."""
    models = [model.with_order(order) for order in range(1, model.order + 1)]
    bits = [float(one.bits(ids, before).mean()) for one in models]
    return models[next(place for place, some in enumerate(bits) if some <= min(bits) * 1.001)]


def find(sorted_values: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each wanted value is there, and its place (0 where it is not)."""
    if not len(sorted_values):
        return np.zeros(len(wanted), bool), np.zeros(len(wanted), np.int64)
    at = np.minimum(np.searchsorted(sorted_values, wanted), len(sorted_values) - 1)
    seen = sorted_values[at] == wanted
    return seen, np.where(seen, at, 0)


def in_vocabulary(values: np.ndarray, size: int) -> np.ndarray:
    """(N,) int64. OptionError or DataError if there is no such vocabulary, or an id outside it."""
    if size < 1:
        raise OptionError(f"size is {size}. Give the number of entries in the vocabulary, 1 or more.")
    ids = np.asarray(values, np.int64).ravel()
    if len(ids) and not (ids.min() >= 0 and ids.max() < size):
        wrong = ids[(ids < 0) | (ids >= size)][0]
        raise DataError(f"id {wrong} is outside a vocabulary of {size}. Encode the text with that vocabulary.")
    return ids
