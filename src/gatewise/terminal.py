"""What a terminal is shown: text of files, vocabularies and models may hold commands for it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

# Control characters except line ends and tabs, halves of surrogate pairs, and what turns the direction of text around.
_COMMANDS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(text: str) -> str:
    """Text with everything escaped that a terminal would obey rather than show, as Python writes it: ESC is \\x1b."""
    return _COMMANDS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class Terminal:
    """A terminal that is written text alone.

    Attributes:
        under: The stream itself, for what moves the cursor on purpose.
    """

    def __init__(self, under: TextIO):
        self.under = under

    def write(self, text: str) -> int:
        self.under.write(shown(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.under, name)


@contextmanager
def guarded() -> Iterator[None]:
    """Inside the block, standard output and error are `Terminal`s where they are terminals. Files and pipes stay."""
    before = sys.stdout, sys.stderr
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        with suppress(AttributeError, ValueError):  # None or closed
            if stream.isatty():
                setattr(sys, name, Terminal(stream))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
