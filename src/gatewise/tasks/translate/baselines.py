"""Baselines of translation: the source itself, its first words, and the target of the most similar source."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from ...data.paired.pairs import Pairs
from ...data.text.segmentation import words_of
from ...metrics.text import text_scores


class Nearest:
    """Gives a text the target of the most similar training source: BM25 over lower-cased words.

    Args:
        sources, targets: Of training.

    Source: Robertson & Zaragoza (2009), "The Probabilistic Relevance Framework: BM25 and Beyond", with k1 = 1.2 and
    b = 0.75.
    """

    def __init__(self, sources: Sequence[str], targets: Sequence[str]):
        self.targets = targets
        rows: defaultdict[str, list[int]] = defaultdict(list)
        counts: defaultdict[str, list[int]] = defaultdict(list)
        lengths = np.zeros(len(sources))
        for row, text in enumerate(sources):
            words = _words(text)
            lengths[row] = len(words)
            for word, count in Counter(words).items():
                rows[word].append(row)
                counts[word].append(count)
        softened = 1.2 * (0.25 + 0.75 * lengths / max(1.0, lengths.mean()))
        self._postings = {}
        for word, found in rows.items():
            own, many = np.array(found), np.array(counts[word], float)
            rarity = np.log(1 + (len(sources) - len(own) + 0.5) / (len(own) + 0.5))
            self._postings[word] = own, rarity * many * 2.2 / (many + softened[own])

    def __call__(self, text: str) -> str:
        scores = np.zeros(len(self.targets))
        for word in _words(text):
            if word in self._postings:
                rows, weights = self._postings[word]
                scores[rows] += weights
        return self.targets[int(scores.argmax())]


def first_words(text: str, count: int) -> str:
    """The beginning of a text, which often is a summary of it."""
    return " ".join(text.split()[:count])


def count_first_words(pairs: Pairs) -> int:
    """Mean words of a target, if targets are less than half as long as their sources; else 0."""
    source, target = (sum(len(text.split()) for text in texts) for texts in (pairs.sources, pairs.targets or []))
    return round(target / len(pairs)) if 2 * target < source else 0


def evaluate_baselines(pairs: Pairs, train: Pairs | None, first_words_count: int) -> dict[str, dict[str, float]]:
    """Scores of the baselines.

    Args:
        pairs: To predict.
        train: For `Nearest`, which is left out without it.
        first_words_count: Words of a target; 0 if its first words are no baseline.
    """
    predicted = {"copy": pairs.sources}
    if first_words_count:
        predicted["first words"] = [first_words(text, first_words_count) for text in pairs.sources]
    if train is not None:
        nearest = Nearest(train.sources, train.targets or [])
        predicted["nearest"] = [nearest(text) for text in pairs.sources]
    references = [[target] for target in pairs.targets or []]
    return {name: text_scores(texts, references) for name, texts in predicted.items()}


def _words(text: str) -> list[str]:
    return [word for words in words_of(text.lower()) for word in words]
