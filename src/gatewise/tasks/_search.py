"""Searching for what a decoder should write: beam search, and sampling, of many sentences together.

Shapes: B sentences, N hypotheses that are being written (of all sentences), V tokens, S places of a source, K the beam.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Protocol

import numpy as np

from ..errors import DataError, OptionError, ShapeError
from ._sampler import Sampler, number, whole

_BLOCK = 64  # tokens whose maximum is taken at once


class Step(Protocol):
    """A decoder, one token at a time. It keeps a state for every row that it was last called with.

    Args:
        tokens: (N,) int64, the token that each row wrote last; before the first, the start token.
        parents: (N,) int64, which row of the call before each one goes on from. Rows may be missing, in another order,
            or several times. In the first call: the number of its sentence, 0 .. B - 1.

    Returns:
        Log-probabilities of the next token, (N, V) floats, which the caller may overwrite; and the attention that they
        came from, (N, S), each row's places of the source first, or None.
    """

    def __call__(self, tokens: np.ndarray, parents: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]: ...


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How to search.

    Args:
        beam_size: Hypotheses that are followed side by side; 1 takes the best token each time (greedy).
        n_best: Results per sentence, the best first; up to `beam_size`, or as many samples.
        length_penalty: Alpha: log-probabilities are divided by ((5 + n) / 6) ** alpha, n being the tokens with the end.
            0 prefers short results, 1 compares about as the mean per token does.
        coverage_penalty: Beta, times the sum over the places of the source of log(min(attention received, 1)): above 0
            prefers results that leave no place out.
        min_length: Fewest tokens, without the end.
        max_length: Most tokens, without the end; None leaves it to the caller's limit for each sentence.
        no_repeat_ngram: No sequence of so many tokens occurs twice in a result; 0 allows all.
        sampling: Draw tokens instead of searching; `n_best` times for each sentence.
        temperature: Of sampling: 1 draws what the model believes, less is more cautious.
        top_k: Of sampling: draw from this many best tokens at most.
        top_p: Of sampling: draw from the fewest best tokens whose probabilities reach this sum.
        seed: Of sampling. Each sentence draws as if it were alone.

    Raises:
        OptionError: A value is impossible.

    Source: Wu et al. (2016), arXiv:1609.08144, equation 14, for the penalties. Places that end (Bahdanau et al. 2015):
    a hypothesis that ends gives up its place in the beam.
    """

    beam_size: int = 5
    n_best: int = 1
    length_penalty: float = 1.0
    coverage_penalty: float = 0.0
    min_length: int = 0
    max_length: int | None = None
    no_repeat_ngram: int = 0
    sampling: bool = False
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("beam_size", 1), ("n_best", 1), ("min_length", 0), ("no_repeat_ngram", 0)):
            whole(name, getattr(self, name), least)
        for name in ("length_penalty", "coverage_penalty"):
            number(name, getattr(self, name), "from 0 to 10", lambda v: 0 <= v <= 10)
        if self.max_length is not None and whole("max_length", self.max_length, 1) < self.min_length:
            raise OptionError(f"max_length is {self.max_length}, below min_length={self.min_length}. Raise it.")
        if not isinstance(self.sampling, bool):
            raise OptionError(f"sampling is {self.sampling!r}, but must be true or false.")
        if self.n_best > self.beam_size and not self.sampling:
            raise OptionError(
                f"n_best is {self.n_best}, but a beam of {self.beam_size} finds no more than that. Raise beam_size."
            )
        self.sampler()

    def sampler(self) -> Sampler:
        """A fresh one, with streams of its own. OptionError if its options are impossible."""
        return Sampler(self.temperature, self.top_k, self.top_p, self.seed)

    def score(self, log_probability: float, length: int, coverage: np.ndarray | None) -> float:
        """What results are ranked by; more is better.

        Args:
            log_probability: Of all tokens and the end, in nats.
            length: Tokens, with the end.
            coverage: (S,) attention that each place received in all; None without attention.
        """
        found = log_probability / ((5 + length) / 6) ** self.length_penalty
        if self.coverage_penalty and coverage is not None:
            # A place that nothing looked at at all would forbid the result for good: float32's smallest step instead.
            found += self.coverage_penalty * float(np.log(np.clip(coverage, 1e-7, 1)).sum())
        return float(found)


@dataclass(frozen=True)
class Hypothesis:
    """One result.

    Attributes:
        tokens: (n,) int64, without start and end.
        score: What it is ranked by; see `Decoding.score`.
        log_probability: Of the tokens and the end, in nats.
        attention: (n, S) that each token came from; None without attention.
        ended: Whether it ended with the end token, which was otherwise not allowed to it.
    """

    tokens: np.ndarray
    score: float
    log_probability: float
    attention: np.ndarray | None
    ended: bool = True


def decode(
    step: Step,
    sentences: int,
    start: int,
    end: int,
    options: Decoding | None = None,
    *,
    limits: Sequence[int] | np.ndarray | None = None,
    forbidden: Iterable[int] = (),
    prefixes: Sequence[Sequence[int]] | None = None,
    lengths: Sequence[int] | np.ndarray | None = None,
) -> list[list[Hypothesis]]:
    """Write for B sentences at once. Those that are done leave the batch; none depends on another.

    Args:
        step: The decoder, before its first step.
        sentences: B.
        start, end: Tokens that a text begins after, and ends with.
        options: How to search; the defaults of `Decoding` if omitted.
        limits: (B,) most tokens of each, without the end; `max_length` if omitted. The less of both counts.
        forbidden: Tokens that are never written, such as the start.
        prefixes: Per sentence the tokens that it must begin with. They count before every other rule.
        lengths: (B,) places of each source; S of all if omitted.

    Returns:
        Per sentence `n_best` results, the best first; fewer if there are no more.

    Raises:
        OptionError: There is no limit, or a prefix contains the end.
        ShapeError: The step returns another number of rows.
        DataError: The step returns NaN.
    """
    return _Search(
        step, sentences, start, end, options or Decoding(), limits, sorted(set(forbidden)), prefixes, lengths
    ).run()


def copied(hypothesis: Hypothesis, token: int) -> np.ndarray:
    """(n,) for each place where this token (usually "unknown") stands, the place of the source it looked at most; -1
    elsewhere. Source: Luong et al. (2015), arXiv:1410.8206, and Jean et al. (2015), arXiv:1412.2007, section 3.3."""
    here = hypothesis.tokens == token
    if hypothesis.attention is None or not here.any():
        return np.full(len(here), -1)
    return np.where(here, hypothesis.attention.argmax(1), -1)


class _Search:
    """Attributes, of the N hypotheses that are being written:
    sentence: (N,) which sentence each belongs to, never falling.
    written: (N, t) tokens so far.
    looked: (N, t, S) attention so far, or None.
    totals: (N,) log-probabilities so far, float64.
    """

    def __init__(
        self,
        step: Step,
        sentences: int,
        start: int,
        end: int,
        options: Decoding,
        limits: Sequence[int] | np.ndarray | None,
        forbidden: list[int],
        prefixes: Sequence[Sequence[int]] | None,
        lengths: Sequence[int] | np.ndarray | None,
    ):
        self.step, self.end, self.options, self.forbidden = step, end, options, forbidden
        self.prefixes = [list(prefix) for prefix in prefixes] if prefixes is not None else [[]] * sentences
        if any(end in prefix for prefix in self.prefixes):
            raise OptionError("a prefix holds the end token, behind which nothing can stand. Take it out.")
        if limits is None and options.max_length is None:
            raise OptionError("nothing says how long a result may become. Give max_length, or limits.")
        most = np.full(sentences, np.iinfo(np.int64).max) if limits is None else np.asarray(limits, np.int64)
        most = np.minimum(most, most if options.max_length is None else options.max_length)
        self.limits = np.maximum(most, [len(prefix) for prefix in self.prefixes])
        self.lengths = lengths
        self.found: list[list[Hypothesis]] = [[] for _ in range(sentences)]
        rows = options.n_best if options.sampling else 1
        self.sentence = np.repeat(np.arange(sentences), rows)
        self.draws = np.tile(np.arange(rows), sentences)  # (N,) of each sample its number within its sentence
        self.samplers = [options.sampler() for _ in range(sentences if options.sampling else 0)]
        self.widths = np.full(sentences, options.beam_size)  # places that are left in each sentence's beam
        self.written = np.zeros((len(self.sentence), 0), np.int64)
        self.looked: np.ndarray | None = None
        self.totals = np.zeros(len(self.sentence))
        self.last = np.full(len(self.sentence), start)

    def run(self) -> list[list[Hypothesis]]:
        parents = self.sentence
        for place in count():
            if not len(self.sentence):
                break
            log_p, weights = self.step(self.last, parents)
            if len(log_p) != len(self.sentence):
                raise ShapeError(f"{len(self.sentence)} rows were asked for the next token, but {len(log_p)} answered")
            if weights is not None:
                before = weights[:, None][:, :0] if self.looked is None else self.looked
                self.looked = np.concatenate([before, weights[:, None]], 1)
            self._rule_out(log_p, place)
            parents, self.last, totals = (self._drawn if self.options.sampling else self._best)(log_p)
            going = np.zeros(len(self.sentence), bool)
            going[parents] = True
            self._keep_stranded(going)
            for row, total in zip(parents[self.last == self.end], totals[self.last == self.end], strict=True):
                self._finish(int(row), float(total), True)
            goes_on = self.last != self.end
            parents, self.last, self.totals = parents[goes_on], self.last[goes_on], totals[goes_on]
            self.written = np.concatenate([self.written[parents], self.last[:, None]], 1)
            self.looked = None if self.looked is None else self.looked[parents]
            self.sentence, self.draws = self.sentence[parents], self.draws[parents]
        for some in self.found:
            some.sort(key=lambda one: -one.score)  # stable: of equals, the one that ended first
        return [some[: self.options.n_best] for some in self.found]

    def _rule_out(self, log_p: np.ndarray, place: int) -> None:
        """Set what may not stand here to -inf."""
        forced = [
            (row, self.prefixes[s][place]) for row, s in enumerate(self.sentence) if place < len(self.prefixes[s])
        ]
        kept = [log_p[row, token] for row, token in forced]
        log_p[:, self.forbidden] = -np.inf
        full = place >= self.limits[self.sentence]
        if place < self.options.min_length:
            log_p[~full, self.end] = -np.inf
        if self.options.no_repeat_ngram:
            log_p[repeating(self.written, self.options.no_repeat_ngram)] = -np.inf
        ends = log_p[full, self.end]
        log_p[full] = -np.inf
        log_p[full, self.end] = ends
        for (row, token), value in zip(forced, kept, strict=True):
            log_p[row], log_p[row, token] = -np.inf, value

    def _best(self, log_p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows, tokens and totals of the best continuations of each sentence, as many as its beam has places."""
        width = self.options.beam_size
        ids, values = best(log_p, width)
        sentences, group, sizes = np.unique(self.sentence, return_inverse=True, return_counts=True)
        slot = np.arange(len(group)) - (np.cumsum(sizes) - sizes)[group]
        grid = np.full((len(sentences), int(sizes.max()), ids.shape[1]), -np.inf)
        grid[group, slot] = self.totals[:, None] + values
        flat = grid.reshape(len(sentences), -1)
        order = np.argsort(-flat, axis=1, kind="stable")[:, :width]
        ranked = np.take_along_axis(flat, order, 1)
        chosen = (np.arange(order.shape[1]) < self.widths[sentences][:, None]) & (ranked > -np.inf)
        sentence, rank = np.nonzero(chosen)
        slots, candidate = np.divmod(order[sentence, rank], ids.shape[1])
        rows = (np.cumsum(sizes) - sizes)[sentence] + slots
        tokens = ids[rows, candidate]
        np.subtract.at(self.widths, sentences[sentence[tokens == self.end]], 1)
        return rows, tokens, ranked[sentence, rank]

    def _drawn(self, log_p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows, tokens and totals of one drawn continuation of each row that has any."""
        _check(log_p.max(1))
        rows = np.flatnonzero(log_p.max(1) > -np.inf)
        tokens = np.zeros(len(rows), np.int64)
        for place, row in enumerate(rows):
            sampler = self.samplers[self.sentence[row]]
            tokens[place] = sampler(log_p[row][None], [int(self.draws[row])])[0]
        return rows, tokens, self.totals[rows] + log_p[rows, tokens]

    def _keep_stranded(self, going: np.ndarray) -> None:
        """Rows of a sentence (when sampling, each row) that can go on nowhere are results as they stand."""
        if going.all():
            return
        alive = set() if self.options.sampling else set(self.sentence[going].tolist())
        for row in np.flatnonzero(~going):
            if self.sentence[row] not in alive:
                self._finish(int(row), float(self.totals[row]), False)

    def _finish(self, row: int, total: float, ended: bool) -> None:
        sentence, tokens = self.sentence[row], self.written[row]
        looked = None if self.looked is None else self.looked[row]
        if looked is not None and self.lengths is not None:
            looked = looked[:, : self.lengths[sentence]]
        coverage = None if looked is None else looked.sum(0, dtype=np.float64)
        score = self.options.score(total, len(tokens) + ended, coverage)
        attention = None if looked is None else looked[: len(tokens)].copy()
        self.found[sentence].append(Hypothesis(tokens, score, total, attention, ended))


def best(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids (N, k) and values (N, k) of the k best of each row, the best first, of equals the lower id; k <= V.

    Only the k blocks of 64 with the largest maxima can hold them: far less to sort than a row of a whole vocabulary.

    Raises:
        DataError: A row holds NaN.
    """
    rows, size = scores.shape
    k, whole_blocks = min(k, size), size // _BLOCK
    most = [scores[:, : whole_blocks * _BLOCK].reshape(rows, whole_blocks, _BLOCK).max(-1)] if whole_blocks else []
    if size % _BLOCK:
        most.append(scores[:, whole_blocks * _BLOCK :].max(-1, keepdims=True))
    peaks = np.concatenate(most, 1)
    _check(peaks.max(1))
    blocks = np.sort(np.argsort(-peaks, axis=1, kind="stable")[:, :k], axis=1)
    ids = (blocks[:, :, None] * _BLOCK + np.arange(_BLOCK)).reshape(rows, -1)
    values = np.take_along_axis(scores, np.minimum(ids, size - 1), 1)
    values[ids >= size] = -np.inf
    order = np.argsort(-values, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(ids, order, 1), np.take_along_axis(values, order, 1)


def repeating(written: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows, and tokens that would end an n-gram there which the row has already.

    Args:
        written: (N, t) tokens.
    """
    steps = written.shape[1]
    if steps < n:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    grams = np.lib.stride_tricks.sliding_window_view(written, n, axis=1)  # (N, t - n + 1, n)
    same = (grams[:, :, : n - 1] == written[:, None, steps - n + 1 :]).all(-1)
    row, place = np.nonzero(same)
    return row, grams[row, place, n - 1]


def _check(best_of_rows: np.ndarray) -> None:
    if np.isnan(best_of_rows).any():
        raise DataError(
            "the model scores a token as NaN. Its weights are damaged; train with a smaller learning rate or with "
            "gradient clipping."
        )
