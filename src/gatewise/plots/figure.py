"""Figures as PNG and SVG files, written atomically."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import MissingExtra, OptionError
from ..files import atomic
from ..terminal import shown

FORMATS = {".png": "png", ".svg": "svg"}


@contextmanager
def figure(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Provide an empty matplotlib figure, and write it to `path` if the block succeeds.

    Raises:
        MissingExtra: matplotlib is not installed.
        OptionError: The picture is to be neither PNG nor SVG.
    """
    target = Path(path)
    kind = FORMATS.get(target.suffix.lower())
    if kind is None:
        raise OptionError(f"cannot draw a picture as '{target.suffix}' ({target}). End its name in .png or .svg.")
    try:
        # Figure alone, without pyplot: no global state, no window system.
        from matplotlib.figure import Figure
        from matplotlib.text import Text
    except ImportError as error:
        raise MissingExtra("matplotlib", "plot") from error

    drawing = Figure(layout="constrained")
    yield drawing
    for text in drawing.findobj(Text):
        if found := text.get_text():  # a name of a user's, or words of ours; numbers at the axes come later
            text.set_text(shown(found))
            text.set_parse_math(False)  # a dollar sign is no formula
    with atomic(target) as temporary:
        drawing.savefig(temporary, format=kind, dpi=150)
