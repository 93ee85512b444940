"""What is said of how much a knob matters, on trials whose losses are known functions of their settings."""

import math

import numpy as np
import pytest
from study_in_memory import SPACE, Curves, trials

from gatewise.tuning.importance import ENOUGH, compared, importances
from gatewise.tuning.records import Record
from gatewise.tuning.space import Knob, Space

WIDE = Space(
    (*SPACE.knobs, Knob("weight_decay", 0.01, 0.001, 0.3, log=True), Knob("cell", "lstm", choices=("lstm", "gru")))
)
NAMES = [knob.name for knob in WIDE.knobs]


def drawn(count, seed, loss):
    """Finished trials of settings all over the space; `loss` is of the places in it."""
    draw = np.random.default_rng(seed)
    found = []
    for number in range(count):
        places = draw.random(len(WIDE.knobs))
        end = loss(dict(zip(NAMES, places, strict=True)), draw)
        setting = WIDE.at(list(places))
        found.append(Record(number, "search", "finished", setting, 0, (end,) * 3, 1.0, end, 1.0))
    return found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [20, 60])
def test_the_knob_that_is_real_comes_first_and_the_others_may_not_matter(name, count):
    first = beside = 0
    for seed in range(20):

        def loss(places, draw):
            place = round(places[name]) if name == "cell" else places[name]
            return (2 * (place - 0.6)) ** 2 + 0.1 * draw.standard_normal()

        own, *others = importances(WIDE, drawn(count, seed, loss))
        first += own.knob == name and own.low > 0
        beside += sum(other.low > 0 for other in others)
    assert first >= (13 if count == 20 else 19)  # of 20
    assert beside <= 4  # of 80: 95 % intervals


def test_where_no_knob_is_real_none_is_said_to_be():
    found = [own for seed in range(25) for own in importances(WIDE, drawn(40, seed, lambda _, draw: draw.random()))]
    assert sum(own.low > 0 for own in found) <= 0.05 * len(found)
    assert np.mean([own.share for own in found]) == pytest.approx(0, abs=0.02)


def test_shares_are_those_of_the_variance():
    """Of a sum of two curves with variances 4 and 1, without noise. Ranks bend them a little."""

    def loss(places, _):
        return math.sqrt(12) * (2 * places["learning_rate"] + places["dropout"])

    rate, dropout, *_ = importances(WIDE, drawn(400, 0, loss))
    assert (rate.knob, dropout.knob) == ("learning_rate", "dropout")
    assert rate.share == pytest.approx(0.8, abs=0.05)
    assert dropout.share == pytest.approx(0.2, abs=0.05)
    assert rate.low < rate.share < rate.high


def test_a_search_that_moved_its_knobs_together_is_seen_through(tmp_path, monkeypatch):
    """Of a real search, which halts most trials and proposes more and more of what was good."""
    curves = Curves(tmp_path, lambda setting, seed: 1 + math.log(setting["learning_rate"] / 0.01) ** 2)
    found = importances(SPACE, curves.search(monkeypatch, trials(40)))
    assert found[0].knob == "learning_rate"
    assert found[0].low > 0
    assert all(own.low <= 0 for own in found[1:])


def test_too_few_trials_say_nothing():
    some = drawn(ENOUGH, 0, lambda places, _: places["dropout"])
    assert importances(WIDE, some[:-1]) is None
    assert importances(WIDE, some) is not None
    failed = [Record(90, "search", "failed", WIDE.default, 0, why="no")]
    repeats = [Record(91, "repeat", "finished", WIDE.default, 1, (1.0,) * 3, 1.0, 1.0)]
    assert importances(WIDE, some[:-1] + failed + repeats) is None


def test_only_losses_after_equal_shares_are_compared():
    def trial(number, state, rungs, score):
        return Record(number, "search", state, WIDE.default, 0, rungs, score=score)

    best = trial(0, "finished", (5.0, 3.0, 2.0), 1.0)
    fast = trial(1, "finished", (4.0, 3.5, 3.0), 2.5)
    early = trial(2, "paused", (4.5,), 4.5)  # between the two at the first rung, where it stopped
    bad = trial(3, "paused", (6.0,), 6.0)
    assert [own.number for own in compared([bad, early, fast, best])] == [0, 2, 1, 3]
