"""How images of a line of text are varied in training: as other hands, pens and scanners would have written the same.

T columns of an image, H pixels of a column.
"""

from __future__ import annotations

import numpy as np

# Standard deviations, for the line as a whole and, beside it, of what changes from character to character; chosen by
# lines of digits of writers who were left out.
_SLANT = 0.225, 0.15  # columns per row
_TALLER = 0.12, 0.075  # logarithm of the height
_HIGHER = 0.06, 0.045  # heights of the line
_APART = 0.075  # heights of the line by which a place is moved along it
_WIDER = 0.15  # logarithm of the width
_BEND = 0.03  # heights of the line, of each of three waves
_INK = 0.45  # logarithm of the exponent of how dark grey ink is
_PEN = 0.375  # share of the way to the darkest, or the palest, neighbour
_GRAIN = 0.045  # of what lies between paper and ink


def vary_line(columns: np.ndarray, *, rng: np.random.Generator, strength: float, least: int) -> np.ndarray:
    """The columns (T, H) of a line of text as somebody else might have written it, who slants, stretches and bends
    characters otherwise and holds another pen.

    Args:
        strength: Up to 1 by default.
        least: Columns that must be left.

    Returns:
        As many rows, of more or fewer columns.

    Source: Simard, Steinkraus & Platt (2003), "Best practices for convolutional neural networks", ICDAR, for bending;
    Wigington et al. (2017), "Data augmentation for recognition of handwritten words and lines using a CNN-LSTM
    network", ICDAR, for changes along a line.
    """
    T, H = columns.shape
    width = max(least, 1, round(T * np.exp(_WIDER * strength * rng.standard_normal())))
    t, y = np.linspace(0, T - 1, width)[:, None], np.arange(H) - (H - 1) / 2
    knots = -(-T // H) + 2
    places, first = t[:, 0] / H, rng.random()

    def along(whole: float, each: float) -> np.ndarray:
        """(width, 1) numbers that change from one character to the next."""
        local = np.interp(places + first, np.arange(knots), rng.standard_normal(knots))
        return strength * (whole * rng.standard_normal() + each * local)[:, None]

    column = t + along(*_SLANT) * y + H * along(0.0, _APART)
    row = (H - 1) / 2 + y * np.exp(along(*_TALLER)) + H * along(*_HIGHER)
    waves = rng.standard_normal((3, 2)) * 4 / H  # radians per pixel
    phases = rng.uniform(0, 2 * np.pi, 3)
    heights = rng.standard_normal((2, 3)) * _BEND * strength * H
    for wave, phase, (sideways, up) in zip(waves, phases, heights.T, strict=True):
        bent = np.sin(wave[0] * t + wave[1] * y + phase)
        column, row = column + sideways * bent, row + up * bent
    paper = np.median(columns)
    ink = _read(columns - paper, column, row)
    return np.asarray(_by_another_pen(ink, rng, strength) + paper, np.float32)


def _read(ink: np.ndarray, column: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Values between pixels; there is no ink beyond an image."""
    padded = np.pad(ink, 1)
    found: list[np.ndarray] = []
    for place, size in zip((column, row), ink.shape, strict=True):
        place = np.clip(place + 1, 0, size + 1)
        low = np.minimum(place.astype(np.int64), size)
        found += [low, place - low]
    left, right, top, down = found
    return np.asarray(
        (padded[left, top] * (1 - down) + padded[left, top + 1] * down) * (1 - right)
        + (padded[left + 1, top] * (1 - down) + padded[left + 1, top + 1] * down) * right
    )


def _by_another_pen(ink: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Thicker or thinner, darker or paler, and grainier. What differs most from paper, either way, is ink."""
    darkest = max(ink.max(), -ink.min(), key=abs)
    sign = -1.0 if -ink.min() > ink.max() else 1.0
    if not darkest:
        return ink
    share = sign * ink / darkest
    thicker = float(np.clip(_PEN * strength * rng.standard_normal(), -1, 1))
    padded = np.pad(share, 1, mode="edge")
    around = [padded[i : i + len(ink), j : j + ink.shape[1]] for i, j in ((0, 1), (2, 1), (1, 0), (1, 2))]
    other = np.maximum.reduce([share, *around]) if thicker > 0 else np.minimum.reduce([share, *around])
    share = share + abs(thicker) * (other - share)
    inked = np.maximum(share, 0) ** np.exp(_INK * strength * rng.standard_normal())
    share = np.where(share > 0, inked, share) + _GRAIN * strength * rng.standard_normal(ink.shape)
    return np.asarray(sign * darkest * share)
