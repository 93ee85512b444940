"""Plain methods of translation: the source itself, its first words, and the target of the most similar source."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Self

import numpy as np

from ...data.paired.pairs import Pairs
from ...data.text.segmentation import words_of
from ...errors import ModelFileError
from ...metrics.text import bleu, text_scores
from ...sharing import each
from ..baselines import packed, unpacked

Units = Callable[[str], Sequence[str]]

# Of the training pairs that a model's file holds as a translation memory; of more, every so many.
MOST_PAIRS = 50_000
MOST_BYTES = 8_000_000
MOST_CHOOSING = 1000  # validation pairs that choose the strongest method
_SPACED = 12  # characters: where words are longer on average, they are not written apart


class Nearest:
    """Gives a text the target of the most similar training source: BM25 over lower-cased words, or other units.

    Args:
        sources, targets: Of training.
        units: What is compared of a text.

    Source: Robertson & Zaragoza (2009), "The Probabilistic Relevance Framework: BM25 and Beyond", with k1 = 1.2 and
    b = 0.75.
    """

    def __init__(self, sources: Sequence[str], targets: Sequence[str], units: Units | None = None):
        self.targets, self.units = targets, units or words
        rows: defaultdict[str, list[int]] = defaultdict(list)
        counts: defaultdict[str, list[int]] = defaultdict(list)
        lengths = np.zeros(len(sources))
        for row, text in enumerate(sources):
            found = self.units(text)
            lengths[row] = len(found)
            for unit, count in Counter(found).items():
                rows[unit].append(row)
                counts[unit].append(count)
        self._mean = max(1.0, lengths.mean())
        softened = self._softened(lengths)
        self._postings = {}
        for unit, where in rows.items():
            own, many = np.array(where), np.array(counts[unit], float)
            self._postings[unit] = own, self._rarity(len(own)) * many * 2.2 / (many + softened[own])

    def __call__(self, text: str) -> str:
        return self.targets[int(self._scores(text).argmax())]

    def best(self, text: str, count: int) -> list[tuple[str, float]]:
        """Different targets, those of the most similar sources first, and how similar each is: its score over that of
        the text itself, from 0 to 1."""
        scores = self._scores(text)
        own, found = self._own_score(text), dict[str, float]()
        rows = [scores.argmax()] if count == 1 else np.argsort(-scores, kind="stable")
        for row in map(int, rows):
            found.setdefault(self.targets[row], float(min(1.0, scores[row] / own)) if own > 0 else 0.0)
            if len(found) == count:
                break
        return list(found.items())

    def _own_score(self, text: str) -> float:
        """What the text would score if it were a training source, as rare as what it consists of is there."""
        counts = Counter(self.units(text))
        softened = self._softened(counts.total())
        rows = {unit: len(self._postings[unit][0]) if unit in self._postings else 0 for unit in counts}
        return sum(n * self._rarity(rows[unit]) * n * 2.2 / (n + softened) for unit, n in counts.items())

    def _softened(self, lengths: Any) -> Any:
        return 1.2 * (0.25 + 0.75 * lengths / self._mean)

    def _rarity(self, count: int) -> float:
        """Of what this many sources have."""
        return float(np.log(1 + (len(self.targets) - count + 0.5) / (count + 0.5)))

    def _scores(self, text: str) -> np.ndarray:
        scores = np.zeros(len(self.targets))
        for unit in self.units(text):
            if unit in self._postings:
                rows, weights = self._postings[unit]
                scores[rows] += weights
        return scores


def first_words(text: str, count: int) -> str:
    """The beginning of a text, which often is a summary of it."""
    return " ".join(text.split()[:count])


def count_first_words(pairs: Pairs) -> int:
    """Mean words of a target, if targets are less than half as long as their sources; else 0."""
    source, target = (sum(len(text.split()) for text in texts) for texts in (pairs.sources, pairs.targets or []))
    return round(target / len(pairs)) if 2 * target < source else 0


@dataclass(frozen=True)
class Plain:
    """What the plain methods know: a translation memory, and which of them is the strongest.

    Attributes:
        sources, targets: Of training, at most `MOST_PAIRS` and `MOST_BYTES`.
        first_words: See `count_first_words`.
        strongest: The method with the highest BLEU on the validation pairs; None if there were none.
        validated: That BLEU, where it was learned just now.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    first_words: int
    strongest: str | None = None
    validated: float | None = field(default=None, compare=False)

    @classmethod
    def learn(cls, train: Pairs, held_out: Pairs | None) -> Self:
        """From training pairs; the strongest method chosen on held-out ones, if there are any."""
        targets = train.targets or []
        size = sum(len(text.encode("utf-8", "surrogatepass")) for text in (*train.sources, *targets))
        every = max(1, -(-len(targets) // MOST_PAIRS), -(-size // MOST_BYTES))
        plain = cls(tuple(train.sources[::every]), tuple(targets[::every]), count_first_words(train))
        if held_out is None or not len(held_out):
            return plain
        some = held_out.take(range(min(len(held_out), MOST_CHOOSING)))
        references = [[target] for target in some.targets or []]
        found = plain.translations(some.sources)
        scores = dict(zip(found, each(lambda texts: bleu(texts, references), [*found.values()]), strict=True))
        best = max(scores, key=lambda name: scores[name])
        vars(plain).update(strongest=best, validated=scores[best])
        return plain

    @cached_property
    def methods(self) -> dict[str, Callable[[str], str]]:
        """Each turns a text into another."""
        found: dict[str, Callable[[str], str]] = {"copy": str}
        if self.first_words:
            found["first words"] = partial(first_words, count=self.first_words)
        if self.sources:
            grams = partial(n_grams, n=3 if _spaced(self.sources) else 2)
            found["nearest"] = Nearest(self.sources, self.targets)
            found["n-gram match"] = Nearest(self.sources, self.targets, grams)
        return found

    @property
    def name(self) -> str:
        """Of the method that translates alone."""
        return self.strongest or ("nearest" if self.sources else "copy")

    @property
    def memories(self) -> list[str]:
        """That method, and then the other one that compares sources; none if it compares none itself."""
        found = [name for name, method in self.methods.items() if isinstance(method, Nearest)]
        return sorted(found, key=lambda name: name != self.name) if self.name in found else []

    def best(self, text: str, count: int, name: str | None = None) -> list[tuple[str, float]]:
        """Translations by that method, or the one that is named, the best first, and how similar their sources are: 0
        where it compares none."""
        method = self.methods[name or self.name]
        return method.best(text, count) if isinstance(method, Nearest) else [(method(text), 0.0)]

    def translations(self, sources: Sequence[str]) -> dict[str, list[str]]:
        """Of each method."""
        return {name: each(method, sources) for name, method in self.methods.items()}

    # The model file.

    def tensors(self) -> dict[str, np.ndarray]:
        """The translation memory: sources, then targets."""
        return packed((*self.sources, *self.targets))

    @classmethod
    def restore(cls, tensors: dict[str, np.ndarray], first_words: int, strongest: str | None) -> Self:
        """Undo `tensors`. ModelFileError if they contradict each other."""
        texts = unpacked(tensors)
        half = len(texts) // 2
        if len(texts) % 2:
            raise ModelFileError(f"plain.lengths has {len(texts)} texts, which is no number of pairs")
        plain = cls(texts[:half], texts[half:], first_words, strongest)
        names = {"copy"} | ({"first words"} if first_words else set())
        if strongest is not None and strongest not in names | ({"nearest", "n-gram match"} if half else set()):
            raise ModelFileError(f"plain.strongest is {strongest!r:.40}, which is none of its methods")
        return plain


def words(text: str) -> list[str]:
    """Lower-cased words."""
    return [word for some in words_of(text.lower()) for word in some]


def n_grams(text: str, n: int) -> list[str]:
    """N characters that stand beside each other, with a space around the text."""
    spaced = f" {text.lower()} "
    return [spaced[start : start + n] for start in range(max(1, len(spaced) - n + 1))]


def _spaced(texts: Sequence[str]) -> bool:
    """Whether words are written apart."""
    return sum(map(len, texts)) <= _SPACED * sum(len(text.split()) for text in texts)


def evaluate_baselines(pairs: Pairs, train: Pairs | None, first_words_count: int) -> dict[str, dict[str, Any]]:
    """Scores of the plain methods beside a model of before, whose file does not hold them.

    Args:
        pairs: To predict.
        train: For `Nearest`, which is left out without it.
        first_words_count: Words of a target; 0 if its first words are no baseline.
    """
    sources, targets = ((), ()) if train is None else (tuple(train.sources), tuple(train.targets or []))
    predicted = Plain(sources, targets, first_words_count).translations(pairs.sources)
    references = [[target] for target in pairs.targets or []]
    return {name: text_scores(texts, references) for name, texts in predicted.items()}
