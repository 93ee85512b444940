"""Which setting is taken."""

import math

import numpy as np
import pytest

from gatewise.tuning.records import DEFAULT, FAILED, FINISHED, PAUSED, REPEAT, SEARCH, SECOND, Record
from gatewise.tuning.report import verdict
from gatewise.tuning.selection import errors_needed, finalists, select


def study(default, others):
    """Records of the default's losses by seed, and of those of other settings."""
    found = []
    for place, losses in enumerate([default, *others]):
        for seed, loss in enumerate(losses):
            kind = (DEFAULT if seed == 0 else SECOND) if place == 0 else SEARCH if seed == 0 else REPEAT
            found.append(Record(len(found), kind, FINISHED, {"x": place}, seed, (), 1.0, loss, 1.0, 1))
    return found


def test_by_hand():
    """The second is judged by its repeats, 0.5 and 0.7, not by the 0.1 that it was found by, which tells of noise."""
    found = select(study([2.0, 2.2, 2.1], [[0.1, 0.5, 0.7], [1.0, 1.1, 1.3]]))
    about = [(2.1, (2.0, 2.2, 2.1)), (1.3 / 3, (0.1, 0.5, 0.7)), (3.4 / 3, (1.0, 1.1, 1.3))]
    noise = math.sqrt(sum((loss - mean) ** 2 for mean, losses in about for loss in losses) / 6)
    assert found.noise == pytest.approx(noise)
    assert found.margin == pytest.approx(errors_needed(6, 2) * noise * math.sqrt(1 / 3 + 1 / 2))
    assert (found.chosen.setting, found.gain) == ({"x": 1}, pytest.approx(1.5))
    assert "Trial 3 is taken: x 1." in verdict(found)


def test_what_is_within_noise_is_not_taken():
    found = select(study([2.0, 2.2, 2.4], [[1.7, 2.1, 2.3]]))
    assert found.keeps_default
    assert found.best.score == 1.7
    assert "Nothing better found: the default is within noise" in verdict(found)


def test_what_was_not_repeated_is_not_taken():
    found = select(study([2.0], [[0.1]]))
    assert found.keeps_default
    assert math.isnan(found.margin)
    assert "too few repeats with other seeds finished" in verdict(found)


def test_one_repeat_is_enough_for_what_is_far_ahead():
    """The default has one seed only: what is known of the noise is that 0.1 and 0.12 are alike."""
    assert select(study([2.0], [[0.1, 0.12]])).chosen.setting == {"x": 1}
    assert select(study([2.0], [[0.1, 0.9]])).keeps_default


def test_what_failed_with_another_seed_is_not_taken():
    records = study([2.0, 2.01, 2.02], [[0.1, 0.11], [0.5, 0.51, 0.52]])
    failed = Record(len(records), REPEAT, FAILED, {"x": 1}, 2, why="the loss is not finite")
    assert select(records).chosen.setting == {"x": 1}
    assert select([*records, failed]).chosen.setting == {"x": 2}


def test_nothing_better():
    found = select(study([2.0, 2.1], [[2.5], [2.2]]))
    assert found.keeps_default
    assert verdict(found) == "Nothing better found: the default has the lowest validation loss, 2."


def test_finalists_are_the_best_three_that_finished_and_are_better_than_the_default():
    records = study([2.0], [[1.5], [1.9], [1.2], [2.4], [1.7]])
    paused = Record(99, SEARCH, PAUSED, {"x": 99}, 0, (0.1,), 0.2, 0.1, 1.0)
    assert [own.score for own in finalists([*records, paused])] == [1.2, 1.5, 1.7]


def test_the_margin_is_that_of_students_t():
    """Of one rival with four degrees of freedom: the table's one-sided 90 % quantile."""
    assert errors_needed(4, 1) == pytest.approx(1.533, abs=0.02)
    assert errors_needed(4, 3) > errors_needed(4, 1)
    assert errors_needed(2, 1) > errors_needed(8, 1)


def draws(rng, settings, better, seeds=3, repeated=3, repeats=2):
    """A study in which the settings are `better` by so many standard deviations of the noise."""
    default = rng.normal(size=seeds)
    first = rng.normal(size=settings) - better
    best = sorted(first)[:repeated]
    rest = [[loss] for loss in sorted(first)[repeated:]]
    return study(default, [*([loss, *(rng.normal(size=repeats) - better)] for loss in best), *rest])


@pytest.mark.parametrize(
    ("seeds", "repeated", "repeats", "kept"), [(3, 3, 2, 0.9), (3, 1, 2, 0.88), (2, 1, 1, 0.85), (1, 1, 1, 0.85)]
)
def test_where_all_is_noise_the_default_stays(seeds, repeated, repeats, kept):
    """Somewhat less often where little is repeated, as the noise is told by few seeds, one of them chosen."""
    rng = np.random.default_rng(1)
    studies = [select(draws(rng, 20, 0.0, seeds, repeated, repeats)).keeps_default for _ in range(1000)]
    assert np.mean(studies) >= kept


def test_what_is_clearly_better_is_taken():
    rng = np.random.default_rng(1)
    kept = [select(draws(rng, 20, 6.0)).keeps_default for _ in range(200)]
    assert np.mean(kept) <= 0.05
