"""Kneser-Ney n-grams: against their definition with dictionaries, and as a language model that writes."""

import io
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewise.errors import DataError, ModelFileError, OptionError
from gatewise.runtime.language_model import PLAIN, LanguageModel
from gatewise.runtime.ngrams import KneserNey, best_order
from gatewise.tasks.generate.estimator import Generator
from gatewise.tasks.generate.text.predictor import Writer

law = settings(derandomize=True, deadline=None, database=None, max_examples=80)
tokens = st.lists(st.integers(0, 3), max_size=60)


def by_definition(train, text, size, order):
    """Probability of each token of a text, after those before it."""
    longest = min(order, len(train))
    counts = {n: Counter(tuple(train[i : i + n]) for i in range(len(train) - n + 1)) for n in range(1, longest + 1)}
    for n in range(1, longest):  # before how many different tokens each occurred, itself the later part
        before = Counter(gram[1:] for gram in counts[n + 1])
        counts[n] = {gram: max(1, before[gram]) for gram in counts[n]}

    def amounts(n):
        many = Counter(counts[n].values())
        if not many[1]:
            return [0, 0.5, 0.5, 0.5]
        rate = many[1] / (many[1] + 2 * many[2])
        raw = [i - (i + 1) * rate * many[i + 1] / many[i] if many[i] else i / 2 for i in (1, 2, 3)]
        return [0, *(min(max(a, 0.05), i - 0.05) for i, a in enumerate(raw, 1))]

    off = {n: amounts(n) for n in counts}
    after = {n: defaultdict(dict) for n in counts}
    for n in counts:
        for gram, count in counts[n].items():
            after[n][gram[:-1]][gram[-1]] = count

    def probability(word, history):
        p = 1 / size
        for n in range(1, longest + 1):
            if len(history) < n - 1 or not (follows := after[n].get(tuple(history[len(history) - n + 1 :]))):
                break
            total = sum(follows.values())
            freed = sum(off[n][min(count, 3)] for count in follows.values())
            own = follows.get(word, 0)
            p = (own - off[n][min(own, 3)] + freed * p) / total
        return p

    return [probability(word, text[:place]) for place, word in enumerate(text)]


@law
@given(tokens, tokens.filter(bool), st.integers(1, 5))
def test_it_is_the_definition(train, text, order):
    found = KneserNey(np.array(train, np.int64), 5, order).bits(np.array(text))
    assert found == pytest.approx(-np.log2(by_definition(train, text, 5, order)), rel=1e-9)


@law
@given(tokens, tokens, st.integers(1, 5))
def test_step_by_step_it_says_the_same_and_its_probabilities_are_some(train, text, order):
    model, found = KneserNey(np.array(train, np.int64), 5, order), []
    places = model.begin()
    for token in text:
        p = model.probabilities(places)
        assert p.min() > 0
        assert p.sum() == pytest.approx(1)
        found.append(-np.log2(p[token]))
        places = model.advance(places, token)
    assert found == pytest.approx(model.bits(np.array(text, np.int64)))


def test_shorter_n_grams_of_the_same_counts():
    train = np.array([0, 1, 2, 0, 1, 3, 0, 1, 2, 2] * 3)
    for order in (1, 2, 3):
        shorter = KneserNey(train, 4, 5).with_order(order)
        assert shorter.bits(train) == pytest.approx(KneserNey(train, 4, order).bits(train))
    assert best_order(KneserNey(train, 4, 5), train).order > 1
    for order in (0, 6):
        with pytest.raises(OptionError, match="1 to 5"):
            KneserNey(train, 4, 5).with_order(order)


def test_what_is_no_token_is_refused():
    with pytest.raises(DataError, match="id 4 is outside a vocabulary of 4"):
        KneserNey(np.array([0, 4]), 4)
    with pytest.raises(OptionError, match="order is 0"):
        KneserNey(np.array([0]), 4, 0)


@pytest.fixture(scope="module")
def counted(rhyme):
    return Generator(only="plain").fit(io.StringIO(rhyme))


def test_without_a_network_n_grams_are_measured_and_write(counted, rhyme, folder):
    assert counted.model_ is None
    found = counted.metrics_
    assert found["share"] == 0
    assert found["strongest_plain"]["name"] == "Kneser-Ney"
    assert found["test"]["bits_per_character"] == found["baselines"]["Kneser-Ney"]["bits_per_character"]
    assert "train" not in found  # which they know by heart
    counted.save("model")
    loaded = Generator.load("model")
    assert loaded.evaluate(io.StringIO(rhyme)) == found
    written = "".join(counted.sample("A ", 30, seed=3))
    assert len(written) == 30
    assert "".join(loaded.sample("A ", 30, seed=3)) == written
    writer = Writer.load("model")
    before = "".join(writer.write("A ", 5))
    writer.save_state("state")
    after = "".join(writer.write("", 5))
    again = Writer.load("model")
    again.load_state("state")
    assert "".join(again.write("", 5)) == after
    assert len(before) == 5
    assert isinstance(LanguageModel.load("model").log_probabilities(writer.state), np.ndarray)
    with pytest.raises(OptionError, match="no network"):
        loaded.summary()


def test_new_text_is_compared_with_what_was_learned(counted, rhyme):
    found = counted.evaluate(io.StringIO(rhyme[:400]))
    assert found["baselines"].keys() == {"frequencies", "5-gram", "Kneser-Ney", "xz"}
    assert found["strongest_plain"]["part"] == "all"
    assert counted.score(io.StringIO(rhyme[:400])) == -found["all"]["loss"]


def test_a_damaged_file_is_refused(counted):
    document = {"task": "generate", **counted._document(), "options": {"only": "plain"}}
    for ids in (np.array([0, 999]), np.array([-1])):
        with pytest.raises(ModelFileError, match="outside a vocabulary"):
            LanguageModel.of(document, {PLAIN: ids})
    with pytest.raises(ModelFileError, match="at most 8"):
        LanguageModel.of({**document, "plain": {"order": 99}}, {PLAIN: np.array([0])})


def test_numbers_have_no_plain_method_that_writes():
    with pytest.raises(OptionError, match="only='plain' is for text"):
        Generator(only="plain").fit(np.zeros((4, 20, 2)))
