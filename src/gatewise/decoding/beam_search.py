"""Searching for what a decoder should write: beam search, and sampling, of many sentences together.

Shapes: B sentences, N hypotheses that are being written (of all sentences), V tokens, S places of a source, K the beam.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count

import numpy as np

from ..errors import DataError, OptionError, ShapeError
from ..tasks._hypotheses import Hypothesis, Step
from .options import Decoding

_BLOCK = 128  # tokens whose maximum is taken at once


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
            goes_on[goes_on] = ~self._settled(self.sentence[parents[goes_on]], totals[goes_on])
            parents, self.last, self.totals = parents[goes_on], self.last[goes_on], totals[goes_on]
            self.written = np.concatenate([self.written[parents], self.last[:, None]], 1)
            self.looked = None if self.looked is None else self.looked[parents]
            self.sentence, self.draws = self.sentence[parents], self.draws[parents]
        for some in self.found:
            some.sort(key=lambda one: -one.score)  # stable: of equals, the one that ended first
        return [some[: self.options.n_best] for some in self.found]

    def _rule_out(self, log_p: np.ndarray, place: int) -> None:
        """Set what may not stand here to -inf."""
        forced = []
        if place < max(map(len, self.prefixes)):
            own = [self.prefixes[sentence] for sentence in self.sentence]
            forced = [(row, prefix[place]) for row, prefix in enumerate(own) if place < len(prefix)]
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
        order = _largest(flat, width)
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

    def _settled(self, sentence: np.ndarray, totals: np.ndarray) -> np.ndarray:
        """Of each row that goes on whether the best of its sentence are found: as far as the limit, it can only fall
        behind.

        Args:
            sentence, totals: Of these rows.
        """
        settled = np.zeros(len(sentence), bool)
        for own in () if self.options.sampling else np.unique(sentence):
            if len(self.found[own]) >= self.options.n_best:
                rows = sentence == own
                scores = sorted((one.score for one in self.found[own]), reverse=True)
                most = self.options.score(totals[rows].max(), int(self.limits[own]) + 1, None)
                settled[rows] = most <= scores[self.options.n_best - 1]
        return settled

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

    Only the k blocks with the largest maxima, and what fills no block, can hold them: far less to look through than a
    row of a whole vocabulary.

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
    blocks = np.concatenate([blocks, np.full((rows, 1), whole // _BLOCK)], 1)  # the last: what fills none
    return np.take_along_axis(blocks, block, 1) * _BLOCK + place, np.take_along_axis(values, order, 1)


def _largest(values: np.ndarray, k: int) -> np.ndarray:
    """Columns of the k largest of each row, or of all if there are fewer, the largest first, of equals the first."""
    left = np.maximum(values, np.finfo(values.dtype).min)  # so that only what was taken is -inf
    rows, found = np.arange(len(left)), np.empty((len(left), min(k, left.shape[1])), np.int64)
    for place in range(found.shape[1]):  # a maximum costs far less than sorting, and a beam is narrow
        found[:, place] = left.argmax(1)
        left[rows, found[:, place]] = -np.inf
    return found


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
