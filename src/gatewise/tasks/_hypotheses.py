"""What a search for texts is asked for, asks for, and gives: options, a decoder's step, hypotheses.

Shapes: N hypotheses that are being written, n tokens of one, V tokens in the vocabulary, S places of a source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..errors import OptionError
from ._sampler import Sampler, number, whole


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


def copied(hypothesis: Hypothesis, token: int) -> np.ndarray:
    """(n,) for each place where this token (usually "unknown") stands, the place of the source it looked at most; -1
    elsewhere. Source: Luong et al. (2015), arXiv:1410.8206, and Jean et al. (2015), arXiv:1412.2007, section 3.3."""
    here = hypothesis.tokens == token
    if hypothesis.attention is None or not here.any():
        return np.full(len(here), -1)
    return np.where(here, hypothesis.attention.argmax(1), -1)
