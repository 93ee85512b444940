"""Plots the attention of the decoder at each word of a caption."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...data.paired.captions import Captioned
from ...plots import attention as _attention_plot
from ...plots.figure import figure

_COLUMNS = 6  # words side by side
_FRAMES = 8  # of a clip that are drawn, at most
_GLOW = (1.0, 0.62, 0.05)


def draw(
    data: Captioned,
    words: Sequence[str],
    attention: np.ndarray,
    places: tuple[int, ...],
    picture: str | os.PathLike[str],
) -> None:
    """An image once for each word, highlighted where the attention is large; for a clip a row of frames for each word,
    and for features a matrix of the weights.

    Args:
        data: One image.
        attention: (n, S) weights of n words.
        places: (h, w) of a frame, or (P,) features.

    Raises:
        MissingExtra: matplotlib is not installed.
        OptionError: The picture is to be neither PNG nor SVG.
    """
    if data.inputs == "features":
        _attention_plot.draw([str(place) for place in range(places[0])], words, attention, picture)
        return
    with figure(picture) as drawn:
        frames = _shown(data.values)
        weights = attention.reshape(len(words), len(frames), *places)
        if data.inputs == "clips":
            which = np.unique(np.linspace(0, len(frames) - 1, min(_FRAMES, len(frames))).round().astype(int))
            drawn.set_size_inches(1.2 * len(which) + 1.2, 1.2 * len(words))
            axes = drawn.subplots(len(words), len(which), squeeze=False)
            for word, row, own in zip(words, axes, weights, strict=True):
                for axis, frame in zip(row, which, strict=True):
                    _highlight(axis, frames[frame], own[frame], float(own.max()))
                row[0].set_ylabel(word, rotation=0, ha="right", va="center")
            for axis, frame in zip(axes[0], which, strict=True):
                axis.set_title(f"frame {frame + 1}", fontsize=9)
            return
        rows = math.ceil(len(words) / _COLUMNS)
        columns = min(_COLUMNS, len(words))
        drawn.set_size_inches(1.8 * columns, 2.1 * rows)
        axes = drawn.subplots(rows, columns, squeeze=False).flatten()
        for axis, word, own in zip(axes, words, weights, strict=False):
            _highlight(axis, frames[0], own[0], float(own.max()))
            axis.set_title(word)
        for axis in axes[len(words) :]:
            axis.set_axis_off()


def _highlight(axis: Any, frame: np.ndarray, weights: np.ndarray, most: float) -> None:
    """Show a frame, highlighted where the weights (h, w) are large, compared with the largest of the word."""
    height, width = frame.shape[:2]
    glow = np.empty((*weights.shape, 4), np.float32)
    glow[..., :3], glow[..., 3] = _GLOW, 0.75 * weights / most
    axis.imshow(frame, vmin=0, vmax=1)
    axis.imshow(glow, extent=(-0.5, width - 0.5, height - 0.5, -0.5), interpolation="bilinear")
    axis.set_xticks([])
    axis.set_yticks([])


def _shown(values: np.ndarray) -> np.ndarray:
    """(F, H, W, 3) from 0 to 1: colours as they are, other numbers of channels as their mean, in grey."""
    low, high = (0, 255) if values.dtype == np.uint8 else (values.min(), values.max())
    scaled = (values.astype(np.float32) - low) / max(float(high - low), 1e-6)
    return scaled[..., :3] if values.shape[-1] >= 3 else np.repeat(scaled.mean(-1, keepdims=True), 3, -1)
