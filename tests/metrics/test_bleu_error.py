"""The standard error of a difference in BLEU, against sacrebleu on corpora drawn anew."""

import numpy as np
import pytest
from sacrebleu.metrics import BLEU

from gatewise.metrics.text import bleu_difference_error


def test_it_is_that_of_corpora_drawn_anew(caplog):
    draw = np.random.default_rng(1)
    words = [f"w{i}" for i in range(12)]
    references = [[" ".join(draw.choice(words, draw.integers(5, 12)))] for _ in range(40)]

    def spoiled(share):
        return [" ".join(w if draw.random() > share else "x" for w in text.split()) for [text] in references]

    one, other = spoiled(0.1), spoiled(0.3)
    found = []
    for _ in range(200):
        rows = draw.integers(0, 40, 40)
        own = [[references[i][0] for i in rows]]
        scores = [BLEU().corpus_score([some[i] for i in rows], own).score for some in (one, other)]
        found.append(scores[0] - scores[1])
    assert bleu_difference_error(one, other, references) == pytest.approx(np.std(found), rel=0.2)
    assert bleu_difference_error(one, one, references) == 0
    assert not caplog.records
    assert bleu_difference_error(["a"], ["a"], [["a"]]) is None
