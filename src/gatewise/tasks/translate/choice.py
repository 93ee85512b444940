"""Which of the network's translations and those of a translation memory is the answer, by how they agree.

n candidates of a text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...decoding.beam_search import Hypothesis
from ...metrics.chrf import chrf_of, overlaps
from ...sharing import each

NETWORK = "network"  # what a translation is by, if not by a plain method
REMEMBERED = 10  # candidates of a translation memory
WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1.0)  # of the network, that are tried
_SHARPNESS = 16.0  # nats by which a source that is the same weighs more than one without a word in common
_CERTAIN = 1.0  # standard errors by which candidates of both must be better than the better one alone
_FEWEST = 20  # held-out pairs, below which candidates of both are not tried
_DRAWS = 200  # of held-out pairs, to find that error


class Translation(NamedTuple):
    """One translation of a text, and what it is by. That of a plain method has no tokens, and how similar the source of
    training is for its score."""

    text: str
    hypothesis: Hypothesis
    by: str = NETWORK


@dataclass(frozen=True)
class Candidates:
    """Translations of a text by both.

    Attributes:
        written: By the network, the best first.
        remembered: By the strongest plain method; none where no source of training has anything in common with it.
        beside: By the other translation memory, if that method is one.
    """

    written: Sequence[Translation]
    remembered: Sequence[Translation]
    beside: Sequence[Translation] = ()

    @property
    def translations(self) -> list[Translation]:
        """Different ones; what both have is the network's."""
        found: dict[str, Translation] = {}
        for one in (*self.written, *self.remembered, *self.beside):
            found.setdefault(one.text, one)
        return [*found.values()]

    def ranked(self, weight: float) -> list[Translation]:
        """The best first, with this weight of the network; see `order`."""
        if weight == 0 or not self.written or not self.remembered:
            return [*(self.remembered or self.written)]
        found = self.translations
        return [found[i] for i in self.order(weight, chrf_of(overlaps([one.text for one in found])))]

    def order(self, weight: float, agreement: np.ndarray) -> np.ndarray:
        """(n,) places of `translations`, the one first that can be expected to be closest to the reference, which is
        each candidate with the probability that network and memory give it.

        Args:
            weight: Of the network's candidates, which have their probabilities among themselves. Those of each memory
                have the ones that follow from how similar their sources are; two memories count alike.
            agreement: (n, n) chrF of each with each as the reference.

        Source: Kumar & Byrne (2004), "Minimum Bayes-risk decoding for statistical machine translation", NAACL.
        """
        place = {one.text: i for i, one in enumerate(self.translations)}
        chances = np.zeros(len(place))
        memories = [some for some in (self.remembered, self.beside) if some]
        of_each = [(some, (1 - weight) / len(memories), _SHARPNESS) for some in memories]
        for some, share, sharpness in [(self.written, weight, 1.0), *of_each]:
            scores = np.nan_to_num(sharpness * np.array([one.hypothesis.score for one in some]))  # of damaged weights
            own = np.exp(scores - scores.max())
            np.add.at(chances, [place[one.text] for one in some], share * own / own.sum())
        return np.argsort(-(agreement @ chances), kind="stable")


def chosen_weight(pairs: Iterable[tuple[Candidates, str]]) -> float:
    """The weight of the network whose answers have the highest chrF on held-out pairs, if that is more than a standard
    error above network and plain method alone (1 and 0); else the better one of these.

    The measure is that of all pairs as one corpus, and its error is that of the pairs drawn anew.

    Args:
        pairs: Candidates and the true text.
    """
    counts = np.array(each(lambda pair: _counts(*pair), [*pairs]))  # (N, weights, O, 3)
    scores = chrf_of(counts.sum(0))
    alone = len(WEIGHTS) - 1 if scores[-1] >= scores[0] else 0
    best = int(scores.argmax()) if len(counts) >= _FEWEST else alone
    draw, both = np.random.default_rng(0), counts[:, [best, alone]]
    drawn = chrf_of(np.array([both[draw.integers(0, len(both), len(both))].sum(0) for _ in range(_DRAWS)]))
    error = float((drawn[:, 0] - drawn[:, 1]).std())
    return WEIGHTS[best if scores[best] - scores[alone] > _CERTAIN * error else alone]


def _counts(candidates: Candidates, true: str) -> np.ndarray:
    """(weights, O, 3) of the answer with each weight; see `metrics.chrf`."""
    texts = [one.text for one in candidates.translations]
    found = overlaps([*texts, true])
    agreement, beside = chrf_of(found[:-1, :-1]), found[:-1, -1]
    places = [0] * len(WEIGHTS)  # that of the network's best
    if candidates.remembered:
        own = [candidates.order(weight, agreement)[0] for weight in WEIGHTS[1:-1]]
        places = [texts.index(candidates.remembered[0].text), *own, 0]
    return np.asarray(beside[places])


def told(plain: str, weight: float, seconds: float) -> str:
    """What was chosen, as a sentence for the user."""
    who = {0.0: f"{plain} answers all texts", 1.0: f"the network answers all texts, as {plain} makes nothing better"}
    found = who.get(weight, f"network and {plain} propose, by weights of {weight:.1f} and {1 - weight:.1f}")
    return f"Who answers: {found} (chosen by validation in {seconds:.1f} s)."
