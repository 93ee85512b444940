"""Matrix memories without a loop over steps, on numpy's arrays: `mlstm`, a chunk of steps at a time.

What `engine.chunkwise` does on tensors, and its docstring says how. Equal to the equations step by step up to rounding;
so streams, whose bits must not depend on how they are cut, do without it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..algebra import Cell
from . import ops

Array = np.ndarray

_STEPS = 64  # of a chunk: beyond, its square of weights costs more than the matrix that it saves


def recurrence(
    cell: Cell,
    x: Array,
    state: Sequence[Array],
    weights: Sequence[Array],
    lengths: Array | None = None,
    reverse: bool = False,
) -> tuple[list[Array], list[Array]]:
    """As `equations.recurrence` without a history."""
    T, B = x.shape[:2]
    counts = np.full(B, T) if lengths is None else np.asarray(lengths)
    inside = np.arange(T)[:, None] < counts
    # Beyond a row's end its steps stay where they are.
    places = np.where(inside, counts - 1 - np.arange(T)[:, None], np.arange(T)[:, None])[..., None]
    x = np.where(inside[..., None], x, np.float32(0))  # of what is beyond, not even a NaN may be read
    y, last = _run(cell, np.take_along_axis(x, places, 0) if reverse else x, state, weights, inside)
    y = np.where(inside[..., None], y, np.float32(0))
    h = np.where((counts > 0)[:, None], y[np.maximum(counts - 1, 0), np.arange(B)], state[0])
    return [np.take_along_axis(y, places, 0) if reverse else y], [h, *last]


def _run(
    cell: Cell, x: Array, state: Sequence[Array], weights: Sequence[Array], inside: Array
) -> tuple[Array, list[Array]]:
    """Steps in order; a step that is not `inside` (T, B) leaves the state as it was."""
    W, b, w_i, b_i, w_f, b_f = weights
    _, C, n, m = state
    (T, B), heads = x.shape[:2], cell.heads

    def by_head(v: Array) -> Array:
        return v.reshape(T, B, heads, -1).transpose(1, 2, 0, 3)  # (B, heads, T, units)

    q, k, v, o = np.split(ops.linear(x, W, b), 4, -1)
    q, k, v = by_head(q), by_head(k), by_head(v)
    write = ops.linear(x, w_i, b_i).transpose(1, 2, 0)  # logarithms of the gates, (B, heads, T)
    forget = ops.log_sigmoid(ops.linear(x, w_f, b_f)).transpose(1, 2, 0)
    there = inside.T[:, None]
    write, forget = np.where(there, write, np.float32(-np.inf)), np.where(there, forget, np.float32(0))
    units = q.shape[-1]
    C, n = C.reshape(B, heads, units, units), n.reshape(B, heads, units)
    outputs = []
    for begin in range(0, T, _STEPS):
        here = slice(begin, begin + _STEPS)
        h, C, n, m = _chunk(q[:, :, here], k[:, :, here], v[:, :, here], write[..., here], forget[..., here], C, n, m)
        outputs.append(h)
    h = np.concatenate(outputs, 2).transpose(2, 0, 1, 3).reshape(T, B, -1)
    return ops.sigmoid(o) * h, [C.reshape(B, -1), n.reshape(B, -1), m]


def _chunk(
    q: Array, k: Array, v: Array, write: Array, forget: Array, C: Array, n: Array, m: Array
) -> tuple[Array, Array, Array, Array]:
    """q, k, v (B, heads, steps, units), logarithms of the gates (B, heads, steps), and the state before."""
    kept = forget.cumsum(-1)  # of what was there before the chunk
    m = m[..., None]
    highest = kept + np.maximum(np.maximum.accumulate(write - kept, -1), m)
    share = kept[..., None] - kept[..., None, :] + write[..., None, :] - highest[..., None]
    past = np.tri(kept.shape[-1], dtype=bool)
    match = q @ k.swapaxes(-1, -2) * np.exp(np.where(past, share, np.float32(-np.inf)))
    before = np.exp(kept + m - highest)[..., None]
    read = match @ v + before * (q @ C.swapaxes(-1, -2))
    norm = match.sum(-1) + (before * (q @ n[..., None]))[..., 0]
    h = read / np.maximum(np.abs(norm), np.exp(-highest))[..., None]

    end = highest[..., -1:]
    last = np.exp(kept[..., -1:] - kept + write - end)[..., None]
    old = np.exp(kept[..., -1:] + m - end)
    C = old[..., None] * C + (last * v).swapaxes(-1, -2) @ k
    return h, C, old * n + (last * k).sum(-2), end[..., 0]
