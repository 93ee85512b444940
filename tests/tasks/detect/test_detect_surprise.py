"""How surprising steps are: against slow versions, by hand, and as laws."""

import math

import numpy as np
import pytest

from gatewise.tasks.detect.rolling import RollingMean
from gatewise.tasks.detect.series import Scale
from gatewise.tasks.detect.surprise import CAUSES, Errors, Normal, SurpriseScorer

RNG = np.random.default_rng(5)


def scorer(D, network=True, share=0.5, history=100, smoothing=3):
    even = np.stack([np.zeros(D), np.ones(D)])
    scale = Scale(np.zeros(D), np.ones(D), np.zeros(D, bool))
    return SurpriseScorer(
        scale,
        Normal(even, even, even, np.full_like(even, np.nan)),
        None,
        network=network,
        share=share,
        history=history,
        smoothing=smoothing,
    )


def read(found, residuals, values):
    errors = None if residuals is None else Errors(residuals**2, residuals)
    errors = None if errors is None else errors.at((slice(None), None))
    return found.read(errors, values[:, None], [found.start()]).at((slice(None), 0))


def z_of(x, window):
    """Of the last of these steps, as if a tenth of a window before them had been normal data."""
    past = x[:-1][-window:]
    past = past[np.isfinite(past)]
    known = min(window - len(x[:-1][-window:]), window // 10)
    count, total, squares = len(past) + known, past.sum(), (past**2).sum() + known
    mean = total / count
    return (x[-1] - mean) / math.sqrt(max(squares / count - mean**2, 0.01))


def test_scores_are_those_of_a_slow_version():
    """One step at a time, each from all that came before."""
    n, D, smoothing = 260, 2, 3
    errors, values = RNG.standard_normal((n, D)), RNG.standard_normal((n, D)).cumsum(axis=0)
    found = read(scorer(D, smoothing=smoothing), errors, values)
    means = np.array([np.concatenate([np.zeros((3, D)), errors])[t + 1 : t + 4].mean(axis=0) for t in range(n)])
    changes = np.diff(values, axis=0, prepend=np.nan)
    for t in range(n):
        four = [z_of(x[: t + 1, d], 100) for x in (values, changes, errors, means) for d in range(D)]
        z = np.array(four).reshape(4, D)
        known = np.isfinite(z).sum(axis=1, keepdims=True)
        z = np.sqrt(np.maximum(np.nan_to_num(z) ** 2 - 2 * np.log(np.maximum(known, 1)), 0))
        assert found.scores[t] == pytest.approx(z.max(), abs=1e-9)
        np.testing.assert_allclose(found.by_channel[t], z.max(axis=0), atol=1e-9)
        if z.max() > 1e-6:
            assert z[found.causes[t], found.by_channel[t].argmax()] == pytest.approx(z.max(), abs=1e-9)


@pytest.mark.parametrize("pieces", [1, 7, 100])
def test_pieces_have_the_bits_of_the_whole(pieces):
    errors, values = RNG.exponential(size=(350, 3)), RNG.standard_normal((350, 3))
    errors[RNG.random((350, 3)) < 0.1] = np.nan
    values[RNG.random((350, 3)) < 0.1] = np.nan
    one = scorer(3)
    whole = read(one, errors, values)
    state, found = one.start(), []
    for first in range(0, 350, pieces):
        piece = slice(first, first + pieces), None
        some = one.read(Errors(errors[piece], errors[piece]), values[piece], [state])
        found.append(some.at((slice(None), 0)))
    np.testing.assert_array_equal(np.concatenate([some.scores for some in found]), whole.scores)
    np.testing.assert_array_equal(np.concatenate([some.by_channel for some in found]), whole.by_channel)
    np.testing.assert_array_equal(np.concatenate([some.causes for some in found]), whole.causes)


def test_each_cause_is_told():
    quiet = np.zeros((400, 1))
    calm = 0.1 * RNG.standard_normal((400, 1))
    surprise, lasting = calm.copy(), calm.copy()
    surprise[300] = 50
    found = read(scorer(1), surprise, calm)
    assert CAUSES[found.causes[300]] == "error"
    lasting[300:305] = 0.8
    found = read(scorer(1, smoothing=5), lasting, calm)
    assert CAUSES[found.causes[304]] == "recent errors"
    walk = np.linspace(-40, 40, 400)[:, None]
    walk[300:] -= 30  # back to where it has been before
    assert CAUSES[read(scorer(1), quiet, walk).causes[300]] == "change"
    far = 5 * np.sin(np.linspace(0, 90, 400))[:, None]
    far[300:303] = np.array([20, 40, 60.0])[:, None]
    assert CAUSES[read(scorer(1, network=False), None, far).causes[302]] == "value"


def test_shares_weigh_network_and_values():
    errors, values = RNG.exponential(size=(200, 1)), RNG.standard_normal((200, 1))
    both, own, plain, most = (read(scorer(1, share=s), errors, values).scores for s in (0.5, 1.0, 0.0, 0.75))
    np.testing.assert_array_equal(both, np.maximum(own, plain))
    np.testing.assert_allclose(most, np.maximum(own, plain / 3))
    np.testing.assert_array_equal(plain, read(scorer(1, network=False), None, values).scores)


def test_what_is_missing_scores_nothing_and_a_change_goes_over_it():
    values = RNG.standard_normal((300, 2))
    values[200] = np.nan
    values[100:150, 0] = np.nan
    found = read(scorer(2, network=False), None, values)
    assert found.scores[200] == 0
    assert np.isfinite(found.scores).all()
    gone = np.where(np.arange(300)[:, None] == 250, 90.0, values)
    gone[249] = np.nan
    assert read(scorer(2, network=False), None, gone).scores[250] > 20


def test_what_lasts_becomes_normal_and_no_surprise_is_below_zero():
    values = np.concatenate([RNG.standard_normal(500), 30 + RNG.standard_normal(500)])[:, None]
    found = read(scorer(1, network=False), None, values).scores
    assert found[500] > 9
    assert found[650:].max() < 6
    assert found.min() >= 0


def test_normal_data_are_measured_by_channel():
    scale = Scale(np.array([3.0, 0.0]), np.array([2.0, 5.0]), np.array([False, True]))
    values = np.column_stack([3 + 2 * RNG.standard_normal(900), np.zeros(900)])
    errors = np.column_stack([4 + 0.5 * RNG.standard_normal(900), np.full(900, 7.0)])
    steps = np.ones(900, bool)
    values[400:500, 0], steps[400:500] = 1e6, False  # labelled as an anomaly
    normal = Normal.of([errors], [values], [steps], scale, 5)
    np.testing.assert_allclose(normal.errors[:, 0], [4, 0.5], atol=0.05)
    assert normal.errors[1, 1] == pytest.approx(1e-3)
    np.testing.assert_allclose(normal.recent[:, 0], [0, 1 / math.sqrt(5)], atol=0.05)
    np.testing.assert_allclose(normal.changes[:, 0], [0, 2 * math.sqrt(2)], atol=0.2)
    assert normal.changes[1, 1] == 5  # of what does not change, the scale


@pytest.mark.parametrize("length", [1, 2, 5, 40])
def test_a_rolling_mean_is_the_mean(length):
    x = RNG.standard_normal((130, 2))
    mean = RollingMean(length, 2)
    found = mean.read(x[:, None], [mean.start()])[:, 0]
    padded = np.concatenate([np.zeros((length - 1, 2)), x])
    np.testing.assert_allclose(found, np.lib.stride_tricks.sliding_window_view(padded, length, axis=0).mean(axis=2))
