"""Ids back to text, one at a time. Put together, what a decoder returns is what `Vocabulary.decode` returns."""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Sequence
from typing import Any, Protocol

from ...errors import DataError
from .segmentation import is_cjk, token_pattern


class Decoder(Protocol):
    """Turns ids into text one at a time; what it returns, put together, is what `Vocabulary.decode` returns."""

    def push(self, id: int) -> str:
        """The text that is certain now that `id` has come; may be empty. DataError if there is no such id."""

    def flush(self) -> str:
        """What was held back, at the end; the decoder then starts afresh."""


class Lookup:
    """One id, one piece of text."""

    def __init__(self, texts: Sequence[str]):
        self._texts = texts

    def push(self, id: int) -> str:
        return at(self._texts, id)

    def flush(self) -> str:
        return ""


class Bytes:
    """Holds back the first bytes of a character until the last has come. Bytes that are not UTF-8 become U+FFFD."""

    def __init__(self, texts: Sequence[bytes]):
        self._texts = texts
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, id: int) -> str:
        return self._decoder.decode(at(self._texts, id))

    def flush(self) -> str:
        held = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return held


class Joiner:
    """Puts words together as in print, and never so that they would be read as other words."""

    NO_SPACE_BEFORE = frozenset(".,;:!?%…")  # and what Unicode calls closing
    NO_SPACE_AFTER = frozenset("$£#@¿¡")  # and what Unicode calls opening
    PAIRED = frozenset("\"'_")  # opening and closing look alike
    REACH = 8  # how many tokens ahead can change the cut: `< | / word | >` is the longest

    def __init__(self, words: Sequence[str]):
        self._words = words
        self._restart()

    def _restart(self) -> None:
        self._run: list[str] = []  # the last tokens that stand together without a space
        self._open: set[str] = set()
        self._hugs = True  # whether the last one wants no space behind it

    def push(self, id: int) -> str:
        word = at(self._words, id)
        if word == "<pad>":
            return ""
        run = [*self._run[-self.REACH :], word]
        if self._joins(word) and token_pattern().findall("".join(run)) == run:
            self._run = run
            return word
        self._run = [word]
        return " " + word

    def flush(self) -> str:
        self._restart()
        return ""

    def _joins(self, word: str) -> bool:
        """Whether print has no space before `word`; remembers what it wants behind it."""
        hugged, last = self._hugs, self._run[-1] if self._run else ""
        if word == "\n" or is_cjk(word):
            self._hugs = True
            if word == "\n":
                self._open.clear()
            return True
        if word in self.PAIRED:
            closes = word in self._open
            self._open ^= {word}
            self._hugs = not closes
            return closes or hugged
        category = unicodedata.category(word[0]) if len(word) == 1 else ""
        self._hugs = category in ("Ps", "Pi") or word in self.NO_SPACE_AFTER
        closes = category in ("Pe", "Pf") or word in self.NO_SPACE_BEFORE
        return hugged or closes or (word == last and category[:1] in ("P", "S"))  # -- and ==


def at(texts: Sequence[Any], id: int) -> Any:
    if not 0 <= id < len(texts):
        raise DataError(f"no token has id {id}: this vocabulary of {len(texts)} ends at {len(texts) - 1}.")
    return texts[id]
