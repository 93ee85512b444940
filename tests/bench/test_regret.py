"""Searches that are replayed on a table of trainings."""

import math

import pytest
from scipy.stats import spearmanr

from benchmarks.regret import replay
from benchmarks.regret.analysis import correlation, of_shares
from benchmarks.regret.replay import METHODS, AtRandom, Halving, Replay, Table, regrets
from gatewise.tuning.space import Knob, Space

SPACE = Space((Knob("learning_rate", 0.003, 0.0003, 0.03, log=True), Knob("dropout", 0.3, 0.0, 0.6)))
SHARES = " ".join(f"{share / 20:g}" for share in range(1, 21))


def row(setting, seed, seconds=10.0):
    """Best at a rate of 0.01; the loss falls evenly to its end, and the figure is its negative."""
    end = 1 + abs(math.log(setting["learning_rate"] / 0.01)) + 0.001 * seed
    losses = " ".join(f"{end + 1 - share / 20:.5f}" for share in range(1, 21))
    return {"setting": setting, "losses": losses, "shares": SHARES, "figure": 10 - end, "cpu": seconds}


@pytest.fixture
def table(monkeypatch):
    """40 settings, of which the three best and the default have three seeds."""
    monkeypatch.setitem(replay.PROBLEMS, "made", type("Made", (), {"better": 1}))
    settings = [SPACE.default]
    settings += [
        {"learning_rate": 0.0003 * 100 ** (n / 40), "dropout": round(0.6 * (n * 7 % 40) / 40, 3)} for n in range(40)
    ]
    rows = {f"{n}/0": row(setting, 0) for n, setting in enumerate(settings)}
    best = sorted(range(1, 41), key=lambda n: row(settings[n], 0)["losses"])[:3]
    rows |= {f"{n}/{seed}": row(settings[n], seed) for n in [0, *best] for seed in (1, 2)}
    return Table("made", {"measure": "accuracy", "space": SPACE.to_json(), "rows": rows})


def test_regret_is_what_is_missing_of_the_long_searchs_gain(table):
    assert abs(math.log(table.settings[table.best]["learning_rate"] / 0.01)) < 0.06
    assert regrets(table, table.best) == {"test": 0.0, "loss": 0.0, "behind": pytest.approx(-1157, rel=0.1)}
    assert regrets(table, 0) == {"test": 1.0, "loss": 1.0, "behind": 0.0}
    worst = max(table.losses, key=table.losses.get)
    here, default = (math.log(0.01 / table.settings[number]["learning_rate"]) for number in (worst, 0))
    best = abs(math.log(table.settings[table.best]["learning_rate"] / 0.01))
    assert regrets(table, worst)["loss"] == pytest.approx((here - best) / (default - best), abs=0.01)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("times", [5, 20])
def test_all_methods_keep_the_same_time_and_replay_alike(table, method, times):
    first, again = (METHODS[method](table, times, 3) for _ in range(2))
    assert first.chosen() == again.chosen()
    assert first.now == again.now
    assert first.now <= times * table.seconds + 10 / 20  # up to a validation late
    assert first.now >= 0.5 * times * table.seconds


def test_with_time_for_all_settings_every_method_finds_the_best(table):
    for kind in (Halving, AtRandom):
        assert kind(table, 100, 0).chosen() == table.best
    assert regrets(table, Replay(table, 100, 0).chosen())["loss"] < 0.05


def test_settings_at_random_are_each_trained_to_the_end_and_halving_stops_some(table):
    random, halving = AtRandom(table, 8, 1), Halving(table, 8, 1)
    for own in (random, halving):
        own.chosen()
    assert {own.share for own in random.records.all()[:-1]} == {1.0}
    assert len(halving.records.all()) > len(random.records.all()) == 8


def test_a_proposal_gets_the_nearest_setting_that_was_not_tried(table):
    point = {"learning_rate": 0.003, "dropout": 0.3}

    def distance(setting):
        rate = math.log(setting["learning_rate"] / point["learning_rate"]) / math.log(100)
        return rate**2 + ((setting["dropout"] - point["dropout"]) / 0.6) ** 2

    expected = sorted(table.settings.values(), key=distance)
    assert expected[0] == SPACE.default
    for count in range(4):
        assert table.nearest(point, expected[:count]) == expected[count]
    assert table.nearest(point, expected) is None


def test_the_correlation_is_spearmans():
    a, b = [3.0, 1.0, 2.0, 2.0, 9.0], [1.0, 1.0, 5.0, 4.0, 8.0]
    assert correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)


def test_losses_that_fall_alike_say_the_end_at_every_share(table):
    assert all(own == {"correlation": pytest.approx(1.0), "kept": 1.0} for own in of_shares(table).values())
