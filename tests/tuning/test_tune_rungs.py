"""Where the trials of a study are compared: as its default learned, the same for all, and for good."""

from types import SimpleNamespace

import pytest
from study_in_memory import SPACE, Memory

from gatewise.tuning import rungs
from gatewise.tuning.records import DEFAULT, PAUSED, SEARCH, Records
from gatewise.tuning.report import estimate_text, rungs_text
from gatewise.tuning.rungs import BEFORE, is_at, losses, places


def curve(*values):
    """The best loss so far after each of as many validations as there are values."""
    return [[(k + 1) / len(values), value] for k, value in enumerate(values)]


FAST = curve(9.0, 2.0, *[1.5 - k / 100 for k in range(18)])  # nearly all is learned after a tenth
SLOW = curve(*[9.0 - k / 100 for k in range(16)], 5.0, 4.0, 3.0, 1.0)  # and here in the last fifth


def test_the_first_is_where_the_default_has_learned_the_share():
    start, end = 10.0, 2.0
    enough = start - rungs.LEARNED * (start - end)
    slightly, line = 1e-9, [start, enough + 1e-9, enough - 1e-9, *[end] * 7]
    assert line[1] - line[2] == pytest.approx(2 * slightly)
    assert places(curve(*line))[0] == pytest.approx(0.3)
    assert all(two == pytest.approx(2 * one) for one, two in zip(places(FAST), places(FAST)[1:], strict=False))


def test_none_is_before_an_eighth_or_where_a_pause_saves_nothing():
    assert places(FAST) == (0.125, 0.25, 0.5)
    assert places(SLOW) == ()
    assert places(curve(3.0, 3.0, 3.0, 3.0)) != ()  # nothing was learned, so nothing says that later is better
    assert places(curve(1.0)) == ()  # a plan with one validation


def test_losses_are_those_of_the_first_validation_there_or_beyond():
    own = [[0.2, 5.0], [0.4, 4.0], [0.6, 3.0]]
    assert losses(own, (0.2, 0.3, 0.6, 0.7)) == (5.0, 4.0, 3.0)
    assert losses([], (0.2,)) == losses(own, ()) == ()
    assert [is_at(own[:count], (0.2, 0.3, 0.35)) for count in (1, 2, 3)] == [True, True, False]


@pytest.fixture
def records(tmp_path):
    return Records(Memory(tmp_path))


def ended(records, own, kind=DEFAULT, seed=0):
    number = records.add(kind, SPACE.default, seed)
    records.note(number, {"curve": own, "score": own[-1][1], "share": 1.0, "seconds": 1.0})
    records.finish(number, own[-1][1])
    return number


def test_all_see_what_was_written_when_the_default_ended(records, monkeypatch):
    other = records.add(SEARCH, SPACE.default, 7)
    records.note(other, {"curve": SLOW[:12], "score": SLOW[11][1], "share": 0.6})
    assert records.of(other).rungs == ()  # nothing is known yet
    ended(records, FAST)
    found = records.of(other)
    assert found.places == (0.125, 0.25, 0.5)
    assert found.rungs == (SLOW[2][1], SLOW[4][1], SLOW[9][1])
    monkeypatch.setattr(rungs, "LEARNED", 0.999)
    joined = Records(SimpleNamespace(study=records.storage.study, folder=records.storage.folder))
    assert joined.all() == records.all()
    assert joined.of(other) == found


def test_a_study_of_before_keeps_its_rungs(records):
    """Its trials noted losses there and no curve; those that go on, or begin now, are compared with them."""
    old = records.add(DEFAULT, SPACE.default, 0)
    records.note(old, {"rungs": [4.0], "score": 3.5, "share": 0.2})
    paused = records.add(SEARCH, SPACE.default, 8)
    records.note(paused, {"rungs": [5.0], "score": 5.0, "share": 0.15}, paused=True)
    own = [[share, 10 - 9 * share] for share, _ in SLOW[4:]]  # which goes on behind its first rung
    records.note(old, {"curve": own, "score": 1.0, "share": 1.0})
    records.finish(old, 1.0)
    new = ended(records, SLOW, SEARCH, 9)
    assert records.of(old).places == records.of(new).places == BEFORE
    assert records.of(old).rungs == (4.0, own[0][1], own[5][1])
    assert records.of(new).rungs == (SLOW[2][1], SLOW[4][1], SLOW[9][1])
    assert (records.of(paused).state, records.of(paused).rungs) == (PAUSED, (5.0,))


def test_they_are_told():
    assert rungs_text(()) == "the default learns so late that no trial is paused on its way"
    assert rungs_text((0.3, 0.6)) == "trials are compared after 30% and 60% of their steps, as the default learns"
    assert "after 50% of" in rungs_text((0.5,))
    assert (
        estimate_text(126, 1800)
        == "the default takes 2.1 min here: about 16 trials in 30.0 min, and repeats of the best"
    )
    assert estimate_text(90, 60) == "the default takes 1.5 min here, longer than the 1.0 min that there are"
