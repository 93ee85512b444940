"""Matrix memories without a loop over steps: `mlstm`, a chunk of steps at a time.

Its gates do not see h, so what every step writes is known at once. Within a chunk each query meets the keys before it
as in attention, weighted by how much the gates have let in and kept; one matrix per chunk hands on the rest. The
stabilising maximum m is the one that the equations give step by step, so the states agree too.

Source: Beck et al. (2024), xLSTM, appendix on the parallel mLSTM; Yang et al. (2024), Gated Linear Attention.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from .. import cells
from ..algebra import Cell

_STEPS = 64  # of a chunk: beyond, its square of weights costs more than the matrix that it saves


def fits(cell: Cell, resets: Tensor | None, history: bool) -> bool:
    """Whether this gives all that is asked, which is neither resets nor the states of every step."""
    return cells.is_one(cell, "mlstm") and resets is None and not history


def recurrence(
    cell: Cell,
    x: Tensor,
    state: Sequence[Tensor],
    weights: Sequence[Tensor],
    lengths: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, list[Tensor]]:
    """As `reference.recurrence`, but h alone is returned for every step. Gates and sums are float32 at least."""
    dtype = x.dtype
    x, *tensors = (t.float() if t.dtype.itemsize < 4 else t for t in (x, *state, *weights))
    state, weights = tensors[: len(state)], tensors[len(state) :]
    steps = torch.arange(len(x), device=x.device)[:, None]
    if reverse:
        places = (len(x) if lengths is None else lengths.to(x.device)) - 1 - steps  # beyond a row's end below zero
        places = places.expand(x.shape[:2]) % len(x)
        x = x.gather(0, places[..., None].expand_as(x))
    inside = None if lengths is None else steps < lengths.to(x.device)
    y, last = _run(cell, x, state, weights, inside)
    if inside is not None:
        y = torch.where(inside[..., None], y, 0)
    if lengths is None:
        h = y[-1]
    else:
        ends = (lengths.to(x.device) - 1).clamp(min=0)
        h = torch.where((lengths > 0).to(x.device)[:, None], y[ends, torch.arange(x.shape[1])], state[0])
    if reverse:
        y = y.gather(0, places[..., None].expand_as(y))
        if inside is not None:
            y = torch.where(inside[..., None], y, 0)
    # In one piece each, also where there are no rows: what a captured graph expects.
    y, *last = (t.to(dtype).clone(memory_format=torch.contiguous_format) for t in (y, h, *last))
    return y, last


def _run(
    cell: Cell, x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor], inside: Tensor | None
) -> tuple[Tensor, list[Tensor]]:
    """Steps in order; a step that is not `inside` (T, B) leaves the state as it was."""
    W, b, w_i, b_i, w_f, b_f = weights
    _, C, n, m = state
    heads = cell.heads

    def by_head(v: Tensor) -> Tensor:
        return v.unflatten(-1, (heads, -1)).permute(1, 2, 0, 3)  # (B, heads, T, units)

    q, k, v, o = (x @ W.T + b).chunk(4, -1)
    q, k, v = by_head(q), by_head(k), by_head(v)
    write = (x @ w_i.T + b_i).permute(1, 2, 0)  # logarithms of the gates, (B, heads, T)
    forget = logsigmoid(x @ w_f.T + b_f).permute(1, 2, 0)
    if inside is not None:
        outside = ~inside.T[:, None]
        write, forget = write.masked_fill(outside, -torch.inf), forget.masked_fill(outside, 0)
    units = q.shape[-1]
    C, n = C.unflatten(-1, (heads, units, units)), n.unflatten(-1, (heads, units))
    outputs = []
    for begin in range(0, len(x), _STEPS):
        here = slice(begin, begin + _STEPS)
        h, C, n, m = _chunk(q[:, :, here], k[:, :, here], v[:, :, here], write[..., here], forget[..., here], C, n, m)
        outputs.append(h)
    h = torch.cat(outputs, 2).permute(2, 0, 1, 3).flatten(-2)
    return o.sigmoid() * h, [C.flatten(-3), n.flatten(-2), m]


def _chunk(
    q: Tensor, k: Tensor, v: Tensor, write: Tensor, forget: Tensor, C: Tensor, n: Tensor, m: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """q, k, v (B, heads, steps, units), logarithms of the gates (B, heads, steps), and the state before."""
    kept = forget.cumsum(-1)  # of what was there before the chunk
    m = m.unsqueeze(-1)
    gain = write - kept
    so_far = gain.gather(-1, gain.detach().cummax(-1).indices)  # its maximum: vmap has no rule for cummax's derivative
    highest = kept + torch.maximum(so_far, m)
    future = torch.ones(kept.shape[-1], kept.shape[-1], dtype=torch.bool, device=q.device).triu(1)
    share = kept.unsqueeze(-1) - kept.unsqueeze(-2) + write.unsqueeze(-2) - highest.unsqueeze(-1)
    match = q @ k.mT * share.masked_fill(future, -torch.inf).exp()
    before = (kept + m - highest).exp().unsqueeze(-1)
    read = match @ v + before * (q @ C.mT)
    norm = match.sum(-1) + (before * (q @ n.unsqueeze(-1))).squeeze(-1)
    h = read / torch.maximum(norm.abs(), (-highest).exp()).unsqueeze(-1)

    end = highest[..., -1:]
    last = (kept[..., -1:] - kept + write - end).exp().unsqueeze(-1)
    old = (kept[..., -1:] + m - end).exp()
    C = old.unsqueeze(-1) * C + (last * v).mT @ k
    n = old * n + (last * k).sum(-2)
    return h, C, n, end.squeeze(-1)
