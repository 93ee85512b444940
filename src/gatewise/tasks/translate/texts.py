"""Texts as tokens and back: the vocabularies of a translator, and its batches.

S tokens of the longest source, T of the longest target with its end, B pairs side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np

from ...data.batches import Epochs
from ...data.paired.pairs import Pairs
from ...data.text.detokenizers import Joiner
from ...data.text.segmentation import words_of
from ...data.text.vocabulary import DEFAULT_WORDS, BytePairs, Characters, Vocabulary, Words, vocabulary_from_json
from ...errors import DataError, OptionError
from ..options import check_tokens

MOST_PAIRS = 6000  # entries of a vocabulary of byte-pairs; of a small text fewer, or most would be rare
LEAST_PAIRS, PER_PAIR = 500, 600  # and characters of training text for each
SHORT = 40  # characters: texts up to this mean length are read by the character, as dates and numbers should be
LONGER = 10  # tokens that even a short source may become


@dataclass(frozen=True)
class Texts:
    """Both languages of a translator.

    Attributes:
        source, target: Vocabularies; one and the same if they are shared. Behind the last token of each there is one
            more id, the edge, which every target begins after and ends with.
        longest: Tokens of the longest target in training.
        ratio: Most target tokens per source token there, each source counted as `LONGER` tokens more.
    """

    source: Vocabulary
    target: Vocabulary
    longest: int
    ratio: float

    @classmethod
    def learn(cls, pairs: Pairs, tokens: str | None, shared: bool, size: int | None, min_frequency: int) -> Self:
        """From training pairs. DataError if they give no vocabulary, OptionError if it cannot have such limits."""
        assert pairs.targets is not None
        kind = tokens or usual_tokens(pairs)
        check_tokens(kind, size, min_frequency)
        if shared:
            source = target = _vocabulary([*pairs.sources, *pairs.targets], kind, size, min_frequency)
        else:
            source, target = (_vocabulary(some, kind, size, min_frequency) for some in (pairs.sources, pairs.targets))
        unlimited = cls(source, target, 1, 1.0)
        sources, targets = unlimited.sources(pairs.sources), unlimited.targets(pairs.targets)
        ratio = max(len(t) / (len(s) + LONGER) for s, t in zip(sources, targets, strict=True))
        return cls(source, target, max(map(len, targets)), ratio)

    @property
    def shared(self) -> bool:
        return self.source is self.target

    @property
    def edge(self) -> int:
        """The id that targets begin after and end with."""
        return len(self.target)

    @property
    def unknown(self) -> int | None:
        """The id of target words that have none of their own."""
        return Words.UNK if isinstance(self.target, Words) else None

    def sources(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Ids of each; characters that are not known are passed over."""
        return [_encoded(self.source, text) for text in texts]

    def targets(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Ids of each, without the edge."""
        return [_encoded(self.target, text) for text in texts]

    def begun(self, prefixes: Sequence[str]) -> list[list[int]]:
        """Ids of beginnings of targets; none for a blank one. OptionError if one is no text or has no tokens."""
        for place, prefix in enumerate(prefixes):
            if not isinstance(prefix, str):
                raise OptionError(f"prefixes[{place}] is {prefix!r:.60}, which is no text. Give '' to leave one out")
            if unseen := self.target.unseen(prefix.strip()):
                raise OptionError(
                    f"prefixes[{place}] holds {unseen[0]!r}, which this model never learned to write. Leave it out"
                )
        return [_encoded(self.target, prefix.strip()).tolist() if prefix.strip() else [] for prefix in prefixes]

    def limits(self, sources: Sequence[np.ndarray]) -> list[int]:
        """Most tokens of each translation."""
        return [max(1, min(self.longest, int(self.ratio * (len(ids) + LONGER) + 1))) for ids in sources]

    def text(self, ids: np.ndarray, source: np.ndarray | None = None, text: str = "", places: Any = ()) -> str:
        """What a translation says.

        Args:
            ids: Target tokens.
            source: Ids of what was translated, and `text` itself: for unknown words to be copied from.
            places: Of each token the place in the source to copy from, -1 for none.
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
        """The tokens of a source as they are written."""
        if isinstance(self.source, Words):
            return [word for words in words_of(text) for word in words]
        return [self.source.decode([token]) for token in _encoded(self.source, text)]

    def pieces(self, ids: np.ndarray) -> list[str]:
        """The tokens of a target, each as it is written."""
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
        return cls(source, target, int(document["longest"]), float(document["ratio"]))


def usual_tokens(pairs: Pairs) -> str:
    """Characters for short texts, byte-pairs for others."""
    texts = [*pairs.sources, *(pairs.targets or ())]
    return Characters.kind if sum(map(len, texts)) <= SHORT * len(texts) else BytePairs.kind


def _vocabulary(texts: Sequence[str], kind: str, size: int | None, min_frequency: int) -> Vocabulary:
    if kind == Characters.kind:
        return Characters(set().union(*texts))
    text = " ".join(texts) if kind == Words.kind else "".join(f" {text}\n" for text in texts)
    if kind == Words.kind:
        return Words.fit(text, max_size=size or DEFAULT_WORDS, min_frequency=min_frequency)
    usual = max(LEAST_PAIRS, min(MOST_PAIRS, len(text) // PER_PAIR))
    return BytePairs.fit(text, size=size or usual, min_frequency=max(2, min_frequency))


def _encoded(vocabulary: Vocabulary, text: str) -> np.ndarray:
    # A space before the first word, so that it is the same token as within a sentence.
    return vocabulary.encode(f" {text}" if isinstance(vocabulary, BytePairs) else text, unknown="skip")


class PairBatches:
    """Pairs as batches of arrays, those of about one length together.

    Every epoch shuffles the pairs of the same target length and takes the batches in another order; how many pairs of
    each length a batch holds stays, so that all epochs have as many batches.

    Args:
        sources, targets: Ids of each pair.
        edge: As of `Texts`.
        batch_tokens: Target tokens of a batch, padding included; at least one pair.
        seed: Of the order; None for the same each time.
    """

    def __init__(
        self,
        sources: Sequence[np.ndarray],
        targets: Sequence[np.ndarray],
        edge: int,
        batch_tokens: int,
        seed: int | None = None,
    ):
        if not sources:
            raise DataError("there is no pair to learn from")
        self.sources, self.targets, self.edge, self.seed = sources, targets, edge, seed
        self._lengths = np.array([len(target) + 1 for target in targets])
        self._other = np.array([len(source) for source in sources])
        ordered = np.sort(self._lengths)
        self._cuts = [0]
        for place, length in enumerate(ordered):
            if length * (place + 1 - self._cuts[-1]) > batch_tokens and place > self._cuts[-1]:
                self._cuts.append(place)
        self._cuts.append(len(ordered))
        self._epochs = Epochs(len(self._cuts) - 1, self._drawn, seed)

    def __len__(self) -> int:
        return len(self._epochs)

    def at(self, step: int) -> dict[str, np.ndarray]:
        return self.batch(self._epochs.at(step))

    def _drawn(self, random: np.random.Generator | None) -> list[np.ndarray]:
        """The pairs of each batch."""
        among_equals = self._other if random is None else random.random(len(self._lengths))
        order = np.lexsort((among_equals, self._lengths))
        batches = [order[start:stop] for start, stop in pairwise(self._cuts)]
        return batches if random is None else [batches[i] for i in random.permutation(len(batches))]

    def batch(self, which: np.ndarray) -> dict[str, np.ndarray]:
        """Arrays of these pairs, time-major: "source" (S, B) and "lengths" (B,); "inputs" and "targets" (T, B), -1
        behind the end, and "target_lengths" (B,) with the end."""
        targets = [self.targets[i] for i in which]
        lengths = self._lengths[which]
        inputs = np.full((int(lengths.max()), len(which)), self.edge)
        wanted = np.full(inputs.shape, -1)
        for column, ids in enumerate(targets):
            inputs[1 : len(ids) + 1, column] = ids
            wanted[: len(ids), column] = ids
            wanted[len(ids), column] = self.edge
        found = padded([self.sources[i] for i in which])
        return {**found, "inputs": inputs, "targets": wanted, "target_lengths": lengths}


def padded(sources: Sequence[np.ndarray], multiple: int = 1) -> dict[str, np.ndarray]:
    """Sources side by side: "source" (S, B), padded with 0, where S is a multiple of this; and "lengths" (B,)."""
    lengths = np.array([len(ids) for ids in sources])
    found = np.zeros((-(-max(1, int(lengths.max(initial=0))) // multiple) * multiple, len(sources)), np.int64)
    for column, ids in enumerate(sources):
        found[: len(ids), column] = ids
    return {"source": found, "lengths": lengths}
