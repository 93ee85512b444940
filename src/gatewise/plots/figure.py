"""Figures as PNG and SVG files, written atomically."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import MissingExtra, Notice, OptionError
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
    _choose_fonts(drawing.findobj(Text))
    with atomic(target) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)  # we have said so
        drawing.savefig(temporary, format=kind, dpi=150)


def _choose_fonts(texts: list[Any]) -> None:
    """Give texts whose letters the usual font has not, such as Chinese, an installed one that has them; else say what
    brings one."""
    from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

    usual = FontProperties().get_family()
    known = get_font(findfont(FontProperties()))
    strange = {letter for text in texts for letter in text.get_text() if not known.get_char_index(ord(letter))}
    strange -= {letter for letter in strange if letter.isspace()}
    if not strange:
        return
    fonts: list[str] = []
    left = strange
    # Matplotlib's own last resort has a box for every letter.
    candidates = [font for font in fontManager.ttflist if not font.name.startswith("Last Resort")]
    for font in sorted(candidates, key=lambda one: ("CJK" not in one.name, one.weight != 400, one.name)):
        try:
            face = get_font(font.fname)
        except (OSError, RuntimeError):  # one that is damaged, or was removed
            continue
        found = {letter for letter in left if face.get_char_index(ord(letter))}
        if found:
            fonts, left = [*fonts, font.name], left - found
        if not left:
            break
    for text in texts:
        if strange & set(text.get_text()):
            text.set_fontfamily([*usual, *fonts])
    if left:
        letters = "".join(sorted(left))[:20]
        warnings.warn(
            f"no installed font has {letters}, which the picture shows as boxes. A package of fonts brings them: "
            "fonts-noto-cjk (Debian, Ubuntu), google-noto-sans-cjk-fonts (Fedora) or noto-fonts-cjk (Arch)",
            Notice,
            stacklevel=4,
        )
