"""From errors to scores, thresholds and events."""

import math

import numpy as np
import pytest

from gatewise.tasks.detect.baselines import rolling_z, windowed_gaussian
from gatewise.tasks.detect.scoring import Scorer, find_events, score_series, tail_threshold, threshold_of

RNG = np.random.default_rng(3)


def test_scores_by_hand():
    reference = np.arange(200.0)  # median 100, and 198 of 200 are below the 99 % quantile
    scorer = Scorer(reference, smoothing=2, history=None)
    assert scorer.push(100.0) == 0
    assert scorer.push(296.0) == pytest.approx((198 - 100) / 98)
    assert scorer.push(math.nan) == 0
    assert scorer.push(100.0) == pytest.approx(1.0)  # the mean is still that of two steps
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


@pytest.mark.parametrize(
    ("draw", "quantile"),
    [
        (lambda rng, n: rng.exponential(size=n), lambda p: -math.log(p)),
        (lambda rng, n: rng.pareto(5, size=n), lambda p: p ** (-1 / 5) - 1),
        (lambda rng, n: rng.random(n), lambda p: 1 - p),
    ],
    ids=["exponential", "pareto", "uniform"],
)
@pytest.mark.parametrize(("n", "rate"), [(20_000, 0.01), (5000, 1e-4), (600, 1e-3)], ids=["inside", "beyond", "few"])
def test_the_threshold_is_the_quantile_of_the_law(draw, quantile, n, rate):
    found = [tail_threshold(draw(np.random.default_rng(seed), n), rate) for seed in range(40)]
    assert np.median(found) == pytest.approx(quantile(rate), rel=0.15)


def test_the_threshold_of_hardly_anything():
    assert tail_threshold(np.array([1.0, 1.0]), 0.001) == 1
    assert tail_threshold(np.array([1.0, 2.0]), 0.001) > 2
    assert tail_threshold(np.full(100, 3.0), 1e-4) == 3


def test_events_by_hand():
    scores = np.array([0, 5, 0, 0, 7, 6, 0, 0, 0, 9, 0, 5.0])
    spans = lambda gap, least: [(e.start, e.end, e.peak) for e in find_events(scores, 5, gap, least)]  # noqa: E731
    assert spans(0, 1) == [(1, 1, 1), (4, 5, 4), (9, 9, 9), (11, 11, 11)]
    assert spans(1, 1) == [(1, 1, 1), (4, 5, 4), (9, 11, 9)]
    assert spans(2, 1) == [(1, 5, 4), (9, 11, 9)]
    assert spans(3, 1) == [(1, 11, 9)]
    assert spans(0, 2) == [(4, 5, 4)]
    assert find_events(scores, 10, 0, 1) == []


@pytest.mark.parametrize(
    ("scores", "rate"),
    [
        (np.zeros(50), 0.01),
        (np.zeros(5000), 0.01),
        (np.repeat([0.0, 3.0], [900, 100]), 0.05),  # a quantile within the hundred that are alike
        (np.repeat([0.0, 1.0, 2.0], [700, 250, 50]), 0.3),
    ],
)
def test_scores_that_are_alike_do_not_all_exceed_the_threshold(scores, rate):
    threshold = threshold_of([scores[:300], scores[300:]], [scores[:300] >= 0, scores[300:] >= 0], rate)
    assert (scores >= threshold).mean() <= rate
    assert threshold <= np.nextafter(scores.max(), np.inf)


@pytest.mark.parametrize("level", [0.1, 1e9 + 0.1, -3.3])
def test_baselines_score_a_flat_line_alike(level):
    for detect in (rolling_z, windowed_gaussian):
        assert len(np.unique(detect(np.full(300, level))[1:])) == 1
