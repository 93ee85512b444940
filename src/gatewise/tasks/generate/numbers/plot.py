"""Pictures of sequences of numbers: pen strokes in a grid, or channels over time."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ....plots.figure import figure

GIVEN, ADDED = "#9aa0a6", "#c0392b"
INK = "#222222"  # of a drawing of which nothing was given
MOST_CHANNELS = 6  # maximum number of channels drawn


def draw(
    picture: str | os.PathLike[str], sequences: Sequence[np.ndarray], given: Sequence[int], names: Sequence[str]
) -> None:
    """Draw sequences (T, D), the given steps of each in grey; see `Tracer.plot`.

    Args:
        names: Of the channels; "dx", "dy" and "up" are those of a pen.
    """
    with figure(picture) as drawn:
        pen = list(names) == ["dx", "dy", "up"]
        wide = math.ceil(math.sqrt(len(sequences)))
        tall = math.ceil(len(sequences) / wide)
        if pen:
            drawn.set_size_inches(1.1 * wide, 1.1 * tall)
        else:
            drawn.set_size_inches(4 * wide, 2.4 * tall)
        panels = drawn.subplots(tall, wide, squeeze=False).ravel()
        for axes, steps, count in zip(panels, sequences, given, strict=False):
            (_strokes if pen else _channels)(axes, steps, count, names)
        for axes in panels[len(sequences) if not pen else 0 :]:
            axes.axis("off")


def _strokes(axes: Any, steps: np.ndarray, given: int, names: Sequence[str]) -> None:
    """The lines of a pen, broken where it is lifted."""
    place = np.cumsum(steps[:, :2], 0)
    lifts = np.concatenate([[0], np.flatnonzero(steps[:, 2]) + 1, [len(steps)]])
    for start, end in pairwise(lifts):
        for part, colour in ((slice(start, min(end, given)), GIVEN), (slice(max(start, given - 1, 0), end), None)):
            x, y = place[part].T
            if len(x):
                style = "o" if len(x) == 1 and end - start == 1 else "-"
                axes.plot(x, y, style, color=colour or (ADDED if given else INK), linewidth=1.6, markersize=2)
    middle, reach = (place.min(0) + place.max(0)) / 2, 0.55 * max(1.0, float(np.ptp(place, axis=0).max()))
    axes.set_xlim(middle[0] - reach, middle[0] + reach)
    axes.set_ylim(middle[1] - reach, middle[1] + reach)
    axes.set_aspect("equal")


def _channels(axes: Any, steps: np.ndarray, given: int, names: Sequence[str]) -> None:
    for values, name in list(zip(steps.T, names, strict=True))[:MOST_CHANNELS]:
        [line] = axes.plot(values, linewidth=1, label=name)
        axes.plot(values[:given], color=GIVEN, linewidth=1.2)
        line.set_zorder(1)
    if given:
        axes.axvline(given - 0.5, color=GIVEN, linewidth=0.8, linestyle=":")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
