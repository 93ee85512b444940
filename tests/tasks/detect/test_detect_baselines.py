"""Plain detectors: against slow versions, without the future, and what they find."""

import math

import numpy as np
import pytest
from detect_kit import waves
from scipy.stats import norm

from gatewise.tasks.detect.baselines import (
    BASELINES,
    MOST_COMPARED,
    nearest_window,
    plain_scores,
    spectral_residual,
)
from gatewise.tasks.detect.rolling import RollingZ, furthest

RNG = np.random.default_rng(5)


def holed(n, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, channels)).cumsum(axis=0)
    x[rng.random(x.shape) < 0.2] = np.nan
    return x


def rolling(x, window=30):
    return RollingZ(window, np.full(x.shape[1], 3.0), np.full(x.shape[1], 2.0))


def test_a_rolling_z_score_is_that_of_the_values_before():
    x = holed(200, 2)
    detector = rolling(x)
    found = detector.read(x[:, None], [detector.start()])[:, 0]
    # As if 3 normal steps of mean 0 and deviation 1 had come before, standardised; they leave with the window.
    known = np.concatenate([np.full((3, 2), np.nan), (x - 3) / 2])
    for t in range(200):
        for d in range(2):
            before = known[max(t + 3 - 30, 0) : t + 3, d]
            virtual = 0 if t + 3 - 30 > 2 else 3 - max(t + 3 - 30, 0)
            seen = before[np.isfinite(before)]
            count = len(seen) + virtual
            mean = seen.sum() / count
            spread = max(math.sqrt(max(((seen**2).sum() + virtual) / count - mean**2, 0)), 0.1)
            want = (known[t + 3, d] - mean) / spread
            np.testing.assert_allclose(found[t, d], want, rtol=1e-9)


def test_steps_that_arrive_one_by_one_or_many_at_a_time_have_the_same_bits():
    x = holed(500, 3)
    detector = rolling(x, 70)
    last = detector.start()
    whole = detector.read(x[:, None], [last])[:, 0]
    for size in (1, 7, 70, 333):
        state, found = detector.start(), []
        for k in range(0, 500, size):
            found.append(detector.read(x[k : k + size, None], [state])[:, 0])
        np.testing.assert_array_equal(np.concatenate(found), whole)
        np.testing.assert_array_equal(state.before, last.before)


def test_series_that_are_read_beside_one_another_have_the_bits_of_each_alone():
    each = [holed(400, 3, seed) for seed in range(3)]
    detector = rolling(each[0], 70)
    alone = [detector.read(x[:, None], [detector.start()])[:, 0] for x in each]
    states, found = [detector.start() for _ in each], [[], [], []]
    at = [0, 20, 150]  # each in another place of its block
    for number, begun in enumerate(at):
        found[number].append(detector.read(each[number][:begun, None], [states[number]])[:, 0])
    while max(at) < 400:
        size = min(int(RNG.integers(1, 120)), 400 - max(at))
        some = np.stack([x[begun : begun + size] for x, begun in zip(each, at, strict=True)], axis=1)
        for number, z in enumerate(np.moveaxis(detector.read(some, states), 1, 0)):
            found[number].append(z)
            at[number] += size
    for number, z in enumerate(map(np.concatenate, found)):
        np.testing.assert_array_equal(z, alone[number][: at[number]])


def test_a_value_far_out_is_forgotten_to_the_last_digit():
    x = RNG.standard_normal((400, 1))
    broken = x.copy()
    broken[50] = 1e30
    detector = rolling(x)
    clean, hit = (detector.read(values[:, None], [detector.start()])[:, 0] for values in (x, broken))
    assert hit[50] > 1e29
    np.testing.assert_array_equal(hit[81:], clean[81:])


@pytest.mark.parametrize("channels", [1, 5, 50])
def test_of_many_channels_the_furthest_counts_less(channels):
    """Its tail probability is about that of the maximum of so many normal values."""
    z = RNG.standard_normal((200_000, channels))
    found = furthest(z)
    for limit in (2.5, 3.0):
        assert (found > limit).mean() == pytest.approx(2 * norm.sf(limit), rel=0.5)
    z[3] = np.nan
    z[4, 1:] = np.nan
    assert np.isnan(furthest(z)[3])
    assert furthest(z)[4] == abs(z[4, 0])


@pytest.mark.parametrize("name", BASELINES)
def test_no_baseline_sees_the_future(name):
    x = waves(400, 2)
    x[[20, 150]] = np.nan
    changed = x.copy()
    changed[300:] = 1e4
    first, second = (plain_scores(name, values) for values in (x, changed))
    assert first.shape == (400,)
    assert np.isfinite(first).all()
    np.testing.assert_allclose(first[:300], second[:300], rtol=1e-6, atol=1e-9)
    assert second[300:].max() > first[300:].max()


def test_a_spectral_residual_stands_out_at_a_spike():
    x = np.random.default_rng(0).standard_normal((600, 1)).cumsum(axis=0)
    x[400] += 40
    assert np.argmax(spectral_residual(x)) == 400
    assert (spectral_residual(np.full(300, 7.0)) == 0).all()


def test_the_nearest_window_is_found_by_brute_force():
    x = RNG.standard_normal(150)
    found = nearest_window(x, length=10, back=60)

    def normal(t):
        part = x[t - 9 : t + 1]
        return (part - part.mean()) / part.std() / math.sqrt(10)

    for t in range(30, 150):
        apart = [np.linalg.norm(normal(t) - normal(k)) for k in range(max(9, t - 59), t - 9)]
        assert found[t] == pytest.approx(min(apart))


def test_a_shape_that_never_was_is_far_from_all():
    x = waves(1500, noise=0.05)[:, 0]
    x[1200:1220] = x[1200:1220][::-1]  # each value has been there before
    assert 1200 <= np.argmax(nearest_window(x)[200:]) + 200 < 1280
    assert plain_scores("matrix profile", np.zeros(MOST_COMPARED + 1)) is None
