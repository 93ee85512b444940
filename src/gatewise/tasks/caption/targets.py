"""Captions as tokens and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ...data.text.vocabulary import Words


@dataclass(frozen=True)
class CaptionTokens:
    """The words of a captioner.

    Attributes:
        vocabulary: Of its words. The tokens before and after each caption follow the last of them.
        longest: Words of the longest caption in training.
    """

    vocabulary: Words
    longest: int

    @classmethod
    def learn(cls, captions: Iterable[Sequence[str]], *, max_size: int | None, min_frequency: int) -> CaptionTokens:
        """From the captions of each training image."""
        texts = [caption for some in captions for caption in some]
        vocabulary = Words.fit(" ".join(texts), max_size, min_frequency)
        return cls(vocabulary, max(len(vocabulary.encode(text)) for text in texts))

    @property
    def start(self) -> int:
        return len(self.vocabulary)

    @property
    def end(self) -> int:
        return len(self.vocabulary) + 1

    def __len__(self) -> int:
        return len(self.vocabulary) + 2

    @property
    def forbidden(self) -> list[int]:
        """Tokens that no caption may contain."""
        return [self.start, self.vocabulary.PAD, self.vocabulary.UNK]

    def encode(self, captions: Iterable[Sequence[str]]) -> list[list[np.ndarray]]:
        """The tokens of each caption of each image, without start and end."""
        return [[self.vocabulary.encode(caption) for caption in some] for some in captions]

    def text(self, tokens: np.ndarray) -> str:
        return self.vocabulary.decode(tokens)

    def words(self, tokens: np.ndarray) -> list[str]:
        """Each of the tokens as text."""
        return [self.text(tokens[place : place + 1]) for place in range(len(tokens))]
