"""In which order the positions of images run, where each has its neighbours above and before it for a past."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Diagonals:
    """The positions of a batch of images by diagonals, seen from the corner where they start.

    Those of a diagonal do not wait for one another.

    Attributes:
        counts: Positions in each diagonal, over all images.
        above, before: (N,) where each position's neighbours are in the diagonal before; one past its end for those that
            have none.
        places: Per direction, (N,) each position's place in the input, its first three axes taken as one. Directions
            begin in the top left corner, the top right, the bottom left and the bottom right.
        corners: (B,), where each image's last position is in the order; one past its end for an image without any.
    """

    counts: list[int]
    above: np.ndarray
    before: np.ndarray
    places: list[np.ndarray]
    corners: np.ndarray


def plan_diagonals(sizes: np.ndarray, height: int, width: int) -> Diagonals:
    """Of images of these sizes (B, 2), each in the top left of an input (B, height, width, ...)."""
    heights, widths = sizes.T
    axes = np.arange(height), np.arange(width), np.arange(len(sizes))
    row, column, image = np.meshgrid(*axes, indexing="ij")
    row, column, image = (part[(row < heights) & (column < widths)] for part in (row, column, image))
    order = (row + column).argsort(kind="stable")
    row, column, image = row[order], column[order], image[order]
    diagonal = row + column
    counts = np.bincount(diagonal)
    ends = counts.cumsum()

    number = np.full((height + 1, width + 1, len(sizes)), -1)  # in the order; row and column 0 are the border
    number[row + 1, column + 1, image] = np.arange(len(row))
    # The diagonal before has `missing` positions, the first of them is number `begin`.
    begin, missing = (np.concatenate([np.zeros(n, int), v])[diagonal] for v, n in ((ends, 2), (counts, 1)))

    def within(neighbour: np.ndarray) -> np.ndarray:
        return np.where(neighbour < 0, missing, neighbour - begin)

    def place(up: bool, left: bool) -> np.ndarray:
        r = heights[image] - 1 - row if up else row
        c = widths[image] - 1 - column if left else column
        found: np.ndarray = (image * height + r) * width + c
        return found

    corners = number[heights, widths, np.arange(len(sizes))]
    return Diagonals(
        counts=counts.tolist(),
        above=within(number[row, column + 1, image]),
        before=within(number[row + 1, column, image]),
        places=[place(up, left) for up in (False, True) for left in (False, True)],
        corners=np.where(corners < 0, len(row), corners),
    )
