"""Which trials a search runs, how far, and when it stops."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from study_in_memory import SPACE, VALIDATIONS, Curves, bowl, trials

from gatewise.errors import OptionError
from gatewise.tuning.points import SPREAD, next_point
from gatewise.tuning.records import DEFAULT, FAILED, FINISHED, PAUSED, REPEAT, SEARCH, SECOND
from gatewise.tuning.search import Limits, Told, promotable
from gatewise.tuning.selection import REPEATS, finalists, select
from gatewise.tuning.space import Knob, Space


def shape(records):
    return [(own.kind, own.state, own.setting, own.seed, own.rungs, own.share, own.score) for own in records]


def test_the_default_is_first_and_its_second_seed_follows(tmp_path, monkeypatch):
    records = Curves(tmp_path, bowl).search(monkeypatch, trials(5), seed=7)
    assert [(own.kind, own.seed) for own in records[:3]] == [(DEFAULT, 7), (SECOND, 8), (SEARCH, 7)]
    assert records[0].setting == records[1].setting == SPACE.default
    assert (
        sum(own.kind in (DEFAULT, SECOND, SEARCH) for own in records if own.seed in (7, 8))
        - sum(own.kind == REPEAT for own in records if own.seed == 8)
        <= 6
    )


def test_a_search_finds_the_bottom_of_a_bowl_and_is_better_than_even_spreading(tmp_path, monkeypatch):
    records = Curves(tmp_path, bowl).search(monkeypatch, trials(40))
    found = select(records)
    assert not found.keeps_default
    spread = min(bowl(SPACE.at(places)) for places in evenly(40))
    assert found.chosen.score <= spread
    assert found.chosen.setting["learning_rate"] == pytest.approx(0.01, rel=0.4)


def evenly(count):
    from torch.quasirandom import SobolEngine

    return SobolEngine(len(SPACE.knobs), scramble=True, seed=0).draw(count).clamp(max=0.999999).tolist()


def test_one_process_with_one_seed_does_the_same_each_time(tmp_path, monkeypatch):
    first, again, other = (
        shape(Curves(tmp_path, bowl).search(monkeypatch, trials(25), seed=seed)) for seed in (0, 0, 1)
    )
    assert first == again
    assert first[2][2] == other[2][2]  # another rate alone
    assert first[4][2] != other[4][2]


@pytest.mark.parametrize("stop", [(0, 0.3), (2, 1.0), (7, 0.1), (13, 0.15), (20, 0.25)])
def test_a_search_that_was_interrupted_goes_on_as_if_it_had_not_been(tmp_path, monkeypatch, stop):
    whole = Curves(tmp_path, bowl).search(monkeypatch, trials(20))
    number, share = stop
    stopped = []

    def stops(at, now):
        if not stopped and at == number and now >= share:
            stopped.append(at)
            raise KeyboardInterrupt

    curves = Curves(tmp_path, bowl, stops=stops)
    with pytest.raises(KeyboardInterrupt):
        curves.search(monkeypatch, trials(20))
    assert shape(curves.search(monkeypatch, trials(20))) == shape(whole)


def test_a_trial_goes_on_only_among_the_better_half_of_its_rung(tmp_path, monkeypatch):
    curves = Curves(tmp_path, bowl)
    records = curves.search(monkeypatch, trials(30))
    places = records[0].places
    assert len(places) >= 2
    for rung in range(len(places)):
        reached = [own for own in records if own.kind in (DEFAULT, SEARCH) and len(own.rungs) > rung]
        beyond = [own for own in reached if own.state == FINISHED or len(own.rungs) > rung + 1]
        best = sorted(own.rungs[rung] for own in reached)[: len(reached) // 2]
        # Whoever is among the better half at the end has gone on.
        assert all(own in beyond for own in reached if own.rungs[rung] in best)
    assert promotable(records) == []
    assert records[0].state == FINISHED
    assert {own.state for own in records} == {PAUSED, FINISHED}
    shares = [share for _, share in curves.order if share < 1]
    assert {*shares} == {*places}  # which are shares after which the default has validated


def test_the_best_are_repeated_and_the_default_as_often(tmp_path, monkeypatch):
    records = Curves(tmp_path, bowl).search(monkeypatch, trials(25), seed=3)
    best = finalists(records)
    assert len(best) == 3
    for own in [*best, records[0]]:
        seeds = [other.seed for other in records if other.setting == own.setting and other.state == FINISHED]
        assert sorted(seeds) == [3, 4, 5]
    assert len(records) == 25 + 3 * REPEATS + 1


def test_other_rates_alone_come_first(tmp_path, monkeypatch):
    records = Curves(tmp_path, bowl).search(monkeypatch, trials(5))
    alone = [own.setting for own in records if own.kind == SEARCH][:2]
    assert alone == [{**SPACE.default, "learning_rate": rate} for rate in (0.0095, 0.00095)]


def test_where_time_is_short_the_second_seed_of_the_default_waits_for_something_better(tmp_path, monkeypatch):
    records = Curves(tmp_path, bowl).search(monkeypatch, Limits(80.0, None))
    kinds = [own.kind for own in records]
    assert kinds[:2] == [DEFAULT, SEARCH]
    assert kinds.index(REPEAT) < kinds.index(SECOND)
    flat = Curves(tmp_path, lambda setting, seed: 1.0 + (setting != SPACE.default)).search(
        monkeypatch, Limits(80.0, None)
    )
    assert {own.kind for own in flat} == {DEFAULT, SEARCH}


def test_after_its_end_a_search_goes_on_to_more_settings(tmp_path, monkeypatch):
    curves = Curves(tmp_path, bowl)
    for count in (4, 5, 7):
        records = curves.search(monkeypatch, trials(count))
        assert sum(own.kind == SEARCH for own in records) == count - 2


def test_no_point_comes_twice(tmp_path, monkeypatch):
    records = Curves(tmp_path, bowl).search(monkeypatch, trials(40))
    points = [tuple(SPACE.rounded(own.setting).values()) for own in records if own.kind in (DEFAULT, SEARCH)]
    assert len({*points}) == len(points) == 39


def test_a_search_that_finds_nothing_new_ends(tmp_path, monkeypatch):
    space = Space((Knob("cell", "lstm", choices=("lstm", "gru", "rnn")),))
    notes = []

    class Notes(Told):
        def note(self, text):
            notes.append(text)

    curves = Curves(tmp_path, lambda setting, seed: len(setting["cell"]))
    records = curves.search(monkeypatch, trials(50), told=Notes(), space=space)
    assert {own.setting["cell"] for own in records} == {"lstm", "gru", "rnn"}
    assert [note for note in notes if "converged" in note] == notes[1:]
    assert len(notes) == 2


def test_a_default_outside_of_the_users_range_is_tried_all_the_same(tmp_path, monkeypatch):
    space = Space((Knob("learning_rate", 0.003, 0.01, 0.03, log=True), Knob("cell", "lstm", choices=("gru", "rnn"))))
    curves = Curves(tmp_path, lambda setting, seed: setting["learning_rate"])
    records = curves.search(monkeypatch, trials(2 * SPREAD), space=space)
    assert records[0].setting == {"learning_rate": 0.003, "cell": "lstm"}
    for own in records:
        if own.kind == SEARCH:
            assert 0.01 <= own.setting["learning_rate"] <= 0.03
            assert own.setting["cell"] in ("gru", "rnn")


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(1.0, 40.0), st.floats(0.0, 1.0), st.integers(0, 9))
def test_the_time_is_kept(tmp_path, monkeypatch, times, steep, seed):
    """Whatever the default takes of it, and however much longer wide networks take."""

    def seconds(setting):
        return 10.0 * (setting["hidden_size"] / 64) ** (2 * steep)

    limits = Limits(10.0 * times, None)
    curves = Curves(tmp_path, bowl, seconds)
    try:
        records = curves.search(monkeypatch, limits, seed=seed)
    except OptionError:
        assert times <= 1.05
        return
    assert curves.now <= 1.05 * limits.seconds
    select(records)
    if times >= 20:
        assert any(own.state == FINISHED and own.kind == REPEAT for own in records) or not finalists(records)


def test_the_time_of_sessions_before_counts(tmp_path, monkeypatch):
    curves = Curves(tmp_path, bowl)
    curves.search(monkeypatch, Limits(300.0, None))
    used, count = curves.now, len(curves.records.all())
    curves.search(monkeypatch, Limits(300.0, None))
    assert curves.now - used <= 15
    curves.search(monkeypatch, Limits(600.0, None))
    assert len(curves.records.all()) > count + 10
    assert curves.now <= 1.05 * 600


def test_a_time_shorter_than_the_default_is_refused_before_an_estimate_is_told(tmp_path, monkeypatch):
    curves = Curves(tmp_path, bowl)
    told = []

    class Notes(Told):
        def stands(self, record, standing):
            told.append(standing.share)

    with pytest.raises(OptionError) as caught:
        curves.search(monkeypatch, Limits(6.0, None), told=Notes())
    assert max(told) < 0.15  # by which share it is known
    assert str(caught.value).startswith(
        "minutes=0.1 is too short: the default alone takes about 0.17. Give at least 0.5;"
    )
    assert curves.now < 3
    assert curves.search(monkeypatch, trials(3))[0].state == FINISHED  # the study is unharmed


@pytest.mark.parametrize("better", [False, True])
def test_time_that_repeats_do_not_need_is_used(tmp_path, monkeypatch, better):
    """Nothing is better than the default, or one setting is: then a trial more would not fit before the end."""

    def loss(setting, seed):
        away = abs(math.log(setting["learning_rate"] / 0.003)) + abs(setting["dropout"] - 0.3)
        return 2 + (-1 if better and setting["dropout"] > 0.4 else away)

    limits = Limits(400.0, None)
    curves = Curves(tmp_path, loss)
    records = curves.search(monkeypatch, limits)
    assert bool(finalists(records)) == better
    default = records[0].seconds
    assert limits.seconds - 2.5 * default <= curves.now <= limits.seconds
    if not better:
        assert all(own.kind != REPEAT for own in records)


def test_trials_that_had_no_time_until_a_rung_go_on_when_there_is_more(tmp_path, monkeypatch):
    """Where the default learns so late that there are no rungs, a trial may be nearly through when the time is up."""

    def late(end, share):
        return end * (1000 if share < 0.85 else 1)

    curves = Curves(tmp_path, bowl, lambda setting: 10.0 * setting["hidden_size"] / 64, curve=late)
    before = [own for own in curves.search(monkeypatch, Limits(200.0, None)) if own.state == PAUSED]
    assert [own.rungs for own in before] == [()] * max(1, len(before))
    after = curves.search(monkeypatch, Limits(400.0, None))
    assert {after[own.number].state for own in before} == {FINISHED}


def test_time_of_repeats_that_fail_is_used(tmp_path, monkeypatch):
    curves = Curves(tmp_path, bowl, fails=lambda setting, seed: seed > 0)
    records = curves.search(monkeypatch, Limits(400.0, None))
    assert sum(own.state == FAILED for own in records) >= 4
    assert curves.now > 400 - 2.5 * 10


def test_time_that_repeats_do_not_need_is_used_also_where_the_search_stopped_among_them(tmp_path, monkeypatch):
    stopped = []

    def stops(number, share):
        if not stopped and curves.records.of(number).kind == REPEAT:
            stopped.append(number)
            raise KeyboardInterrupt

    curves = Curves(tmp_path, bowl, fails=lambda setting, seed: seed > 0, stops=stops)
    with pytest.raises(KeyboardInterrupt):
        curves.search(monkeypatch, Limits(400.0, None))
    records = curves.search(monkeypatch, Limits(400.0, None))
    assert any(own.kind == SEARCH for own in records[stopped[0] :])


def test_a_repeat_that_had_no_time_goes_on_when_there_is_more(tmp_path, monkeypatch):
    """With another seed it takes three times as long, which nobody could know."""
    curves = Curves(tmp_path, bowl)
    run, slower = curves.run, lambda setting: 30.0

    def runs(fit, space, records, record, *others):
        curves.seconds = slower if record.kind == REPEAT else lambda setting: 10.0
        run(fit, space, records, record, *others)

    curves.run = runs
    before = [own for own in curves.search(monkeypatch, Limits(80.0, None)) if own.state == PAUSED]
    repeats = [own for own in before if own.kind == REPEAT]
    assert repeats
    after = curves.search(monkeypatch, Limits(400.0, None))
    assert {after[own.number].state for own in repeats} == {FINISHED}


@pytest.mark.parametrize("closing", [5.0, 80.0])
def test_the_time_that_measuring_takes_is_left(tmp_path, monkeypatch, closing):
    """As it was found out when the default ended."""

    curves = Curves(tmp_path, bowl, closing=closing)
    assert curves.search(monkeypatch, Limits(400.0, None))[0].closing == closing
    assert 400 - closing - 2.5 * 10 <= curves.now <= 400 - closing


def test_with_little_time_only_the_rate_is_searched(tmp_path, monkeypatch):
    records = Curves(tmp_path, bowl).search(monkeypatch, Limits(25.0, None))
    assert SECOND not in [own.kind for own in records if own.number < 2]
    others = [own for own in records if own.kind == SEARCH]
    assert others
    for own in others:
        assert {name for name in own.setting if own.setting[name] != SPACE.default[name]} <= {"learning_rate"}


def test_a_trial_that_would_take_too_long_is_given_up(tmp_path, monkeypatch):
    curves = Curves(tmp_path, bowl, lambda setting: 10.0 if setting["hidden_size"] < 100 else 100.0)
    records = curves.search(monkeypatch, Limits(300.0, None))
    slow = [own for own in records if own.setting["hidden_size"] >= 100]
    failed = [own for own in slow if own.state == FAILED]
    assert failed
    assert all("too much of the time" in own.why for own in failed)
    assert {own.state for own in slow} <= {FAILED, PAUSED}  # at its rung, or because the time is up
    assert all(own.share <= 4 / VALIDATIONS for own in slow)


def test_what_fails_is_tried_once(tmp_path, monkeypatch):
    """Whichever its kind is, and though nothing but the number of settings ends the search."""

    def fails(setting, seed):
        return seed == 1 or setting["hidden_size"] > 100

    records = Curves(tmp_path, bowl, fails=fails).search(monkeypatch, trials(12))
    assert {own.kind for own in records if own.state == FAILED} == {SECOND, SEARCH, REPEAT}
    assert sum(own.kind in (DEFAULT, SECOND, SEARCH) and own.seed == 0 for own in records) == 11
    assert len({(str(own.setting), own.seed) for own in records}) == len(records)
    assert select(records).keeps_default  # all others failed with a seed


def test_trials_that_fail_do_not_end_the_spreading(tmp_path, monkeypatch):
    curves = Curves(tmp_path, bowl, lambda setting: 10.0 if setting["hidden_size"] == 64 else 100.0)
    records = curves.search(monkeypatch, Limits(600.0, None))
    assert curves.now > 480  # what is kept for repeats is not needed
    assert len(records) > 2 * SPREAD


def test_points_follow_from_the_trials_alone(tmp_path, monkeypatch):
    records = Curves(tmp_path, bowl).search(monkeypatch, trials(SPREAD + 5))
    assert next_point(SPACE, records, 0) == next_point(SPACE, records, 0)
    assert next_point(SPACE, records, 0) != next_point(SPACE, records, 1)


def test_losses_at_rungs_are_those_of_the_curve(tmp_path, monkeypatch):
    [own, *_] = Curves(tmp_path, bowl).search(monkeypatch, trials(1))
    end = bowl(SPACE.default)
    assert own.rungs == pytest.approx([end * (1 + 999 * (1 - share) ** 6) for share in own.places])
    assert math.isclose(own.score, end)
