"""Attention over a sequence on numpy's arrays, as `gatewise.nn.attention`.

B rows, Q queries of each, T steps to look at; Dq, D and V features of a query, a key and a value. A row has the same
bits whatever stands beside it, and however many steps its sequence is padded with: so sums are taken by `einsum` and
one after the other, and not by a matrix library.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from . import ops
from .network import AdditiveAttention as AdditivePart
from .network import MultiplicativeAttention as MultiplicativePart
from .products import ExactLinear

Array = np.ndarray


class Memory(NamedTuple):
    """A sequence made ready to be looked at, any number of times."""

    keys: Array  # (B, T, ...), as the score takes them
    values: Array  # (B, T, V)
    inside: Array | None  # (B, T): which steps count; None for all


class Attention(ABC):
    """What both kinds share; each of them adds a score."""

    def memory(self, keys: Array, *, lengths: Array | None = None) -> Memory:
        """Make a sequence (T, B, D) ready. Steps beyond a row's length get no weight."""
        keys = keys.swapaxes(0, 1)
        if lengths is None:
            return Memory(self.prepare(keys), keys, None)
        inside = np.arange(keys.shape[1]) < lengths[:, None]
        keys = ops.where(inside[..., None], keys, 0.0)
        return Memory(self.prepare(keys), keys, inside)

    def read(self, query: Array, memory: Memory) -> tuple[Array, Array]:
        """The context (Q, B, V) of queries (Q, B, Dq), and their weights (B, Q, T)."""
        scores = self.score(query.swapaxes(0, 1), memory.keys)
        if memory.inside is not None:
            scores = ops.where(memory.inside[:, None], scores, np.finfo(scores.dtype).min)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        if memory.inside is not None:
            shares = ops.where(memory.inside[:, None], shares, 0.0)
        # One after the other, so that zeros at the end change no bit; without any step that counts, all are 0.
        total = np.cumsum(shares, -1)[..., -1:]
        weights = shares / np.maximum(total, np.finfo(shares.dtype).tiny)
        return np.einsum("bqt,btv->qbv", weights, memory.values), weights

    @abstractmethod
    def prepare(self, keys: Array) -> Array:
        """The part of the score that the keys (B, T, D) alone decide."""

    @abstractmethod
    def score(self, query: Array, keys: Array) -> Array:
        """How well each query (B, Q, Dq) fits each prepared key (B, T, ...): (B, Q, T), any number."""


class AdditiveAttention(Attention):
    """score(q, k) = v · tanh(W q + U k)."""

    def __init__(self, part: AdditivePart, weights: Mapping[str, Array]):
        self._W, self._U = ExactLinear(weights["W.weight"]), ExactLinear(weights["U.weight"])
        self._v = weights["v.weight"][0]

    def prepare(self, keys: Array) -> Array:
        return self._U(keys)

    def score(self, query: Array, keys: Array) -> Array:
        units = self._W(query)[:, :, None] + keys[:, None]
        np.tanh(units, out=units)
        units *= self._v
        found: Array = units.sum(-1)
        return found


class MultiplicativeAttention(Attention):
    """score(q, k) = q · W k."""

    def __init__(self, part: MultiplicativePart, weights: Mapping[str, Array]):
        self._W = ExactLinear(weights["W.weight"])

    def prepare(self, keys: Array) -> Array:
        return self._W(keys)

    def score(self, query: Array, keys: Array) -> Array:
        found: Array = np.einsum("bqd,btd->bqt", query, keys)
        return found
