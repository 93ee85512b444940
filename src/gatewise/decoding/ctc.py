"""Connectionist temporal classification (CTC): greedy decoding, prefix beam search, and alignment of labels.

T steps, V symbols; symbol 0 is the blank, which separates two equal labels and fills the time between labels. A path
has a symbol per step; its labelling is what remains once repetitions, and then blanks, are removed.

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
    """Probabilities of labellings that do not depend on the input, such as a language model's."""

    def start(self) -> Any:
        """The state before the first label."""

    def after(self, state: Any, label: int) -> Any:
        """The state after one more label; does not change the given one."""

    def scores(self, state: Any) -> np.ndarray:
        """(V,) log-probability of each label being next; the blank's is ignored."""

    def end(self, state: Any) -> float:
        """Log-probability that nothing follows; 0 where that is unknown."""


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """(T, V) float64 log-probabilities; a row's bits depend on that row alone."""
    shifted = scores.astype(np.float64) - scores.max(-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))


def steps_needed(labels: Sequence[int]) -> int:
    """The minimum number of steps for these labels: two equal ones need a blank between them."""
    return len(labels) + sum(a == b for a, b in pairwise(labels))


class Greedy:
    """The labelling of the most probable path, updated as steps arrive.

    Example:
        >>> decoder = Greedy()
        >>> decoder.push(log_probabilities)
        >>> decoder.labels()
    """

    def __init__(self) -> None:
        self._labels: list[int] = []
        self._last = BLANK

    def push(self, log_probabilities: np.ndarray) -> None:
        """Read (T, V)."""
        for symbol in log_probabilities.argmax(-1).tolist():
            if symbol not in (self._last, BLANK):
                self._labels.append(symbol)
            self._last = symbol

    def labels(self) -> list[int]:
        return list(self._labels)

    @property
    def state(self) -> Any:
        """The search so far, as a value: another `Greedy` that is given it goes on from there."""
        return tuple(self._labels), self._last

    @state.setter
    def state(self, state: Any) -> None:
        labels, self._last = state
        self._labels = list(labels)

    def arrays(self) -> dict[str, np.ndarray]:
        """The state as arrays by name."""
        return {"labels": np.array(self._labels, np.int64), "last": np.array(self._last)}

    def read(self, arrays: dict[str, np.ndarray], symbols: int) -> None:
        """Take the state that `arrays` gave out of these. KeyError or ValueError if they are not of so many symbols."""
        labels, last = _labels(arrays.pop("labels"), symbols), arrays.pop("last")
        if last.dtype != np.int64 or last.ndim or not 0 <= last < symbols:
            raise ValueError("no last symbol")
        self.state = labels, int(last)


def _labels(found: np.ndarray, symbols: int) -> tuple[int, ...]:
    if found.dtype != np.int64 or found.ndim != 1 or ((found <= BLANK) | (found >= symbols)).any():
        raise ValueError(f"no labels of {symbols} symbols")
    return tuple(found.tolist())


@dataclass(frozen=True)
class _Prefix:
    """A labelling of the steps so far, kept in the beam.

    Attributes:
        labels: As a tuple.
        extra: What the prior and the bonus add to its score.
        state: The prior's.
        next_extra: What each next label would add to that: (V,), or one number for all.
    """

    labels: tuple[int, ...]
    extra: float
    state: Any
    next_extra: Any


class PrefixBeam:
    """The most probable labelling, summed over all of its paths, updated as steps arrive.

    It is exact if the beam is wide enough for every prefix; a narrower one keeps the best prefixes of each step.

    Args:
        width: Prefixes that are kept.
        prior: A language model, or None.
        weight: Its weight: log-probabilities are added as acoustic + weight * prior.
        bonus: Added per label, to offset a prior's preference for short texts.

    Source: Hannun, Maas, Jurafsky & Ng (2014), "First-pass large vocabulary continuous speech recognition using
    bi-directional recurrent DNNs", arXiv:1408.2873, algorithm 1, in logarithms.
    """

    def __init__(self, width: int, prior: Prior | None = None, weight: float = 0.5, bonus: float = 0.0):
        self.width, self.prior, self.weight, self.bonus = width, prior, weight, bonus
        state = prior.start() if prior else None
        self._prefixes = [_Prefix((), 0.0, state, self._next_extra(state))]
        self._blank = np.zeros(1)  # for each prefix, log-probability of its paths that end in a blank
        self._label = np.full(1, -np.inf)  # and of its paths that end in its last label

    def push(self, log_probabilities: np.ndarray) -> None:
        """Read (T, V)."""
        with np.errstate(invalid="ignore"):  # -inf - -inf, within logaddexp
            for step in log_probabilities:
                self._step(step)

    def labels(self) -> list[int]:
        """The best labelling of the steps so far."""
        totals = self._scores() + [self._end(prefix) for prefix in self._prefixes]
        return list(self._prefixes[int(totals.argmax())].labels)

    @property
    def state(self) -> Any:
        """The search so far, as a value: another `PrefixBeam` of the same options that is given it goes on from
        there."""
        return self._prefixes, self._blank, self._label

    @state.setter
    def state(self, state: Any) -> None:
        self._prefixes, self._blank, self._label = state

    def arrays(self) -> dict[str, np.ndarray]:
        """The state as arrays by name; what the prior thinks of the prefixes follows from them."""
        lengths = [len(prefix.labels) for prefix in self._prefixes]
        return {
            "labels": np.array([label for prefix in self._prefixes for label in prefix.labels], np.int64),
            "ends": np.cumsum(lengths, dtype=np.int64),
            "extra": np.array([prefix.extra for prefix in self._prefixes]),
            "blank": self._blank,
            "label": self._label,
        }

    def read(self, arrays: dict[str, np.ndarray], symbols: int) -> None:
        """Take the state that `arrays` gave out of these. KeyError or ValueError if they are not of so many symbols."""
        labels = _labels(arrays.pop("labels"), symbols)
        ends, extra, blank, label = (arrays.pop(name) for name in ("ends", "extra", "blank", "label"))
        scores = (extra, blank, label)
        if ends.dtype != np.int64 or ends.ndim != 1 or any((a.dtype, a.shape) != (float, ends.shape) for a in scores):
            raise ValueError("no prefixes")
        cuts = [0, *ends.tolist()]
        if not 0 < len(ends) <= self.width or sorted(cuts) != cuts or cuts[-1] != len(labels):
            raise ValueError("no prefixes")
        own = [labels[first:last] for first, last in pairwise(cuts)]
        if len(set(own)) < len(own):
            raise ValueError("a prefix is there twice")
        self.state = [self._again(*each) for each in zip(own, extra.tolist(), strict=True)], blank, label

    def _again(self, labels: tuple[int, ...], extra: float) -> _Prefix:
        state = None
        if self.prior:
            state = self.prior.start()
            for label in labels:
                state = self.prior.after(state, label)
        return _Prefix(labels, extra, state, self._next_extra(state))

    def _step(self, p: np.ndarray) -> None:
        K, V = len(self._prefixes), len(p)
        both = np.logaddexp(self._blank, self._label)
        last = np.array([prefix.labels[-1] if prefix.labels else BLANK for prefix in self._prefixes])
        blank = both + p[BLANK]
        label = np.where(last == BLANK, -np.inf, self._label + p[last])
        longer = both[:, None] + p
        rows = np.arange(K)
        longer[rows, last] = self._blank + p[last]  # two equal labels need a blank between them
        longer[:, BLANK] = -np.inf
        index = {prefix.labels: k for k, prefix in enumerate(self._prefixes)}
        for k, prefix in enumerate(self._prefixes):
            parent = index.get(prefix.labels[:-1]) if prefix.labels else None
            if parent is not None:  # extending the parent by this label gives this prefix, which exists already
                label[k] = np.logaddexp(label[k], longer[parent, last[k]])
                longer[parent, last[k]] = -np.inf
        extra = np.array([prefix.extra for prefix in self._prefixes])
        extras = np.stack([np.broadcast_to(prefix.extra + prefix.next_extra, V) for prefix in self._prefixes])
        scores = np.concatenate([np.logaddexp(blank, label) + extra, (longer + extras).ravel()])
        best = np.argsort(-scores, kind="stable")[: self.width]
        best = best[np.isfinite(scores[best])]
        grown = best - K
        kept = grown < 0
        self._prefixes = [self._prefixes[i] if i < K else self._extended(i - K, extras) for i in best.tolist()]
        self._blank = np.where(kept, blank[np.minimum(best, K - 1)], -np.inf)
        self._label = np.where(kept, label[np.minimum(best, K - 1)], longer.ravel()[np.maximum(grown, 0)])

    def _extended(self, index: int, extras: np.ndarray) -> _Prefix:
        """A prefix with one more label, by its index in the table (K, V) of the extras of all such prefixes."""
        k, label = divmod(index, extras.shape[1])
        before = self._prefixes[k]
        state = self.prior.after(before.state, label) if self.prior else None
        return _Prefix((*before.labels, label), float(extras[k, label]), state, self._next_extra(state))

    def _next_extra(self, state: Any) -> Any:
        return self.bonus + (self.weight * self.prior.scores(state) if self.prior else 0.0)

    def _end(self, prefix: _Prefix) -> float:
        return self.weight * self.prior.end(prefix.state) if self.prior else 0.0

    def _scores(self) -> np.ndarray:
        return np.logaddexp(self._blank, self._label) + [prefix.extra for prefix in self._prefixes]


def align(log_probabilities: np.ndarray, labels: Sequence[int]) -> list[tuple[int, int]]:
    """First step, and step after the last, of each label on the most probable path with this labelling.

    Raises:
        ValueError: There are fewer steps than `steps_needed(labels)`, or no path is possible.
    """
    if not labels:
        return []
    symbols = np.zeros(2 * len(labels) + 1, np.int64)  # blanks around the labels
    symbols[1::2] = labels
    can_skip = np.zeros(len(symbols), bool)  # the blank before it: two different labels need none
    can_skip[2:] = (symbols[2:] != BLANK) & (symbols[2:] != symbols[:-2])
    score = np.full(len(symbols), -np.inf)
    score[:2] = log_probabilities[0, symbols[:2]]
    moves = np.zeros((len(log_probabilities), len(symbols)), np.int64)  # symbols by which the path advanced
    for t, step in enumerate(log_probabilities[1:], 1):
        ways = np.stack([score, np.append(-np.inf, score[:-1]), np.append([-np.inf] * 2, score[:-2])])
        ways[2, ~can_skip] = -np.inf
        moves[t] = ways.argmax(0)
        score = ways.max(0) + step[symbols]
    position = len(symbols) - 1 if score[-1] >= score[-2] else len(symbols) - 2
    if math.isinf(score[position]):
        raise ValueError(f"{len(log_probabilities)} steps have no path with {len(labels)} labels")
    first, last = np.zeros(len(labels), np.int64), np.zeros(len(labels), np.int64)
    for t in range(len(log_probabilities) - 1, -1, -1):
        if position % 2:
            first[position // 2] = t
            last[position // 2] = max(last[position // 2], t + 1)
        position -= int(moves[t, position])
    return list(zip(first.tolist(), last.tolist(), strict=True))
