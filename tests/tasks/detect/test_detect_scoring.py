"""From errors to scores, thresholds and events."""

import math

import numpy as np
import pytest

from gatewise.tasks.detect.baselines import rolling_z, windowed_gaussian
from gatewise.tasks.detect.scoring import (
    ChannelEvent,
    Event,
    find_events,
    sentence,
    step_name,
    tail_threshold,
    threshold_of,
)
from gatewise.tasks.detect.surprise import CAUSES, Surprises

RNG = np.random.default_rng(3)


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
    scores = Surprises(np.array([0, 5, 0, 0, 7, 6, 0, 0, 0, 9, 0, 5.0]))
    spans = lambda gap, least: [(e.start, e.end, e.peak) for e in find_events(scores, 5, gap, least)]  # noqa: E731
    assert spans(0, 1) == [(1, 1, 1), (4, 5, 4), (9, 9, 9), (11, 11, 11)]
    assert spans(1, 1) == [(1, 1, 1), (4, 5, 4), (9, 11, 9)]
    assert spans(2, 1) == [(1, 5, 4), (9, 11, 9)]
    assert spans(3, 1) == [(1, 11, 9)]
    assert spans(0, 2) == [(4, 5, 4)]
    assert find_events(scores, 10, 0, 1) == []


def test_an_event_names_its_channels_in_the_order_of_their_alarms():
    by_channel = np.array([[0, 0, 0], [0, 6, 0], [8, 5.5, 1], [5, 0, 2.0]])
    found = Surprises(by_channel.max(axis=1), by_channel, np.array([0, 1, 2, 0]))
    [event] = find_events(found, 5.0, 0, 1, ("heat", "load", "flow"), 3)
    heat, load = ChannelEvent("heat", 2, 8.0), ChannelEvent("load", 1, 6.0)
    assert event == Event(3, 1, 3, 2, 8.0, CAUSES[2], (load, heat))
    assert sentence(event) == (
        "step 1 to step 3: 'heat' is not what the network expects (8 standard deviations at step 2), and 'load' from "
        "step 1 on"
    )
    hours = ["00:00", "01:00", "02:00", "03:00"]
    assert sentence(event, hours.__getitem__).startswith("01:00 to 03:00: 'heat'")


def test_sentences_of_a_single_step_of_several_channels_and_of_none():
    one = Event(0, 4, 4, 4, 5.25, "change", (ChannelEvent("heat", 4, 5.25),))
    assert sentence(one) == "step 4: 'heat' jumps (5.25 standard deviations)"
    many = Event(0, 4, 4, 4, 7.0, "value", tuple(ChannelEvent(name, 4, 7.0 - k) for k, name in enumerate("abc")))
    assert sentence(many).endswith("(7 standard deviations), and 2 more channels from step 4 on")
    assert sentence(Event(0, 4, 6, 5, 7.0)) == "step 4 to step 6: 7 standard deviations at step 5"
    assert step_name(1200) == "step 1200"


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
