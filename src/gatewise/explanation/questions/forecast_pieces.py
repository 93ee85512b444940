"""How a forecast is put together: the network's linear part, what its recurrent layers change, and plain methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...data.sequences import Sequences
from ...tasks.forecast.baselines.plain import Plain
from ...tasks.forecast.split import Part as Windows
from ..attribution import together
from ..composition import GAP, Composition, Piece
from ..question import Part, Parts

MOST_HIDDEN = 200  # variants in which steps are hidden

Array = np.ndarray
Outputs = Callable[[Any, Sequence[Any]], Any]  # of a network and the arrays of the parts -> (N,)


def composed(
    text: str,
    forecast: float,
    network: Sequence[Piece],
    own: float | None,
    step: str,
    share: float,
    plain: Sequence[Piece],
    occluded: Array | None = None,
) -> Composition:
    """The pieces of a forecast by their shares, without those that add nothing.

    Args:
        forecast: What is printed.
        network: The pieces of the network's forecast as it is explained; none without a share.
        own: The network's forecast, paths drawn and quantiles sorted; None without a share.
        step: What makes that of what is explained.
        share: Of the network.
        plain: Of the plain methods, pieces of their mean.
        occluded: See `occluded`; None where it was not measured.
    """
    pieces = [_shared(piece, share) for piece in network]
    if own is not None:
        drawn = own - sum(piece.value for piece in network)
        pieces.append(Piece(text=step, value=share * drawn))
    pieces += [_shared(piece, 1 - share) for piece in plain]
    rest = forecast - sum(piece.value for piece in pieces)
    pieces.append(Piece(text="calibration and limits", value=rest))
    least = GAP / 10 * max(abs(forecast), *(abs(piece.value) for piece in pieces))
    return Composition(
        text=text,
        value=forecast,
        pieces=[piece for piece in pieces if abs(piece.value) > least],
        input="" if occluded is None else "series",
        occluded=() if occluded is None else occluded.tolist(),
    )


def of_network(net: Any, parts: Sequence[Part], past: int, read: Outputs, linked: Callable[[Any], Any]) -> list[Piece]:
    """The linear part, by itself, and what the recurrent layers change.

    Something linear is that of the usual steps and what each step changes by itself; so what a step adds is exact, also
    where the forecast is a function of what is linear, such as its exponential: on the way from the usual steps to
    these, what is linear moves in proportion.

    Args:
        past: Which of the parts the linear part reads.
        read: What the network puts out, before `linked` makes a forecast of it.
    """
    names = [name for name in ("output", "joined") if getattr(net, name, None) is not None]
    alone = Parts(net, {name: _silent(getattr(net, name)) for name in names})
    own, usual = parts[past].values, parts[past].usual
    T = len(own)
    only = np.where(np.eye(T, dtype=bool)[..., None], own[:, None], usual[:, None])  # (T, T, C): of each step alone
    arrays = [np.repeat(part.values[:, None], T + 2, 1) for part in parts]
    arrays[past] = np.concatenate([own[:, None], usual[:, None], only], 1)
    out = np.asarray(read(alone, arrays), np.float64)
    value, baseline = (float(one) for one in linked(out[:2]))
    both = float(linked(np.asarray(read(net, [part.values[:, None] for part in parts]), np.float64))[0])
    moved = out[2:] - out[1]
    way = float(moved.sum())
    steps = (moved * ((value - baseline) / way) if way else moved).tolist()
    linear = Piece(text="the linear part of the network", value=value, input="series", usual=baseline, steps=steps)
    return [linear, Piece(text="the recurrent layers of the network", value=both - value)]


def of_plain(plain: Plain, each: Mapping[str, np.ndarray], column: int, horizon: int) -> list[Piece]:
    """The plain methods, each by its share of their mean."""
    shares = dict(zip(plain.methods, plain.shares[column], strict=True))
    return [
        Piece(text=f"plain method '{name}'", value=float(shares[name] * points[0, column, horizon - 1]))
        for name, points in each.items()
        if shares[name]
    ]


def of_forecast(forecast: Any, window: int, column: int, horizon: int, level: int | None) -> float:
    """A point, or a quantile."""
    place = window, column, horizon - 1
    return float(forecast.point[place] if level is None else forecast.quantiles[(*place, level)])


def occluded(
    predictor: Any, table: Any, calendar: bool, first: int, usual: Array, read: Callable[[Any, int], float]
) -> Array:
    """(T,) by how much a forecast falls when a step's targets are the usual ones, everything computed anew, plain
    methods too; of steps that are hidden together, the share of each.

    Args:
        table: Of one series up to the end of its forecast.
        calendar: As `Table.series` takes it.
        first: The absolute step, maybe before the series, of the first of T steps.
        usual: (C,) in the units of the data.
        read: A function of forecasts and the number of a window to what is looked at.
    """
    data, T = table.data, predictor.window.context_length
    n, origin = int(data.offsets[1]), first + T
    group = together(T, min(T, MOST_HIDDEN))
    B = int(group[-1]) + 2  # the last one as it is
    rows, hidden = np.tile(np.arange(n), B), np.zeros((B, n), bool)
    there = np.arange(max(first, 0), origin)
    hidden[group[there - first], there] = True
    steps = {name: column[rows] for name, column in data.steps.items()}
    for name, level in zip(table.targets, usual, strict=True):
        values = np.array(steps[name].values)
        values[hidden.reshape(-1) & np.isfinite(values)] = level  # what is missing stays so
        steps[name] = replace(steps[name], values=values)
    static = {name: column[np.zeros(B, np.int64)] for name, column in data.static.items()}
    variants = replace(table, data=Sequences(np.arange(B + 1) * n, steps, static, data.name))
    part = Windows(np.arange(B) * n + origin, np.ones(B, np.int64))
    found = [
        read(one, row)
        for which, one in predictor.forecasts(variants.series(calendar), part)
        for row in range(len(which))
    ]
    return np.asarray(((found[-1] - np.array(found[:-1])) / np.bincount(group))[group])


def _silent(layer: Any) -> Callable[[Any], Any]:
    return lambda values: layer(values) * 0


def _shared(piece: Piece, share: float) -> Piece:
    return replace(
        piece, value=share * piece.value, usual=share * piece.usual, steps=[share * step for step in piece.steps]
    )
