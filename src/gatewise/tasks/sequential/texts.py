"""Texts as the tokens that a model of another library knows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from ...document import MOST
from ...errors import DataError, OptionError

PADDING = ("<pad>", "[PAD]", "<PAD>", "")  # what other libraries call no token at all
UNKNOWN = ("<unk>", "[UNK]", "<UNK>", "<OOV>", "<oov>", "UNK", "unk")  # what other libraries call an unknown token
_MARKS = re.compile(r"^\W+|\W+$")  # around a word


@dataclass(frozen=True)
class Tokens:
    """A vocabulary as another library had it.

    Attributes:
        tokens: In the order of `ids`.
        ids: Their numbers, which need not begin at 0 nor follow one another.
        kind: Whether a text is read by "characters" or by "words", which white space parts.
    """

    tokens: list[str]
    ids: list[int]
    kind: Literal["characters", "words"]
    unknown: int | None = field(init=False)

    def __post_init__(self) -> None:
        if len(self.tokens) != len(self.ids) or not self.tokens:
            raise OptionError(f"a vocabulary of {len(self.tokens)} tokens has {len(self.ids)} numbers")
        if min(self.ids) < 0 or max(self.ids) > MOST:
            raise OptionError(f"a token has the number {min(self.ids)}, and numbers are 0 or more")
        object.__setattr__(self, "unknown", next((self._ids[own] for own in UNKNOWN if own in self._ids), None))

    @cached_property
    def _ids(self) -> dict[str, int]:
        return dict(zip(self.tokens, self.ids, strict=True))

    def encode(self, text: str) -> np.ndarray:
        """(n,) int64 numbers. What the vocabulary lacks is its unknown token or, if it has none, left out.

        A word that it lacks is looked up once more in small letters, and without the marks around it.

        Raises:
            DataError: Nothing is left.
        """
        return np.array([number for _, number in self.cut(text)], np.int64)

    def cut(self, text: str) -> list[tuple[str, int]]:
        """The pieces of a text that become tokens, each with its number; as of `encode`."""
        pieces = list(text) if self.kind == "characters" else text.split()
        numbers = map(self._number, pieces)
        found = [(piece, number) for piece, number in zip(pieces, numbers, strict=True) if number is not None]
        if not found:
            raise DataError(f"the model knows none of the {self.kind} of {text!r:.60}")
        return found

    def _number(self, token: str) -> int | None:
        if token in self._ids or self.kind == "characters":
            return self._ids.get(token, self.unknown)
        small = token.lower()
        return self._ids.get(small, self._ids.get(_MARKS.sub("", small), self.unknown))


def kind_of(tokens: Sequence[str]) -> Literal["characters", "words"]:
    """Characters, if no token is longer but those in brackets, such as <unk>."""
    return "characters" if all(len(token) <= 1 or token[0] + token[-1] in ("<>", "[]") for token in tokens) else "words"
