"""Baselines of translation, computed by hand."""

import numpy as np

from gatewise.data.paired.pairs import Pairs
from gatewise.tasks.translate.baselines import Nearest, count_first_words, first_words


def test_the_nearest_source_is_that_of_bm25():
    sources = ["a red dog", "a blue bird sings a song", "the red bird", "a a a"]
    nearest = Nearest(sources, ["0", "1", "2", "3"])
    documents = [text.split() for text in sources]
    mean = np.mean([len(words) for words in documents])

    def score(query, words):
        total = 0.0
        for word in query:
            n = sum(word in other for other in documents)
            rarity = np.log(1 + (len(documents) - n + 0.5) / (n + 0.5))
            f = words.count(word)
            total += rarity * f * 2.2 / (f + 1.2 * (0.25 + 0.75 * len(words) / mean))
        return total

    for query in ("a Red bird", "song of a dog", "a a", "unheard"):
        scores = [score(query.lower().split(), words) for words in documents]
        assert nearest(query) == str(int(np.argmax(scores)))


def test_first_words_are_a_baseline_where_targets_are_much_shorter():
    assert count_first_words(Pairs(["a b c d e f g"] * 2, ["a b", "a b c"])) == 2
    assert count_first_words(Pairs(["a b"], ["a b c"])) == 0
    assert first_words("a b c d", 2) == "a b"
