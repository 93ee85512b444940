"""From the scores of connectionist temporal classification to labels: greedy, prefix beam search, and where each lies.

numpy only, because a model that is served needs it too.

T steps, V symbols; symbol 0 is the blank, which separates two equal labels and fills the time between labels. A path
has a symbol per step; its labelling is what remains once repetitions, and then blanks, are taken out.

Source: Graves, Fernández, Gomez & Schmidhuber (2006), "Connectionist temporal classification", ICML.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

BLANK = 0


class Prior(Protocol):
    """What is known of labellings before anything is heard, such as a language model."""

    def start(self) -> Any:
        """The state before the first label."""

    def after(self, state: Any, label: int) -> Any:
        """The state behind one more label; leaves the given one as it is."""

    def scores(self, state: Any) -> np.ndarray:
        """(V,) log-probability of each label being next; that of the blank counts for nothing."""

    def end(self, state: Any) -> float:
        """Log-probability that nothing follows; 0 where that is not known."""


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """(T, V) float64 log-probabilities; a row's bits depend on that row alone."""
    shifted = scores.astype(np.float64) - scores.max(-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))


def steps_needed(labels: Sequence[int]) -> int:
    """The fewest steps in which these labels can be said: a blank must stand between two that are equal."""
    return len(labels) + sum(a == b for a, b in pairwise(labels))


class Greedy:
    """The labelling of the likeliest path, as steps arrive.

    Example:
        >>> decoder = Greedy()
        >>> decoder.push(log_probabilities)
        >>> decoder.labels()
    """

    def __init__(self) -> None:
        self._labels: list[int] = []
        self._last = BLANK

    def push(self, log_probabilities: np.ndarray) -> None:
        """Take in (T, V)."""
        for symbol in log_probabilities.argmax(-1).tolist():
            if symbol not in (self._last, BLANK):
                self._labels.append(symbol)
            self._last = symbol

    def labels(self) -> list[int]:
        return list(self._labels)


@dataclass(frozen=True)
class _Prefix:
    """A labelling of the steps so far, in the beam.

    Attributes:
        labels: As a tuple.
        known: What the prior and the bonus add to its score.
        state: Of the prior.
        further: What each further label would add: (V,), or one number for all.
    """

    labels: tuple[int, ...]
    known: float
    state: Any
    further: Any


class PrefixBeam:
    """The likeliest labelling, summed over all of its paths, as steps arrive.

    With a beam wide enough to hold every prefix it is exact; a narrower one keeps the best prefixes of each step.

    Args:
        width: Prefixes that are kept.
        prior: A language model, or None.
        weight: Its share: log-probabilities are added up as acoustic + weight * prior.
        bonus: Added per label, against a prior's liking for short texts.

    Source: Hannun, Maas, Jurafsky & Ng (2014), "First-pass large vocabulary continuous speech recognition using
    bi-directional recurrent DNNs", arXiv:1408.2873, algorithm 1, in logarithms.
    """

    def __init__(self, width: int, prior: Prior | None = None, weight: float = 0.5, bonus: float = 0.0):
        self.width, self.prior, self.weight, self.bonus = width, prior, weight, bonus
        state = prior.start() if prior else None
        self._prefixes = [_Prefix((), 0.0, state, self._further(state))]
        self._blank = np.zeros(1)  # of each prefix the log-probability of its paths that end in a blank
        self._label = np.full(1, -np.inf)  # and of those that end in its last label

    def push(self, log_probabilities: np.ndarray) -> None:
        """Take in (T, V)."""
        with np.errstate(invalid="ignore"):  # -inf - -inf, within logaddexp
            for step in log_probabilities:
                self._step(step)

    def labels(self) -> list[int]:
        """The best labelling of the steps so far."""
        totals = self._scores() + [self._end(prefix) for prefix in self._prefixes]
        return list(self._prefixes[int(totals.argmax())].labels)

    def _step(self, p: np.ndarray) -> None:
        K, V = len(self._prefixes), len(p)
        both = np.logaddexp(self._blank, self._label)
        last = np.array([prefix.labels[-1] if prefix.labels else BLANK for prefix in self._prefixes])
        blank = both + p[BLANK]
        label = np.where(last == BLANK, -np.inf, self._label + p[last])
        longer = both[:, None] + p
        rows = np.arange(K)
        longer[rows, last] = self._blank + p[last]  # without a blank between, equal labels are one
        longer[:, BLANK] = -np.inf
        place = {prefix.labels: k for k, prefix in enumerate(self._prefixes)}
        for k, prefix in enumerate(self._prefixes):
            parent = place.get(prefix.labels[:-1]) if prefix.labels else None
            if parent is not None:  # what makes a longer one of it is a prefix that there is already
                label[k] = np.logaddexp(label[k], longer[parent, last[k]])
                longer[parent, last[k]] = -np.inf
        known = np.array([prefix.known for prefix in self._prefixes])
        then = np.stack([np.broadcast_to(prefix.known + prefix.further, V) for prefix in self._prefixes])
        scores = np.concatenate([np.logaddexp(blank, label) + known, (longer + then).ravel()])
        best = np.argsort(-scores, kind="stable")[: self.width]
        best = best[np.isfinite(scores[best])]
        grown = best - K
        stays = grown < 0
        self._prefixes = [self._prefixes[i] if i < K else self._longer(i - K, then) for i in best.tolist()]
        self._blank = np.where(stays, blank[np.minimum(best, K - 1)], -np.inf)
        self._label = np.where(stays, label[np.minimum(best, K - 1)], longer.ravel()[np.maximum(grown, 0)])

    def _longer(self, number: int, then: np.ndarray) -> _Prefix:
        """A prefix and a label more, by their number in the table (K, V) of what all of them would be known by."""
        k, label = divmod(number, then.shape[1])
        before = self._prefixes[k]
        state = self.prior.after(before.state, label) if self.prior else None
        return _Prefix((*before.labels, label), float(then[k, label]), state, self._further(state))

    def _further(self, state: Any) -> Any:
        return self.bonus + (self.weight * self.prior.scores(state) if self.prior else 0.0)

    def _end(self, prefix: _Prefix) -> float:
        return self.weight * self.prior.end(prefix.state) if self.prior else 0.0

    def _scores(self) -> np.ndarray:
        return np.logaddexp(self._blank, self._label) + [prefix.known for prefix in self._prefixes]


def align(log_probabilities: np.ndarray, labels: Sequence[int]) -> list[tuple[int, int]]:
    """On the likeliest path with this labelling, from which step each label is said up to which (that one excluded).

    Raises:
        ValueError: There are fewer steps than `steps_needed(labels)`, or no path is possible.
    """
    if not labels:
        return []
    symbols = np.zeros(2 * len(labels) + 1, np.int64)  # blanks around the labels
    symbols[1::2] = labels
    may_skip = np.zeros(len(symbols), bool)  # the blank between two labels that differ
    may_skip[2:] = (symbols[2:] != BLANK) & (symbols[2:] != symbols[:-2])
    score = np.full(len(symbols), -np.inf)
    score[:2] = log_probabilities[0, symbols[:2]]
    came = np.zeros((len(log_probabilities), len(symbols)), np.int64)  # how many places on, from the step before
    for t, step in enumerate(log_probabilities[1:], 1):
        ways = np.stack([score, np.append(-np.inf, score[:-1]), np.append([-np.inf] * 2, score[:-2])])
        ways[2, ~may_skip] = -np.inf
        came[t] = ways.argmax(0)
        score = ways.max(0) + step[symbols]
    place = len(symbols) - 1 if score[-1] >= score[-2] else len(symbols) - 2
    if math.isinf(score[place]):
        raise ValueError(f"{len(log_probabilities)} steps cannot say {len(labels)} labels")
    first, last = np.zeros(len(labels), np.int64), np.zeros(len(labels), np.int64)
    for t in range(len(log_probabilities) - 1, -1, -1):
        if place % 2:
            first[place // 2] = t
            last[place // 2] = max(last[place // 2], t + 1)
        place -= int(came[t, place])
    return list(zip(first.tolist(), last.tolist(), strict=True))
