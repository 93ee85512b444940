"""Scores of model files of before, by hand."""

import math

import numpy as np
import pytest

from gatewise.tasks.detect.legacy import Blend, LegacyScorer
from gatewise.tasks.detect.series import Scale
from gatewise.tasks.detect.surprise import Errors

RNG = np.random.default_rng(3)
ONE = 2.3263478740408408  # the standard deviations of a score of 1
SCALE = Scale(np.zeros(1), np.ones(1), np.zeros(1, bool))


def score_series(errors, reference, smoothing, history):
    scorer = LegacyScorer(reference, None, SCALE, smoothing=smoothing, history=history)
    values = np.where(np.isnan(errors), np.nan, 0.0)[:, None, None]
    return scorer.read(Errors(errors[:, None, None], values), values, [scorer.start()]).scores[:, 0]


def test_scores_by_hand():
    reference = np.arange(200.0)  # median 100, and 198 of 200 are below the 99 % quantile
    found = score_series(np.array([100.0, 296.0, math.nan, 100.0]), reference, 2, None)
    assert found.tolist() == [0, pytest.approx((198 - 100) / 98), 0, pytest.approx(1.0)]  # a mean is still of two steps
    constant = score_series(np.array([5.0, 5.0, 6.0]), np.full(10, 5.0), 1, None)
    assert constant[0] == 0
    assert np.isfinite(constant).all()


def test_a_history_gets_used_to_what_stays():
    errors = np.concatenate([RNG.exponential(size=1000), 20 + RNG.exponential(size=1000)])
    reference = RNG.exponential(size=500)
    kept, learned = (score_series(errors, reference, 5, history) for history in (None, 200))
    assert kept[1005:].min() > 2
    assert learned[1000:1010].max() > 2
    assert learned[1300:].max() < 2


def test_a_history_is_a_sliding_window():
    """Against a slow version that sorts anew at each step."""
    errors, reference = RNG.exponential(size=400), RNG.exponential(size=150)
    found = score_series(errors, reference, 3, 150)
    past = list(reference)
    recent = [sorted(past)[75]] * 3 + errors.tolist()  # as if all had been normal before
    for t in range(len(errors)):
        mean = sum(recent[t + 1 : t + 4]) / 3
        order = sorted(past[-150:])
        assert found[t] == (mean - order[75]) / (order[148] - order[75])
        past.append(mean)


def test_a_blend_by_hand():
    even = Blend(0.5, 1000, 0.0, 1.0)
    assert even.score(1.0, 3 * ONE, 0.5 * ONE) == pytest.approx(2)  # of the network: (1 + 3) / 2
    assert even.score(1.0, 3 * ONE, 5 * ONE) == pytest.approx(5)
    assert even.score(-2.0, -1.0, 0.0) == 0
    assert even.score(0.0, math.nan, math.nan) == 0
    assert Blend(1.0, 1000, 0.0, 1.0).score(1.0, 3 * ONE, 50.0) == pytest.approx(2)
    assert Blend(0.0, 1000, 0.0, 1.0).score(1.0, 300.0, ONE) == pytest.approx(1)
    assert Blend(0.75, 1000, 0.0, 1.0).score(1.0, 0.0, 3 * ONE) == pytest.approx(1)  # a third as loud
    assert even.score(1e9, 0.0, 0.0) == pytest.approx(5 / ONE / 2)


@pytest.mark.parametrize("blend", [None, Blend(0.5, 100, 1.0, 0.5)])
@pytest.mark.parametrize("history", [None, 120])
def test_steps_one_by_one_have_the_bits_of_the_whole(blend, history):
    errors, values = RNG.exponential(size=(300, 1, 2)), RNG.standard_normal((300, 1, 2))
    errors[40], values[40] = np.nan, np.nan
    scale = Scale(np.zeros(2), np.ones(2), np.zeros(2, bool))
    scorer = LegacyScorer(RNG.exponential(size=150), blend, scale, smoothing=4, history=history)
    whole = scorer.read(Errors(errors, values), values, [scorer.start()]).scores[:, 0]
    state, found = scorer.start(), []
    for step in range(300):
        one = slice(step, step + 1)
        found.extend(scorer.read(Errors(errors[one], values[one]), values[one], [state]).scores[:, 0])
    assert found == whole.tolist()


@pytest.mark.parametrize("broken", [(1.5, 1000, 0.0, 1.0), (0.5, 1, 0.0, 1.0), (0.5, 9, math.nan, 1.0), (0.5, 9, 0, 0)])
def test_impossible_blends_are_refused(broken):
    with pytest.raises(ValueError, match="is no blend"):
        Blend(*broken)
