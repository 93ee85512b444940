"""Who answers a text: the network, or the strongest plain method."""

import json

import numpy as np
import pytest
from sacrebleu.metrics import CHRF
from translate_examples import SMALL

from gatewise import bundle, explanation
from gatewise.data.paired.pairs import Pairs
from gatewise.decoding import Decoding
from gatewise.decoding.beam_search import Hypothesis
from gatewise.errors import ModelFileError, OptionError
from gatewise.metrics.chrf import chrf_of, overlaps
from gatewise.tasks import Translator
from gatewise.tasks.translate.baselines import Nearest, Plain
from gatewise.tasks.translate.choice import Candidates, Translation, chosen_weight
from gatewise.tasks.translate.step import step_model


def by(scores, name="network"):
    return [Translation(text, Hypothesis(np.zeros(0, int), score, score, None), name) for text, score in scores.items()]


def test_candidates_are_ranked_by_what_they_can_be_expected_to_score():
    """By hand, with sacrebleu's chrF: the network's chances are those of its scores, the memory's of similarity."""
    written = {"list all files": -1.0, "list the folders": -1.2, "copy it": -3.0}
    remembered = {"list all the folders": 0.9, "remove all files": 0.7, "list the folders": 0.2}
    beside = {"remove all files": 0.6, "print it": 0.5}
    weight, texts = 0.3, [*dict.fromkeys([*written, *remembered, *beside])]
    chances = dict.fromkeys(texts, 0.0)
    memories = [(0.35, {text: 16 * alike for text, alike in some.items()}) for some in (remembered, beside)]
    for share, scores in ((weight, written), *memories):
        total = sum(np.exp(score) for score in scores.values())
        for text, score in scores.items():
            chances[text] += share * np.exp(score) / total
    chrf = CHRF()
    expected = {
        text: sum(chances[other] * chrf.sentence_score(text, [other]).score for other in texts) for text in texts
    }
    found = Candidates(by(written), by(remembered, "nearest"), by(beside, "n-gram match")).ranked(weight)
    assert [one.text for one in found] == sorted(texts, key=lambda text: -expected[text])
    assert {one.text: one.by for one in found}["list the folders"] == "network"
    assert {one.text: one.by for one in found}["remove all files"] == "nearest"
    assert {one.text: one.by for one in found}["print it"] == "n-gram match"


def test_scores_of_damaged_weights_end_nothing():
    some = by({"a b": np.nan, "b c": -np.inf})
    assert len(Candidates(some, by({"a b c": 0.5}, "nearest")).ranked(0.3)) == 3


def test_where_one_proposes_nothing_the_other_answers():
    some = by({"a b": -1.0, "b c": -2.0})
    for weight in (0.0, 0.4):
        assert Candidates(some, []).ranked(weight) == some
        assert Candidates([], some).ranked(weight) == some
    assert Candidates(some, by({"x": 0.1}, "nearest")).ranked(0.0)[0].text == "x"


@pytest.mark.parametrize(
    "texts", [["list all files", "list files", "", "x", "aaaa aaab"], ["ab"], ["你好世界", "你好"]]
)
def test_chrf_is_that_of_sacrebleu(texts):
    counts, metric = overlaps(texts), CHRF()
    for i, one in enumerate(texts):
        for j, other in enumerate(texts):
            assert 100 * chrf_of(counts[i, j]) == pytest.approx(metric.sentence_score(one, [other]).score, abs=1e-6)
    corpus = counts[range(len(texts)), [*range(1, len(texts)), 0]].sum(0)
    references = [[*texts[1:], texts[0]]]
    assert 100 * chrf_of(corpus) == pytest.approx(metric.corpus_score(texts, references).score, abs=1e-6)


def test_who_is_better_answers():
    words = [f"{a}{b}" for a in "abcdefgh" for b in "klmnop"]
    wrong = by({"wrong one": 0.9}, "nearest")
    known = [(Candidates(by({"some thing": -0.1}), by({word: 0.9}, "nearest")), word) for word in words]
    assert chosen_weight(known) < 0.5
    assert chosen_weight([(Candidates(by({word: -0.1}), wrong), word) for word in words]) == 1
    assert chosen_weight([(Candidates(by({word: -0.1}), by({word: 0.9}, "nearest")), word) for word in words]) == 1
    few = [(Candidates(by({"some thing": -0.1}), by({word: 0.9}, "nearest")), word) for word in words[:5]]
    assert chosen_weight(few) == 0  # one of both alone


def test_what_both_agree_on_is_better_than_what_each_says_first():
    """Each has the true text second, behind one of its own."""
    random = np.random.default_rng(0)
    pairs = []
    for _ in range(60):
        true, one, other = (" ".join(random.permutation(list("abcdefghijklmnop"))[:8]) for _ in range(3))
        pairs.append((Candidates(by({one: -1.0, true: -1.1}), by({other: 0.8, true: 0.79}, "nearest")), true))
    weight = chosen_weight(pairs)
    assert 0 < weight < 1
    assert np.mean([candidates.ranked(weight)[0].text == true for candidates, true in pairs]) > 0.9


def test_how_similar_is_the_score_over_that_of_the_text_itself():
    sources = ["a red dog", "a blue bird sings a song", "the red bird", "a a a"]
    nearest = Nearest(sources, ["0", "1", "2", "3"])
    assert nearest.best("the red bird", 1) == [("2", pytest.approx(1))]
    assert nearest.best("Unheard words", 1) == [("0", 0)]
    assert nearest.best("", 1) == [("0", 0)]
    rarity = {word: np.log(1 + (4 - n + 0.5) / (n + 0.5)) for word, n in (("red", 2), ("cat", 0), ("the", 1))}
    shared, own = rarity["red"] + rarity["the"], sum(rarity.values())
    [(text, alike)] = nearest.best("the red cat", 1)  # as long as the source, so that lengths do not count
    assert (text, alike) == ("2", pytest.approx(shared / own))


@pytest.fixture
def mixed(reverser, tmp_path):
    """A translator whose memory answers what has a word in common with one of its sources."""
    reverser.save(tmp_path / "reverser")
    translator = Translator.load(tmp_path / "reverser")
    assert translator.weight_ == 1
    known = [("one two three", "was remembered"), ("four four", "this too")]
    translator.plain_ = Plain(*zip(*known, strict=True), 0, "nearest")
    translator.weight_ = 0.0
    return translator


def test_each_text_is_answered_by_whom_it_should_be(mixed, tmp_path):
    texts = ["one two three", "five six", "", "Four four"]
    network = Translator.load(tmp_path / "reverser").predict(texts)
    assert mixed.predict(texts) == ["was remembered", network[1], "", "this too"]
    [table] = mixed.predictions(texts)
    assert table["by"] == ["nearest", "network", "network", "nearest"]
    assert table["score"][[0, 3]] == pytest.approx(1)
    assert table["score"][1] < 0
    assert [one.document["by"] for one in mixed.answers(texts)] == table["by"]
    several = mixed.predict(texts, decoding=Decoding(n_best=3))
    assert several[0] == ["was remembered", "this too"]  # as many as there are
    assert len(several[1]) == 3
    mixed.weight_ = 0.1
    assert mixed.predict(texts) == ["was remembered", network[1], "", "this too"]
    several = mixed.predict(texts, decoding=Decoding(n_best=3))
    assert [len(some) for some in several] == [3, 3, 1, 3]
    assert several[0][0] == "was remembered"
    mixed.weight_ = 0.999
    assert mixed.predict(texts[:2])[1] == network[1]
    assert mixed.predict(texts)[0] != "was remembered"


def test_what_a_memory_cannot_do_the_network_does(mixed, tmp_path):
    network, texts = Translator.load(tmp_path / "reverser"), ["one two three", "four four"]
    assert mixed.predict(texts, prefixes=["3", ""]) == [*network.predict(texts[:1], prefixes=["3"]), "this too"]
    for decoding in (Decoding(sampling=True), Decoding(max_length=2), Decoding(min_length=4)):
        assert mixed.predict(texts, decoding=decoding) == network.predict(texts, decoding=decoding)
    words, pieces, weights = mixed._predictor().attention(texts)
    assert words == ["one", "two", "three"]
    assert weights.shape == (len(pieces), 3)  # of what the network would have written


def test_measured_as_it_answers(mixed):
    pairs = Pairs(["one two three", "four four", "five six"], ["was remembered", "this too", "6 5"])
    found = mixed.evaluate(pairs)
    assert found["share"] == pytest.approx(1 / 3)
    assert found["all"]["exact_match"] > found["network"]["exact_match"]
    assert found["strongest_plain"]["figure"] == found["baselines"]["nearest"]["bleu"]
    assert "network alone" in mixed.report(found)


def test_the_file_says_who_answers(mixed, tmp_path):
    mixed.save(tmp_path / "mixed")
    loaded = Translator.load(tmp_path / "mixed")
    assert loaded.weight_ == 0
    assert loaded.predict(["four four"]) == ["this too"]
    document = json.loads(json.dumps(bundle.load(tmp_path / "mixed").document))
    tensors = bundle.load(tmp_path / "mixed").tensors
    del document["plain"]["weight"]  # as models of before
    bundle.save(tmp_path / "before", document, tensors)
    assert Translator.load(tmp_path / "before").weight_ == 1
    for wrong in (1.5, -0.1, "all"):
        document["plain"]["weight"] = wrong
        bundle.save(tmp_path / "wrong", document, tensors)
        with pytest.raises(ModelFileError, match=r"plain\.weight"):
            Translator.load(tmp_path / "wrong")


def test_exported_is_the_network_and_that_is_said(mixed, tmp_path):
    for weight, said in ((0.3, "network alone, beside which nearest proposes translations"), (1.0, "")):
        mixed.weight_ = weight
        assert said in step_model(mixed, "", lambda array: array).title
    mixed.weight_ = 0.0
    with pytest.raises(OptionError, match="--only network"):
        step_model(mixed, "", lambda array: array)


def test_explained_is_the_network_and_that_is_said(mixed):
    assert explanation.explain(mixed, ["five six"]).answer.network_share == 1
    answer = explanation.explain(mixed, ["four four"]).answer
    assert (answer.text, answer.network_share, answer.plain) == ("this too", 0, "nearest")


def test_what_can_only_be_looked_up_is_and_nothing_is_where_that_is_not_wanted():
    """Answers that follow from no rule, to questions that are asked again in other words."""
    random = np.random.default_rng(0)
    names = [" ".join(random.permutation(list("abcdefghij"))[:6]) for _ in range(120)]
    values = [" ".join(random.permutation(list("klmnopqrst"))[:6]) for _ in range(120)]
    train = Pairs([f"what is {name}" for name in names], values)
    held_out = Pairs([f"say what {name} is" for name in names[:40]], values[:40])
    translator = Translator(**SMALL).fit(train, validation=held_out)
    assert translator.weight_ < 1
    assert translator.metrics_["validation"]["bleu"] > translator.metrics_["network"]["bleu"] + 20
    alone = Translator(**SMALL, only="network").fit(train, validation=held_out)
    assert alone.weight_ == 1
    assert alone.metrics_["share"] == 1
    assert "network" not in alone.metrics_
