"""Attention weights as a heat map."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from ..terminal import shown
from .figure import figure


def draw(source: Sequence[str], output: Sequence[str], attention: np.ndarray, picture: str | os.PathLike[str]) -> None:
    """A row for each token of the output, a column for each token of the source; darker where there is more attention.

    Args:
        source, output: The tokens of both.
        attention: (len(output), len(source)), from 0 to 1.

    Raises:
        MissingExtra: matplotlib is not installed.
        OptionError: The picture is to be neither PNG nor SVG.
    """
    with figure(picture) as drawn:
        drawn.set_size_inches(2.0 + 0.28 * len(source), 1.4 + 0.24 * len(output))
        axis = drawn.subplots()
        image = axis.imshow(attention, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axis.set_xticks(range(len(source)), [_shown(token) for token in source], rotation=60, ha="right")
        axis.set_yticks(range(len(output)), [_shown(token) for token in output])
        axis.set_xlabel("source")
        axis.set_ylabel("output")
        axis.tick_params(length=0, labelsize=8)
        drawn.colorbar(image, label="attention", shrink=0.8)


def _shown(token: str) -> str:
    """Make spaces and control characters visible."""
    return shown(token.replace(" ", "\u2423"))
