"""Sampling the next token from a model's scores.

Shapes: B sequences, V tokens in the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..checks import whole
from ..errors import DataError, OptionError, ShapeError
from .options import check_sampling


class Sampler:
    """Samples the next token of each sequence from a model's scores (logits).

    In this order: forbidden tokens get no probability, scores are divided by the temperature, the `top_k` best tokens
    are kept, of these the nucleus `top_p`, and one of the rest is drawn. Equal scores favour the lower id. Row r of a
    batch has a random stream of its own, made from (seed, r), so that its tokens do not depend on how many rows run
    beside it; a single sequence is row 0.

    Args:
        temperature: 1 samples from the model's distribution, lower values are more conservative; 0 always takes the
            best token.
        top_k: Sample from this many most probable tokens; None for no limit.
        top_p: Sample from the fewest most probable tokens whose probabilities reach this sum, 0 < top_p <= 1; None for
            no limit.
        seed: The same seed draws the same tokens from the same scores (numpy's PCG64); None for a different draw
            each time.
        forbidden: Ids that are never drawn, such as padding and "unknown".

    Raises:
        OptionError: A value is outside its range.

    Example:
        >>> sampler = Sampler(temperature=0.8, top_p=0.95, seed=0, forbidden=[0])
        >>> sampler([9.0, 1.0, 2.5])
        2

    Source: top_k: Fan, Lewis & Dauphin (2018), "Hierarchical Neural Story Generation", ACL, section 5.1.
    top_p: Holtzman et al. (2020), "The Curious Case of Neural Text Degeneration", ICLR, section 3.1.
    """

    def __init__(
        self,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = 0,
        forbidden: Iterable[int] = (),
    ):
        check_sampling(temperature, top_k, top_p, seed)
        self.temperature, self.top_k = float(temperature), top_k
        # 1 is no limit; applied as one, rounding could lose the rarest tokens.
        self.top_p = None if top_p is None or top_p == 1 else float(top_p)
        self.forbidden = sorted({whole("forbidden token id", token, 0) for token in forbidden})
        self._entropy = np.random.SeedSequence(seed).entropy
        self._streams: list[np.random.Generator] = []

    def __call__(self, scores: Any, streams: Sequence[int] | None = None) -> Any:
        """The next token.

        Args:
            scores: (V,) or (B, V) logits, anything that numpy reads as an array; -inf rules a token out.
            streams: The number of each row's random stream; 0, 1, ... if omitted. For batches that rows have left.

        Returns:
            An int for (V,), an int64 array (B,) for (B, V).

        Raises:
            ShapeError: The scores have another number of axes, or no tokens.
            DataError: The scores hold NaN or +inf.
            OptionError: A forbidden id is outside the vocabulary, or no token is left to choose.
        """
        rows = self._allowed(scores)
        if self.temperature == 0:
            tokens = rows.argmax(axis=1)
        else:
            tokens = np.array(
                list(map(self._draw, range(len(rows)) if streams is None else streams, self._distribution(rows))),
                np.int64,
            )
        return int(tokens[0]) if np.ndim(scores) == 1 else tokens

    def probabilities(self, scores: Any) -> np.ndarray:
        """The distribution that the next token is drawn from: float64, shaped like the scores. Errors as the call."""
        rows = self._allowed(scores)
        if self.temperature == 0:
            return np.eye(rows.shape[1])[rows.argmax(axis=1)].reshape(np.shape(scores))
        return self._distribution(rows).reshape(np.shape(scores))

    def _allowed(self, scores: Any) -> np.ndarray:
        """Checked scores as (B, V) float64, each row's best at 0 (so that exp cannot overflow), forbidden ones -inf."""
        given = np.asarray(scores, dtype=np.float64)
        if given.ndim not in (1, 2) or given.shape[-1] == 0:
            raise ShapeError(f"scores have shape {given.shape}, but (V,) or (B, V) with at least one token is needed.")
        rows = np.array(given, ndmin=2)
        wrong = np.isnan(rows) | np.isposinf(rows)
        if wrong.any():
            row, token = np.argwhere(wrong)[0]
            raise DataError(
                f"the model scores token {token} of row {row} as {rows[row, token]}. Its weights or its state are "
                "damaged; train with a smaller learning rate or with gradient clipping."
            )
        if self.forbidden and self.forbidden[-1] >= rows.shape[1]:
            raise OptionError(
                f"token {self.forbidden[-1]} is forbidden, but the vocabulary has only {rows.shape[1]} tokens, from 0."
            )
        possible = np.isfinite(rows.max(axis=1))
        rows[:, self.forbidden] = -np.inf
        best = rows.max(axis=1, keepdims=True)
        if np.isneginf(best).any():
            row = int(np.argwhere(np.isneginf(best))[0, 0])
            why = "every token with a score is forbidden" if possible[row] else "the model scores every token as -inf"
            raise OptionError(f"row {row} has no token to choose: {why}. Forbid fewer tokens.")
        with np.errstate(over="ignore"):  # -1e308 - 1e308 is -inf, and that is right
            return rows - best

    def _distribution(self, rows: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", under="ignore"):
            p = np.exp(rows / self.temperature)
        p /= p.sum(axis=1, keepdims=True)
        if self.top_k is None and self.top_p is None:
            return p
        # By score: at a low temperature, many tokens have the same probability, 0, but not the same score.
        order = np.argsort(-rows, axis=1, kind="stable")
        ranked = np.take_along_axis(p, order, axis=1)
        if self.top_k is not None:
            ranked[:, self.top_k :] = 0
        if self.top_p is not None:
            ranked /= ranked.sum(axis=1, keepdims=True)
            before = np.cumsum(ranked, axis=1) - ranked
            ranked[before >= self.top_p] = 0
        np.put_along_axis(p, order, ranked, axis=1)
        return p / p.sum(axis=1, keepdims=True)

    def _draw(self, row: int, p: np.ndarray) -> int:
        while row >= len(self._streams):
            seeds = np.random.SeedSequence(self._entropy, spawn_key=(len(self._streams),))
            self._streams.append(np.random.Generator(np.random.PCG64(seeds)))
        edges = np.cumsum(p)
        # Scaled by the last edge, which rounding leaves near 1, and to the right of equal edges: never a p of 0.
        return int(np.searchsorted(edges, self._streams[row].random() * edges[-1], side="right"))
