"""Beam search and sampling, against every sequence there is and cases worked out by hand."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewise.decoding import Decoding, Hypothesis, decode
from gatewise.decoding.beam_search import best, repeating, source_positions
from gatewise.errors import DataError, OptionError, ShapeError

START, END = 0, 1


class Toy:
    """Log-probabilities that depend on all that a row has written, and on its sentence; attention too."""

    def __init__(self, seeds, size=4, places=0, sharp=2.0):
        self.histories = [(seed,) for seed in seeds]
        self.size, self.places, self.sharp, self.calls = size, places, sharp, []

    def __call__(self, tokens, parents):
        self.calls.append(len(tokens))
        self.histories = [(*self.histories[p], int(t)) for p, t in zip(parents, tokens, strict=True)]
        rows = [self.answer(history) for history in self.histories]
        log_p = np.array([row for row, _ in rows]).reshape(-1, self.size)
        return log_p, np.array([row for _, row in rows]).reshape(-1, self.places) if self.places else None

    def answer(self, history):
        random = np.random.default_rng(history)
        scores, places = self.sharp * random.normal(size=self.size), random.random(self.places)
        return scores - np.log(np.exp(scores).sum()), places / max(places.sum(), 1e-9)


def everything(seed, longest, options, size=4, places=0):
    """Every text up to this length, scored as the definitions say, the best first."""
    toy, found = Toy([seed], size, places), []
    for n in range(longest + 1):
        for tokens in product([t for t in range(size) if t not in (START, END)], repeat=n):
            history, total, coverage = (seed, START), 0.0, np.zeros(places)
            for token in (*tokens, END):
                log_p, looked = toy.answer(history)
                total, coverage, history = total + log_p[token], coverage + looked, (*history, token)
            score = total / ((5 + n + 1) / 6) ** options.length_penalty
            if places:
                score += options.coverage_penalty * np.log(np.minimum(coverage, 1)).sum()
            found.append((score, total, tokens))
    return sorted(found, key=lambda one: -one[0])


@pytest.mark.parametrize(("alpha", "beta"), [(0, 0), (1, 0), (0.6, 0.3), (2, 1)])
def test_a_beam_wide_enough_finds_what_looking_at_everything_finds(alpha, beta):
    options = Decoding(beam_size=500, n_best=7, length_penalty=alpha, coverage_penalty=beta)
    for seed in range(5):
        want = everything(seed, 4, options, places=3)[:7]
        [got] = decode(Toy([seed], places=3), options, sentences=1, start=START, end=END, limits=[4], forbidden=[START])
        assert [tuple(one.tokens) for one in got] == [tokens for _, _, tokens in want]
        np.testing.assert_allclose([one.score for one in got], [score for score, _, _ in want])
        np.testing.assert_allclose([one.log_probability for one in got], [total for _, total, _ in want])
        assert all(one.ended for one in got)


def test_a_beam_of_one_takes_the_best_token_each_time():
    toy, history, tokens = Toy([3], 6), (3, START), []
    while len(tokens) < 20:
        log_p, _ = toy.answer(history)
        log_p[START] = -np.inf
        token = int(log_p.argmax())
        if token == END:
            break
        tokens, history = [*tokens, token], (*history, token)
    [[one]] = decode(
        Toy([3], 6), Decoding(beam_size=1), sentences=1, start=START, end=END, limits=[20], forbidden=[START]
    )
    assert one.tokens.tolist() == tokens


def table(rows):
    """A step whose answer depends on the last token alone."""

    def step(tokens, parents):
        with np.errstate(divide="ignore"):
            return np.log(np.array([rows[t] for t in tokens.tolist()], float)), None

    return step


# Tokens: 0 start, 1 end, 2 a, 3 b. Greedy begins with a (0.6), whose continuations are all unlikely.
GARDEN = {0: [0, 0, 0.6, 0.4], 2: [0, 0.3, 0.4, 0.3], 3: [0, 0.9, 0.05, 0.05]}


def test_a_beam_of_two_finds_what_greedy_misses():
    for width, tokens, p in ((1, [2, 2], 0.6 * 0.4 * 0.3), (2, [3], 0.4 * 0.9)):
        options = Decoding(beam_size=width, length_penalty=0)
        [[one]] = decode(table(GARDEN), options, sentences=1, start=START, end=END, limits=[2])
        assert one.tokens.tolist() == tokens
        assert one.log_probability == pytest.approx(np.log(p)) == one.score


def test_penalties_are_those_of_the_paper():
    options = Decoding(length_penalty=0.6, coverage_penalty=0.2)
    coverage = np.array([0.5, 1.5, 0.25])
    assert options.score(-3.0, 7, coverage) == pytest.approx(
        -3.0 / (12 / 6) ** 0.6 + 0.2 * (np.log(0.5) + np.log(1.0) + np.log(0.25))
    )
    assert options.score(-3.0, 1, None) == -3.0


def test_a_hypothesis_that_ends_gives_up_its_place():
    step = table({0: [0, 0.5, 0.3, 0.2], 2: [0, 0.9, 0.1, 0], 3: [0, 0.8, 0, 0.2]})
    [found] = decode(
        step, Decoding(beam_size=2, n_best=2, length_penalty=0), sentences=1, start=START, end=END, limits=[3]
    )
    # Ending at once (0.5) leaves one place, which a (0.3) takes: b is gone, though b and end (0.16) beat a, a, end.
    assert [one.tokens.tolist() for one in found] == [[], [2]]
    assert [np.exp(one.log_probability) for one in found] == pytest.approx([0.5, 0.27])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 99), st.integers(0, 9)), min_size=1, max_size=6),
    st.integers(1, 4),
    st.booleans(),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_sentences_are_decoded_together_as_alone(sentences, width, sampling, ngram, least):
    options = Decoding(
        beam_size=width,
        n_best=width,
        min_length=least,
        no_repeat_ngram=ngram,
        sampling=sampling,
        coverage_penalty=0.1,
        seed=5,
    )
    seeds, limits = [s for s, _ in sentences], [n for _, n in sentences]
    together = decode(
        Toy(seeds, 6, 3), options, sentences=len(seeds), start=START, end=END, limits=limits, forbidden=[START]
    )
    for seed, limit, found in zip(seeds, limits, together, strict=True):
        [alone] = decode(
            Toy([seed], 6, 3), options, sentences=1, start=START, end=END, limits=[limit], forbidden=[START]
        )
        assert [one.tokens.tolist() for one in alone] == [one.tokens.tolist() for one in found]
        assert [one.score for one in alone] == [one.score for one in found]
        for a, b in zip(alone, found, strict=True):
            np.testing.assert_array_equal(a.attention, b.attention)
            assert len(a.tokens) <= limit
            assert len(a.tokens) >= min(least, limit) or not a.ended
            grams = [tuple(a.tokens[i : i + ngram]) for i in range(len(a.tokens) - ngram + 1)] if ngram else []
            assert len(grams) == len(set(grams))
        assert [one.score for one in alone] == sorted((one.score for one in alone), reverse=True)


def test_a_sentence_is_done_when_nothing_that_is_written_can_win():
    end, on, never = np.log(0.9), np.log(0.1), -np.inf

    def step(tokens, parents):
        calls.append(len(tokens))
        return np.tile([never, end, on, never], (len(tokens), 1)), None

    for alpha, n_best, steps in ((0, 1, 1), (0, 2, 2), (1, 1, 1), (10, 1, 9)):
        calls: list[int] = []
        options = Decoding(beam_size=20, n_best=n_best, length_penalty=alpha)
        [found] = decode(step, options, sentences=1, start=START, end=END, limits=[8])
        assert [len(one.tokens) for one in found][:n_best] == ([8] if alpha == 10 else [0, 1][:n_best])
        assert len(calls) == steps, (alpha, n_best)


def test_finished_sentences_leave_the_batch():
    toy = Toy(range(8), 6)
    decode(
        toy,
        Decoding(beam_size=1),
        sentences=8,
        start=START,
        end=END,
        limits=[0, 0, 0, 0, 2, 2, 9, 9],
        forbidden=[START],
    )
    assert toy.calls[0] == 8
    assert all(rows <= 4 for rows in toy.calls[1:])
    assert toy.calls[-1] <= 2


def test_a_prefix_is_written_whatever_the_rules_say():
    toy = Toy([1, 2], 6)
    options = Decoding(beam_size=3, n_best=3, no_repeat_ngram=1)
    found = decode(
        toy, options, sentences=2, start=START, end=END, limits=[2, 6], forbidden=[START, 4], prefixes=[[4, 4, 3], []]
    )
    assert [one.tokens.tolist() for one in found[0]] == [[4, 4, 3]]
    history, total = (1, START), 0.0
    for token in (4, 4, 3, END):
        total, history = total + Toy([1], 6).answer(history)[0][token], (*history, token)
    assert found[0][0].log_probability == pytest.approx(total)
    assert all(4 not in one.tokens for one in found[1])


def test_a_row_that_can_go_on_nowhere_is_kept_as_it_stands():
    step = table({0: [0, 0, 1, 0], 2: [0, 0, 1, 0]})
    for options in (Decoding(beam_size=2, no_repeat_ngram=1), Decoding(sampling=True, no_repeat_ngram=1)):
        [[one]] = decode(step, options, sentences=1, start=START, end=END, limits=[5])
        assert (one.tokens.tolist(), one.ended) == ([2], False)


def test_samples_follow_the_distribution_and_the_seed():
    step = table({0: [0, 0, 0.7, 0.3], 2: [0, 1, 0, 0], 3: [0, 1, 0, 0]})
    options = Decoding(n_best=4000, sampling=True, seed=1)
    [found] = decode(step, options, sentences=1, start=START, end=END, limits=[3])
    assert np.mean([one.tokens[0] == 2 for one in found]) == pytest.approx(0.7, abs=0.03)
    again = decode(step, options, sentences=1, start=START, end=END, limits=[3])[0]
    assert [one.tokens.tolist() for one in found] == [one.tokens.tolist() for one in again]
    best_only = Decoding(n_best=9, sampling=True, temperature=0)
    assert {one.tokens.item() for one in decode(step, best_only, sentences=1, start=START, end=END, limits=[3])[0]} == {
        2
    }


def test_attention_is_that_of_the_written_tokens_within_the_source():
    [[one], _] = decode(
        Toy([5, 6], 6, 4),
        Decoding(beam_size=2, min_length=2),
        sentences=2,
        start=START,
        end=END,
        limits=[3, 3],
        lengths=[2, 4],
    )
    assert one.attention.shape == (len(one.tokens), 2)
    history = (5, START)
    for token, looked in zip(one.tokens.tolist(), one.attention, strict=True):
        np.testing.assert_array_equal(looked, Toy([5], 6, 4).answer(history)[1][:2])
        history = (*history, token)


def test_unknown_tokens_point_to_where_the_decoder_looked():
    looked = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    one = Hypothesis(np.array([5, 3, 3]), 0.0, 0.0, looked)
    assert source_positions(one, 3).tolist() == [-1, 0, 1]
    assert source_positions(Hypothesis(np.array([3]), 0.0, 0.0, None), 3).tolist() == [-1]


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 4), st.integers(1, 300), st.integers(1, 9), st.integers(0, 2**32), st.integers(1, 50))
def test_the_best_of_rows_are_those_of_a_stable_sort(rows, size, k, seed, levels):
    scores = np.random.default_rng(seed).integers(0, levels, (rows, size)).astype(np.float32)
    scores[scores == 0] = -np.inf
    ids, values = best(scores, k)
    want = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(values, np.take_along_axis(scores, want, 1))
    possible = values > -np.inf
    np.testing.assert_array_equal(ids[possible], want[possible])


def test_repeated_ngrams_are_found():
    written = np.array([[5, 6, 5], [7, 7, 7], [1, 2, 3]])
    assert sorted(zip(*map(np.ndarray.tolist, repeating(written, 2)), strict=True)) == [(0, 6), (1, 7), (1, 7)]
    assert set(zip(*map(np.ndarray.tolist, repeating(written, 1)), strict=True)) == {
        *((0, 5), (0, 6), (1, 7), (2, 1), (2, 2), (2, 3))
    }
    assert len(repeating(written, 4)[0]) == 0


@pytest.mark.parametrize(
    "options",
    [
        *({"beam_size": 0}, {"beam_size": 2.5}, {"n_best": 6}, {"n_best": 0}, {"length_penalty": -1}),
        *({"coverage_penalty": float("nan")}, {"max_length": 0}, {"min_length": 3, "max_length": 2}),
        *({"no_repeat_ngram": -1}, {"sampling": 1}, {"temperature": -1}, {"top_k": 0}, {"top_p": 2}),
    ],
    ids=str,
)
def test_impossible_options_are_refused(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        Decoding(**options)


def test_what_cannot_be_decoded_is_refused():
    with pytest.raises(OptionError, match="max_length"):
        decode(table(GARDEN), sentences=1, start=START, end=END)
    with pytest.raises(OptionError, match="end token"):
        decode(table(GARDEN), sentences=1, start=START, end=END, limits=[3], prefixes=[[2, END]])
    with pytest.raises(ShapeError, match="1 rows"):
        decode(lambda *_: (np.zeros((2, 4)), None), sentences=1, start=START, end=END, limits=[3])
    for options in (Decoding(), Decoding(sampling=True)):
        with pytest.raises(DataError, match="NaN"):
            decode(lambda *_: (np.full((1, 4), np.nan), None), options, sentences=1, start=START, end=END, limits=[3])


def test_no_sentence_is_no_work():
    assert decode(Toy([]), sentences=0, start=START, end=END, limits=[]) == []
