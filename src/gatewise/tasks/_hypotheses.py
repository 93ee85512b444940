"""What a search for texts asks for and gives: a decoder's step, hypotheses.

Shapes: N hypotheses that are being written, n tokens of one, V tokens in the vocabulary, S places of a source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


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
