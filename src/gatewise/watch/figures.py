"""Figures of one layer and direction at work: gates, units, memory, and how far back gradients reach.

Letters: T steps, B sequences, D features, H units, N steps that count.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from .. import engine
from ..algebra.forms import line_of
from .trace import Trace

LOW, HIGH, FLAT = 0.05, 0.95, 0.97  # a sigmoid below or above, a tanh whose size is above: saturated
MIDDLE = (0.4, 0.6)
DEAD, TWIN = 1e-3, 0.99
FADED = 1e-4  # of the gradient at lag 1: no longer there
MOST_POINTS = 512  # steps that correlations are taken over
MOST_STEPS = 1e6  # a half-life above is written as this


@torch.no_grad()
def gates(trace: Trace) -> dict[str, dict[str, float]]:
    """Of each named sigmoid and tanh the share of values that are saturated, and of units that are stuck so.

    "low", "high" and "middle" are shares of values, "stuck" of units whose gate was on one side at every step. A tanh
    has "high" and "stuck" alone: how many values are near -1 or 1.
    """
    nodes = trace.named("sigmoid", "tanh")
    found = {}
    for (name, node), value in zip(nodes.items(), trace.values(list(nodes.values())), strict=True):
        if node.op == "tanh":
            if any(node is own for own in trace.cell.after):
                continue  # the output of a plain recurrent layer: a state, no gate
            flat = value.abs() > FLAT
            figures = {"high": flat, "stuck": flat.all(0)}
        else:
            low, high = value < LOW, value > HIGH
            middle = (value > MIDDLE[0]) & (value < MIDDLE[1])
            figures = {"low": low, "high": high, "middle": middle, "stuck": low.all(0) | high.all(0)}
        found[name] = {kind: round(share.float().mean().item(), 4) for kind, share in figures.items()}
    return found


@torch.no_grad()
def units(trace: Trace) -> dict[str, Any]:
    """How many units there are, and which shares of them do nothing.

    "dead" units hardly move, "twin" units move as an earlier one does, up to a factor, and "zero" units of a cell with
    rectified units were 0 at every step; null for other cells.
    """
    h = trace.carried[0][trace.inside]
    h = h[:: max(1, len(h) // MOST_POINTS)].float()
    centred = h - h.mean(0)
    spread = centred.norm(dim=0)
    dead = spread <= torch.maximum(DEAD * spread.median(), torch.full_like(spread, 1e-7 * len(h) ** 0.5))
    unit = centred / torch.where(dead, torch.inf, spread)
    twin = ((unit.T @ unit).abs().triu(1) > TWIN).any(0)
    rectified = bool(trace.named("relu")) or any(node.op == "relu" for node in trace.cell.after)
    return {
        "units": h.shape[1],
        "dead": dead.float().mean().item(),
        "twin": twin.float().mean().item(),
        "zero": (h == 0).all(0).float().mean().item() if rectified else None,
    }


@torch.no_grad()
def half_lives(trace: Trace) -> dict[str, list[float]]:
    """Per carried value that keeps something of itself the quartiles over the units of its half-life, in steps.

    What a step keeps of a unit is the slope of the cell's linear form, of an LSTM's c the forget gate; the half-life
    follows from its geometric mean over the steps.
    """
    cell = trace.cell
    found: dict[str, list[float]] = {}
    if len(trace.carried) < len(cell.carry):
        return found
    for place, (name, before, after) in enumerate(zip(cell.carry, cell.before, cell.after, strict=True)):
        line = line_of(after, place, before, frozen=True)
        if line is None or line.slope is None or before.size.letter != "H":
            continue
        [kept] = trace.values([line.slope], {line.one: torch.ones_like(trace.start[place][0])})
        rate = kept.abs().clamp(1e-6, 1).log().expand(len(kept), -1).mean(0)  # a value that grows is kept
        lives = (-math.log(2) / rate.clamp(max=-math.log(2) / MOST_STEPS)).double().cpu()
        quartiles = torch.quantile(lives, torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64))
        found[name] = [float(f"{life:.4g}") for life in quartiles.tolist()]
    return found


def gradient_by_lag(trace: Trace) -> dict[str, Any]:
    """How much the last output of a row depends on what the layer read so many steps before.

    "lags" holds [lag, mean norm of the gradient] for 0, 1, 2, 4, ...; "reach" is the longest lag at which it is at
    least `FADED` of that at lag 1, and "longest" the longest lag that there is. The gradient is that of the last output
    along one fixed direction.
    """
    x = trace.x.detach().clone().requires_grad_()
    weights = [weight.detach() for weight in trace.weights]
    with torch.enable_grad():
        [y, *_], _ = engine.recurrence(trace.cell, x, trace.start, weights, trace.lengths, reverse=trace.reverse)
        T, B = x.shape[:2]
        lengths = torch.full((B,), T) if trace.lengths is None else trace.lengths
        lengths = lengths.to(x.device)
        rows = torch.arange(B, device=x.device)[lengths > 0]
        last = torch.zeros_like(rows) if trace.reverse else lengths[rows] - 1
        signs = torch.randn(y.shape[-1], generator=torch.Generator().manual_seed(0)).to(y)
        [gradient] = torch.autograd.grad((y[last, rows] * signs).sum(), x)
    norms = gradient.detach()[:, rows].norm(dim=-1)  # (T, rows)
    steps = torch.arange(T, device=x.device)[:, None]
    lag = (steps if trace.reverse else last - steps).expand_as(norms)
    counts = (lag >= 0) & (steps < lengths[rows])
    sums = torch.zeros(T, device=x.device).index_add_(0, lag[counts], norms[counts])
    means = (sums / torch.bincount(lag[counts], minlength=T).clamp_min(1)).tolist()
    longest = int(lengths.max()) - 1
    lags = [0, *(2**k for k in range(longest.bit_length()))]
    reach = max((n for n in range(1, longest + 1) if means[n] >= FADED * means[1] > 0), default=0)
    return {"lags": [[n, float(f"{means[n]:.4g}")] for n in lags], "reach": reach, "longest": longest}
