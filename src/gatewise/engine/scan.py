"""All steps of a sequence at once, for cells that are linear in what they carry: a parallel scan over time.

Each carried value follows from itself, h[t] = a[t] * h[t-1] + b[t], where a and b need no step before t: they come from
the input, the weights, and carried values that are known at every step already. Two such steps in a row are one such
step, so that a tree of pairs finds all of them in 2 log2(T) passes of plain PyTorch, without a division.

Cells are recognised by their equations, not by their names: linear forms are propagated through the graph.

Source: Blelloch (1990), "Prefix sums and their applications"; Martin & Cundy (2018), ICLR, arXiv:1709.04057.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ..algebra import Cell
from ..algebra.expression import evaluate
from ..algebra.forms import Line, line_of
from . import reference


def fits(cell: Cell) -> bool:
    """Whether all that the cell carries can be scanned."""
    return lines(cell) is not None


@lru_cache(maxsize=256)
def lines(cell: Cell) -> tuple[Line, ...] | None:
    """The carried values in an order in which each needs only itself and those before it; None if there is no such."""
    unknown, found = dict(enumerate(cell.before)), []
    while unknown:
        for place, carried in unknown.items():
            if line := line_of(cell.after[place], place, carried, unknown=unknown.values()):
                found.append(line)
                del unknown[place]
                break
        else:
            return None
    return tuple(found)


def recurrence(
    cell: Cell,
    x: Tensor,
    state: Sequence[Tensor],
    weights: Sequence[Tensor],
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    reverse: bool = False,
    extras: Sequence[Tensor] = (),
) -> tuple[list[Tensor], list[Tensor]]:
    """As `reference.recurrence`, for a cell that `fits`."""
    found = lines(cell)
    assert found is not None
    inside = fresh = None
    if lengths is not None:
        inside = (torch.arange(len(x), device=x.device)[:, None] < lengths.to(x.device))[:, :, None]
        x = torch.where(inside, x, 0.0)
    if resets is not None:
        fresh = resets.to(x.device)[:, :, None]
        fresh = fresh if inside is None else fresh & inside
        if reverse:  # run backwards, what begins at t + 1 must not reach t
            fresh = torch.cat([fresh[1:], torch.zeros_like(fresh[:1])])
    if reverse:
        x, extras = x.flip(0), [extra.flip(0) for extra in extras]
        inside, fresh = (None if mask is None else mask.flip(0) for mask in (inside, fresh))

    # A product over many steps in 16 bits would lose them.
    wide = x.dtype if x.dtype.itemsize >= 4 else torch.float32
    values = {cell.x: x, **dict(zip(cell.extras, extras, strict=True)), **reference.blocks(cell, weights)}
    operations = reference.operations_of(cell, state)
    every, last = list(state), list(state)
    for line in found:
        start = state[line.place]
        shape = (*x.shape[:2], start.shape[-1])
        values[line.one] = start.new_ones(())
        parts = [part for part in (line.slope, line.offset) if part is not None]
        known = dict(zip(parts, evaluate(parts, values, operations), strict=True))
        slope, offset = (
            start.new_zeros(shape) if part is None else known[part].expand(shape) for part in (line.slope, line.offset)
        )
        cut = fresh
        if inside is not None:  # beyond its end a row keeps its state
            slope, offset = torch.where(inside, slope, 1.0), torch.where(inside, offset, 0.0)
            cut = inside if line.slope is None else fresh
        if line.slope is None and inside is None:
            along = torch.cat([start[None], offset])
        else:
            along = _scan(slope.to(wide), offset.to(wide), start.to(wide), cut).to(x.dtype)
        before, after = along[:-1], along[1:]
        values[cell.before[line.place]] = before if fresh is None else torch.where(fresh, 0.0, before)
        every[line.place], last[line.place] = after, after[-1]
    if inside is not None:
        every = [torch.where(inside, value, 0.0) for value in every]
    return [value.flip(0) for value in every] if reverse else every, last


def _scan(slope: Tensor, offset: Tensor, start: Tensor, cut: Tensor | None) -> Tensor:
    """The start, and the value after each step: T + 1 of them."""
    # Step 0 makes the start out of nothing.
    a, b = torch.cat([torch.zeros_like(slope[:1]), slope]), torch.cat([start[None], offset])
    cut = None if cut is None else torch.cat([torch.zeros_like(cut[:1]), cut])
    # They cannot pass through `_Along`, but through what it does.
    return _along(a, b, cut) if reference.transformed() else _Along.apply(a, b, cut)


class _Along(torch.autograd.Function):
    """Its backward pass is a scan too, from the last step to the first, and so on for all higher derivatives."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, cut: Tensor | None) -> Tensor:
        h = _along(a, b, cut)
        ctx.save_for_backward(a, h, cut)
        return h

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        a, h, cut = ctx.saved_tensors
        # db[t] = g[t] + a[t + 1] db[t + 1]
        next_a, next_cut = (None if v is None else v.flip(0).roll(1, 0) for v in (a, cut))
        db = _Along.apply(next_a, g.flip(0), next_cut).flip(0)
        da = db * torch.cat([torch.zeros_like(h[:1]), h[:-1]])
        return da if cut is None else torch.where(cut, 0.0, da), db, None


def _along(a: Tensor, b: Tensor, cut: Tensor | None) -> Tensor:
    """h[0] = b[0] and h[t] = a[t] * h[t-1] + b[t], but b[t] where cut[t], whatever h[t-1] is."""
    if len(b) == 1:
        return b
    evens, odds, later = slice(0, len(b) // 2 * 2, 2), slice(1, None, 2), slice(2, None, 2)
    # Steps 2k and 2k + 1 as one. Slopes above 1 may multiply to infinity, where 0 times them is 0 nevertheless.
    limit = torch.finfo(a.dtype).max
    pairs = (a[evens] * a[odds]).clamp(-limit, limit)
    odd = _along(pairs, _after(a, b, cut, odds, b[evens]), None if cut is None else cut[evens] | cut[odds])
    even = torch.cat([b[:1], _after(a, b, cut, later, odd[: (len(b) - 1) // 2])])
    woven = torch.stack([even[: len(odd)], odd], 1).flatten(0, 1)
    return torch.cat([woven, even[len(odd) :]])


def _after(a: Tensor, b: Tensor, cut: Tensor | None, steps: slice, before: Tensor) -> Tensor:
    after = torch.addcmul(b[steps], a[steps], before)
    return after if cut is None else torch.where(cut[steps], b[steps], after)
