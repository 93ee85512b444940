"""Embeddings of words that begin as the word vectors of a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ..data.text.tokens import token_counts
from ..data.text.vectors import WordVectors, read_vectors
from ..data.text.vocabulary import Vocabulary, Words
from ..errors import OptionError
from .options import VectorOptions


@dataclass(frozen=True)
class Pretrained:
    """What embeddings begin as.

    Attributes:
        vectors: Of the words of a vocabulary.
        frozen: Whether they stay as they are.
        counts: How often each word of the vocabulary occurs in training.
    """

    vectors: WordVectors
    frozen: bool
    counts: Mapping[str, int]

    @classmethod
    def read(
        cls, options: VectorOptions, embedding_size: int | None, counted: Callable[[], Mapping[str, int]]
    ) -> Self | None:
        """What the options say; None if they name no file.

        Args:
            embedding_size: The option of this name.
            counted: Gives how often each word of the vocabulary occurs in training, the most frequent one first.

        Raises:
            OptionError: There are no words, or the file has another width than the embeddings were given.
            DataError: The file cannot be read, or has none of the words.
        """
        if options.vectors is None:
            return None
        counts = counted()
        if not counts:
            raise OptionError("vectors are of words, and nothing is read as words here. Leave vectors out")
        vectors = read_vectors(options.vectors, [*counts])
        if embedding_size not in (None, vectors.width):
            raise OptionError(
                f"embedding_size={embedding_size}, but the vectors of {vectors.name} are {vectors.width} wide. Leave "
                "embedding_size out"
            )
        return cls(vectors, bool(options.freeze_vectors), counts)

    @property
    def entry(self) -> str:
        """For the announcement: glove.txt: 4,120 of 5,003 words (31,200 of 33,000 running words), 300 wide, learned"""
        rows, other = self.vectors.rows, self.vectors.other_case
        running = sum(count for word, count in self.counts.items() if word in rows)
        capitals = f", {other:,} of them written with other capitals" if other else ""
        return (
            f"{self.vectors.name}: {len(rows):,} of {len(self.counts):,} words ({running:,} of "
            f"{sum(self.counts.values()):,} running words){capitals}, {self.vectors.width} wide, "
            f"{'frozen' if self.frozen else 'learned'}"
        )

    @property
    def provenance(self) -> dict[str, Any]:
        """For the model file."""
        return {"name": self.vectors.name, "sha256": self.vectors.digest, "words": len(self.vectors.rows)}


def words_of(vocabulary: Vocabulary) -> Sequence[str]:
    """The words of a vocabulary but for its special tokens, in the order of their ids; none if it has no words."""
    return vocabulary.words[len(Words.SPECIAL) :] if isinstance(vocabulary, Words) else ()


def word_counts(vocabulary: Vocabulary, ids: np.ndarray) -> dict[str, int]:
    """How often each of these words occurs among the ids of a text, (n,)."""
    words = words_of(vocabulary)
    found = token_counts(ids, len(vocabulary))[len(Words.SPECIAL) :]
    return dict(zip(words, found.tolist(), strict=False))
