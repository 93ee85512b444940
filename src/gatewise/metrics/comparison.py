"""Whether one thing is better than another on the same examples, or only by chance."""

from __future__ import annotations

import numpy as np


def standard_error(differences: np.ndarray, blocks: np.ndarray) -> float:
    """Of the mean of these differences (N,), where those of one block are not independent of one another."""
    _, block = np.unique(blocks, return_inverse=True)
    count = int(block.max()) + 1
    if count < 2:
        return float(np.abs(differences).mean())
    sums = np.bincount(block, differences - differences.mean())
    return float(np.sqrt(np.square(sums).sum() * count / (count - 1)) / len(differences))
