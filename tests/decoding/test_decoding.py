from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewise.decoding import Sampler, StopAt
from gatewise.errors import DataError, OptionError, ShapeError

law = settings(derandomize=True, deadline=None, max_examples=200)

P = np.array([0.5, 0.25, 0.15, 0.07, 0.03])
SCORES = np.log(P)


def frequencies(sampler, scores, draws):
    return np.bincount([sampler(scores) for _ in range(draws)], minlength=len(scores)) / draws


@pytest.mark.parametrize(
    ("options", "want"),
    [
        ({}, P),
        ({"temperature": 0.5}, P**2 / (P**2).sum()),
        ({"temperature": 2}, P**0.5 / (P**0.5).sum()),
        ({"temperature": 0}, [1, 0, 0, 0, 0]),
        ({"top_k": 1}, [1, 0, 0, 0, 0]),
        ({"top_k": 2}, [2 / 3, 1 / 3, 0, 0, 0]),
        ({"top_k": 99}, P),
        ({"top_p": 0.4}, [1, 0, 0, 0, 0]),
        ({"top_p": 0.51}, [2 / 3, 1 / 3, 0, 0, 0]),
        ({"top_p": 0.8}, [5 / 9, 5 / 18, 1 / 6, 0, 0]),
        ({"top_p": 1}, P),
        ({"top_p": 1e-12}, [1, 0, 0, 0, 0]),
        ({"top_k": 3, "top_p": 0.8}, [2 / 3, 1 / 3, 0, 0, 0]),  # of the three best, two hold 5/6
        ({"forbidden": [0, 4]}, np.array([0, 0.25, 0.15, 0.07, 0]) / 0.47),
        ({"forbidden": [0], "top_k": 1}, [0, 1, 0, 0, 0]),
        ({"forbidden": [0], "temperature": 0}, [0, 1, 0, 0, 0]),
    ],
    ids=str,
)
def test_the_distribution_is_the_one_computed_by_hand(options, want):
    sampler = Sampler(**options)
    np.testing.assert_allclose(sampler.probabilities(SCORES), want, atol=1e-12)
    draws = 4000
    got = frequencies(sampler, SCORES, draws)
    # Five standard errors: with a fixed seed this either holds for ever or not at all.
    assert (np.abs(got - want) <= 5 * np.sqrt(np.multiply(want, np.subtract(1, want)) / draws) + 1e-9).all()


def test_the_order_of_the_vocabulary_does_not_matter():
    order = np.array([3, 0, 4, 1, 2])
    options = {"top_k": 4, "top_p": 0.85, "temperature": 1.3}
    shuffled = Sampler(**options).probabilities(SCORES[order])
    np.testing.assert_allclose(shuffled, Sampler(**options).probabilities(SCORES)[order], atol=1e-12)


def test_equal_scores_favour_the_lower_id():
    assert Sampler(temperature=0)([1, 7, 7]) == 1
    np.testing.assert_allclose(Sampler(top_k=2).probabilities([0, 0, 0, 0]), [0.5, 0.5, 0, 0])
    np.testing.assert_allclose(Sampler(top_p=0.6).probabilities([0, 0, 0, 0]), [1 / 3, 1 / 3, 1 / 3, 0])


@pytest.mark.parametrize(
    ("top_p", "kept"), [(0.25, 1), (0.5, 2), (0.75, 3), (np.nextafter(0.5, 1), 3), (np.nextafter(0.5, 0), 2)]
)
def test_a_nucleus_that_reaches_its_sum_exactly_is_full(top_p, kept):
    """Quarters have no rounding: two of them are 0.5, and a third one is not needed."""
    found = Sampler(top_p=top_p).probabilities([3.0] * 4)
    np.testing.assert_array_equal(found, [1 / kept] * kept + [0] * (4 - kept))


@pytest.mark.parametrize(
    "options", [{}, {"temperature": 1e-300}, {"temperature": 5e-324}, {"top_k": 2}, {"top_p": 0.5}], ids=str
)
@pytest.mark.parametrize("scores", [[1e308, -1e308, 0], [-1e308, -np.inf, -1.7e308], [1e4, 1.0, -np.inf]], ids=str)
def test_extreme_scores_are_safe(scores, options):
    sampler = Sampler(**options)
    assert sampler(scores) == 0
    np.testing.assert_array_equal(sampler.probabilities(scores), [1, 0, 0])


def test_impossible_tokens_are_never_drawn():
    sampler = Sampler(temperature=100, forbidden=[0, 5])
    assert {sampler([0, 0, -np.inf, 0, -np.inf, 0]) for _ in range(300)} == {1, 3}


def test_a_batch_is_its_rows():
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(6, 3, 10))
    batch, pair, alone = Sampler(seed=7), Sampler(seed=7), Sampler(seed=7)
    for step in steps:
        tokens = batch(step)
        assert tokens.shape == (3,)
        assert tokens.dtype == np.int64
        np.testing.assert_array_equal(pair(step[:2]), tokens[:2])
        assert alone(step[0]) == tokens[0]


def test_rows_with_the_same_scores_differ():
    tokens = Sampler(seed=0)(np.zeros((8, 1000)))
    assert len(set(tokens.tolist())) > 4


def test_seeds():
    def tokens(seed):
        sampler = Sampler(seed=seed)
        return [sampler(np.zeros(1000)) for _ in range(20)]

    assert tokens(3) == tokens(3) == tokens(np.int64(3))
    assert tokens(3) != tokens(4)
    assert tokens(None) != tokens(None)


def test_the_draws_of_a_seed_never_change():
    """A saved seed must write the same text in a year; numpy promises the bits of PCG64."""
    sampler = Sampler(seed=0)
    assert [sampler(np.zeros(1000)) for _ in range(5)] == [942, 316, 722, 125, 422]


def test_shapes_and_types():
    assert isinstance(Sampler()(np.zeros(3, np.float32)), int)
    assert Sampler()(np.zeros((0, 5))).shape == (0,)
    assert Sampler(temperature=0)(np.zeros((0, 5))).shape == (0,)
    assert Sampler()([0.0]) == 0
    assert Sampler().probabilities(np.zeros((2, 4))).shape == (2, 4)
    assert Sampler(temperature=0).probabilities(np.zeros((2, 4))).shape == (2, 4)


def test_scores_are_left_as_they_were():
    scores = np.array([[1.0, 2.0, 3.0]])
    Sampler(forbidden=[2])(scores)
    np.testing.assert_array_equal(scores, [[1, 2, 3]])


@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (1, 2, 3)], ids=str)
def test_other_shapes_are_refused(shape):
    with pytest.raises(ShapeError, match="scores have shape"):
        Sampler()(np.zeros(shape))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"temperature": -0.1}, "temperature must be a number of 0 or more (0: always the best token), not -0.1"),
        (
            {"temperature": float("nan")},
            "temperature must be a number of 0 or more (0: always the best token), not nan",
        ),
        (
            {"temperature": float("inf")},
            "temperature must be a number of 0 or more (0: always the best token), not inf",
        ),
        ({"temperature": "hot"}, "temperature must be a number of 0 or more (0: always the best token), not 'hot'"),
        ({"temperature": None}, "temperature must be a number of 0 or more (0: always the best token), not None"),
        ({"top_k": 0}, "top_k must be a whole number, 1 or more, not 0. Leave it out for no limit."),
        ({"top_k": 2.5}, "top_k must be a whole number, 1 or more, not 2.5"),
        ({"top_p": 0}, "top_p must be a number above 0, up to 1, not 0"),
        ({"top_p": 1.01}, "top_p must be a number above 0, up to 1, not 1.01"),
        ({"top_p": True}, "top_p must be a number above 0, up to 1, not True"),
        ({"seed": -1}, "seed must be a whole number, 0 or more, not -1"),
        ({"seed": 1.0}, "seed must be a whole number, 0 or more, not 1.0"),
        ({"forbidden": [3, -1]}, "forbidden token id must be a whole number, 0 or more, not -1"),
    ],
    ids=str,
)
def test_impossible_options_are_named(options, said):
    with pytest.raises(OptionError) as caught:
        Sampler(**options)
    assert said in str(caught.value)


def test_a_forbidden_id_outside_the_vocabulary():
    with pytest.raises(OptionError, match="token 9 is forbidden, but the vocabulary has only 3 tokens"):
        Sampler(forbidden=[1, 9])([0, 0, 0])


def test_no_token_left():
    with pytest.raises(OptionError, match="row 1 has no token to choose: every token with a score is forbidden"):
        Sampler(forbidden=[0, 1])([[0, 0, 0], [0, 0, -np.inf]])
    with pytest.raises(OptionError, match="the model scores every token as -inf"):
        Sampler()([-np.inf, -np.inf])


@pytest.mark.parametrize("bad", [np.nan, np.inf], ids=str)
def test_scores_of_a_broken_model(bad):
    with pytest.raises(DataError, match=f"scores token 2 of row 1 as {bad}"):
        Sampler()([[0, 0, 0], [0, 0, bad]])


@law
@given(
    st.lists(st.floats(-50, 50), min_size=1, max_size=12),
    st.floats(0.05, 5),
    st.none() | st.integers(1, 13),
    st.none() | st.floats(0.01, 1),
)
def test_laws_of_the_distribution(scores, temperature, top_k, top_p):
    p = Sampler(temperature, top_k, top_p).probabilities(scores)
    full = Sampler(temperature).probabilities(scores)
    kept = p > 0
    assert abs(p.sum() - 1) < 1e-12
    if top_k is not None:
        assert kept.sum() <= top_k
    assert full[kept].min() >= full[~kept].max(initial=0)  # only the best stay
    ratios = p[kept] / full[kept]
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-9)  # and among them nothing shifts
    if top_p is not None and top_k is None:
        assert full[kept].sum() >= top_p - 1e-9
        assert full[kept].sum() - full[kept].min() <= top_p + 1e-9  # the fewest that reach it


texts = st.text("ab", max_size=30)


def cut(text, places):
    edges = [0, *sorted(places), len(text)]
    return [text[a:b] for a, b in pairwise(edges)]


@law
@given(texts, st.text("ab", min_size=1, max_size=5), st.lists(st.integers(0, 30), max_size=10))
def test_text_before_the_stop_string_comes_once(text, stop, places):
    stopper = StopAt(stop)
    got = list(stopper.stream(cut(text, places)))
    assert "".join(got) == text.split(stop)[0]
    assert stopper.stopped == (stop in text)
    assert "" not in got


@law
@given(texts, st.text("ab", min_size=1, max_size=5))
def test_nothing_is_held_back_that_could_be_shown(text, stop):
    stopper = StopAt(stop)
    shown = ""
    for n, letter in enumerate(text, start=1):
        shown += stopper.feed(letter)
        if stopper.stopped:
            break
        rest = text[len(shown) : n]
        assert stop.startswith(rest)
        # A longer piece shown would be safe only if no end of the text began the stop string.
        assert not any(stop.startswith(text[at:n]) for at in range(len(shown)))


def test_what_follows_the_stop_string_is_neither_shown_nor_read():
    def pieces():
        yield "poem\n\n"
        yield "\nnext"
        pytest.fail("read on")

    stopper = StopAt("\n\n\n")
    assert list(stopper.stream(pieces())) == ["poem"]
    assert stopper.feed("more") == ""
    assert stopper.finish() == ""


def test_finish_gives_back_what_was_held():
    stopper = StopAt("END")
    assert stopper.feed("the EN") == "the "
    assert stopper.finish() == "EN"
    assert stopper.finish() == ""


def test_an_empty_stop_string_is_refused():
    with pytest.raises(OptionError, match="stop string is empty"):
        StopAt("")
