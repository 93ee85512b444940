"""Stop strings: text that ends where a given string appears."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..errors import OptionError


class StopAt:
    """Passes pieces of text on until a stop string appears, even one that is split across pieces.

    Only text that could be the beginning of the stop string is held back, so that output appears as early as possible.

    Args:
        stop: The stop string; it is not passed on itself.

    Attributes:
        stopped: Whether the stop string has appeared; text after it is dropped.

    Raises:
        OptionError: `stop` is empty.

    Example:
        >>> list(StopAt("END").stream(["on and ", "EN", "D of it"]))
        ['on and ']
    """

    def __init__(self, stop: str):
        if not stop:
            raise OptionError("the stop string is empty, so there would be no text. Leave it out to stop nowhere.")
        self.stop = stop
        self.stopped = False
        self._held = ""

    def feed(self, piece: str) -> str:
        """The text that is now certain to precede the stop string; may be empty."""
        if self.stopped:
            return ""
        text = self._held + piece
        at = text.find(self.stop)
        if at >= 0:
            self.stopped, self._held = True, ""
            return text[:at]
        longest = min(len(self.stop) - 1, len(text))
        held = next((n for n in range(longest, 0, -1) if text.endswith(self.stop[:n])), 0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def finish(self) -> str:
        """Text that was held back and is not the stop string after all. Call it once, after the last piece."""
        rest, self._held = self._held, ""
        return rest

    def stream(self, pieces: Iterable[str]) -> Iterator[str]:
        """`feed` and `finish` over an iterable, which is not read past the stop string. Empty pieces are left out."""
        for piece in pieces:
            if text := self.feed(piece):
                yield text
            if self.stopped:
                return
        if text := self.finish():
            yield text
