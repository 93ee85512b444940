"""Texts as tokens and back."""

import numpy as np
import pytest

from gatewise.data.paired.pairs import Pairs
from gatewise.tasks.translate.texts import Texts, default_tokens

LINES = ["Zwei Männer, 2 Hunde.", "A dog's  life", "naïve 漢字 $5"]


@pytest.mark.parametrize("tokens", ["byte-pairs", "characters"])
def test_texts_come_back_as_they_were(tokens):
    texts = Texts.learn(Pairs(LINES, LINES[::-1]), tokens, shared=True)
    assert [texts.text(ids) for ids in texts.targets(LINES)] == LINES
    assert Texts.from_json(texts.to_json()) == texts
    assert "".join(texts.words_of(LINES[0])).strip() == LINES[0]
    assert texts.edge == len(texts.source)


def test_the_first_word_is_the_same_token_as_within_a_sentence():
    texts = Texts.learn(Pairs(["dog dog dog dog"] * 9, ["dog dog dog dog"] * 9), "byte-pairs", shared=True, size=300)
    assert len(set(texts.sources(["dog dog"])[0])) == 1


def test_limits_follow_from_the_training_pairs():
    texts = Texts.learn(Pairs(["a b c", "a"], ["x y z w", "x"]), "words", shared=False)
    assert (texts.longest, texts.ratio) == (4, pytest.approx(4 / 13))
    assert texts.limits([np.zeros(3), np.zeros(90)]) == [4, 4]
    assert not texts.shared
    assert Texts.from_json(texts.to_json()) == texts


def test_unknown_words_are_copied_from_the_source():
    texts = Texts.learn(Pairs(["one two"], ["eins zwei"]), "words", shared=False)
    text = "one Ypsilon two"
    [source] = texts.sources([text])
    ids = np.array([*texts.targets(["eins"])[0], texts.unknown, *texts.targets(["zwei"])[0]])
    assert texts.text(ids, source, text, [-1, 1, -1]) == "eins Ypsilon zwei"
    assert texts.text(ids) == "eins <unk> zwei"


def test_beginnings_of_byte_pairs_are_those_of_whole_texts():
    lines = ["the old dog", "the old cat", "the new dog"] * 40
    texts = Texts.learn(Pairs(lines, lines), "byte-pairs", shared=True)
    [whole] = texts.targets(["the old dog"])
    none, blank, begun = texts.encode_prefixes(["", "  ", "the old "])
    assert none == blank == []
    assert begun == whole[: len(begun)].tolist() != []


def test_short_texts_are_characters_only_where_their_words_do_not_come_again():
    phrases = ["the dog sleeps", "a cat runs", "the cat sleeps", "a dog runs"] * 10
    assert default_tokens(Pairs(phrases, phrases)) == "byte-pairs"
    days = [f"{day} May {1900 + day}" for day in range(40)]
    assert default_tokens(Pairs(phrases, days)) == "characters"
    assert default_tokens(Pairs(days, phrases)) == "characters"
    long = [f"{' '.join(map(str, range(place, place + 20)))}" for place in range(100, 4100, 100)]
    assert default_tokens(Pairs(long, long)) == "byte-pairs"
