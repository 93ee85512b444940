"""BLEU, chrF and exact match, compared with sacrebleu."""

import pytest
import sacrebleu

from gatewise.metrics.text import bleu, signatures, text_scores


def test_scores_are_those_of_sacrebleu():
    said, right = ["the cat sat", "a dog ran home"], ["the cat sat down", "a dog ran home"]
    found = text_scores(said, [[text] for text in right])
    assert found["bleu"] == sacrebleu.corpus_bleu(said, [right]).score == bleu(said, [[text] for text in right])
    assert found["chrf"] == sacrebleu.corpus_chrf(said, [right]).score
    assert found["exact_match"] == 0.5
    several = text_scores(said, [[right[0], said[0]], [right[1]]])
    assert several["exact_match"] == 1
    assert several["bleu"] > found["bleu"]
    assert signatures([[text] for text in right])["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|")
    assert signatures([right, right[:1]])["bleu"].startswith("nrefs:2|")


def test_texts_without_four_words_are_not_all_worth_nothing():
    wanted = ["我们下午去公园玩", "他买了一本新书"]
    said, right = ["我们下午去公园走", "他买了一本旧书"], [[text] for text in wanted]
    assert bleu(said, right) == sacrebleu.corpus_bleu(said, [wanted], tokenize="zh").score
    assert 50 < bleu(said, right) < 100
    assert "|eff:no|tok:zh|" in signatures(right)["bleu"]
    assert bleu(["a big dog", "two cats"], [["a big dog"], ["two cats"]]) == pytest.approx(100)
    # 4 of 5 words and 2 of 3 pairs are right, and half of the one row of three, for it is smoothed.
    said, right = ["a big cat", "two cats"], [["a big dog"], ["two cats"]]
    assert bleu(said, right) == pytest.approx(100 * (4 / 5 * 2 / 3 * 1 / 2) ** (1 / 3))
    assert "|eff:yes|tok:13a|" in signatures(right)["bleu"]


def test_sacrebleu_has_no_word_on_texts_cut_into_words(caplog):
    said = ["the dog is here ."] * 100
    assert bleu(said, [[text] for text in said]) == pytest.approx(100)
    assert not caplog.records
