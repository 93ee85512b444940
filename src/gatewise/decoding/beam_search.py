"""Beam search and sampling over a decoder that scores one token at a time, for many sentences together.

Shapes: B sentences, N active hypotheses (of all sentences), n tokens of one, V tokens in the vocabulary, S positions of
a source, K the beam.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Protocol

import numpy as np

from ..errors import DataError, OptionError, ShapeError
from .options import Decoding
from .sampling import Sampler

_BLOCK = 128  # tokens whose maximum is taken at once


class Step(Protocol):
    """A decoder, one token at a time. It keeps a state for every row that it was last called with.

    Args:
        tokens: (N,) int64, the last token of each row; before the first, the start token.
        parents: (N,) int64, for each row the row of the previous call that it continues. Rows may be dropped, reordered
            or repeated. In the first call: the index of its sentence, 0 .. B - 1.

    Returns:
        Log-probabilities of the next token, (N, V) floats, which the caller may overwrite; and the attention weights
        that they came from, (N, S), each row's positions of the source first, or None.
    """

    def __call__(self, tokens: np.ndarray, parents: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]: ...


@dataclass(frozen=True)
class Hypothesis:
    """One result.

    Attributes:
        tokens: (n,) int64, without start and end.
        score: What it is ranked by; see `Decoding.score`.
        log_probability: Of the tokens and the end, in nats.
        attention: (n, S) weights behind each token; None without attention.
        ended: Whether it ended with the end token; False if the rules left it no token to continue with.
    """

    tokens: np.ndarray
    score: float
    log_probability: float
    attention: np.ndarray | None
    ended: bool = True


def source_positions(hypothesis: Hypothesis, token: int) -> np.ndarray:
    """(n,) where this token (usually "unknown") stands, the source position with the most attention; -1 elsewhere.

    Source: Luong et al. (2015), arXiv:1410.8206, and Jean et al. (2015), arXiv:1412.2007, section 3.3.
    """
    here = hypothesis.tokens == token
    if hypothesis.attention is None or not here.any():
        return np.full(len(here), -1)
    return np.where(here, hypothesis.attention.argmax(1), -1)


def decode(
    step: Step,
    options: Decoding | None = None,
    *,
    sentences: int,
    start: int,
    end: int,
    limits: Sequence[int] | np.ndarray | None = None,
    forbidden: Iterable[int] = (),
    prefixes: Sequence[Sequence[int]] | None = None,
    lengths: Sequence[int] | np.ndarray | None = None,
) -> list[list[Hypothesis]]:
    """Decode B sentences at once. Finished sentences leave the batch; no result depends on the other sentences.

    Args:
        step: The decoder, before its first step.
        options: How to search; the defaults of `Decoding` if omitted.
        sentences: B.
        start, end: The token that a text begins after, and the one that ends it.
        limits: (B,) maximum tokens of each, without the end; `max_length` if omitted. The smaller of the two applies.
        forbidden: Tokens that are never produced, such as the start.
        prefixes: Per sentence the tokens that it must begin with. They take precedence over every other rule.
        lengths: (B,) length of each source; S for all if omitted.

    Returns:
        Per sentence its `n_best` results, the best first; fewer if the search found no more.

    Raises:
        OptionError: There is no limit, or a prefix contains the end.
        ShapeError: The step returns another number of rows.
        DataError: The step returns NaN.
    """
    return _Search(
        step,
        options or Decoding(),
        sentences=sentences,
        start=start,
        end=end,
        limits=limits,
        forbidden=sorted(set(forbidden)),
        prefixes=prefixes,
        lengths=lengths,
    ).run()


class _Search:
    """State of one call of `decode`.

    Attributes, of the N active hypotheses:
        sentence: (N,) the sentence each belongs to, in ascending order.
        tokens: (N, t) tokens so far.
        attention: (N, t, S) attention so far, or None.
        log_probabilities: (N,) so far, float64.
        last: (N,) last token of each.
        draws: (N,) index of each sample within its sentence.
    """

    def __init__(
        self,
        step: Step,
        options: Decoding,
        *,
        sentences: int,
        start: int,
        end: int,
        limits: Sequence[int] | np.ndarray | None,
        forbidden: list[int],
        prefixes: Sequence[Sequence[int]] | None,
        lengths: Sequence[int] | np.ndarray | None,
    ):
        self.step, self.end, self.options, self.forbidden = step, end, options, forbidden
        self.prefixes = [list(prefix) for prefix in prefixes] if prefixes is not None else [[]] * sentences
        if any(end in prefix for prefix in self.prefixes):
            raise OptionError("a prefix contains the end token, after which nothing can follow. Remove it.")
        if limits is None and options.max_length is None:
            raise OptionError("there is no limit on the length of a result. Give max_length, or limits.")
        most = np.full(sentences, np.iinfo(np.int64).max) if limits is None else np.asarray(limits, np.int64)
        most = np.minimum(most, most if options.max_length is None else options.max_length)
        self.limits = np.maximum(most, [len(prefix) for prefix in self.prefixes])
        self.lengths = lengths
        self.results: list[list[Hypothesis]] = [[] for _ in range(sentences)]
        rows = options.n_best if options.sampling else 1
        self.sentence = np.repeat(np.arange(sentences), rows)
        self.draws = np.tile(np.arange(rows), sentences)
        self.samplers = [
            Sampler(options.temperature, options.top_k, options.top_p, options.seed)
            for _ in range(sentences if options.sampling else 0)
        ]
        self.widths = np.full(sentences, options.beam_size)  # remaining slots in each sentence's beam
        self.tokens = np.zeros((len(self.sentence), 0), np.int64)
        self.attention: np.ndarray | None = None
        self.log_probabilities = np.zeros(len(self.sentence))
        self.last = np.full(len(self.sentence), start)

    def run(self) -> list[list[Hypothesis]]:
        parents = self.sentence
        for position in count():
            if not len(self.sentence):
                break
            log_p, weights = self.step(self.last, parents)
            if len(log_p) != len(self.sentence):
                raise ShapeError(f"the step was called with {len(self.sentence)} rows, but returned {len(log_p)} rows")
            if weights is not None:
                before = weights[:, None][:, :0] if self.attention is None else self.attention
                self.attention = np.concatenate([before, weights[:, None]], 1)
            self._mask(log_p, position)
            parents, self.last, totals = (self._sample if self.options.sampling else self._best)(log_p)
            continued = np.zeros(len(self.sentence), bool)
            continued[parents] = True
            self._keep_stuck(continued)
            for row, total in zip(parents[self.last == self.end], totals[self.last == self.end], strict=True):
                self._finish(int(row), float(total), True)
            active = self.last != self.end
            active[active] = ~self._settled(self.sentence[parents[active]], totals[active])
            parents, self.last, self.log_probabilities = parents[active], self.last[active], totals[active]
            self.tokens = np.concatenate([self.tokens[parents], self.last[:, None]], 1)
            self.attention = None if self.attention is None else self.attention[parents]
            self.sentence, self.draws = self.sentence[parents], self.draws[parents]
        for hypotheses in self.results:
            hypotheses.sort(key=lambda one: -one.score)  # stable: of equals, the one that ended first
        return [hypotheses[: self.options.n_best] for hypotheses in self.results]

    def _mask(self, log_p: np.ndarray, position: int) -> None:
        """Set tokens that the rules exclude at this position to -inf."""
        forced = []
        if position < max(map(len, self.prefixes)):
            own = [self.prefixes[sentence] for sentence in self.sentence]
            forced = [(row, prefix[position]) for row, prefix in enumerate(own) if position < len(prefix)]
        kept = [log_p[row, token] for row, token in forced]
        log_p[:, self.forbidden] = -np.inf
        full = position >= self.limits[self.sentence]
        if position < self.options.min_length:
            log_p[~full, self.end] = -np.inf
        if self.options.no_repeat_ngram:
            log_p[repeating(self.tokens, self.options.no_repeat_ngram)] = -np.inf
        ends = log_p[full, self.end]
        log_p[full] = -np.inf
        log_p[full, self.end] = ends
        for (row, token), value in zip(forced, kept, strict=True):
            log_p[row], log_p[row, token] = -np.inf, value

    def _best(self, log_p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows, tokens and log-probabilities of the best continuations of each sentence, one per slot of its beam."""
        width = self.options.beam_size
        ids, values = best(log_p, width)
        sentences, group, sizes = np.unique(self.sentence, return_inverse=True, return_counts=True)
        slot = np.arange(len(group)) - (np.cumsum(sizes) - sizes)[group]
        grid = np.full((len(sentences), int(sizes.max()), ids.shape[1]), -np.inf)
        grid[group, slot] = self.log_probabilities[:, None] + values
        flat = grid.reshape(len(sentences), -1)
        order = _largest(flat, width)
        ranked = np.take_along_axis(flat, order, 1)
        chosen = (np.arange(order.shape[1]) < self.widths[sentences][:, None]) & (ranked > -np.inf)
        sentence, rank = np.nonzero(chosen)
        slots, candidate = np.divmod(order[sentence, rank], ids.shape[1])
        rows = (np.cumsum(sizes) - sizes)[sentence] + slots
        tokens = ids[rows, candidate]
        np.subtract.at(self.widths, sentences[sentence[tokens == self.end]], 1)
        return rows, tokens, ranked[sentence, rank]

    def _sample(self, log_p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows, tokens and log-probabilities of one sampled continuation of each row that has any."""
        _check(log_p.max(1))
        rows = np.flatnonzero(log_p.max(1) > -np.inf)
        tokens = np.zeros(len(rows), np.int64)
        for i, row in enumerate(rows):
            sampler = self.samplers[self.sentence[row]]
            tokens[i] = sampler(log_p[row][None], [int(self.draws[row])])[0]
        return rows, tokens, self.log_probabilities[rows] + log_p[rows, tokens]

    def _keep_stuck(self, continued: np.ndarray) -> None:
        """Sentences (when sampling, rows) whose rules allow no further token: their rows are results as they are."""
        if continued.all():
            return
        alive = set() if self.options.sampling else set(self.sentence[continued].tolist())
        for row in np.flatnonzero(~continued):
            if self.sentence[row] not in alive:
                self._finish(int(row), float(self.log_probabilities[row]), False)

    def _settled(self, sentence: np.ndarray, totals: np.ndarray) -> np.ndarray:
        """Whether the results of each row's sentence are final: up to the limit, none of its rows can overtake them.

        Args:
            sentence, totals: Sentence and log-probability of each row that has not ended.
        """
        settled = np.zeros(len(sentence), bool)
        for own in () if self.options.sampling else np.unique(sentence):
            if len(self.results[own]) >= self.options.n_best:
                rows = sentence == own
                scores = sorted((one.score for one in self.results[own]), reverse=True)
                bound = self.options.score(totals[rows].max(), int(self.limits[own]) + 1, None)
                settled[rows] = bound <= scores[self.options.n_best - 1]
        return settled

    def _finish(self, row: int, total: float, ended: bool) -> None:
        sentence, tokens = self.sentence[row], self.tokens[row]
        attention = None if self.attention is None else self.attention[row]
        if attention is not None and self.lengths is not None:
            attention = attention[:, : self.lengths[sentence]]
        coverage = None if attention is None else attention.sum(0, dtype=np.float64)
        score = self.options.score(total, len(tokens) + ended, coverage)
        attention = None if attention is None else attention[: len(tokens)].copy()
        self.results[sentence].append(Hypothesis(tokens, score, total, attention, ended))


def best(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids (N, k) and values (N, k) of the k best of each row, the best first, of equals the lower id; k <= V.

    Only the k blocks with the largest maxima, and the remainder that fills no block, can hold them: far less to search
    than a row of a whole vocabulary.

    Raises:
        DataError: A row holds NaN.
    """
    rows, size = scores.shape
    whole = size // _BLOCK * _BLOCK
    grid, rest = scores[:, :whole].reshape(rows, -1, _BLOCK), scores[:, whole:]
    peaks = grid.max(-1)
    _check(np.concatenate([peaks, rest], 1).max(1))
    blocks = np.sort(_largest(peaks, k), axis=1)
    values = np.concatenate([np.take_along_axis(grid, blocks[:, :, None], 1).reshape(rows, -1), rest], 1)
    order = _largest(values, k)
    block, place = np.divmod(order, _BLOCK)
    blocks = np.concatenate([blocks, np.full((rows, 1), whole // _BLOCK)], 1)  # the last: the remainder
    return np.take_along_axis(blocks, block, 1) * _BLOCK + place, np.take_along_axis(values, order, 1)


def _largest(values: np.ndarray, k: int) -> np.ndarray:
    """Columns of the k largest of each row, or of all if there are fewer, the largest first, of equals the first."""
    left = np.maximum(values, np.finfo(values.dtype).min)  # so that only what was taken is -inf
    rows, found = np.arange(len(left)), np.empty((len(left), min(k, left.shape[1])), np.int64)
    for place in range(found.shape[1]):  # a maximum costs far less than sorting, and a beam is narrow
        found[:, place] = left.argmax(1)
        left[rows, found[:, place]] = -np.inf
    return found


def repeating(tokens: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows, and the tokens that would complete an n-gram which the row contains already.

    Args:
        tokens: (N, t) so far.
    """
    steps = tokens.shape[1]
    if steps < n:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    grams = np.lib.stride_tricks.sliding_window_view(tokens, n, axis=1)  # (N, t - n + 1, n)
    same = (grams[:, :, : n - 1] == tokens[:, None, steps - n + 1 :]).all(-1)
    row, place = np.nonzero(same)
    return row, grams[row, place, n - 1]


def _check(best_of_rows: np.ndarray) -> None:
    if np.isnan(best_of_rows).any():
        raise DataError(
            "the model scores a token as NaN. Its weights are damaged; train with a smaller learning rate or with "
            "gradient clipping."
        )
