"""Baselines of translation, computed by hand."""

import numpy as np
import pytest

from gatewise.data.paired.pairs import Pairs
from gatewise.decoding.options import Decoding
from gatewise.errors import ModelFileError, OptionError
from gatewise.tasks.translate import baselines as _baselines
from gatewise.tasks.translate.baselines import Nearest, Plain, count_first_words, first_words, n_grams
from gatewise.tasks.translate.estimator import Translator


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


SOURCES = ["a red dog", "a blue bird sings a song", "the red bird", "the cat sleeps"]
TARGETS = ["ein roter Hund", "ein blauer Vogel singt ein Lied", "der rote Vogel", "die Katze schläft"]


def test_the_strongest_is_chosen_on_held_out_pairs():
    train = Pairs(SOURCES * 3, TARGETS * 3)
    plain = Plain.learn(train, Pairs(["the red bird", "the cat sleeps now"], ["der rote Vogel", "die Katze schläft"]))
    assert plain.strongest == "nearest"
    assert plain.best("a cat sleeps", 2)[0][0] == "die Katze schläft"
    assert len(plain.best("a cat sleeps", 9)) == 4  # different ones
    assert Plain.learn(train, Pairs(["same", "as before"], ["same", "as before"])).strongest == "copy"
    assert Plain.learn(train, None).strongest is None


def test_n_grams_find_what_words_do_not():
    plain = Plain.learn(Pairs(["Übersetzung", "Katzen"], ["translation", "cats"]), None)
    assert plain.methods["n-gram match"]("Katze") == "cats"
    assert n_grams("Ab", 3) == [" ab", "ab "]
    together = Plain.learn(Pairs(["你没有意义的话语真的很多很多", "他喜欢看书也喜欢听音乐"], ["0", "1"]), None)
    assert together.methods["n-gram match"]("他听音乐") == "1"


def test_a_memory_is_restored_as_it_was_and_nothing_else_is(monkeypatch):
    plain = Plain(("é", ""), ("x", "y\n"), 0, "nearest")
    assert Plain.restore(plain.tensors(), 0, "nearest") == plain
    assert Plain.restore(Plain((), (), 0).tensors(), 0, "copy") == Plain((), (), 0, "copy")
    for strongest in ("first words", "best"):
        with pytest.raises(ModelFileError, match="none of its methods"):
            Plain.restore(plain.tensors(), 0, strongest)
    for lengths in ([2, 1, 2], [1, 0, 1, 9], [-1, 2, 2, 2]):
        with pytest.raises(ModelFileError, match=r"plain\.lengths"):
            Plain.restore({**plain.tensors(), "lengths": np.array(lengths, np.int32)}, 0, None)
    monkeypatch.setattr(_baselines, "MOST_PAIRS", 3)
    assert Plain.learn(Pairs(SOURCES, TARGETS), None).sources == (SOURCES[0], SOURCES[2])


def test_without_a_network_the_memory_translates(tmp_path):
    pairs = Pairs(SOURCES * 5, TARGETS * 5)
    translator = Translator(only="plain", tokens="words").fit(pairs)
    assert translator.model_ is None
    assert (translator.metrics_["share"], translator.metrics_["earned"]) == (0, False)
    assert translator.predict(["the red bird", ""]) == ["der rote Vogel", ""]
    translator.save(tmp_path / "model")
    loaded = Translator.load(tmp_path / "model")
    assert loaded.evaluate(pairs) == translator.metrics_
    several = loaded.predict(["the red bird"], decoding=Decoding(beam_size=2, n_best=2))
    assert several[0][0] == "der rote Vogel"
    assert loaded.evaluate(Pairs(SOURCES, TARGETS))["all"]["exact_match"] == 1
    for use in (lambda: loaded.predict(["a"], prefixes=["der"]), lambda: loaded.plot(["a"], tmp_path / "a.png")):
        with pytest.raises(OptionError, match=r"no network|no attention"):
            use()
