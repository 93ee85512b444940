"""Attention over a sequence: how well a query fits each step, and the mean of the steps weighted by that.

Letters: B rows, Q queries of each, T steps to look at; Dq, D and V features of a query, a key and a value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import OptionError, OptionTypeError, ShapeError
from ._checks import check_size, checked_lengths


class Memory(NamedTuple):
    """A sequence made ready to be looked at, any number of times: see `Attention.memory`."""

    keys: Tensor  # (B, T, ...), as the score takes them
    values: Tensor  # (B, T, V)
    inside: Tensor | None  # (B, T): which steps count; None for all
    steps: Tensor | int  # how many do: (B, 1, 1), or T for every row


class Attention(nn.Module):
    """What the attentions below share; each of them adds a score.

    A decoder that asks step by step makes the sequence ready once, `memory = attention.memory(keys, values, lengths)`,
    and then reads: `context, weights = attention.read(query, memory)`. Calling the module does both.

    Args:
        batch_first: Queries, keys and values are (B, T, ...) instead of (T, B, ...). Weights always are.

    Shape:
        query: (Q, B, Dq), or (B, Dq) for one query per row.
        keys: (T, B, D).
        values: (T, B, V); the keys, if omitted.
        lengths: (B,) integers in 0..T, in any order, on any device. Steps beyond get a weight of zero and are never
            computed on. A row of length 0 gets no weight at all, and a context of zeros.
        returns: the context (Q, B, V), and the weights (B, Q, T); (B, V) and (B, T) for one query per row.

    Raises:
        ShapeError: Sizes do not fit.
    """

    def __init__(self, query_size: int, key_size: int, batch_first: bool = False):
        super().__init__()
        for name, size in (("query_size", query_size), ("key_size", key_size)):
            check_size(name, size)
        self.query_size, self.key_size, self.batch_first = query_size, key_size, batch_first

    def forward(
        self,
        query: Tensor,
        keys: Tensor,
        values: Tensor | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        **options: Any,
    ) -> tuple[Tensor, Tensor]:
        return self.read(query, self.memory(keys, values, lengths=lengths), **options)

    def memory(
        self, keys: Tensor, values: Tensor | None = None, *, lengths: Tensor | Sequence[int] | None = None
    ) -> Memory:
        """Make a sequence ready: all that does not depend on the query. Shapes as of the module."""
        values = keys if values is None else values
        self._check_sequence("keys", keys, self.key_size)
        self._check_sequence("values", values, None)
        if keys.shape[:2] != values.shape[:2]:
            raise ShapeError(f"keys of shape {tuple(keys.shape)} and values of {tuple(values.shape)} differ in steps")
        if lengths is not None:
            lengths = checked_lengths(lengths, keys.transpose(0, 1) if self.batch_first else keys).to(keys.device)
        if not self.batch_first:
            keys, values = keys.transpose(0, 1), values.transpose(0, 1)
        if lengths is None:
            return Memory(self.prepare(keys), values, None, keys.shape[1])
        inside = torch.arange(keys.shape[1], device=keys.device) < lengths[:, None]
        # Mask what goes in as well as the scores: a NaN in the padding would survive the product rule.
        keys, values = (torch.where(inside[..., None], v, 0.0) for v in (keys, values))
        return Memory(self.prepare(keys), values, inside, lengths[:, None, None])

    def read(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """The context and the weights of each query. Shapes as of the module."""
        queries, single = self._queries(query, memory)
        return self._answer(self.weigh(queries, memory, memory.inside), memory, single)

    def prepare(self, keys: Tensor) -> Tensor:
        """The part of the score that the keys (B, T, D) alone decide."""
        return keys

    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        """How well each query (B, Q, Dq) fits each prepared key (B, T, ...): (B, Q, T), any number."""
        raise NotImplementedError

    def weigh(self, query: Tensor, memory: Memory, allowed: Tensor | None) -> Tensor:
        """Softmax of the scores over the steps that are allowed, (B, T) or (B, Q, T); zeros where none is."""
        scores = self.score(query, memory.keys)
        if allowed is None:
            return scores.softmax(-1)
        allowed = allowed if allowed.dim() == 3 else allowed[:, None]
        # The least number instead of -inf, which makes a NaN of a row without a step.
        return torch.where(allowed, torch.where(allowed, scores, torch.finfo(scores.dtype).min).softmax(-1), 0.0)

    def _queries(self, query: Tensor, memory: Memory) -> tuple[Tensor, bool]:
        """(B, Q, Dq), and whether there was but one."""
        single = isinstance(query, Tensor) and query.dim() == 2
        self._check_sequence("query", query, self.query_size, single=single)
        query = query[:, None] if single else query if self.batch_first else query.transpose(0, 1)
        if len(query) != len(memory.values):
            raise ShapeError(f"the query has {len(query)} rows, but the keys have {len(memory.values)}")
        return query, single

    def _answer(self, weights: Tensor, memory: Memory, single: bool) -> tuple[Tensor, Tensor]:
        context = weights @ memory.values
        if single:
            return context[:, 0], weights[:, 0]
        return context if self.batch_first else context.transpose(0, 1), weights

    def _check_sequence(self, name: str, given: Any, size: int | None, single: bool = False) -> None:
        if not isinstance(given, Tensor):
            raise OptionTypeError(f"{name} must be a tensor, not {type(given).__name__}")
        if given.dim() != 3 and not single:
            raise ShapeError(f"{name} must be 3-D, but has shape {tuple(given.shape)}")
        if size is not None and given.shape[-1] != size:
            raise ShapeError(
                f"{type(self).__name__} was built for a {'query' if name == 'query' else 'key'}_size of {size}, but "
                f"{name} has {given.shape[-1]} features (shape {tuple(given.shape)})"
            )

    def extra_repr(self) -> str:
        return f"{self.query_size}, {self.key_size}" + ", batch_first=True" * self.batch_first


class AdditiveAttention(Attention):
    """score(q, k) = v · tanh(W q + U k): a small network that compares the two.

    Luong's `concat` score, v · tanh(W [q; k]), is this one: its W is ours beside our U.

    Args:
        query_size: Features of a query, Dq.
        key_size: Features of a key, D.
        attention_size: Units of the network; as many as a query has features if omitted.
        batch_first: See `Attention`, also for the shapes.

    Example:
        >>> attention = AdditiveAttention(256, 512)
        >>> context, weights = attention(h, encoded, lengths=lengths)

    Source: Bahdanau, Cho & Bengio (2015), arXiv:1409.0473, section A.1.2.
    """

    def __init__(
        self,
        query_size: int,
        key_size: int,
        attention_size: int | None = None,
        batch_first: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__(query_size, key_size, batch_first)
        size = query_size if attention_size is None else attention_size
        check_size("attention_size", size)
        self.W = nn.Linear(query_size, size, bias=False, device=device, dtype=dtype)
        self.U = nn.Linear(key_size, size, bias=False, device=device, dtype=dtype)
        self.v = nn.Linear(size, 1, bias=False, device=device, dtype=dtype)

    def prepare(self, keys: Tensor) -> Tensor:
        return self.U(keys)

    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        return self.v(torch.tanh(self.W(query)[:, :, None] + keys[:, None])).squeeze(-1)


class MultiplicativeAttention(Attention):
    """score(q, k) = q · W k, or without weights q · k.

    Args:
        query_size: Features of a query, Dq.
        key_size: Features of a key, D.
        score: "general" with W, or "dot" without, for which both sizes must be the same. The paper's third, "concat",
            is `AdditiveAttention`.
        batch_first: See `Attention`, also for the shapes.

    Raises:
        OptionError: An unknown score, or sizes that "dot" cannot compare.

    Source: Luong, Pham & Manning (2015), arXiv:1508.04025, section 3.1.
    """

    def __init__(
        self,
        query_size: int,
        key_size: int,
        score: str = "general",
        batch_first: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__(query_size, key_size, batch_first)
        if score not in ("general", "dot"):
            raise OptionError(f"score must be 'general' or 'dot', not {score!r}; 'concat' is AdditiveAttention")
        if score == "dot":
            _check_comparable(query_size, key_size, "score='general'")
        self.W = nn.Linear(key_size, query_size, bias=False, device=device, dtype=dtype) if score == "general" else None

    def prepare(self, keys: Tensor) -> Tensor:
        return keys if self.W is None else self.W(keys)

    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        return query @ keys.transpose(1, 2)


class ScaledDotProductAttention(Attention):
    """score(q, k) = q · k / sqrt(D), so that long vectors do not make the softmax choose one step alone.

    Args:
        size: Features of a query and of a key, D.
        batch_first: See `Attention`, also for the shapes.

    Source: Vaswani et al. (2017), arXiv:1706.03762, section 3.2.1.
    """

    def __init__(self, size: int, batch_first: bool = False):
        super().__init__(size, size, batch_first)

    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        return query @ keys.transpose(1, 2) / math.sqrt(self.key_size)


class LocalAttention(MultiplicativeAttention):
    """Attention to the steps around one place: s with abs(s - p) <= window.

    Each query has a place of its own, either given (the paper's local-m) or predicted (local-p): in a row of n steps
    p = n * sigmoid(v · tanh(P q)). Around a predicted place the softmax over the window is multiplied by
    exp(-(s - p)² / (2 * (window / 2)²)), as in the paper, which gives the place a gradient; these weights sum to less
    than 1. Steps and places are counted from 0. A window that lies beyond the row's end gives no step any weight.

    Args:
        query_size: Features of a query, Dq.
        key_size: Features of a key, D.
        window: Steps on either side, the paper's D; at least 1.
        predict: Predict the place, instead of being given it.
        score: As of `MultiplicativeAttention`.
        batch_first: See `Attention`, also for the shapes.

    Shape:
        positions: (B, Q), or (B,) for one query per row; whole numbers or not. If omitted, query number q is at step q;
            not with predict=True. The rest as of `Attention`.

    Raises:
        OptionError: positions are given to an attention that predicts its own.

    Source: Luong, Pham & Manning (2015), arXiv:1508.04025, section 3.2.
    """

    def __init__(
        self,
        query_size: int,
        key_size: int,
        window: int = 10,
        predict: bool = True,
        score: str = "general",
        batch_first: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__(query_size, key_size, score, batch_first, device, dtype)
        check_size("window", window)
        self.window, self.predict = window, predict
        if predict:
            self.P = nn.Linear(query_size, query_size, bias=False, device=device, dtype=dtype)
            self.v = nn.Linear(query_size, 1, bias=False, device=device, dtype=dtype)

    def read(self, query: Tensor, memory: Memory, positions: Tensor | None = None) -> tuple[Tensor, Tensor]:
        queries, single = self._queries(query, memory)
        rows, count = queries.shape[:2]
        if self.predict:
            if positions is not None:
                raise OptionError("this attention predicts its positions. Build it with predict=False to give them")
            place = memory.steps * torch.sigmoid(self.v(torch.tanh(self.P(queries))))
        else:
            if positions is None:
                positions = torch.arange(count, device=query.device).expand(rows, count)
            elif single and positions.dim() == 1:
                positions = positions[:, None]
            if positions.shape != (rows, count):
                raise ShapeError(f"positions must have shape {(rows, count)}, but have {tuple(positions.shape)}")
            place = positions[..., None].to(query)
        distance = torch.arange(memory.values.shape[1], device=query.device) - place
        allowed = distance.detach().abs() <= self.window
        if memory.inside is not None:
            allowed = allowed & memory.inside[:, None]
        weights = self.weigh(queries, memory, allowed)
        if self.predict:
            weights = weights * torch.exp(-2 * (distance / self.window) ** 2)
        return self._answer(weights, memory, single)


def _check_comparable(query_size: int, key_size: int, hint: str) -> None:
    if query_size != key_size:
        raise OptionError(f"a query of {query_size} values has no dot product with a key of {key_size}. Use {hint}")
