"""Texts as tokens and back: the vocabularies of a translator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ...data.paired.pairs import Pairs
from ...data.text.detokenizers import Joiner
from ...data.text.segmentation import words_of
from ...data.text.vocabulary import DEFAULT_WORDS, BytePairs, Characters, Vocabulary, Words, vocabulary_from_json
from ...decoding.options import MOST_TOKENS
from ...errors import OptionError
from ..options import check_tokens

# Byte-pairs of a vocabulary: at most so many, but fewer for a small text, or most would be rare.
MOST_PAIRS, LEAST_PAIRS = 6000, 500
CHARACTERS_PER_PAIR = 600  # of training text
SHORT = 40  # characters: texts up to this mean length become characters, as dates and numbers should
KNOWN = 0.8  # share of running words, from which on short texts are those of a language, whose words come again
LONGER = 10  # tokens that even a short source may become


@dataclass(frozen=True)
class Texts:
    """Both languages of a translator.

    Attributes:
        source, target: Vocabularies; one and the same if they are shared. Each has one more id after its last token,
            the edge: every target starts after it and ends with it.
        longest: Tokens of the longest target in training.
        ratio: Most target tokens per source token there, each source counted as `LONGER` tokens longer.
    """

    source: Vocabulary
    target: Vocabulary
    longest: int
    ratio: float

    @classmethod
    def learn(
        cls,
        pairs: Pairs,
        tokens: str | None,
        *,
        shared: bool,
        size: int | None = None,
        min_frequency: int = 1,
        before: Texts | None = None,
    ) -> Self:
        """From training pairs, beyond what a model knows that is gone on from. DataError if they give no vocabulary,
        OptionError if it cannot have such limits."""
        assert pairs.targets is not None
        kind = tokens or default_tokens(pairs)
        check_tokens(kind, size, min_frequency)
        if shared:
            source = target = _vocabulary([*pairs.sources, *pairs.targets], kind, size, min_frequency)
        else:
            source, target = (_vocabulary(some, kind, size, min_frequency) for some in (pairs.sources, pairs.targets))
        if before is not None:
            target = before.target.extended(target)
            source = target if shared else before.source.extended(source)
        unlimited = cls(source, target, 1, 1.0)
        sources, targets = unlimited.sources(pairs.sources), unlimited.targets(pairs.targets)
        ratio = max(len(t) / (len(s) + LONGER) for s, t in zip(sources, targets, strict=True))
        return cls(source, target, max(map(len, targets)), ratio)

    @property
    def shared(self) -> bool:
        return self.source is self.target

    @property
    def edge(self) -> int:
        """The id that targets start after and end with."""
        return len(self.target)

    @property
    def unknown(self) -> int | None:
        """The id of target words outside the vocabulary; None if there is no such word."""
        return Words.UNK if isinstance(self.target, Words) else None

    def sources(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Ids of each; unknown characters are skipped."""
        return [_encoded(self.source, text) for text in texts]

    def targets(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Ids of each, without the edge."""
        return [_encoded(self.target, text) for text in texts]

    def encode_prefixes(self, prefixes: Sequence[str]) -> list[list[int]]:
        """Ids of the beginnings of targets; none for a blank one. OptionError if one is not text, or holds a character
        outside the vocabulary."""
        for place, prefix in enumerate(prefixes):
            if not isinstance(prefix, str):
                raise OptionError(f"prefixes[{place}] is {prefix!r:.60}, which is not text. Give '' to leave one out")
            if unseen := self.target.unseen(prefix.strip()):
                raise OptionError(
                    f"prefixes[{place}] holds {unseen[0]!r}, which this model never learned to write. Leave it out"
                )
        return [_encoded(self.target, prefix.strip()).tolist() if prefix.strip() else [] for prefix in prefixes]

    def limits(self, sources: Sequence[np.ndarray]) -> list[int]:
        """Maximum tokens of the translation of each source."""
        most = min(self.longest, MOST_TOKENS)
        return [max(1, int(min(most, self.ratio * (len(ids) + LONGER) + 1))) for ids in sources]

    def text(self, ids: np.ndarray, source: np.ndarray | None = None, text: str = "", places: Any = ()) -> str:
        """The text of target tokens.

        Args:
            ids: Target tokens.
            source: Ids of the source, and `text` itself: what unknown words are copied from.
            places: For each token the position in the source to copy from, -1 for none.
        """
        if not isinstance(self.target, Words):
            return self.target.decode(ids).strip()
        words, numbers = list(self.target.words), ids.tolist()
        if source is not None and len(places) and max(places) >= 0:
            from_source = self.words_of(text)
            for place, number in enumerate(places):
                if 0 <= number < len(from_source):
                    numbers[place] = len(words)
                    words.append(from_source[number])
        joiner = Joiner(words)
        return ("".join(map(joiner.push, numbers)) + joiner.flush()).strip()

    def words_of(self, text: str) -> list[str]:
        """The tokens of a source, each as text."""
        if isinstance(self.source, Words):
            return [word for words in words_of(text) for word in words]
        return [self.source.decode([token]) for token in _encoded(self.source, text)]

    def pieces(self, ids: np.ndarray) -> list[str]:
        """The tokens of a target, each as text."""
        if isinstance(self.target, Words):
            return [self.target.words[token] for token in ids]
        return [self.target.decode([token]) for token in ids.tolist()]

    def to_json(self) -> dict[str, Any]:
        target = None if self.shared else self.target.to_json()
        return {"source": self.source.to_json(), "target": target, "longest": self.longest, "ratio": self.ratio}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        source = vocabulary_from_json(document["source"])
        target = source if document["target"] is None else vocabulary_from_json(document["target"])
        return cls(source, target, document["longest"], document["ratio"])


def default_tokens(pairs: Pairs) -> str:
    """Byte-pairs; characters for short texts whose words do not come again, such as dates, numbers and names."""
    sides = (pairs.sources, pairs.targets or [])
    texts = [text for side in sides for text in side]
    if sum(map(len, texts)) > SHORT * len(texts) or min(map(_known_words, sides)) >= KNOWN:
        return BytePairs.kind
    return Characters.kind


def _known_words(texts: Sequence[str]) -> float:
    """Which share of the running words of every tenth text occurs in the others."""
    known, held_out = set[str](), list[str]()
    for place, text in enumerate(texts):
        words = text.lower().split()
        if place % 10 == 9:
            held_out += words
        else:
            known.update(words)
    return sum(word in known for word in held_out) / max(1, len(held_out))


def _vocabulary(texts: Sequence[str], kind: str, size: int | None, min_frequency: int) -> Vocabulary:
    if kind == Characters.kind:
        return Characters(set().union(*texts))
    text = " ".join(texts) if kind == Words.kind else "".join(f" {text}\n" for text in texts)
    if kind == Words.kind:
        return Words.fit(text, max_size=size or DEFAULT_WORDS, min_frequency=min_frequency)
    default = max(LEAST_PAIRS, min(MOST_PAIRS, len(text) // CHARACTERS_PER_PAIR))
    return BytePairs.fit(text, size=size or default, min_frequency=max(2, min_frequency))


def _encoded(vocabulary: Vocabulary, text: str) -> np.ndarray:
    # A space before the first word, so that it is the same token as within a sentence.
    return vocabulary.encode(f" {text}" if isinstance(vocabulary, BytePairs) else text, unknown="skip")


def padded(sources: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """B sources side by side: "source" (S, B), padded with 0, and "lengths" (B,)."""
    lengths = np.array([len(ids) for ids in sources])
    longest = max(1, int(lengths.max(initial=0)))
    source = np.zeros((longest, len(sources)), np.int64)
    for column, ids in enumerate(sources):
        source[: len(ids), column] = ids
    return {"source": source, "lengths": lengths}
